import { z } from 'zod'
import {
  createCatalogue,
  inspectCatalogue,
  openPglite,
  openPostgres,
  type PgliteDatabase,
  type PostgresDatabase,
} from './catalogue/index.ts'
import { systemClock } from './clock.ts'
import type { KeepsakeParts } from './compose.ts'
import type { EmbeddedS3Config, FallbackConfig, ReplicaConfig, ResolvedConfig, S3Config } from './config/index.ts'
import { type DataFolder, openDataFolder, preferredPort } from './data-folder/index.ts'
import type { BucketPlace } from './doctor/index.ts'
import { type EmbeddedS3, type RequestInfo, startEmbeddedS3 } from './embedded-s3/index.ts'
import { createGuardedFetch, createGuardedPost } from './intake/index.ts'
import { createJobs } from './jobs/index.ts'
import { type Logger, silentLogger } from './logger.ts'
import { KeepsakeError, publicPrefixes } from './media/index.ts'
import { openCdn } from './open-cdn.ts'
import { fallbackBucket, openLocalStore } from './open-fallback.ts'
import {
  awsCredentials,
  type Credentials,
  type CredentialsProvider,
  type LocalStore,
  type ObjectStore,
  openS3Store,
  type S3StoreOptions,
} from './stores/index.ts'
import { parseEndpoints } from './upkeep/index.ts'
import { version } from './version.ts'

/** Assets that the queue brings forward at the same time: most of them wait, for a source or for the store. */
const jobsAtOnce = 32

export type OpenedParts = { readonly parts: KeepsakeParts; readonly folder: DataFolder }

/**
 * Opens what a configuration names: the data folder, the database, the bucket, the queue. Whatever was opened is let go
 * of again when a later part fails.
 *
 * @throws `invalid_setting`, `data_folder_locked`, `catalogue_unavailable`, `store_denied`
 */
export async function openParts(config: ResolvedConfig, logger: Logger): Promise<OpenedParts> {
  const closers: (() => Promise<unknown>)[] = []
  const release = async () => {
    for (const close of closers.splice(0).reverse()) {
      await close().catch((error: unknown) => logger.warn({ err: error }, 'a part did not close well'))
    }
  }
  const opened = <T>(part: T, close: () => Promise<unknown>): T => {
    closers.push(close)
    return part
  }
  try {
    const { cloudfront } = config.delivery
    const cdn = cloudfront === null ? undefined : await openCdn(cloudfront)
    const fallback = config.objectStore.kind === 's3' ? config.fallback : null
    const exclusive = config.database.kind === 'pglite' || config.objectStore.kind === 'embedded' || fallback !== null
    const folder = await openDataFolder(config.dataDir, { exclusive })
    opened(folder, () => folder.close())
    const database = await openDatabase(config, folder, logger)
    opened(database, () => database.close())
    const { allowHosts, allowHttp, giveUpAfter } = config.imports
    const fetch = createGuardedFetch({ allowHosts, allowHttp, userAgent: `Keepsake/${version}` })
    opened(fetch, () => fetch.close())
    const post = createGuardedPost({
      allowHosts: config.webhooks.allowHosts,
      allowSetting: 'KEEPSAKE_WEBHOOK_ALLOW_HOSTS',
      userAgent: `Keepsake/${version}`,
    })
    opened(post, () => post.close())
    const webhooks = { post, endpoints: parseEndpoints(config.webhooks.endpoints.map(revealed), post) }
    const { store, place, open, publicUrl } = await openStore(config.objectStore, config, folder, closers, logger)
    opened(store, () => store.close())
    const local = fallback && (await openFallback(fallback, config, folder, closers, logger))
    if (local) opened(local.store, () => local.store.close())
    const replica = config.replica && (await openReplica(config.replica))
    if (replica) opened(replica, () => replica.close())
    // Last: whoever composes the parts stops the queue, and nothing may fail in between.
    const queue = queueDatabase(database, config)
    const jobs = await createJobs({
      database: queue,
      logger,
      concurrency: jobsAtOnce,
      schedules: Object.keys(config.upkeep).length > 0,
    })
    const parts: KeepsakeParts = {
      catalogue: createCatalogue(database),
      store,
      local,
      location: {
        bucket: place.bucket,
        region: place.region,
        endpoint: place.endpoint,
        embedded: config.objectStore.kind === 'embedded',
      },
      openBucket: open,
      replica,
      ...(config.replica === null ? {} : { replication: config.replica }),
      jobs,
      fetch,
      clock: systemClock,
      collections: config.collections,
      spoolDir: folder.spool,
      manifestDir: folder.path('reconcile'),
      logger,
      uploads: config.uploads,
      expiresIn: config.urls.expiresIn,
      baseUrl: config.urls.baseUrl ?? publicUrl,
      ...(cdn === undefined ? {} : { cdn }),
      giveUpAfter,
      webhooks,
      schedules: config.upkeep,
      doctor: {
        catalogue: inspectCatalogue(database),
        place,
        installation: { config, dataDir: folder.root },
        origins: config.bucket.origins ?? [],
      },
      checkCatalogue: () => database.check(),
      release,
    }
    return { parts, folder }
  } catch (error) {
    await release()
    throw error
  }
}

