import { resolve } from 'node:path'
import type { z } from 'zod'
import {
  type Collection,
  type CollectionDefinition,
  defaultCollections,
  KeepsakeError,
  parseCollection,
  parseDuration,
} from '../media/index.ts'
import type { ParsedBucketSettings } from './bucket-settings.ts'
import { collectEnvironment, type Environment, type EnvironmentSettings } from './environment.ts'
import { environmentLayer } from './environment-layer.ts'
import { configSchema, type KeepsakeConfig, type ParsedConfig, type SchemaSetting } from './keepsake-config.ts'
import { found, foundSecret, Problems, pathOf } from './problems.ts'
import { resolveCloudFront } from './resolve-cloudfront.ts'
import { resolveCredentials } from './resolve-credentials.ts'
import { resolveReplica } from './resolve-replica.ts'
import type {
  EmbeddedS3Config,
  FallbackConfig,
  JwtConfig,
  ResolvedConfig,
  S3Config,
  UpkeepConfig,
  WebhookConfig,
} from './resolved-config.ts'
import { Secret } from './secret.ts'
import { findWarnings } from './warnings.ts'

const mebibyte = 1024 * 1024

export type ConfigSources = {
  /** Given in code. */
  readonly config?: KeepsakeConfig
  /** From `keepsake.config.ts`; see `loadConfigFile`. */
  readonly file?: KeepsakeConfig
  /** Default: `process.env`. */
  readonly env?: Environment
  /** What a relative data folder is relative to. Default: the working directory. */
  readonly cwd?: string
}

/**
 * Decides every setting: given in code > configuration file > environment > default, field by field. What proves an
 * identity goes together: credentials (or a profile) come from one source, a JWT's secret (or JWKS address) too.
 *
 * @throws {KeepsakeError} `invalid_setting`, with all that is wrong in one message.
 */
export function resolveConfig(sources: ConfigSources = {}): ResolvedConfig {
  const problems = new Problems()
  const env = sources.env ?? process.env
  const settings = collectEnvironment(env, problems)
  const layers = [
    parseLayer(sources.config, 'the options', problems),
    parseLayer(sources.file, 'the configuration file', problems),
    environmentLayer(settings),
  ]
  const pick = <T>(read: (layer: ParsedConfig) => T | undefined): T | undefined => {
    for (const layer of layers) {
      const value = read(layer)
      if (value !== undefined) return value
    }
    return undefined
  }
  const databaseUrl = pick((layer) => layer.databaseUrl)
  const apiKey = pick((layer) => layer.http?.apiKey)
  const objectStore = resolveStore(pick, settings, problems)
  const corsOrigins = pick((layer) => layer.http?.corsOrigins) ?? []
  const cloudfront = resolveCloudFront(pick, sources.cwd ?? process.cwd(), problems)
  const config: ResolvedConfig = {
    dataDir: resolve(sources.cwd ?? process.cwd(), pick((layer) => layer.dataDir) ?? '.keepsake'),
    database:
      databaseUrl === undefined ? { kind: 'pglite' } : { kind: 'postgres', connectionString: new Secret(databaseUrl) },
    objectStore,
    replica: resolveReplica(pick, objectStore, settings, defaultPathStyle, problems),
    fallback: resolveFallback(pick),
    bucket: resolveBucketSettings(layers, objectStore, corsOrigins),
    collections: resolveCollections(layers, problems),
    extensions: resolveExtensions(
      layers,
      {
        database: databaseUrl === undefined ? 'pglite' : 'postgres',
        baseUrl: pick((layer) => layer.s3?.baseUrl) ?? null,
      },
      problems,
    ),
    imports: {
      allowHosts: pick((layer) => layer.imports?.allowHosts) ?? [],
      allowHttp: pick((layer) => layer.imports?.allowHttp) ?? false,
      giveUpAfter: resolveGiveUpAfter(pick((layer) => layer.imports?.giveUpAfter) ?? '24h', problems),
    },
    uploads: {
      partThreshold: pick((layer) => layer.uploads?.partThreshold) ?? 16 * mebibyte,
      partSize: pick((layer) => layer.uploads?.partSize) ?? 16 * mebibyte,
      resumeWithin: resolveResumeWithin(pick((layer) => layer.uploads?.resumeWithin) ?? '24h', problems),
    },
    urls: {
      expiresIn: pick((layer) => layer.urls?.expiresIn) ?? 3600,
      baseUrl: pick((layer) => layer.s3?.baseUrl) ?? null,
    },
    // It reads a bucket of AWS: what is kept here it has not.
    delivery: { cloudfront: objectStore.kind === 's3' ? cloudfront : null },
    http: {
      port: pick((layer) => layer.http?.port) ?? 8000,
      host: pick((layer) => layer.http?.host) ?? '127.0.0.1',
      apiKey: apiKey === undefined ? null : new Secret(apiKey),
      corsOrigins,
      jwt: resolveJwt(pick),
    },
    webhooks: {
      endpoints: resolveWebhooks(pick, settings, problems),
      allowHosts: pick((layer) => layer.webhookAllowHosts) ?? [],
    },
    upkeep: resolveUpkeep(pick),
    logLevel: pick((layer) => layer.logLevel) ?? 'info',
    recipes: { maxAudioFileSize: settings.MAX_AUDIO_FILE_SIZE ?? null },
    warnings: [],
  }
  problems.throwIfAny()
  return { ...config, warnings: findWarnings(config, env) }
}

