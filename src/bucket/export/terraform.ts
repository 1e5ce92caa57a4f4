import { type BucketSpec, bucketSpecs, minimumTransitionSize } from '../desired/bucket-spec.ts'
import type { DesiredBucket } from '../desired/desired-bucket.ts'
import type { CorsRule } from '../live/cors.ts'
import type { LifecycleRule } from '../live/lifecycle.ts'
import { type Block, expression, type HclValue, hcl } from './hcl.ts'
import { type IamPolicy, iamPolicy, replicationPolicy, replicationTrust } from './iam.ts'

/** The buckets, their policies and the IAM policies as Terraform, for the AWS provider from 5.70 on. */
export function terraform(desired: DesiredBucket): string {
  const specs = bucketSpecs(desired)
  return hcl([
    {
      type: 'terraform',
      blocks: [
        {
          type: 'required_providers',
          attributes: { aws: expression('{ source = "hashicorp/aws", version = ">= 5.70" }') },
        },
      ],
    },
    { type: 'provider', labels: ['aws'], attributes: { region: desired.region } },
    ...(desired.replication === null
      ? []
      : [
          {
            type: 'provider',
            labels: ['aws'],
            attributes: { alias: 'replica', region: desired.replication.region },
          },
        ]),
    ...specs.flatMap((spec) => bucketBlocks(spec, desired)),
    ...roleBlocks(desired),
    ...(['app', 'janitor', 'doctor'] as const).map((role) =>
      resource('aws_iam_policy', role, {
        name: `${desired.name}-${role}`,
        description: `What Keepsake's ${role} may do with ${desired.name}`,
        policy: document(iamPolicy(desired, role)),
      }),
    ),
  ])
}

function resource(
  type: string,
  name: string,
  attributes: Readonly<Record<string, HclValue | undefined>>,
  blocks: readonly Block[] = [],
): Block {
  return { type: 'resource', labels: [type, name], attributes, blocks }
}

function block(
  type: string,
  attributes: Readonly<Record<string, HclValue | undefined>>,
  blocks: readonly Block[] = [],
): Block {
  return { type, attributes, blocks }
}

/** A JSON document is a text: Terraform and AWS compare it as JSON. */
function document(policy: IamPolicy): string {
  return JSON.stringify(policy)
}

function bucketBlocks(spec: BucketSpec, desired: DesiredBucket): Block[] {
  const { role: name, publicAccessBlock, encryption } = spec
  const provider = name === 'replica' ? expression('aws.replica') : undefined
  const at = { provider, bucket: expression(`aws_s3_bucket.${name}.id`) }
  return [
    resource('aws_s3_bucket', name, { provider, bucket: spec.name }, [block('lifecycle', { prevent_destroy: true })]),
    resource('aws_s3_bucket_public_access_block', name, {
      ...at,
      block_public_acls: publicAccessBlock.blockPublicAcls,
      ignore_public_acls: publicAccessBlock.ignorePublicAcls,
      block_public_policy: publicAccessBlock.blockPublicPolicy,
      restrict_public_buckets: publicAccessBlock.restrictPublicBuckets,
    }),
    resource('aws_s3_bucket_ownership_controls', name, at, [block('rule', { object_ownership: spec.ownership })]),
    resource('aws_s3_bucket_server_side_encryption_configuration', name, at, [
      block('rule', { bucket_key_enabled: encryption.bucketKey || undefined }, [
        block('apply_server_side_encryption_by_default', {
          sse_algorithm: encryption.algorithm,
          kms_master_key_id: encryption.kmsKey ?? undefined,
        }),
      ]),
    ]),
    ...(spec.versioning
      ? [resource('aws_s3_bucket_versioning', name, at, [block('versioning_configuration', { status: 'Enabled' })])]
      : []),
    resource('aws_s3_bucket_policy', name, {
      ...at,
      policy: document({ Version: '2012-10-17', Statement: spec.statements }),
      // S3 refuses two of these at the same moment.
      depends_on: [expression(`aws_s3_bucket_public_access_block.${name}`)],
    }),
    resource(
      'aws_s3_bucket_lifecycle_configuration',
      name,
      {
        ...at,
        transition_default_minimum_object_size: minimumTransitionSize,
        depends_on: spec.versioning ? [expression(`aws_s3_bucket_versioning.${name}`)] : undefined,
      },
      spec.lifecycle.map(lifecycleBlock),
    ),
    ...(spec.cors.length > 0 ? [resource('aws_s3_bucket_cors_configuration', name, at, spec.cors.map(corsBlock))] : []),
    ...(spec.logging ? [loggingBlock(spec.logging, desired, at)] : []),
    ...(spec.inventory ? [inventoryBlock(spec.inventory, at.bucket)] : []),
    ...(spec.replication ? [replicationBlock(spec.replication, desired)] : []),
  ]
}