function revealed({ name, url, secrets, events }: ResolvedConfig['webhooks']['endpoints'][number]) {
  return { name, url: url.reveal(), secrets: secrets.map((secret) => secret.reveal()), events }
}

function openDatabase(
  { database, extensions }: ResolvedConfig,
  folder: DataFolder,
  logger: Logger,
): Promise<PgliteDatabase | PostgresDatabase> {
  const schemas = extensions.flatMap(({ name, schema }) => (schema === null ? [] : [{ name, sql: schema }]))
  if (database.kind === 'pglite') return openPglite({ dir: folder.path('catalogue'), schemas, logger })
  return openPostgres({ connectionString: database.connectionString.reveal(), schemas, logger })
}

function queueDatabase(database: PgliteDatabase | PostgresDatabase, config: ResolvedConfig) {
  if (database.kind === 'pglite') return { kind: 'pglite', pglite: database.pglite } as const
  if (config.database.kind !== 'postgres') throw new TypeError('The database is not the configured one.')
  return { kind: 'postgres', connectionString: config.database.connectionString.reveal() } as const
}

/** The store, where its bucket is for whoever looks at the settings, and other buckets at the same address. */
type OpenedStore = {
  readonly store: ObjectStore
  readonly place: BucketPlace
  readonly open: (bucket: string) => Promise<ObjectStore>
  /** Where what lies under the prefixes of public collections may be read by anybody; null: nowhere by itself. */
  readonly publicUrl: string | null
}

async function openStore(
  store: S3Config | EmbeddedS3Config,
  config: ResolvedConfig,
  folder: DataFolder,
  closers: (() => Promise<unknown>)[],
  logger: Logger,
): Promise<OpenedStore> {
  if (store.kind === 's3') return openBucket(store, config.fallback === null ? {} : impatient)
  const credentials = await folder.embeddedS3Credentials()
  const server = await startStore(store, config, folder, credentials, mainPlace, logger)
  closers.push(() => server.close())
  const { bucket, publicEndpoint } = store
  const endpoint = `http://${reachable(config.http.host)}:${server.port}`
  const open = (name: string) =>
    openS3Store({
      bucket: name,
      region: server.region,
      endpoint,
      ...(publicEndpoint === null ? {} : { publicEndpoint }),
      forcePathStyle: true,
      credentials,
    })
  const place = { bucket, region: server.region, endpoint, forcePathStyle: true, dualStack: false }
  const publicUrl = `${publicEndpoint ?? endpoint}/${bucket}`
  return { store: await open(bucket), place: { ...place, credentials: () => credentials }, open, publicUrl }
}

async function openFallback(
  fallback: FallbackConfig,
  config: ResolvedConfig,
  folder: DataFolder,
  closers: (() => Promise<unknown>)[],
  logger: Logger,
): Promise<LocalStore> {
  const { port, publicEndpoint, minFree } = fallback
  const credentials = await folder.embeddedS3Credentials()
  const server = await startStore({ port, bucket: fallbackBucket }, config, folder, credentials, fallbackPlace, logger)
  closers.push(() => server.close())
  const endpoint = `http://${reachable(config.http.host)}:${server.port}`
  return openLocalStore({ server, endpoint, publicEndpoint, credentials, dir: folder.path(fallbackPlace.dir), minFree })
}

/**
 * Where there is something to fall back to, a bucket that hangs gets less time: whoever meets it first waits that long
 * before the disk is asked. Seconds without progress, and attempts.
 */
const impatient = { requestTimeout: 10, attempts: 2 } as const

