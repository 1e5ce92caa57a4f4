import { z } from 'zod'
import { aliases } from './aliases.ts'
import { found, foundSecret, Problems, pathOf } from './problems.ts'
import * as value from './values.ts'

/** Every setting that the environment can carry, by its documented name. */
const shape = {
  PORT: value.port,
  HOST: value.host,
  KEEPSAKE_DATA_DIR: value.folder,
  KEEPSAKE_API_KEY: value.headerToken,
  KEEPSAKE_ALLOWED_ORIGINS: value.originList,
  KEEPSAKE_JWT_SECRET: value.anyText,
  KEEPSAKE_JWKS_URL: value.keysAddress,
  KEEPSAKE_JWT_AUDIENCE: value.anyText,
  KEEPSAKE_JWT_ISSUER: value.anyText,
  KEEPSAKE_IMPORT_ALLOW_HOSTS: value.hostList,
  KEEPSAKE_IMPORT_ALLOW_HTTP: value.flag,
  KEEPSAKE_LOG_LEVEL: value.logLevel,
  KEEPSAKE_S3_PORT: value.port,
  KEEPSAKE_FALLBACK: value.flag,
  KEEPSAKE_FALLBACK_PORT: value.port,
  KEEPSAKE_FALLBACK_PUBLIC_ENDPOINT: value.webAddress,
  KEEPSAKE_FALLBACK_MIN_FREE: value.size,
  KEEPSAKE_UPLOAD_PART_THRESHOLD: value.size,
  KEEPSAKE_UPLOAD_PART_SIZE: value.partSize,
  KEEPSAKE_WEBHOOK_URL: value.webhookUrl,
  /** Separated by spaces or commas, the newest first. */
  KEEPSAKE_WEBHOOK_SECRET: value.webhookSecrets,
  KEEPSAKE_WEBHOOK_ALLOW_HOSTS: value.hostList,
  KEEPSAKE_BUCKET_APP: value.anyText,
  KEEPSAKE_BUCKET_ENV: value.bucketEnv,
  KEEPSAKE_BUCKET_ORIGINS: value.textList,
  KEEPSAKE_BUCKET_KMS_KEY: value.anyText,
  DATABASE_URL: value.databaseUrl,
  S3_BUCKET_NAME: value.bucket,
  S3_ENDPOINT: value.webAddress,
  S3_PUBLIC_ENDPOINT: value.webAddress,
  S3_FORCE_PATH_STYLE: value.flag,
  S3_PROVIDER: value.provider,
  S3_BASE_URL: value.webAddress,
  S3_PRESIGNED_URL_EXPIRATION: value.urlSeconds,
  KEEPSAKE_CLOUDFRONT_DOMAIN: value.cdnAddress,
  KEEPSAKE_CLOUDFRONT_KEY_PAIR_ID: value.keyPairId,
  /** PEM; `\n` may stand for a line break. */
  KEEPSAKE_CLOUDFRONT_PRIVATE_KEY: value.anyText,
  KEEPSAKE_CLOUDFRONT_PRIVATE_KEY_FILE: value.anyText,
  KEEPSAKE_CLOUDFRONT_HASH: value.signatureHash,
  KEEPSAKE_REPLICA_BUCKET: value.bucket,
  KEEPSAKE_REPLICA_REGION: value.region,
  KEEPSAKE_REPLICA_ENDPOINT: value.webAddress,
  KEEPSAKE_REPLICA_PUBLIC_ENDPOINT: value.webAddress,
  KEEPSAKE_REPLICA_FORCE_PATH_STYLE: value.flag,
  KEEPSAKE_REPLICA_PROVIDER: value.provider,
  KEEPSAKE_REPLICA_PROFILE: value.anyText,
  KEEPSAKE_REPLICA_ACCESS_KEY_ID: value.headerToken,
  KEEPSAKE_REPLICA_SECRET_ACCESS_KEY: value.headerToken,
  KEEPSAKE_REPLICA_SESSION_TOKEN: value.headerToken,
  KEEPSAKE_REPLICA_CREDENTIAL_EXPIRATION: value.instant,
  KEEPSAKE_REPLICA_DELETE_AFTER: value.anyDuration,
  KEEPSAKE_REPLICA_COPIED_BY: value.replicaCopier,
  AWS_REGION: value.region,
  /** Of all services; S3_ENDPOINT goes before it. It names no store by itself, so that a bucket must be named too. */
  AWS_ENDPOINT_URL: value.webAddress,
  AWS_USE_DUALSTACK_ENDPOINT: value.flag,
  AWS_PROFILE: value.anyText,
  AWS_ACCESS_KEY_ID: value.headerToken,
  AWS_SECRET_ACCESS_KEY: value.headerToken,
  AWS_SESSION_TOKEN: value.headerToken,
  /** When the session token ends, as `aws configure export-credentials --format env` writes it. */
  AWS_CREDENTIAL_EXPIRATION: value.instant,
  /** `false`: the embedded S3, although a bucket is named. */
  USE_CLOUD_STORAGE: value.flag,
  /** Bytes, for the recipe of the audio app. */
  MAX_AUDIO_FILE_SIZE: value.size,
} as const

