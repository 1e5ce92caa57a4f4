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
import type { Encryption, LiveParts, Logging, ObjectLock, PublicAccessBlock, Versioning } from './live-bucket.ts'
import { readPart } from './reading.ts'

type Readers = {
  readonly [Name in keyof LiveParts]: (client: ControlClient, bucket: string) => Promise<LiveParts[Name]>
}

/** The permission that reading each of them takes. */
export const readActions: Readonly<Record<keyof LiveParts, string>> = {
  publicAccessBlock: 's3:GetBucketPublicAccessBlock',
  ownership: 's3:GetBucketOwnershipControls',
  encryption: 's3:GetEncryptionConfiguration',
  versioning: 's3:GetBucketVersioning',
  policy: 's3:GetBucketPolicy',
  policyStatus: 's3:GetBucketPolicyStatus',
  cors: 's3:GetBucketCORS',
  lifecycle: 's3:GetLifecycleConfiguration',
  logging: 's3:GetBucketLogging',
  inventory: 's3:GetInventoryConfiguration',
  replication: 's3:GetReplicationConfiguration',
  acl: 's3:GetBucketAcl',
  notifications: 's3:GetBucketNotification',
  objectLock: 's3:GetBucketObjectLockConfiguration',
  tags: 's3:GetBucketTagging',
}

/** Bounds the pages of inventory configurations: S3 allows a thousand, a hundred a page. */
const maxPages = 20

