import { reservedPrefixes } from '../../media/index.ts'
import { asSet } from '../canonical.ts'
import { bucketSpecs } from '../desired/bucket-spec.ts'
import type { DesiredBucket } from '../desired/desired-bucket.ts'
import { readActions } from '../live/part-readers.ts'
import { partNames, writeActions } from '../parts/decision.ts'
import { parseStatement, type Statement } from '../policy/policy.ts'

/** Who works on a bucket, each with as little as it needs. */
export const iamRoles = ['app', 'janitor', 'doctor', 'provisioner'] as const
export type IamRole = (typeof iamRoles)[number]

export type IamPolicy = { readonly Version: '2012-10-17'; readonly Statement: readonly Statement[] }

/** Where the doctor tries things out. */
const probePrefix = 'temp/.doctor/'

/** What finishing, or giving up, an upload in parts takes besides s3:PutObject. */
const multipartActions = ['s3:AbortMultipartUpload', 's3:ListMultipartUploadParts']
/** Without s3:ListBucket a missing object answers 403, and nobody can tell it from a refusal. */
const listActions = ['s3:ListBucket', 's3:ListBucketMultipartUploads']

/** An IAM policy to attach to whoever plays a role. */
export function iamPolicy(desired: DesiredBucket, role: IamRole): IamPolicy {
  return { Version: '2012-10-17', Statement: statementsOf[role](desired).map(parseStatement) }
}

const statementsOf: Readonly<Record<IamRole, (desired: DesiredBucket) => object[]>> = {
  app: (desired) => [
    allow(
      'KeepsakeObjects',
      ['s3:GetObject', 's3:PutObject', 's3:DeleteObject', ...multipartActions],
      objects(desired, writtenPrefixes(desired)),
    ),
    allow('KeepsakeLists', listActions, [arnOf(desired)]),
    ...keyStatements(desired, ['kms:Decrypt', 'kms:GenerateDataKey']),
  ],
  janitor: (desired) => [
    allow('KeepsakeObjects', ['s3:GetObject', 's3:DeleteObject', ...multipartActions], objects(desired, [''])),
    // What is lost is put back where it was, by reconciling and from quarantine.
    allow('KeepsakeWrites', ['s3:PutObject'], objects(desired, writtenPrefixes(desired))),
    allow('KeepsakeLists', listActions, [arnOf(desired)]),
    ...keyStatements(desired, ['kms:Decrypt', 'kms:GenerateDataKey']),
  ],
  doctor: (desired) => [
    allow('KeepsakeSettings', Object.values(readActions), bucketArns(desired)),
    // A setting of the account has no resource of its own.
    allow('KeepsakeAccount', ['s3:GetAccountPublicAccessBlock'], ['*']),
    allow('KeepsakeLists', listActions, bucketArns(desired)),
    allow(
      'KeepsakeProbe',
      ['s3:GetObject', 's3:PutObject', 's3:DeleteObject', ...multipartActions],
      objects(desired, [probePrefix]),
    ),
    ...keyStatements(desired, ['kms:Decrypt', 'kms:GenerateDataKey']),
  ],
  provisioner: (desired) => [
    allow(
      'KeepsakeSettings',
      [
        's3:CreateBucket',
        's3:ListBucket',
        ...Object.values(readActions),
        ...partNames.map((part) => writeActions[part]),
      ],
      bucketArns(desired),
    ),
    ...(desired.replication?.role
      ? [
          {
            ...allow('KeepsakePassRole', ['iam:PassRole'], [desired.replication.role]),
            Condition: { StringEquals: { 'iam:PassedToService': 's3.amazonaws.com' } },
          },
        ]
      : []),
  ],
}

/** Where keys of collections lie, and those that Keepsake makes for itself beside them. */
function writtenPrefixes({ prefixes }: DesiredBucket): string[] {
  return prefixes.length === 0 ? [''] : asSet([...prefixes, ...reservedPrefixes])
}

/** What S3 itself does as the role that copies: https://docs.aws.amazon.com/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html */
export function replicationPolicy(
  desired: DesiredBucket,
  replica: NonNullable<DesiredBucket['replication']>,
): IamPolicy {
  const source = arnOf(desired)
  const target = `arn:${desired.partition}:s3:::${replica.bucket}`
  const keys = (key: string | null, action: string, region: string) =>
    key === null
      ? []
      : [{ ...allow(`Keepsake${action.slice(4)}`, [action], [key]), Condition: viaS3(region, desired.partition) }]
  return {
    Version: '2012-10-17',
    Statement: [
      allow('KeepsakeSource', ['s3:GetReplicationConfiguration', 's3:ListBucket'], [source]),
      allow(
        'KeepsakeSourceObjects',
        ['s3:GetObjectVersionForReplication', 's3:GetObjectVersionAcl', 's3:GetObjectVersionTagging'],
        [`${source}/*`],
      ),
      allow('KeepsakeReplica', ['s3:ReplicateObject', 's3:ReplicateDelete', 's3:ReplicateTags'], [`${target}/*`]),
      ...keys(desired.kmsKey, 'kms:Decrypt', desired.region),
      ...keys(replica.kmsKey, 'kms:Encrypt', replica.region),
    ].map(parseStatement),
  }
}

/** Who may take the role that copies. */
export function replicationTrust(desired: DesiredBucket): IamPolicy {
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow' as const,
        Principal: { Service: ['s3.amazonaws.com'] },
        Action: ['sts:AssumeRole'],
        Condition: { ArnLike: { 'aws:SourceArn': [arnOf(desired)] } },
      },
    ],
  }
}

function allow(Sid: string, actions: readonly string[], resources: readonly string[]) {
  return { Sid, Effect: 'Allow', Action: asSet(actions), Resource: asSet(resources) }
}

function arnOf({ partition, name }: DesiredBucket): string {
  return `arn:${partition}:s3:::${name}`
}

function bucketArns(desired: DesiredBucket): string[] {
  return bucketSpecs(desired).map(({ name }) => `arn:${desired.partition}:s3:::${name}`)
}

function objects(desired: DesiredBucket, prefixes: readonly string[]): string[] {
  return prefixes.map((prefix) => `${arnOf(desired)}/${prefix}*`)
}

/** The key opens through S3 alone. kms:Decrypt is for reads, and for writes in parts. */
function keyStatements(desired: DesiredBucket, actions: readonly string[]): object[] {
  if (desired.kmsKey === null) return []
  return [{ ...allow('KeepsakeKey', actions, [desired.kmsKey]), Condition: viaS3(desired.region, desired.partition) }]
}

function viaS3(region: string, partition: string) {
  return { StringEquals: { 'kms:ViaService': `s3.${region}.amazonaws.com${partition === 'aws-cn' ? '.cn' : ''}` } }
}
