export {
  type ChaosCall,
  type ChaosDecision,
  type ChaosOptions,
  type ChaosOutcome,
  type ChaosStore,
  createChaosStore,
  seededChaos,
} from './chaos.ts'
export { Circuit, type CircuitOptions, type CircuitState, isStoreFailure } from './circuit.ts'
export { ListedPage } from './listed-page.ts'
export { createMemoryStore, type MemoryStoreOptions } from './memory.ts'
export { checkObjectKey, compareObjectKeys } from './object-key.ts'
export type {
  CallOptions,
  CheckedBody,
  CompleteMultipartOptions,
  CopyRequest,
  CreateMultipartRequest,
  DeleteResult,
  GetOptions,
  HeadOptions,
  ListedMultipart,
  ListedObject,
  ListedPart,
  ListMultipartOptions,
  ListOptions,
  ListPartsOptions,
  MultipartPart,
  MultipartUpload,
  ObjectBody,
  ObjectContent,
  ObjectHead,
  ObjectSettings,
  ObjectStore,
  PutPartRequest,
  PutRequest,
  RangedBody,
  SignedRequest,
  SignedUrl,
  SignGetOptions,
  SignPartOptions,
  SignPutOptions,
} from './object-store.ts'
export { multipartLimits, type PartPlan, type PartRange, partRanges, planParts } from './part-plan.ts'
export { readBody } from './read-body.ts'
export { type ReadAt, readInBlocks } from './read-in-blocks.ts'
export {
  awsCredentials,
  type Capabilities,
  type CopyLimits,
  type Credentials,
  type CredentialsProvider,
  createS3Store,
  type ExplainedCall,
  encodeKey,
  encodeRfc3986,
  explainS3Error,
  type MultipartOptions,
  openS3Store,
  type ProviderName,
  providerOfAnswer,
  providerOfHost,
  providers,
  type S3StoreOptions,
  Signer,
  type SigningIdentity,
} from './s3/index.ts'
export { createStores, type LocalStore, type Stores, type StoresOptions } from './store-set.ts'
export { type SweepOptions, type SweepResult, sweepMultipart } from './sweep.ts'
