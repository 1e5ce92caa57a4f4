export { isComplete, requireComplete } from './complete.ts'
export type { ByteReader } from './content.ts'
export { sourceExpiry } from './deadline.ts'
export {
  createGuardedFetch,
  createGuardedPost,
  type FetchedSource,
  type FetchOptions,
  type GuardedFetch,
  type GuardedFetchOptions,
  type GuardedPost,
  type PostAnswer,
} from './fetch/index.ts'
export { readHead } from './head.ts'
export { Intake, type IntakeParts } from './import.ts'
export { confirm, servedAs } from './keep.ts'
export { type KeepFor, parseKeepFor, requestedKeep } from './keep-for.ts'
export {
  type ContentFacts,
  type DescribedAsset,
  describeObject,
  factsFromObject,
  type ObjectDescription,
  objectMetadata,
} from './object-metadata.ts'
export { type Measures, probe } from './probe.ts'
export { defaultOwner, type ImportRequest } from './request.ts'
export { SNIFF_BYTES, sniff } from './sniff.ts'
export type { ImportSource, OpenedSource } from './source.ts'
export { fingerprintSource } from './source-fingerprint.ts'
export { openSource } from './source-open.ts'
export { type Spooled, type SpoolOptions, spool } from './spool.ts'
export {
  type Completion,
  dropParts,
  type NamedPart,
  type UploadedPart,
  type UploadPart,
  type UploadRequest,
  type UploadSettings,
  type UploadState,
  Uploads,
  type UploadTicket,
} from './upload/index.ts'
