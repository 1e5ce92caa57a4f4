import type { ParsedBucketSettings } from '../../config/index.ts'
import { KeepsakeError } from '../../media/index.ts'
import { bucketName, checkBucketName } from './bucket-name.ts'
import { checkOrigins } from './origins.ts'
import { checkExpiryPrefix, checkPrefix } from './prefix.ts'

export type Env = 'dev' | 'prod'

/** The one state that a plan, an apply, a verification and every export follow from. */
export type DesiredBucket = {
  readonly name: string
  readonly env: Env
  readonly region: string
  /** Null: not known, so that policies cannot name it. */
  readonly account: string | null
  /** `aws`, `aws-cn` or `aws-us-gov`. */
  readonly partition: string
  readonly origins: readonly string[]
  readonly prefixes: readonly string[]
  /** ARN of the key; null for SSE-S3. */
  readonly kmsKey: string | null
  readonly denyOtherEncryption: boolean
  /** In lower case, without a dot; empty: any. */
  readonly fileExtensions: readonly string[]
  readonly versioning: boolean
  readonly tempDays: number
  readonly quarantineDays: number
  readonly staleUploadDays: number
  readonly retention: readonly { readonly prefix: string; readonly days: number }[]
  readonly transitions: readonly { readonly prefix: string; readonly days: number; readonly storageClass: string }[]
  readonly noncurrentDays: number
  readonly logging: { readonly bucket: string; readonly prefix: string } | null
  readonly inventory: {
    readonly bucket: string
    readonly prefix: string
    readonly frequency: 'Daily' | 'Weekly'
  } | null
  /** The bucket for logs and inventories, where Keepsake makes it; null: there is none, or it is somebody else's. */
  readonly logs: { readonly bucket: string; readonly days: number } | null
  readonly replication: {
    readonly bucket: string
    readonly region: string
    /** ARN; null: to be made, which only the exports can do. */
    readonly role: string | null
    readonly kmsKey: string | null
  } | null
  /** ARN of the CloudFront distribution that may read. */
  readonly distribution: string | null
  /** What it may read, by prefixes; null: everything, since it asks for signed links itself. */
  readonly readable: readonly string[] | null
}

export type DesiredContext = {
  /** The embedded S3: its bucket's name is fixed, and it is for development. */
  readonly embedded: boolean
  /** The bucket that the app is set to use; null: none is named. */
  readonly bucket: string | null
  readonly region: string
  /** Of the credentials, where they tell. */
  readonly account: string | undefined
  /** Prefixes of public collections, where a CDN has no signed links to ask for. Default: null, everything. */
  readonly readable?: readonly string[] | null | undefined
}

const storageClasses = ['STANDARD_IA', 'ONEZONE_IA', 'INTELLIGENT_TIERING', 'GLACIER_IR', 'GLACIER', 'DEEP_ARCHIVE']

/**
 * What settings ask for, with every default filled in.
 *
 * @throws {KeepsakeError} `invalid_setting`: what cannot be, or would do harm.
 */