type Pick = <T>(read: (layer: ParsedConfig) => T | undefined) => T | undefined

function parseLayer(given: KeepsakeConfig | undefined, where: string, problems: Problems): ParsedConfig {
  const parsed = configSchema.safeParse(given ?? {})
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      const path = pathOf(issue)
      problems.add(path, `In ${where}, ${path || 'the whole'} is refused: ${explain(issue, path, given)}`)
    }
    return {}
  }
  const { secret, jwksUrl } = parsed.data.http?.jwt ?? {}
  if (secret !== undefined && jwksUrl !== undefined) {
    problems.add('http.jwt', `In ${where}, http.jwt has both secret and jwksUrl. They are never mixed: remove one.`)
  }
  return parsed.data
}

const secretPaths =
  /^(databaseUrl|s3\.credentials(\..*)?|http\.apiKey|delivery\.cloudfront\.privateKey|replica\.credentials(\..*)?|http\.jwt\.secret|webhooks\.\d+\.(url|secret)(\..*)?)$/

function explain(issue: z.core.$ZodIssue, path: string, given: unknown): string {
  if (issue.code === 'unrecognized_keys') return `there is no setting ${issue.keys.join(', ')} here.`
  let value: unknown = given
  // A text may stand for an object with one field, see `upkeep.verify`.
  for (const key of issue.path) if (typeof value !== 'string') value = Object(value)[key]
  return `found ${secretPaths.test(path) ? foundSecret(value) : found(value)}. ${issue.message}`
}

function resolveStore(pick: Pick, settings: EnvironmentSettings, problems: Problems): S3Config | EmbeddedS3Config {
  const bucket = pick((layer) => layer.s3?.bucket)
  if (bucket === undefined || settings.USE_CLOUD_STORAGE === false) {
    if (bucket === undefined) refuseWithoutBucket(pick, settings, problems)
    return {
      kind: 'embedded',
      bucket: 'keepsake',
      port: pick((layer) => layer.embeddedS3?.port) ?? null,
      publicEndpoint: pick((layer) => layer.s3?.publicEndpoint) ?? null,
    }
  }
  const { AWS_ACCESS_KEY_ID: keyId, AWS_SECRET_ACCESS_KEY: secretKey } = settings
  const identity = pick(({ s3 }) => (s3?.credentials || s3?.profile ? s3 : undefined))
  if ((keyId === undefined) !== (secretKey === undefined) && !identity?.credentials) {
    const [set, unset] = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']
    const missing = keyId === undefined ? set : unset
    problems.add(
      `${missing}`,
      `${missing} is not set, but its other half is. Set both, or neither to use AWS_PROFILE or a role.`,
    )
  }
  const endpoint = pick((layer) => layer.s3?.endpoint) ?? settings.AWS_ENDPOINT_URL ?? null
  const dualStack = pick((layer) => layer.s3?.dualStack) ?? false
  if (dualStack && endpoint !== null) {
    problems.add(
      'AWS_USE_DUALSTACK_ENDPOINT',
      'AWS_USE_DUALSTACK_ENDPOINT is about the endpoints of AWS, and S3_ENDPOINT names another. Unset one of them.',
    )
  }
  const credentials = identity?.credentials
  return {
    kind: 's3',
    bucket,
    region: pick((layer) => layer.s3?.region) ?? 'us-east-1',
    endpoint,
    publicEndpoint: pick((layer) => layer.s3?.publicEndpoint) ?? null,
    forcePathStyle: pick((layer) => layer.s3?.forcePathStyle) ?? defaultPathStyle(bucket, endpoint),
    provider: pick((layer) => layer.s3?.provider) ?? null,
    dualStack,
    credentials: credentials ? resolveCredentials(credentials) : null,
    profile: identity?.profile ?? null,
  }
}

