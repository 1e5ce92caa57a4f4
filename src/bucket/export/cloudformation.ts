import { type BucketSpec, bucketSpecs, minimumTransitionSize } from '../desired/bucket-spec.ts'
import type { DesiredBucket } from '../desired/desired-bucket.ts'
import type { CorsRule } from '../live/cors.ts'
import type { LifecycleRule } from '../live/lifecycle.ts'
import { iamPolicy, replicationPolicy, replicationTrust } from './iam.ts'

type Resource = {
  readonly Type: string
  readonly Condition?: string
  readonly DependsOn?: string | readonly string[]
  readonly DeletionPolicy?: 'Retain'
  readonly UpdateReplacePolicy?: 'Retain'
  readonly Properties: Readonly<Record<string, unknown>>
}

export type Template = {
  readonly AWSTemplateFormatVersion: '2010-09-09'
  readonly Description: string
  readonly Conditions?: Readonly<Record<string, unknown>>
  readonly Resources: Readonly<Record<string, Resource>>
  readonly Outputs: Readonly<Record<string, unknown>>
}

const names = { media: 'MediaBucket', logs: 'LogsBucket', replica: 'ReplicaBucket' } as const
const here = { Condition: 'InRegion' } as const
const there = { Condition: 'InReplicaRegion' } as const

/**
 * The buckets, their policies and the IAM policies as a CloudFormation template, in JSON. A stack lives in one region:
 * where there is a replica, the same template is deployed in its region first, where it makes that one alone.
 */
export function cloudFormation(desired: DesiredBucket): Template {
  const split = desired.replication !== null
  const mark = (spec: BucketSpec) => (!split ? {} : spec.role === 'replica' ? there : here)
  const resources: Record<string, Resource> = {}
  for (const spec of bucketSpecs(desired)) {
    const name = names[spec.role]
    const depends = dependsOn(spec, desired)
    resources[name] = {
      Type: 'AWS::S3::Bucket',
      ...mark(spec),
      ...(depends.length > 0 ? { DependsOn: depends } : {}),
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      Properties: bucketProperties(spec, desired),
    }
    resources[`${name}Policy`] = {
      Type: 'AWS::S3::BucketPolicy',
      ...mark(spec),
      Properties: { Bucket: { Ref: name }, PolicyDocument: { Version: '2012-10-17', Statement: spec.statements } },
    }
  }
  if (desired.replication !== null && desired.replication.role === null) {
    resources.ReplicationRole = {
      Type: 'AWS::IAM::Role',
      ...here,
      Properties: {
        AssumeRolePolicyDocument: replicationTrust(desired),
        Policies: [
          { PolicyName: 'keepsake-replication', PolicyDocument: replicationPolicy(desired, desired.replication) },
        ],
      },
    }
  }
  const outputs: Record<string, unknown> = {}
  for (const role of ['app', 'janitor', 'doctor'] as const) {
    const name = `${role[0]?.toUpperCase()}${role.slice(1)}Policy`
    resources[name] = {
      Type: 'AWS::IAM::ManagedPolicy',
      ...(split ? here : {}),
      Properties: {
        Description: `What Keepsake's ${role} may do with ${desired.name}`,
        PolicyDocument: iamPolicy(desired, role),
      },
    }
    outputs[name] = { ...(split ? here : {}), Value: { Ref: name } }
  }
  return {
    AWSTemplateFormatVersion: '2010-09-09',
    Description: `Keepsake's bucket ${desired.name} (${desired.env})`,
    ...(desired.replication === null
      ? {}
      : {
          Conditions: {
            InRegion: { 'Fn::Equals': [{ Ref: 'AWS::Region' }, desired.region] },
            InReplicaRegion: { 'Fn::Equals': [{ Ref: 'AWS::Region' }, desired.replication.region] },
          },
        }),
    Resources: resources,
    Outputs: { ...outputs, Bucket: { ...(split ? here : {}), Value: { Ref: names.media } } },
  }
}

/** S3 tries the target when logging is set: its policy has to stand by then. */
function dependsOn(spec: BucketSpec, desired: DesiredBucket): string[] {
  if (spec.role !== 'media' || desired.logs === null) return []
  return [`${names.logs}Policy`]
}