export function desireBucket(settings: ParsedBucketSettings, context: DesiredContext): DesiredBucket {
  const env: Env = settings.env ?? (context.embedded ? 'dev' : 'prod')
  const account = settings.account ?? context.account ?? null
  const name = nameOf(settings, context, env, account)
  const logging = loggingOf(settings, name)
  const inventory = settings.inventory
    ? {
        bucket: typeof settings.logging === 'object' ? settings.logging.bucket : logsBucket(name),
        prefix: 'inventory/',
        frequency: settings.inventory === true ? ('Weekly' as const) : settings.inventory,
      }
    : null
  const ownLogs = [logging, inventory].some((target) => target?.bucket === logsBucket(name))
  return {
    name,
    env,
    region: context.region,
    account,
    partition: partitionOf(context.region),
    origins: checkOrigins(settings.origins ?? [], env),
    prefixes: (settings.prefixes ?? []).map((prefix) => checkPrefix(prefix, 'bucket.prefixes')),
    kmsKey: settings.kmsKey === undefined ? null : checkKmsKey(settings.kmsKey, 'bucket.kmsKey', context.region),
    denyOtherEncryption: settings.denyOtherEncryption ?? false,
    fileExtensions: checkExtensions(settings.fileExtensions ?? []),
    versioning: settings.versioning ?? (env === 'prod' || settings.replication !== undefined),
    tempDays: settings.tempDays ?? 7,
    quarantineDays: settings.quarantineDays ?? 30,
    staleUploadDays: settings.staleUploadDays ?? (env === 'dev' ? 1 : 7),
    retention: Object.entries(settings.retention ?? {}).map(([prefix, days]) => ({
      prefix: checkExpiryPrefix(prefix, 'bucket.retention'),
      days,
    })),
    transitions: (settings.transitions ?? []).map(checkTransition),
    noncurrentDays: settings.noncurrentDays ?? 30,
    logging,
    inventory,
    logs: ownLogs ? { bucket: checkBucketName(logsBucket(name)), days: settings.logDays ?? 365 } : null,
    replication: replicationOf(settings, context, name),
    distribution: settings.distribution === undefined ? null : checkDistribution(settings.distribution, context),
    readable: context.readable ?? null,
  }
}

function nameOf(settings: ParsedBucketSettings, context: DesiredContext, env: Env, account: string | null): string {
  if (context.bucket !== null && (context.embedded || settings.app === undefined)) return context.bucket
  if (settings.app === undefined) {
    throw new KeepsakeError(
      'invalid_setting',
      'Nothing names the bucket. Give --app (or bucket.app), which makes it <app>-<env>-<account>, or S3_BUCKET_NAME.',
    )
  }
  if (account === null) {
    throw new KeepsakeError(
      'invalid_setting',
      'The account is not known, and the bucket is called after it: <app>-<env>-<account>. Give --account, or name the bucket by S3_BUCKET_NAME.',
    )
  }
  const derived = bucketName(settings.app, env, account)
  if (context.bucket === null || context.bucket === derived) return derived
  throw new KeepsakeError(
    'invalid_setting',
    `The app '${settings.app}' gives the bucket '${derived}', and S3_BUCKET_NAME (or s3.bucket) says '${context.bucket}'. Set one of them, or make them agree.`,
  )
}

function loggingOf({ logging }: ParsedBucketSettings, name: string): DesiredBucket['logging'] {
  if (!logging) return null
  const prefix = `access/${name}/`
  if (logging === true) return { bucket: logsBucket(name), prefix }
  if (logging.bucket === name) {
    throw new KeepsakeError(
      'invalid_setting',
      `bucket.logging.bucket is '${name}', the bucket itself: each log would be logged. Name another one, or say true.`,
    )
  }
  return { bucket: logging.bucket, prefix: checkPrefix(logging.prefix ?? prefix, 'bucket.logging.prefix') }
}

function logsBucket(name: string): string {
  return `${name}-logs`
}