function lifecycleBlock(rule: LifecycleRule): Block {
  const blocks = [
    block('filter', { prefix: rule.prefix }),
    ...(rule.expirationDays === null ? [] : [block('expiration', { days: rule.expirationDays })]),
    ...(rule.expireDeleteMarkers ? [block('expiration', { expired_object_delete_marker: true })] : []),
    ...(rule.abortUploadDays === null
      ? []
      : [block('abort_incomplete_multipart_upload', { days_after_initiation: rule.abortUploadDays })]),
    ...(rule.noncurrentDays === null
      ? []
      : [block('noncurrent_version_expiration', { noncurrent_days: rule.noncurrentDays })]),
    ...rule.transitions.map(({ storageClass, days }) =>
      block('transition', { days: days ?? 0, storage_class: storageClass }),
    ),
  ]
  return block('rule', { id: rule.id, status: 'Enabled' }, blocks)
}

function corsBlock(rule: CorsRule): Block {
  return block('cors_rule', {
    id: rule.id,
    allowed_origins: rule.origins,
    allowed_methods: rule.methods,
    allowed_headers: rule.headers,
    expose_headers: rule.exposed,
    max_age_seconds: rule.maxAgeSeconds ?? undefined,
  })
}

type At = { readonly provider: HclValue | undefined; readonly bucket: HclValue }

function loggingBlock(logging: NonNullable<BucketSpec['logging']>, { logs }: DesiredBucket, at: At): Block {
  const own = logs?.bucket === logging.bucket
  return resource('aws_s3_bucket_logging', 'media', {
    ...at,
    target_bucket: own ? expression('aws_s3_bucket.logs.id') : logging.bucket,
    target_prefix: logging.prefix,
    depends_on: own ? [expression('aws_s3_bucket_policy.logs')] : undefined,
  })
}

function inventoryBlock(inventory: NonNullable<BucketSpec['inventory']>, bucket: HclValue): Block {
  const target = inventory.Destination?.S3BucketDestination
  const destination = block(
    'bucket',
    {
      bucket_arn: target?.Bucket,
      format: target?.Format,
      prefix: target?.Prefix,
      account_id: target?.AccountId,
    },
    [block('encryption', {}, [block('sse_s3', {})])],
  )
  return resource(
    'aws_s3_bucket_inventory',
    'media',
    {
      bucket,
      name: inventory.Id,
      enabled: inventory.IsEnabled,
      included_object_versions: inventory.IncludedObjectVersions,
      optional_fields: inventory.OptionalFields,
    },
    [block('schedule', { frequency: inventory.Schedule?.Frequency }), block('destination', {}, [destination])],
  )
}

function replicationBlock({ role, rule }: NonNullable<BucketSpec['replication']>, desired: DesiredBucket): Block {
  const key = desired.replication?.kmsKey
  return resource(
    'aws_s3_bucket_replication_configuration',
    'media',
    {
      bucket: expression('aws_s3_bucket.media.id'),
      role: role ?? expression('aws_iam_role.replication.arn'),
      depends_on: [expression('aws_s3_bucket_versioning.media'), expression('aws_s3_bucket_versioning.replica')],
    },
    [
      block('rule', { id: rule.ID, priority: rule.Priority, status: 'Enabled' }, [
        block('filter', { prefix: '' }),
        block('delete_marker_replication', { status: 'Enabled' }),
        ...(rule.SourceSelectionCriteria
          ? [block('source_selection_criteria', {}, [block('sse_kms_encrypted_objects', { status: 'Enabled' })])]
          : []),
        block('destination', { bucket: expression('aws_s3_bucket.replica.arn') }, [
          ...(key ? [block('encryption_configuration', { replica_kms_key_id: key })] : []),
        ]),
      ]),
    ],
  )
}

function roleBlocks(desired: DesiredBucket): Block[] {
  const { replication } = desired
  if (replication === null || replication.role !== null) return []
  return [
    resource('aws_iam_role', 'replication', {
      name: `${desired.name}-replication`.slice(-64),
      assume_role_policy: document(replicationTrust(desired)),
    }),
    resource('aws_iam_role_policy', 'replication', {
      name: 'keepsake-replication',
      role: expression('aws_iam_role.replication.id'),
      policy: document(replicationPolicy(desired, replication)),
    }),
  ]
}