function bucketProperties(spec: BucketSpec, desired: DesiredBucket): Record<string, unknown> {
  const { publicAccessBlock: block, encryption, inventory, replication } = spec
  return {
    BucketName: spec.name,
    PublicAccessBlockConfiguration: {
      BlockPublicAcls: block.blockPublicAcls,
      IgnorePublicAcls: block.ignorePublicAcls,
      BlockPublicPolicy: block.blockPublicPolicy,
      RestrictPublicBuckets: block.restrictPublicBuckets,
    },
    OwnershipControls: { Rules: [{ ObjectOwnership: spec.ownership }] },
    BucketEncryption: {
      ServerSideEncryptionConfiguration: [
        {
          ServerSideEncryptionByDefault: {
            SSEAlgorithm: encryption.algorithm,
            ...(encryption.kmsKey === null ? {} : { KMSMasterKeyID: encryption.kmsKey }),
          },
          ...(encryption.bucketKey ? { BucketKeyEnabled: true } : {}),
        },
      ],
    },
    ...(spec.versioning ? { VersioningConfiguration: { Status: 'Enabled' } } : {}),
    LifecycleConfiguration: {
      TransitionDefaultMinimumObjectSize: minimumTransitionSize,
      Rules: spec.lifecycle.map(lifecycleRule),
    },
    ...(spec.cors.length > 0 ? { CorsConfiguration: { CorsRules: spec.cors.map(corsRule) } } : {}),
    ...(spec.logging
      ? { LoggingConfiguration: { DestinationBucketName: spec.logging.bucket, LogFilePrefix: spec.logging.prefix } }
      : {}),
    ...(inventory ? { InventoryConfigurations: [inventoryConfiguration(inventory, desired)] } : {}),
    ...(replication && desired.replication
      ? { ReplicationConfiguration: replicationConfiguration(replication, desired.replication) }
      : {}),
  }
}

function lifecycleRule(rule: LifecycleRule): Record<string, unknown> {
  return {
    Id: rule.id,
    Status: 'Enabled',
    Prefix: rule.prefix,
    ...(rule.expirationDays === null ? {} : { ExpirationInDays: rule.expirationDays }),
    ...(rule.expireDeleteMarkers ? { ExpiredObjectDeleteMarker: true } : {}),
    ...(rule.abortUploadDays === null
      ? {}
      : { AbortIncompleteMultipartUpload: { DaysAfterInitiation: rule.abortUploadDays } }),
    ...(rule.noncurrentDays === null ? {} : { NoncurrentVersionExpiration: { NoncurrentDays: rule.noncurrentDays } }),
    ...(rule.transitions.length === 0
      ? {}
      : {
          Transitions: rule.transitions.map(({ storageClass, days }) => ({
            StorageClass: storageClass,
            TransitionInDays: days,
          })),
        }),
  }
}

function corsRule(rule: CorsRule): Record<string, unknown> {
  return {
    Id: rule.id,
    AllowedOrigins: rule.origins,
    AllowedMethods: rule.methods,
    AllowedHeaders: rule.headers,
    ExposedHeaders: rule.exposed,
    MaxAge: rule.maxAgeSeconds,
  }
}

function inventoryConfiguration(inventory: NonNullable<BucketSpec['inventory']>, { account }: DesiredBucket) {
  const target = inventory.Destination?.S3BucketDestination
  return {
    Id: inventory.Id,
    Enabled: inventory.IsEnabled,
    IncludedObjectVersions: inventory.IncludedObjectVersions,
    ScheduleFrequency: inventory.Schedule?.Frequency,
    OptionalFields: inventory.OptionalFields,
    Destination: {
      BucketArn: target?.Bucket,
      Format: target?.Format,
      Prefix: target?.Prefix,
      BucketAccountId: account ?? { Ref: 'AWS::AccountId' },
    },
  }
}

function replicationConfiguration(
  { role, rule }: NonNullable<BucketSpec['replication']>,
  replica: NonNullable<DesiredBucket['replication']>,
) {
  return {
    Role: role ?? { 'Fn::GetAtt': ['ReplicationRole', 'Arn'] },
    Rules: [
      {
        Id: rule.ID,
        Priority: rule.Priority,
        Status: rule.Status,
        Filter: { Prefix: '' },
        DeleteMarkerReplication: rule.DeleteMarkerReplication,
        ...(rule.SourceSelectionCriteria ? { SourceSelectionCriteria: rule.SourceSelectionCriteria } : {}),
        Destination: {
          Bucket: rule.Destination?.Bucket,
          ...(replica.kmsKey === null ? {} : { EncryptionConfiguration: { ReplicaKmsKeyID: replica.kmsKey } }),
        },
      },
    ],
  }
}
