import { refuseCataloguedExpiry } from '../bucket/index.ts'
import { type KeepsakeConfig, loadConfigFile, type ResolvedConfig, resolveConfig } from '../config/index.ts'
import { publicPrefixes } from '../media/index.ts'
import { CliFailure } from './failure.ts'
import type { Io } from './io.ts'

/** The options of `keepsake bucket`, as commander gives them. */
export type BucketOptions = {
  readonly app?: string
  readonly env?: string
  readonly account?: string
  readonly bucket?: string
  readonly region?: string
  readonly profile?: string
  readonly endpoint?: string
  readonly origin?: readonly string[]
  readonly prefix?: readonly string[]
  readonly kmsKey?: string
  readonly denyOtherEncryption?: boolean
  readonly fileExtension?: readonly string[]
  readonly versioning?: boolean
  readonly tempDays?: string
  readonly quarantineDays?: string
  readonly staleUploadDays?: string
  readonly retention?: readonly string[]
  readonly transition?: readonly string[]
  readonly noncurrentDays?: string
  readonly logging?: boolean | string
  readonly inventory?: string
  readonly logDays?: string
  readonly replicaRegion?: string
  readonly replicaRole?: string
  readonly replicaBucket?: string
  readonly replicaKmsKey?: string
  readonly distribution?: string
  readonly dataDir?: string
  readonly json?: boolean
}

/** What the bucket is called before its name is known, which takes the account. */
const unnamed = 'keepsake-unnamed'

export type BucketConfig = {
  readonly config: ResolvedConfig /** Null: it is to be named after the app. */
  readonly bucket: string | null
}

/** The configuration with the command line over it. With an app and no bucket it is AWS that is meant. */
export async function bucketConfig(options: BucketOptions, io: Io, cwd = process.cwd()): Promise<BucketConfig> {
  const file = await loadConfigFile(cwd)
  const code = configOf(options)
  const resolve = (config: KeepsakeConfig) =>
    resolveConfig({ config, env: io.env, cwd, ...(file ? { file: file.config } : {}) })
  const config = resolve(code)
  const stays = /^(false|0|no|off)$/i.test(io.env.USE_CLOUD_STORAGE?.trim() ?? '')
  refuseCataloguedExpiry(config.bucket.retention ?? {}, config.collections.values())
  if (config.objectStore.kind === 's3' || config.bucket.app === undefined || stays) {
    return { config, bucket: config.objectStore.bucket }
  }
  return { config: resolve({ ...code, s3: { ...code.s3, bucket: unnamed } }), bucket: null }
}

/**
 * What a CDN before the bucket may read: everything where it asks for signed links itself, else what is public.
 *
 * @throws {KeepsakeError} `invalid_setting` where that cannot be told from what is private.
 */
export function readableBy({ bucket, delivery, collections }: ResolvedConfig): readonly string[] | null {
  if (bucket.distribution === undefined || delivery.cloudfront !== null) return null
  return publicPrefixes(collections.values())
}

function configOf(options: BucketOptions): KeepsakeConfig {
  const { env } = options
  if (env !== undefined && env !== 'dev' && env !== 'prod')
    throw CliFailure.usage(`--env is '${env}'. Allowed: dev, prod.`)
  return {
    ...given({ dataDir: options.dataDir }),
    s3: given({
      bucket: options.bucket,
      region: options.region,
      profile: options.profile,
      endpoint: options.endpoint,
    }),
    bucket: given({
      app: options.app,
      env,
      account: options.account,
      origins: options.origin,
      prefixes: options.prefix,
      kmsKey: options.kmsKey,
      denyOtherEncryption: options.denyOtherEncryption,
      fileExtensions: options.fileExtension,
      versioning: options.versioning,
      tempDays: days('--temp-days', options.tempDays),
      quarantineDays: days('--quarantine-days', options.quarantineDays),
      staleUploadDays: days('--stale-upload-days', options.staleUploadDays),
      retention: options.retention && Object.fromEntries(options.retention.map(retention)),
      transitions: options.transition?.map(transition),
      noncurrentDays: days('--noncurrent-days', options.noncurrentDays),
      logging: typeof options.logging === 'string' ? { bucket: options.logging } : options.logging,
      inventory: inventory(options.inventory),
      logDays: days('--log-days', options.logDays),
      replication: replication(options),
      distribution: options.distribution,
    }),
  }
}

/** Without what is undefined: that would stand over the configuration file. */
function given<T extends object>(values: T): Given<T> {
  const result: Given<T> = {}
  for (const name in values) {
    const value = values[name]
    if (isGiven(value)) result[name] = value
  }
  return result
}

type Given<T> = { [Name in keyof T]?: Exclude<T[Name], undefined> }

function isGiven<T>(value: T): value is Exclude<T, undefined> {
  return value !== undefined
}

function days(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^[1-9]\d{0,4}$/.test(text)) throw CliFailure.usage(`${option} is '${text}'. Allowed is a whole number of days.`)
  return Number(text)
}

function retention(text: string): [string, number] {
  const match = /^(.*)=([1-9]\d{0,4})$/.exec(text)
  if (!match) throw CliFailure.usage(`--retention is '${text}'. Write <prefix>=<days>, such as exports/=90.`)
  return [match[1] ?? '', Number(match[2])]
}

function transition(text: string): { prefix: string; days: number; storageClass: string } {
  const match = /^(.*)=(\d{1,5}):([A-Za-z_]+)$/.exec(text)
  if (!match) {
    throw CliFailure.usage(`--transition is '${text}'. Write <prefix>=<days>:<class>, such as archive/=30:STANDARD_IA.`)
  }
  return { prefix: match[1] ?? '', days: Number(match[2]), storageClass: (match[3] ?? '').toUpperCase() }
}

function inventory(text: string | undefined): 'Daily' | 'Weekly' | undefined {
  if (text === undefined) return undefined
  const known = (['Daily', 'Weekly'] as const).find((one) => one.toLowerCase() === text.toLowerCase())
  if (known === undefined) throw CliFailure.usage(`--inventory is '${text}'. Allowed: daily, weekly.`)
  return known
}

function replication(options: BucketOptions): NonNullable<KeepsakeConfig['bucket']>['replication'] {
  const { replicaRegion: region, replicaRole: role, replicaBucket: bucket, replicaKmsKey: kmsKey } = options
  if (region !== undefined) return { region, ...given({ role, bucket, kmsKey }) }
  if (role === undefined && bucket === undefined && kmsKey === undefined) return undefined
  throw CliFailure.usage('--replica-region is missing: where the replica lies.')
}
