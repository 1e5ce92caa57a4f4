import { type BucketSpec, bucketSpecs, minimumTransitionSize } from '../desired/bucket-spec.ts'
import type { DesiredBucket } from '../desired/desired-bucket.ts'
import type { Missing } from '../offers.ts'
import { s3CorsRule } from '../parts/cors.ts'
import { s3LifecycleRule } from '../parts/lifecycle.ts'
import { replicationPolicy, replicationTrust } from './iam.ts'
import { offeredSpec } from './offered-spec.ts'

export type AwsCliOptions = {
  /** What the store has not; those settings are left out. Default: nothing. */
  readonly missing?: Missing
  /** Default: AWS's own. `environment`: what AWS_ENDPOINT_URL says when the commands run, which has to say something. */
  readonly endpoint?: string | null | 'environment'
}

/**
 * The same as an apply, as commands of the AWS CLI for a POSIX shell, in the order in which they have to run. They do
 * not read first: rules that others set in a bucket that is there already are replaced.
 */
export function awsCli(desired: DesiredBucket, options: AwsCliOptions = {}): string {
  const specs = bucketSpecs(desired).map((spec) => offeredSpec(spec, options.missing ?? {}))
  const media = specs.at(-1)
  const used = specs.filter(
    ({ role }) =>
      role === 'media' ||
      (role === 'replica' && media?.replication) ||
      (role === 'logs' && (media?.logging || media?.inventory)),
  )
  const lines = [
    '#!/bin/sh',
    '# Sets up by the AWS CLI what `keepsake bucket apply` would. Rules of others in these buckets are replaced.',
    'set -eu',
    ...endpointLines(options.endpoint ?? null),
    ...(options.endpoint ? [`aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }`] : []),
    '',
    ...used.flatMap((spec) => bucketLines(spec, desired, options.missing ?? {})),
  ]
  return `${lines.join('\n')}\n`
}

/** Without an address the commands would go to AWS. */
function endpointLines(endpoint: string | null): string[] {
  if (endpoint === null) return []
  if (endpoint !== 'environment') return [`export AWS_ENDPOINT_URL=${quote(endpoint)}`]
  return [
    `export AWS_ENDPOINT_URL="\${AWS_ENDPOINT_URL:?is to be the address of the embedded S3, which its server tells}"`,
  ]
}

/** A word for a POSIX shell, as it is. */
export function quote(word: string): string {
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

function bucketLines(spec: BucketSpec, desired: DesiredBucket, missing: Missing): string[] {
  const { publicAccessBlock: block, encryption, logging, inventory } = spec
  const at = ['--bucket', spec.name, '--region', spec.region]
  const call = (name: string, ...words: readonly string[]) =>
    ['aws', 's3api', name, ...at, ...words].map(quote).join(' ')
  const put = (name: string, option: string, value: unknown, ...more: readonly string[]) =>
    call(name, option, JSON.stringify(value), ...more)
  const place =
    spec.region === 'us-east-1' ? [] : ['--create-bucket-configuration', `LocationConstraint=${spec.region}`]
  return [
    `${call('head-bucket')} >/dev/null 2>&1 || ${call('create-bucket', ...place)}`,
    ...(missing.publicAccessBlock
      ? []
      : [
          put('put-public-access-block', '--public-access-block-configuration', {
            BlockPublicAcls: block.blockPublicAcls && missing.blockPublicAcls === undefined,
            IgnorePublicAcls: block.ignorePublicAcls,
            BlockPublicPolicy: block.blockPublicPolicy,
            RestrictPublicBuckets: block.restrictPublicBuckets,
          }),
        ]),
    ...(missing.ownership
      ? []
      : [
          put('put-bucket-ownership-controls', '--ownership-controls', {
            Rules: [{ ObjectOwnership: spec.ownership }],
          }),
        ]),
    ...(missing.encryption || (encryption.kmsKey && missing.kms)
      ? []
      : [
          put('put-bucket-encryption', '--server-side-encryption-configuration', {
            Rules: [
              {
                ApplyServerSideEncryptionByDefault: {
                  SSEAlgorithm: encryption.algorithm,
                  ...(encryption.kmsKey === null ? {} : { KMSMasterKeyID: encryption.kmsKey }),
                },
                ...(encryption.bucketKey ? { BucketKeyEnabled: true } : {}),
              },
            ],
          }),
        ]),
    ...(spec.versioning ? [call('put-bucket-versioning', '--versioning-configuration', 'Status=Enabled')] : []),
    ...(spec.statements.length > 0
      ? [put('put-bucket-policy', '--policy', { Version: '2012-10-17', Statement: spec.statements })]
      : []),
    put(
      'put-bucket-lifecycle-configuration',
      '--lifecycle-configuration',
      { Rules: spec.lifecycle.map(s3LifecycleRule) },
      // Only an AWS CLI since September 2024 knows it, and it matters to moves alone.
      ...(spec.lifecycle.some(({ transitions }) => transitions.length > 0)
        ? ['--transition-default-minimum-object-size', minimumTransitionSize]
        : []),
    ),
    ...(spec.cors.length > 0
      ? [put('put-bucket-cors', '--cors-configuration', { CORSRules: spec.cors.map(s3CorsRule) })]
      : []),
    ...(logging
      ? [
          put('put-bucket-logging', '--bucket-logging-status', {
            LoggingEnabled: { TargetBucket: logging.bucket, TargetPrefix: logging.prefix },
          }),
        ]
      : []),
    ...(inventory
      ? [put('put-bucket-inventory-configuration', '--inventory-configuration', inventory, '--id', inventory.Id ?? '')]
      : []),
    ...(spec.replication && desired.replication
      ? replicationLines(spec.replication, desired, desired.replication, call)
      : []),
    '',
  ]
}

/** The role is made where none is named; what `create-role` answers names it. */
function replicationLines(
  { role, rule }: NonNullable<BucketSpec['replication']>,
  desired: DesiredBucket,
  replica: NonNullable<DesiredBucket['replication']>,
  call: (name: string, ...words: readonly string[]) => string,
): string[] {
  const configuration = (arn: string) => JSON.stringify({ Role: arn, Rules: [rule] })
  if (role !== null) return [call('put-bucket-replication', '--replication-configuration', configuration(role))]
  const name = `${desired.name}-replication`.slice(-64)
  const iam = (command: string, ...words: readonly string[]) =>
    ['aws', 'iam', command, '--role-name', name, ...words].map(quote).join(' ')
  const marker = 'ROLE_ARN'
  const put = call('put-bucket-replication', '--replication-configuration', configuration(marker))
  return [
    `${iam('get-role')} >/dev/null 2>&1 || ${iam('create-role', '--assume-role-policy-document', JSON.stringify(replicationTrust(desired)))} >/dev/null`,
    iam(
      'put-role-policy',
      '--policy-name',
      'keepsake-replication',
      '--policy-document',
      JSON.stringify(replicationPolicy(desired, replica)),
    ),
    `ROLE=$(${iam('get-role', '--query', 'Role.Arn', '--output', 'text')})`,
    // The JSON is in single quotes: they are left for the one word that the shell fills in.
    put.replace(marker, `'"$ROLE"'`),
  ]
}