function replicationOf(
  { replication, versioning, kmsKey }: ParsedBucketSettings,
  { region }: DesiredContext,
  name: string,
): DesiredBucket['replication'] {
  if (replication === undefined) return null
  if (versioning === false) {
    throw new KeepsakeError('invalid_setting', 'bucket.replication needs versions. Remove bucket.versioning: false.')
  }
  if (replication.region === region) {
    throw new KeepsakeError(
      'invalid_setting',
      `bucket.replication.region is '${region}', where the bucket itself is. Name another region.`,
    )
  }
  if (replication.role !== undefined && !/^arn:aws[a-z-]*:iam::\d{12}:role\/.+$/.test(replication.role)) {
    throw new KeepsakeError(
      'invalid_setting',
      `bucket.replication.role is '${replication.role}'. Allowed is the ARN of a role, arn:aws:iam::<account>:role/<name>.`,
    )
  }
  // S3: "ReplicaKmsKeyID must be specified if SseKmsEncryptedObjects tag is present."
  if (kmsKey !== undefined && replication.kmsKey === undefined) {
    throw new KeepsakeError(
      'invalid_setting',
      `bucket.replication.kmsKey is missing. What is encrypted by a KMS key (bucket.kmsKey) S3 copies only to be encrypted by a key of ${replication.region}: name that one (--replica-kms-key).`,
    )
  }
  return {
    bucket: checkBucketName(replication.bucket ?? `${name}-replica`),
    region: replication.region,
    role: replication.role ?? null,
    kmsKey:
      replication.kmsKey === undefined
        ? null
        : checkKmsKey(replication.kmsKey, 'bucket.replication.kmsKey', replication.region),
  }
}

/** An alias is resolved in the account of whoever writes, which may be another one (AWS, PutBucketEncryption). */
function checkKmsKey(key: string, setting: string, region: string): string {
  const keyRegion = /^arn:aws[a-z-]*:kms:([a-z0-9-]+):\d{12}:key\/[A-Za-z0-9-]+$/.exec(key)?.[1]
  if (keyRegion === region) return key
  if (keyRegion !== undefined) {
    throw new KeepsakeError(
      'invalid_setting',
      `${setting} is a key of ${keyRegion}, and the bucket lies in ${region}. A bucket takes a key of its own region.`,
    )
  }
  throw new KeepsakeError(
    'invalid_setting',
    `${setting} is '${key}'. Allowed is the whole ARN of a key, arn:aws:kms:<region>:<account>:key/<id>; an alias may mean another key to another account.`,
  )
}

function checkDistribution(arn: string, { readable }: DesiredContext): string {
  if (readable?.length === 0) {
    throw new KeepsakeError(
      'invalid_setting',
      'bucket.distribution lets CloudFront read, and no collection is public: whoever knows a key could read private ' +
        'media through it. Have it ask for signed links (keepsake bucket export cloudfront --public-key) and set ' +
        'KEEPSAKE_CLOUDFRONT_KEY_PAIR_ID and its key, or declare a public collection.',
    )
  }
  if (/^arn:aws[a-z-]*:cloudfront::\d{12}:distribution\/[A-Z0-9]+$/.test(arn)) return arn
  throw new KeepsakeError(
    'invalid_setting',
    `bucket.distribution is '${arn}'. Allowed is arn:aws:cloudfront::<account>:distribution/<id>.`,
  )
}

function checkExtensions(extensions: readonly string[]): string[] {
  return extensions.map((given) => {
    const extension = given.replace(/^\./, '').toLowerCase()
    if (/^[a-z0-9]{1,10}$/.test(extension)) return extension
    throw new KeepsakeError(
      'invalid_setting',
      `bucket.fileExtensions has '${given}'. Allowed are the endings of keys, such as 'jpg' or 'mp4'.`,
    )
  })
}

type TransitionSetting = DesiredBucket['transitions'][number]

function checkTransition({ prefix, days, storageClass }: TransitionSetting): TransitionSetting {
  if (!storageClasses.includes(storageClass)) {
    throw new KeepsakeError(
      'invalid_setting',
      `bucket.transitions has the storage class '${storageClass}'. Allowed: ${storageClasses.join(', ')}.`,
    )
  }
  // "Objects must be stored at least 30 days … before you can transition" to the two of infrequent access.
  if (storageClass.endsWith('_IA') && days < 30) {
    throw new KeepsakeError(
      'invalid_setting',
      `bucket.transitions moves '${prefix}' to ${storageClass} after ${days} days. S3 wants 30 at least.`,
    )
  }
  return { prefix: checkPrefix(prefix, 'bucket.transitions', true), days, storageClass }
}

function partitionOf(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn'
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws'
}