/** How each setting is read, with the permission that it takes and the code that says that there is none. */
export const partReaders: Readers = {
  publicAccessBlock: ({ s3, sdk }, Bucket) =>
    readPart<PublicAccessBlock>(readActions.publicAccessBlock, ['NoSuchPublicAccessBlockConfiguration'], async () => {
      const { PublicAccessBlockConfiguration: block } = await s3.send(new sdk.GetPublicAccessBlockCommand({ Bucket }))
      return (
        block && {
          blockPublicAcls: block.BlockPublicAcls ?? false,
          ignorePublicAcls: block.IgnorePublicAcls ?? false,
          blockPublicPolicy: block.BlockPublicPolicy ?? false,
          restrictPublicBuckets: block.RestrictPublicBuckets ?? false,
        }
      )
    }),
  ownership: ({ s3, sdk }, Bucket) =>
    readPart<string>(readActions.ownership, ['OwnershipControlsNotFoundError'], async () => {
      const { OwnershipControls } = await s3.send(new sdk.GetBucketOwnershipControlsCommand({ Bucket }))
      return OwnershipControls?.Rules?.[0]?.ObjectOwnership
    }),
  encryption: ({ s3, sdk }, Bucket) =>
    readPart<Encryption>(readActions.encryption, ['ServerSideEncryptionConfigurationNotFoundError'], async () => {
      const { ServerSideEncryptionConfiguration } = await s3.send(new sdk.GetBucketEncryptionCommand({ Bucket }))
      const rule = ServerSideEncryptionConfiguration?.Rules?.[0]
      const byDefault = rule?.ApplyServerSideEncryptionByDefault
      if (byDefault?.SSEAlgorithm === undefined) return undefined
      return {
        algorithm: byDefault.SSEAlgorithm,
        kmsKey: byDefault.KMSMasterKeyID ?? null,
        bucketKey: rule?.BucketKeyEnabled ?? false,
        blocked: [...(rule?.BlockedEncryptionTypes?.EncryptionType ?? [])].sort(),
      }
    }),
  versioning: ({ s3, sdk }, Bucket) =>
    readPart<Versioning>(readActions.versioning, [], async () => {
      const { Status, MFADelete } = await s3.send(new sdk.GetBucketVersioningCommand({ Bucket }))
      return Status && { status: Status, mfaDelete: MFADelete === 'Enabled' }
    }),
  policy: ({ s3, sdk }, Bucket) =>
    readPart<Policy>(readActions.policy, ['NoSuchBucketPolicy'], async () => {
      const { Policy } = await s3.send(new sdk.GetBucketPolicyCommand({ Bucket }))
      return Policy ? parsePolicy(Policy) : undefined
    }),
  policyStatus: ({ s3, sdk }, Bucket) =>
    readPart<{ isPublic: boolean }>(readActions.policyStatus, ['NoSuchBucketPolicy'], async () => {
      const { PolicyStatus } = await s3.send(new sdk.GetBucketPolicyStatusCommand({ Bucket }))
      return PolicyStatus && { isPublic: PolicyStatus.IsPublic ?? false }
    }),
  cors: ({ s3, sdk }, Bucket) =>
    readPart<Cors>(readActions.cors, ['NoSuchCORSConfiguration'], async () => {
      const { CORSRules = [] } = await s3.send(new sdk.GetBucketCorsCommand({ Bucket }))
      return CORSRules.length === 0 ? undefined : CORSRules.map((raw) => ({ rule: normalCorsRule(raw), raw }))
    }),
  lifecycle: ({ s3, sdk }, Bucket) =>
    readPart<Lifecycle>(readActions.lifecycle, ['NoSuchLifecycleConfiguration'], async () => {
      const answer = await s3.send(new sdk.GetBucketLifecycleConfigurationCommand({ Bucket }))
      if (!answer.Rules?.length) return undefined
      return {
        rules: answer.Rules.map((raw) => ({ rule: normalLifecycleRule(raw), raw })),
        transitionDefaultMinimumObjectSize: answer.TransitionDefaultMinimumObjectSize ?? null,
      }
    }),
  logging: ({ s3, sdk }, Bucket) =>
    readPart<Logging>(readActions.logging, [], async () => {
      const { LoggingEnabled: logging } = await s3.send(new sdk.GetBucketLoggingCommand({ Bucket }))
      if (!logging?.TargetBucket) return undefined
      const { PartitionedPrefix } = logging.TargetObjectKeyFormat ?? {}
      return {
        bucket: logging.TargetBucket,
        prefix: logging.TargetPrefix ?? '',
        partitionedBy: PartitionedPrefix ? (PartitionedPrefix.PartitionDateSource ?? 'EventTime') : null,
      }
    }),
  inventory: (client, Bucket) =>
    readPart<readonly InventoryConfiguration[]>(readActions.inventory, ['NoSuchConfiguration'], async () => {
      const found = await readInventories(client, Bucket)
      return found.length === 0 ? undefined : found
    }),
  replication: ({ s3, sdk }, Bucket) =>
    readPart<ReplicationConfiguration>(readActions.replication, ['ReplicationConfigurationNotFoundError'], async () => {
      const { ReplicationConfiguration } = await s3.send(new sdk.GetBucketReplicationCommand({ Bucket }))
      // radosgw answers with an empty document where there is none.
      return ReplicationConfiguration?.Rules?.length ? ReplicationConfiguration : undefined
    }),
  acl: ({ s3, sdk }, Bucket) =>
    readPart<{ owner: string; grants: readonly Grant[] }>(readActions.acl, [], async () => {
      const { Owner, Grants } = await s3.send(new sdk.GetBucketAclCommand({ Bucket }))
      return { owner: Owner?.ID ?? '', grants: Grants ?? [] }
    }),
  notifications: ({ s3, sdk }, Bucket) =>
    readPart<NotificationConfiguration>(readActions.notifications, [], async () => {
      const { $metadata: _, ...found } = await s3.send(new sdk.GetBucketNotificationConfigurationCommand({ Bucket }))
      return Object.values(found).some((value) => value !== undefined) ? found : undefined
    }),
  objectLock: ({ s3, sdk }, Bucket) =>
    readPart<ObjectLock>(
      readActions.objectLock,
      ['ObjectLockConfigurationNotFoundError', 'NoSuchObjectLockConfiguration'],
      async () => {
        const { ObjectLockConfiguration } = await s3.send(new sdk.GetObjectLockConfigurationCommand({ Bucket }))
        if (ObjectLockConfiguration?.ObjectLockEnabled !== 'Enabled') return undefined
        const { DefaultRetention } = ObjectLockConfiguration.Rule ?? {}
        return {
          mode: DefaultRetention?.Mode ?? null,
          days: DefaultRetention?.Days ?? null,
          years: DefaultRetention?.Years ?? null,
        }
      },
    ),
  tags: ({ s3, sdk }, Bucket) =>
    readPart<Readonly<Record<string, string>>>(readActions.tags, ['NoSuchTagSet', 'NoSuchTagSetError'], async () => {
      const { TagSet = [] } = await s3.send(new sdk.GetBucketTaggingCommand({ Bucket }))
      return TagSet.length === 0
        ? undefined
        : Object.fromEntries(TagSet.map(({ Key, Value }) => [Key ?? '', Value ?? '']))
    }),
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
