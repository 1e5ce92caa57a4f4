export { type ControlClient, type ControlOptions, openControlClient } from './control-client.ts'
export type { Cors, CorsRule } from './live/cors.ts'
export type { Lifecycle, LifecycleRule, Transition } from './live/lifecycle.ts'
export {
  type Encryption,
  type Existence,
  type LiveBucket,
  type Logging,
  type ObjectLock,
  type PublicAccessBlock,
  readBucket,
  readExistence,
  type Versioning,
} from './live/read-bucket.ts'
export { isDenied, isNotOffered, type Reading, type S3Failure, s3Failure } from './live/reading.ts'
export { type FoundStatement, type Policy, type Principal, parsePolicy, type Statement } from './policy/policy.ts'