async function openBucket(
  store: S3Config,
  patience: Pick<S3StoreOptions, 'requestTimeout' | 'attempts'>,
): Promise<OpenedStore> {
  const { bucket, region, endpoint, publicEndpoint, forcePathStyle, provider, dualStack } = store
  const credentials = credentialsOf(store)
  const open = (name: string) =>
    openS3Store({
      bucket: name,
      region,
      ...(endpoint === null ? {} : { endpoint }),
      ...(publicEndpoint === null ? {} : { publicEndpoint }),
      forcePathStyle,
      ...(provider === null ? {} : { provider }),
      dualStack,
      credentials,
      ...patience,
    })
  const place = { bucket, region, endpoint, forcePathStyle, dualStack }
  return {
    store: await open(bucket),
    open,
    publicUrl: null,
    place: { ...place, credentials: typeof credentials === 'function' ? credentials : () => credentials },
  }
}

/** By a name that tells it from every other: what is known of one says nothing of another. */
function openReplica(config: ReplicaConfig): Promise<ObjectStore> {
  const { bucket, region, endpoint, publicEndpoint, forcePathStyle, provider, dualStack } = config
  return openS3Store({
    bucket,
    region,
    ...(endpoint === null ? {} : { endpoint }),
    ...(publicEndpoint === null ? {} : { publicEndpoint }),
    forcePathStyle,
    ...(provider === null ? {} : { provider }),
    dualStack,
    credentials: credentialsOf(config),
    name: `s3://${bucket} (${endpoint ?? region})`,
  })
}

/** What signs for a bucket: the access key that was given, or else what the AWS SDK finds. */
export function credentialsOf({ credentials, profile }: S3Config): Credentials | CredentialsProvider {
  if (!credentials) return awsCredentials(profile === null ? {} : { profile })
  return {
    accessKeyId: credentials.accessKeyId,
    secretAccessKey: credentials.secretAccessKey.reveal(),
    ...(credentials.sessionToken ? { sessionToken: credentials.sessionToken.reveal() } : {}),
    ...(credentials.expiration ? { expiration: credentials.expiration } : {}),
  }
}

/** Under which a data folder remembers where its embedded S3 listens. */
export const portName = 'embedded-s3-port'

const mainPlace = { dir: 'objects', portName, setting: 'KEEPSAKE_S3_PORT' } as const
const fallbackPlace = { dir: 'fallback', portName: 'fallback-port', setting: 'KEEPSAKE_FALLBACK_PORT' } as const

/** Starts the embedded S3 where it was the last time, so that links that were given still open after a restart. */
export async function startStore(
  store: Pick<EmbeddedS3Config, 'port' | 'bucket'>,
  config: ResolvedConfig,
  folder: DataFolder,
  credentials: { accessKeyId: string; secretAccessKey: string },
  place: typeof mainPlace | typeof fallbackPlace = mainPlace,
  logger: Logger = silentLogger,
): Promise<EmbeddedS3> {
  const { host } = config.http
  const port = store.port ?? (await preferredPort(await folder.recall(place.portName, z.int()), host))
  const options = {
    dir: folder.path(place.dir),
    host,
    credentials,
    buckets: [store.bucket],
    origins: config.http.corsOrigins,
    // What fell back is read by signed links alone.
    publicPrefixes: place === mainPlace ? publicPrefixes(config.collections.values()) : [],
    onRequest({ status, error, operation, requestId }: RequestInfo) {
      if (status === 500) logger.error({ err: error, operation, requestId }, 'The embedded S3 failed at a request.')
    },
  }
  const server = await startEmbeddedS3({ ...options, port })
    .catch((error: unknown) => {
      // Somebody took the remembered port in between; one that was asked for by name is not exchanged silently.
      if (store.port === null && isListenError(error, 'EADDRINUSE')) return startEmbeddedS3({ ...options, port: 0 })
      throw error
    })
    .catch((error: unknown) => {
      if (!isListenError(error)) throw error
      const why = error.code === 'EADDRINUSE' ? 'another process listens there' : error.code
      throw new KeepsakeError(
        'invalid_setting',
        `The embedded S3 cannot listen at ${host}, port ${port === 0 ? 'any' : port}: ${why}. ` +
          `Choose another HOST or ${place.setting}.`,
        { cause: error },
      )
    })
  await folder.remember(place.portName, server.port)
  return server
}

function isListenError(error: unknown, code?: string): error is NodeJS.ErrnoException {
  if (!(error instanceof Error && 'syscall' in error && 'code' in error)) return false
  return ['listen', 'getaddrinfo'].includes(String(error.syscall)) && (code === undefined || error.code === code)
}

/** A wildcard address takes connections and cannot be connected to. */
export function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}