const environment = z.object(shape).partial()

/** The environment's settings, parsed; those that are not set or empty are not there. */
export type EnvironmentSettings = z.output<typeof environment>
export type SettingName = keyof typeof shape

export const settingNames: readonly string[] = Object.keys(shape)

const secrets: ReadonlySet<string> = new Set<SettingName>([
  'KEEPSAKE_API_KEY',
  'KEEPSAKE_JWT_SECRET',
  'KEEPSAKE_WEBHOOK_URL',
  'KEEPSAKE_WEBHOOK_SECRET',
  'KEEPSAKE_CLOUDFRONT_PRIVATE_KEY',
  'KEEPSAKE_REPLICA_ACCESS_KEY_ID',
  'KEEPSAKE_REPLICA_SECRET_ACCESS_KEY',
  'KEEPSAKE_REPLICA_SESSION_TOKEN',
  'DATABASE_URL',
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
])

/** A process's environment, as `process.env` has it. */
export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads the settings from an environment. An empty text counts as not set. A `.env` file is not read: that is the
 * caller's to do, for instance by `node --env-file`.
 *
 * @throws {KeepsakeError} `invalid_setting`, with all bad settings in one message: name, what was found, what is allowed.
 */
export function readEnvironment(env: Environment): EnvironmentSettings {
  const problems = new Problems()
  const settings = collectEnvironment(env, problems)
  problems.throwIfAny()
  return settings
}

/** The settings that are good; the others are added to the problems. */
export function collectEnvironment(env: Environment, problems: Problems): EnvironmentSettings {
  const texts = canonicalTexts(env, problems)
  const parsed = environment.safeParse(texts)
  const settings = parsed.success ? parsed.data : withoutBad(texts, parsed.error, problems)
  if (settings.KEEPSAKE_JWT_SECRET !== undefined && settings.KEEPSAKE_JWKS_URL !== undefined) {
    problems.add(
      'KEEPSAKE_JWT_SECRET',
      'KEEPSAKE_JWT_SECRET and KEEPSAKE_JWKS_URL are both set. Tokens are signed either with a shared secret or with ' +
        'the keys of an address, never mixed: unset one.',
    )
  }
  return settings
}

function withoutBad(texts: Record<string, string>, error: z.ZodError, problems: Problems): EnvironmentSettings {
  const good = { ...texts }
  for (const issue of error.issues) {
    const name = pathOf(issue)
    const text = secrets.has(name) ? foundSecret(texts[name]) : found(texts[name])
    problems.add(name, `${name} is ${text}. ${issue.message}`)
    delete good[name]
  }
  return environment.parse(good)
}

function canonicalTexts(env: Environment, problems: Problems): Record<string, string> {
  const texts: Record<string, string> = {}
  const spelled = new Map<string, string>()
  const spellings: [string, string][] = [
    ...settingNames.map((name): [string, string] => [name, name]),
    ...Object.entries(aliases),
  ]
  for (const [spelling, name] of spellings) {
    const text = env[spelling]?.trim()
    if (text === undefined || text === '') continue
    const other = spelled.get(name)
    if (other === undefined) {
      spelled.set(name, spelling)
      texts[name] = text
    } else if (texts[name] !== text) {
      problems.add(
        name,
        `${other} is ${found(texts[name])} and ${spelling} is ${found(text)}, but they are two names of one setting. ` +
          `Set only ${name}.`,
      )
    }
  }
  return texts
}