function resolveFallback(pick: Pick): FallbackConfig | null {
  if (pick((layer) => layer.fallback?.enabled) !== true) return null
  return {
    port: pick((layer) => layer.fallback?.port) ?? null,
    publicEndpoint: pick((layer) => layer.fallback?.publicEndpoint) ?? null,
    minFree: pick((layer) => layer.fallback?.minFree) ?? 1024 * mebibyte,
  }
}

/**
 * Field by field; what belongs together is checked where it is made use of. Pages that may call the API may use the
 * bucket too, unless it is said otherwise: those that a bucket in prod takes, which is none over plain http.
 */
function resolveBucketSettings(
  layers: readonly ParsedConfig[],
  { kind }: S3Config | EmbeddedS3Config,
  corsOrigins: readonly string[],
): ParsedBucketSettings {
  const settings: ParsedBucketSettings = Object.assign(
    {},
    ...layers.toReversed().map(({ bucket }) => withoutUndefined(bucket ?? {})),
  )
  if (settings.origins !== undefined || corsOrigins.length === 0) return settings
  const isProd = (settings.env ?? (kind === 'embedded' ? 'dev' : 'prod')) === 'prod'
  return { ...settings, origins: corsOrigins.filter((origin) => !isProd || origin.startsWith('https:')) }
}

function withoutUndefined(values: object): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}

/** An endpoint without a bucket would quietly keep everything on this disk. */
function refuseWithoutBucket(pick: Pick, settings: EnvironmentSettings, problems: Problems): void {
  if (settings.USE_CLOUD_STORAGE === true) {
    problems.add('S3_BUCKET_NAME', 'S3_BUCKET_NAME is not set, but USE_CLOUD_STORAGE is true. Name the bucket.')
  } else if (settings.USE_CLOUD_STORAGE === undefined && pick((layer) => layer.s3?.endpoint) !== undefined) {
    problems.add('S3_BUCKET_NAME', 'S3_BUCKET_NAME is not set, but an S3 endpoint is. Name the bucket.')
  }
}

/** AWS has a certificate for `bucket.s3…`, but not for a bucket with dots in its name ("Virtual hosting of buckets"). */
function defaultPathStyle(bucket: string, endpoint: string | null): boolean {
  if (bucket.includes('.')) return true
  return endpoint !== null && !/(^|\.)amazonaws\.com(\.cn)?$/.test(new URL(endpoint).hostname)
}

function resolveJwt(pick: Pick): JwtConfig | null {
  const keys = pick(({ http }) => (http?.jwt?.secret || http?.jwt?.jwksUrl ? http.jwt : undefined))
  if (!keys) return null
  return {
    keys: keys.jwksUrl === undefined ? { secret: new Secret(keys.secret ?? '') } : { jwksUrl: keys.jwksUrl },
    audience: pick((layer) => layer.http?.jwt?.audience) ?? 'authenticated',
    issuer: pick((layer) => layer.http?.jwt?.issuer) ?? null,
  }
}

