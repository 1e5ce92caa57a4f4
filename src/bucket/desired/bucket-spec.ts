import type { InventoryConfiguration, ReplicationRule } from '@aws-sdk/client-s3'
import type { CorsRule } from '../live/cors.ts'
import type { LifecycleRule } from '../live/lifecycle.ts'
import type { Logging, PublicAccessBlock } from '../live/live-bucket.ts'
import type { Statement } from '../policy/policy.ts'
import { corsRules } from './cors-rules.ts'
import type { DesiredBucket } from './desired-bucket.ts'
import { lifecycleRules, logsLifecycleRules, noncurrentRule, staleUploadsRule } from './lifecycle-rules.ts'
import { logsStatements, mediaStatements, transportStatements } from './statements.ts'

/** What one bucket is to be configured with, in the same spelling as what is read of it. */
export type BucketSpec = {
  readonly role: 'media' | 'logs' | 'replica'
  readonly name: string
  readonly region: string
  readonly publicAccessBlock: PublicAccessBlock
  readonly ownership: 'BucketOwnerEnforced'
  readonly encryption: {
    readonly algorithm: 'AES256' | 'aws:kms'
    readonly kmsKey: string | null
    readonly bucketKey: boolean
  }
  readonly versioning: boolean
  /** Each with a Sid that begins with `Keepsake`. */
  readonly statements: readonly Statement[]
  readonly cors: readonly CorsRule[]
  /** Each with an id that begins with `keepsake-`. */
  readonly lifecycle: readonly LifecycleRule[]
  readonly logging: Logging | null
  readonly inventory: InventoryConfiguration | null
  readonly replication: { readonly role: string | null; readonly rule: ReplicationRule } | null
}

/** Whose statements, rules and configurations are Keepsake's. */
export const ownSid = 'Keepsake'
export const ownRule = 'keepsake-'

const blockAll: PublicAccessBlock = {
  blockPublicAcls: true,
  ignorePublicAcls: true,
  blockPublicPolicy: true,
  restrictPublicBuckets: true,
}

/** AWS's default since September 2024; sent each time, because a put without it may keep an older default. */
export const minimumTransitionSize = 'all_storage_classes_128K'

/** The buckets that a desired state is made of, in the order in which they have to be made: targets first. */
export function bucketSpecs(desired: DesiredBucket): BucketSpec[] {
  return [
    ...(desired.logs === null ? [] : [logsSpec(desired, desired.logs)]),
    ...(desired.replication === null ? [] : [replicaSpec(desired, desired.replication)]),
    mediaSpec(desired),
  ]
}

function mediaSpec(desired: DesiredBucket): BucketSpec {
  return {
    role: 'media',
    name: desired.name,
    region: desired.region,
    publicAccessBlock: blockAll,
    ownership: 'BucketOwnerEnforced',
    encryption: encryption(desired.kmsKey),
    versioning: desired.versioning,
    statements: mediaStatements(desired),
    cors: corsRules(desired.origins),
    lifecycle: lifecycleRules(desired),
    logging: desired.logging && { ...desired.logging, partitionedBy: null },
    inventory: desired.inventory && inventory(desired, desired.inventory),
    replication: desired.replication && replication(desired, desired.replication),
  }
}

function logsSpec(desired: DesiredBucket, logs: NonNullable<DesiredBucket['logs']>): BucketSpec {
  return {
    role: 'logs',
    name: logs.bucket,
    region: desired.region,
    publicAccessBlock: blockAll,
    ownership: 'BucketOwnerEnforced',
    // "You can use default bucket encryption on the destination bucket only if you use SSE-S3" (server access logging).
    encryption: encryption(null),
    versioning: false,
    statements: logsStatements(desired, logs.bucket),
    cors: [],
    lifecycle: logsLifecycleRules(desired, logs.days),
    logging: null,
    inventory: null,
    replication: null,
  }
}

function replicaSpec(desired: DesiredBucket, replica: NonNullable<DesiredBucket['replication']>): BucketSpec {
  return {
    role: 'replica',
    name: replica.bucket,
    region: replica.region,
    publicAccessBlock: blockAll,
    ownership: 'BucketOwnerEnforced',
    encryption: encryption(replica.kmsKey),
    versioning: true,
    statements: transportStatements(`arn:${desired.partition}:s3:::${replica.bucket}`),
    cors: [],
    lifecycle: [staleUploadsRule(desired.staleUploadDays), noncurrentRule(desired.noncurrentDays)],
    logging: null,
    inventory: null,
    replication: null,
  }
}

function encryption(kmsKey: string | null): BucketSpec['encryption'] {
  // A bucket key means one call to KMS for many objects; for SSE-S3 there is no such thing.
  return kmsKey === null
    ? { algorithm: 'AES256', kmsKey: null, bucketKey: false }
    : { algorithm: 'aws:kms', kmsKey, bucketKey: true }
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_InventoryConfiguration.html */
function inventory(desired: DesiredBucket, target: NonNullable<DesiredBucket['inventory']>): InventoryConfiguration {
  return {
    Id: `${ownRule}inventory`,
    IsEnabled: true,
    IncludedObjectVersions: 'Current',
    Schedule: { Frequency: target.frequency },
    OptionalFields: ['ETag', 'EncryptionStatus', 'LastModifiedDate', 'Size', 'StorageClass'],
    Destination: {
      S3BucketDestination: {
        Bucket: `arn:${desired.partition}:s3:::${target.bucket}`,
        Format: 'CSV',
        Prefix: target.prefix.replace(/\/$/, ''),
        ...(desired.account === null ? {} : { AccountId: desired.account }),
        Encryption: { SSES3: {} },
      },
    },
  }
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-add-config.html, the second version of its form. */
function replication(
  desired: DesiredBucket,
  replica: NonNullable<DesiredBucket['replication']>,
): NonNullable<BucketSpec['replication']> {
  const encrypted = desired.kmsKey !== null || replica.kmsKey !== null
  return {
    role: replica.role,
    rule: {
      ID: `${ownRule}replica`,
      Priority: 1,
      Status: 'Enabled',
      Filter: { Prefix: '' },
      // What is deleted is to be gone there too: the versions stay for the days of noncurrent ones.
      DeleteMarkerReplication: { Status: 'Enabled' },
      Destination: {
        Bucket: `arn:${desired.partition}:s3:::${replica.bucket}`,
        ...(replica.kmsKey === null ? {} : { EncryptionConfiguration: { ReplicaKmsKeyID: replica.kmsKey } }),
      },
      ...(encrypted ? { SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Enabled' } } } : {}),
    },
  }
}
