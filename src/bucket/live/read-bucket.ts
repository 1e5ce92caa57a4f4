import type {
  Grant,
  InventoryConfiguration,
  NotificationConfiguration,
  ReplicationConfiguration,
} from '@aws-sdk/client-s3'
import type { ControlClient } from '../control-client.ts'
import { type Policy, parsePolicy } from '../policy/policy.ts'
import { type Cors, normalCorsRule } from './cors.ts'
import { type Lifecycle, normalLifecycleRule } from './lifecycle.ts'
import { type Reading, readPart, s3Failure } from './reading.ts'

export type PublicAccessBlock = {
  readonly blockPublicAcls: boolean
  readonly ignorePublicAcls: boolean
  readonly blockPublicPolicy: boolean
  readonly restrictPublicBuckets: boolean
}

export type Encryption = {
  /** `AES256`, `aws:kms` or `aws:kms:dsse`. */
  readonly algorithm: string
  /** Null: none is named; with KMS that is the account's own `aws/s3`. */
  readonly kmsKey: string | null
  readonly bucketKey: boolean
  /** Kinds of encryption that writes are refused with, such as `SSE-C`. */
  readonly blocked: readonly string[]
}

export type Versioning = { readonly status: 'Enabled' | 'Suspended'; readonly mfaDelete: boolean }

export type Logging = {
  readonly bucket: string
  readonly prefix: string
  /** How the keys of logs are dated: null for the plain form, else `EventTime` or `DeliveryTime`. */
  readonly partitionedBy: string | null
}

export type ObjectLock = { readonly mode: string | null; readonly days: number | null; readonly years: number | null }

/** Whether there is a bucket of that name, and whether it can be looked at. */
export type Existence =
  | { readonly status: 'exists'; readonly region: string | null }
  | { readonly status: 'missing' }
  /** Somebody's, perhaps ours: these credentials may not look. */
  | {
      readonly status: 'denied' | 'error'
      readonly code: string
      readonly message: string
      readonly region: string | null
    }

/**
 * Everything that a bucket is configured with, read at one time and brought into one spelling. A part's status says
 * what is known; where the bucket is missing or cannot be looked at, every part has that for its status.
 */
export type LiveBucket = {
  readonly bucket: string
  readonly existence: Existence
  readonly publicAccessBlock: Reading<PublicAccessBlock>
  /** `BucketOwnerEnforced`, `BucketOwnerPreferred` or `ObjectWriter`. */
  readonly ownership: Reading<string>
  readonly encryption: Reading<Encryption>
  readonly versioning: Reading<Versioning>
  readonly policy: Reading<Policy>
  /** Whether S3 itself takes the policy for public. */
  readonly policyStatus: Reading<{ readonly isPublic: boolean }>
  readonly cors: Reading<Cors>
  readonly lifecycle: Reading<Lifecycle>
  readonly logging: Reading<Logging>
  readonly inventory: Reading<readonly InventoryConfiguration[]>
  readonly replication: Reading<ReplicationConfiguration>
  readonly acl: Reading<{ readonly owner: string; readonly grants: readonly Grant[] }>
  readonly notifications: Reading<NotificationConfiguration>
  readonly objectLock: Reading<ObjectLock>
  readonly tags: Reading<Readonly<Record<string, string>>>
}

type Parts = Omit<LiveBucket, 'bucket' | 'existence'>

/** Bounds the pages of inventory configurations: S3 allows a thousand, a hundred a page. */
const maxPages = 20

