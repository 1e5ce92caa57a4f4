export { type ApplyOptions, applyPlan, type StepName, type StepResult } from './apply.ts'
export { type ControlClient, type ControlOptions, openControlClient } from './control-client.ts'
export { bucketName, checkBucketName } from './desired/bucket-name.ts'
export { type BucketSpec, bucketSpecs } from './desired/bucket-spec.ts'
export { type DesiredBucket, type DesiredContext, desireBucket } from './desired/desired-bucket.ts'
export { refuseCataloguedExpiry } from './desired/prefix.ts'
export { type AwsCliOptions, awsCli } from './export/aws-cli.ts'
export { cloudFormation, type Template } from './export/cloudformation.ts'
export { cloudFront } from './export/cloudfront.ts'
export { type IamPolicy, type IamRole, iamPolicy, iamRoles } from './export/iam.ts'
export { terraform } from './export/terraform.ts'
export type { Cors, CorsRule } from './live/cors.ts'
export type { Lifecycle, LifecycleRule, Transition } from './live/lifecycle.ts'
export type {
  Encryption,
  Existence,
  LiveBucket,
  LiveParts,
  Logging,
  ObjectLock,
  PublicAccessBlock,
  Versioning,
} from './live/live-bucket.ts'
export { readBucket, readExistence } from './live/read-bucket.ts'
export { isDenied, isNotOffered, isRefusal, type Reading, type S3Failure, s3Failure } from './live/reading.ts'
export { type Feature, type Make, type Missing, missingFeatures } from './offers.ts'
export { type Decision, type PartName, partNames } from './parts/decision.ts'
export {
  type BucketPlan,
  type ClientOfRegion,
  hasChanges,
  openQuestions,
  type Plan,
  type PlanOptions,
  planBucket,
  planJson,
  unmetParts,
} from './plan.ts'
export { type FoundStatement, type Policy, type Principal, parsePolicy, type Statement } from './policy/policy.ts'
export { desiredOf, parseSavedPlan, requireUnchanged, type SavedPlan, savedPlanText } from './saved-plan.ts'