function resolveWebhooks(pick: Pick, settings: EnvironmentSettings, problems: Problems): readonly WebhookConfig[] {
  const { KEEPSAKE_WEBHOOK_URL: url, KEEPSAKE_WEBHOOK_SECRET: secret } = settings
  if ((url === undefined) !== (secret === undefined)) {
    const unset = url === undefined ? 'KEEPSAKE_WEBHOOK_URL' : 'KEEPSAKE_WEBHOOK_SECRET'
    problems.add(unset, `${unset} is not set, but its other half is. Set both: what is sent is signed.`)
  }
  const webhooks = pick((layer) => layer.webhooks) ?? []
  return webhooks.map(({ name, url, secret, events }) => ({
    name,
    url: new Secret(url),
    secrets: secret.map((text) => new Secret(text)),
    events,
  }))
}

function resolveUpkeep(pick: Pick): UpkeepConfig {
  const verify = pick((layer) => layer.upkeep?.verify)
  const cleanup = pick((layer) => layer.upkeep?.cleanup)
  const reconcile = pick((layer) => layer.upkeep?.reconcile)
  return {
    ...(verify === undefined ? {} : { verify }),
    ...(cleanup === undefined ? {} : { cleanup }),
    ...(reconcile === undefined ? {} : { reconcile }),
  }
}

function resolveCollections(layers: readonly ParsedConfig[], problems: Problems): ReadonlyMap<string, Collection> {
  const definitions = new Map<string, CollectionDefinition>(Object.entries(defaultCollections))
  const declared = new Set(layers.flatMap((layer) => Object.keys(layer.collections ?? {})))
  const bringers = new Map<string, string>()
  for (const { name: extension, collections = {} } of extensionsOf(layers)) {
    for (const [name, definition] of Object.entries(collections)) {
      const other = bringers.get(name)
      if (other !== undefined && !declared.has(name)) {
        problems.add(
          `collections.${name}`,
          `The extensions '${other}' and '${extension}' both bring a collection '${name}'. Declare one yourself, in ` +
            'collections, to say what it is.',
        )
      }
      bringers.set(name, extension)
      definitions.set(name, definition)
    }
  }
  for (const layer of layers.toReversed()) {
    for (const [name, definition] of Object.entries(layer.collections ?? {})) definitions.set(name, definition)
  }
  const collections = new Map<string, Collection>()
  for (const [name, definition] of definitions) {
    try {
      collections.set(name, parseCollection(name, definition))
    } catch (error) {
      if (!KeepsakeError.is(error, 'invalid_setting')) throw error
      problems.add(`collections.${name}`, error.message)
    }
  }
  return collections
}

/** Of the first source that names any. */
function extensionsOf(layers: readonly ParsedConfig[]): NonNullable<ParsedConfig['extensions']> {
  return layers.find(({ extensions }) => extensions !== undefined)?.extensions ?? []
}

function resolveExtensions(
  layers: readonly ParsedConfig[],
  setting: SchemaSetting,
  problems: Problems,
): ResolvedConfig['extensions'] {
  const extensions = extensionsOf(layers)
  for (const [index, { name }] of extensions.entries()) {
    if (extensions.findIndex((other) => other.name === name) === index) continue
    problems.add(`extensions.${index}`, `There are two extensions called '${name}'. Remove one.`)
  }
  return extensions.map(({ name, schema, http }) => ({
    name,
    schema: (typeof schema === 'function' ? schema(setting) : schema) ?? null,
    http: http ?? null,
  }))
}

/** Longer than a link lives, and no longer than stores keep parts that nobody joins. */
function resolveResumeWithin(given: number | string, problems: Problems): number {
  try {
    const seconds = parseDuration(given)
    if (seconds >= 3600 && seconds <= 7 * 86_400) return seconds
  } catch {
    // Said below, with the setting's name.
  }
  problems.add(
    'uploads.resumeWithin',
    `uploads.resumeWithin is ${found(given)}. Allowed is a number of seconds from 3600 to 604800, or a text such as '24h'.`,
  )
  return 3600
}

function resolveGiveUpAfter(given: number | string, problems: Problems): number {
  try {
    const seconds = parseDuration(given)
    if (seconds >= 1) return seconds
  } catch {
    // Said below, with the setting's name.
  }
  problems.add(
    'imports.giveUpAfter',
    `imports.giveUpAfter is ${found(given)}. Allowed is a number of seconds from 1, or a text such as '24h'.`,
  )
  return 1
}