/** Reads a bucket's settings. Never throws for what the store answers: each part has a status. */
export async function readBucket(client: ControlClient, bucket: string): Promise<LiveBucket> {
  const existence = await readExistence(client, bucket)
  if (existence.status === 'missing') return { bucket, existence, ...everyPart({ status: 'absent' }) }
  return { bucket, existence, ...(await readParts(client, bucket)) }
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html */
export async function readExistence({ s3, sdk }: ControlClient, bucket: string): Promise<Existence> {
  try {
    const { BucketRegion } = await s3.send(new sdk.HeadBucketCommand({ Bucket: bucket }))
    return { status: 'exists', region: BucketRegion ?? null }
  } catch (error) {
    const { code, status, message, headers } = s3Failure(error)
    const region = headers['x-amz-bucket-region'] ?? null
    if (status === 404) return { status: 'missing' }
    if (status === 301) return { status: 'exists', region }
    return { status: status === 403 ? 'denied' : 'error', code, message, region }
  }
}

async function readParts(client: ControlClient, bucket: string): Promise<Parts> {
  const { s3, sdk } = client
  const input = { Bucket: bucket }
  const [
    publicAccessBlock,
    ownership,
    encryption,
    versioning,
    policy,
    policyStatus,
    cors,
    lifecycle,
    logging,
    inventory,
    replication,
    acl,
    notifications,
    objectLock,
    tags,
  ] = await Promise.all([
    readPart<PublicAccessBlock>('s3:GetBucketPublicAccessBlock', ['NoSuchPublicAccessBlockConfiguration'], async () => {
      const { PublicAccessBlockConfiguration: block } = await s3.send(new sdk.GetPublicAccessBlockCommand(input))
      return (
        block && {
          blockPublicAcls: block.BlockPublicAcls ?? false,
          ignorePublicAcls: block.IgnorePublicAcls ?? false,
          blockPublicPolicy: block.BlockPublicPolicy ?? false,
          restrictPublicBuckets: block.RestrictPublicBuckets ?? false,
        }
      )
    }),
    readPart<string>('s3:GetBucketOwnershipControls', ['OwnershipControlsNotFoundError'], async () => {
      const { OwnershipControls } = await s3.send(new sdk.GetBucketOwnershipControlsCommand(input))
      return OwnershipControls?.Rules?.[0]?.ObjectOwnership
    }),
    readPart<Encryption>(
      's3:GetEncryptionConfiguration',
      ['ServerSideEncryptionConfigurationNotFoundError'],
      async () => {
        const { ServerSideEncryptionConfiguration } = await s3.send(new sdk.GetBucketEncryptionCommand(input))
        const rule = ServerSideEncryptionConfiguration?.Rules?.[0]
        const byDefault = rule?.ApplyServerSideEncryptionByDefault
        if (byDefault?.SSEAlgorithm === undefined) return undefined
        return {
          algorithm: byDefault.SSEAlgorithm,
          kmsKey: byDefault.KMSMasterKeyID ?? null,
          bucketKey: rule?.BucketKeyEnabled ?? false,
          blocked: [...(rule?.BlockedEncryptionTypes?.EncryptionType ?? [])].sort(),
        }
      },
    ),
    readPart<Versioning>('s3:GetBucketVersioning', [], async () => {
      const { Status, MFADelete } = await s3.send(new sdk.GetBucketVersioningCommand(input))
      return Status && { status: Status, mfaDelete: MFADelete === 'Enabled' }
    }),
    readPart<Policy>('s3:GetBucketPolicy', ['NoSuchBucketPolicy'], async () => {
      const { Policy } = await s3.send(new sdk.GetBucketPolicyCommand(input))
      return Policy ? parsePolicy(Policy) : undefined
    }),
    readPart<{ isPublic: boolean }>('s3:GetBucketPolicyStatus', ['NoSuchBucketPolicy'], async () => {
      const { PolicyStatus } = await s3.send(new sdk.GetBucketPolicyStatusCommand(input))
      return PolicyStatus && { isPublic: PolicyStatus.IsPublic ?? false }
    }),
    readPart<Cors>('s3:GetBucketCORS', ['NoSuchCORSConfiguration'], async () => {
      const { CORSRules = [] } = await s3.send(new sdk.GetBucketCorsCommand(input))
      return CORSRules.length === 0 ? undefined : CORSRules.map((raw) => ({ rule: normalCorsRule(raw), raw }))
    }),
    readPart<Lifecycle>('s3:GetLifecycleConfiguration', ['NoSuchLifecycleConfiguration'], async () => {
      const answer = await s3.send(new sdk.GetBucketLifecycleConfigurationCommand(input))
      if (!answer.Rules?.length) return undefined
      return {
        rules: answer.Rules.map((raw) => ({ rule: normalLifecycleRule(raw), raw })),
        transitionDefaultMinimumObjectSize: answer.TransitionDefaultMinimumObjectSize ?? null,
      }
    }),
    readPart<Logging>('s3:GetBucketLogging', [], async () => {
      const { LoggingEnabled: logging } = await s3.send(new sdk.GetBucketLoggingCommand(input))
      if (!logging?.TargetBucket) return undefined
      const { PartitionedPrefix } = logging.TargetObjectKeyFormat ?? {}
      return {
        bucket: logging.TargetBucket,
        prefix: logging.TargetPrefix ?? '',
        partitionedBy: PartitionedPrefix ? (PartitionedPrefix.PartitionDateSource ?? 'EventTime') : null,
      }
    }),
    readPart<readonly InventoryConfiguration[]>('s3:GetInventoryConfiguration', ['NoSuchConfiguration'], async () => {
      const found = await readInventories(client, bucket)
      return found.length === 0 ? undefined : found
    }),
    readPart<ReplicationConfiguration>(
      's3:GetReplicationConfiguration',
      ['ReplicationConfigurationNotFoundError'],
      async () => {
        const { ReplicationConfiguration } = await s3.send(new sdk.GetBucketReplicationCommand(input))
        // radosgw answers with an empty document where there is none.
        return ReplicationConfiguration?.Rules?.length ? ReplicationConfiguration : undefined
      },
    ),
    readPart<{ owner: string; grants: readonly Grant[] }>('s3:GetBucketAcl', [], async () => {
      const { Owner, Grants } = await s3.send(new sdk.GetBucketAclCommand(input))
      return { owner: Owner?.ID ?? '', grants: Grants ?? [] }
    }),
    readPart<NotificationConfiguration>('s3:GetBucketNotification', [], async () => {
      const { $metadata: _, ...found } = await s3.send(new sdk.GetBucketNotificationConfigurationCommand(input))
      return Object.values(found).some((value) => value !== undefined) ? found : undefined
    }),
    readPart<ObjectLock>(
      's3:GetBucketObjectLockConfiguration',
      ['ObjectLockConfigurationNotFoundError', 'NoSuchObjectLockConfiguration'],
      async () => {
        const { ObjectLockConfiguration } = await s3.send(new sdk.GetObjectLockConfigurationCommand(input))
        if (ObjectLockConfiguration?.ObjectLockEnabled !== 'Enabled') return undefined
        const { DefaultRetention } = ObjectLockConfiguration.Rule ?? {}
        return {
          mode: DefaultRetention?.Mode ?? null,
          days: DefaultRetention?.Days ?? null,
          years: DefaultRetention?.Years ?? null,
        }
      },
    ),
    readPart<Readonly<Record<string, string>>>(
      's3:GetBucketTagging',
      ['NoSuchTagSet', 'NoSuchTagSetError'],
      async () => {
        const { TagSet = [] } = await s3.send(new sdk.GetBucketTaggingCommand(input))
        return TagSet.length === 0
          ? undefined
          : Object.fromEntries(TagSet.map(({ Key, Value }) => [Key ?? '', Value ?? '']))
      },
    ),
  ])
  return {
    publicAccessBlock,
    ownership,
    encryption,
    versioning,
    policy,
    policyStatus,
    cors,
    lifecycle,
    logging,
    inventory,
    replication,
    acl,
    notifications,
    objectLock,
    tags,
  }
}

async function readInventories({ s3, sdk }: ControlClient, bucket: string): Promise<InventoryConfiguration[]> {
  const found: InventoryConfiguration[] = []
  let token: string | undefined
  for (let page = 0; page < maxPages; page += 1) {
    const answer = await s3.send(
      new sdk.ListBucketInventoryConfigurationsCommand({ Bucket: bucket, ContinuationToken: token }),
    )
    found.push(...(answer.InventoryConfigurationList ?? []))
    token = answer.IsTruncated ? answer.NextContinuationToken : undefined
    if (token === undefined) break
  }
  return found
}

function everyPart(reading: { readonly status: 'absent' }): Parts {
  return {
    publicAccessBlock: reading,
    ownership: reading,
    encryption: reading,
    versioning: reading,
    policy: reading,
    policyStatus: reading,
    cors: reading,
    lifecycle: reading,
    logging: reading,
    inventory: reading,
    replication: reading,
    acl: reading,
    notifications: reading,
    objectLock: reading,
    tags: reading,
  }
}
