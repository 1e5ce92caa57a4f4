export {
  type ChaosCall,
  type ChaosDecision,
  type ChaosOptions,
  type ChaosOutcome,
  type ChaosStore,
  createChaosStore,
  seededChaos,
} from './chaos.ts'
export { createMemoryStore, type MemoryStoreOptions } from './memory.ts'
export { checkObjectKey, compareObjectKeys } from './object-key.ts'
export type {
  CallOptions,
  DeleteResult,
  GetOptions,
  ListedObject,
  ListOptions,
  ObjectBody,
  ObjectContent,
  ObjectHead,
  ObjectStore,
  PutRequest,
  SignedRequest,
  SignedUrl,
  SignGetOptions,
  SignPutOptions,
} from './object-store.ts'
export {
  awsCredentials,
  type Credentials,
  type CredentialsProvider,
  createS3Store,
  openS3Store,
  type S3StoreOptions,
} from './s3/index.ts'
