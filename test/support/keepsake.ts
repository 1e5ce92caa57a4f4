import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCatalogue, inspectCatalogue, openPglite, openPostgres } from '../../src/catalogue/index.ts'
import { type Clock, systemClock } from '../../src/clock.ts'
import { composeKeepsake, type KeepsakeParts } from '../../src/compose.ts'
import { startEmbeddedS3 } from '../../src/embedded-s3/index.ts'
import type { Extension } from '../../src/extension.ts'
import { createGuardedFetch, createGuardedPost } from '../../src/intake/index.ts'
import { createJobs } from '../../src/jobs/index.ts'
import { silentLogger } from '../../src/logger.ts'
import { type CollectionDefinition, defaultCollections, parseCollection } from '../../src/media/index.ts'
import { fallbackBucket, openLocalStore } from '../../src/open-fallback.ts'
import { createS3Store, type LocalStore, type ObjectStore } from '../../src/stores/index.ts'
import { parseEndpoints, type UpkeepSchedules, type WebhookDefinition } from '../../src/upkeep/index.ts'
import type { Keepsake } from '../../src/verbs.ts'
import { FaultProxy } from './fault-proxy.ts'

export type TestKeepsakeOptions = {
  /** Hosts (host:port) that imports may fetch although they are private. */
  readonly allowHosts?: readonly string[]
  /** Default: the default ones. */
  readonly collections?: Readonly<Record<string, CollectionDefinition>>
  /** A PostgreSQL. Default: PGlite in memory. */
  readonly databaseUrl?: string
  /** Puts something between Keepsake and its bucket: a store that fails. */
  readonly wrapStore?: (store: ObjectStore) => ObjectStore
  /** Seconds a caller waits. */
  readonly patience?: number
  readonly uploads?: KeepsakeParts['uploads']
  /** Whose pages may send to the bucket. */
  readonly corsOrigins?: readonly string[]
  readonly sweepEverySeconds?: number
  /** The address by which links lead to the bucket; it is told where the bucket is. */
  readonly bucketDoor?: { readonly url: string; target: number }
  /** What links are signed by, and how long pauses are. Default: this machine's. */
  readonly clock?: Clock
  /** Whether public hosts may be plain http. Default: false. */
  readonly allowHttp?: boolean
  /** Seconds after which an import is given up whose source does not say when it dies. Default: a day. */
  readonly giveUpAfter?: number
  /** Where events are sent; the hosts may be private. */
  readonly webhooks?: readonly WebhookDefinition[]
  readonly schedules?: UpkeepSchedules
  /** What stands on it: their collections and their relations; their routes are for {@link startTestServer}. */
  readonly extensions?: readonly Extension[]
  /** Where public collections are read from. */
  readonly baseUrl?: string
  /** What the database warns of while it is opened. */
  readonly logger?: { warn(facts: object, message: string): void }
  /** Puts a proxy before the bucket, by which it can fail on the wire, and gives Keepsake a local store to fall back to. */
  readonly fallback?: {
    /** Bytes that the local disk keeps free. Default: 0. */
    readonly minFree?: number
    /** A local store that another Keepsake has, or had. Default: a new one. */
    readonly local?: LocalStore
  }
}

/** A real Keepsake: a database, a queue, and an embedded S3 in a folder of its own. */
export async function openTestKeepsake(options: TestKeepsakeOptions = {}): Promise<Keepsake> {
  return (await openTestParts(options)).keepsake
}

/** The same, with the parts behind, to look past Keepsake. */
export async function openTestParts(options: TestKeepsakeOptions = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'keepsake-test-'))
  const { databaseUrl, extensions = [], baseUrl = null } = options
  const setting = { database: databaseUrl === undefined ? 'pglite' : 'postgres', baseUrl } as const
  const schemas = extensions.flatMap(({ name, schema }) => {
    const sql = typeof schema === 'function' ? schema(setting) : schema
    return sql ? [{ name, sql }] : []
  })
  const opening = { schemas, ...(options.logger ? { logger: options.logger } : {}) }
  const database =
    databaseUrl === undefined
      ? await openPglite({ dir: 'memory', ...opening })
      : await openPostgres({ connectionString: databaseUrl, ...opening })
  const credentials = { accessKeyId: 'TESTKEY', secretAccessKey: 'test-secret' }
  const bucket = 'test-bucket'
  const s3 = await startEmbeddedS3({
    dir: join(dir, 'objects'),
    credentials,
    buckets: [bucket],
    fsync: false,
    origins: options.corsOrigins ?? [],
  })
  const proxy = options.fallback ? await FaultProxy.open(s3.port) : undefined
  const local = options.fallback ? await openTestLocal(dir, options.fallback) : undefined
  const { bucketDoor } = options
  if (bucketDoor) bucketDoor.target = s3.port
  const publicEndpoint = bucketDoor ? { publicEndpoint: bucketDoor.url } : {}
  const bare = createS3Store({ bucket, region: s3.region, endpoint: s3.url, credentials, ...publicEndpoint })
  const reached = proxy
    ? createS3Store({ bucket, region: s3.region, endpoint: proxy.url, credentials, requestTimeout: 2 })
    : bare
  const jobs = await createJobs({
    database:
      database.kind === 'pglite'
        ? { kind: 'pglite', pglite: database.pglite }
        : { kind: 'postgres', connectionString: databaseUrl ?? '' },
    ...(options.schedules === undefined ? {} : { schedules: true, scheduleEverySeconds: 1 }),
    ...(options.sweepEverySeconds === undefined ? {} : { sweepEverySeconds: options.sweepEverySeconds }),
  })
  const fetch = createGuardedFetch({ allowHosts: options.allowHosts ?? [], allowHttp: options.allowHttp ?? false })
  const webhooks = options.webhooks ?? []
  const post = createGuardedPost({
    allowHosts: webhooks.map(({ url }) => new URL(url).host),
    allowSetting: 'KEEPSAKE_WEBHOOK_ALLOW_HOSTS',
  })
  const definitions: Record<string, CollectionDefinition> = Object.assign(
    {},
    options.collections ?? defaultCollections,
    ...extensions.map(({ collections }) => collections),
  )
  const parts: KeepsakeParts = {
    catalogue: createCatalogue(database),
    store: options.wrapStore?.(reached) ?? reached,
    ...(local ? { local: local.store, promoteEvery: 0.2 } : {}),
    bucketPlace: { bucket, region: s3.region, endpoint: s3.url, embedded: true },
    openBucket: async (name) => createS3Store({ bucket: name, region: s3.region, endpoint: s3.url, credentials }),
    jobs,
    fetch,
    clock: options.clock ?? systemClock,
    collections: new Map(Object.entries(definitions).map(([name, it]) => [name, parseCollection(name, it)])),
    spoolDir: join(dir, 'spool'),
    logger: silentLogger,
    expiresIn: 3600,
    baseUrl,
    giveUpAfter: options.giveUpAfter ?? 86_400,
    ...(options.patience === undefined ? {} : { patience: options.patience }),
    ...(options.uploads === undefined ? {} : { uploads: options.uploads }),
    webhooks: { post, endpoints: parseEndpoints(webhooks, post) },
    ...(options.schedules === undefined ? {} : { schedules: options.schedules }),
    doctor: {
      catalogue: inspectCatalogue(database),
      place: {
        ...{ bucket, region: s3.region, endpoint: s3.url, forcePathStyle: true, dualStack: false },
        credentials: () => credentials,
      },
      installation: null,
    },
    checkCatalogue: () => database.check(),
    release: async () => {
      await fetch.close()
      await post.close()
      await database.close()
      await s3.close()
      await proxy?.close()
      await local?.close()
      await rm(dir, { recursive: true, force: true })
    },
  }
  return {
    keepsake: await composeKeepsake(parts),
    parts,
    database,
    bucket: bare,
    s3,
    spoolDir: parts.spoolDir,
    proxy,
    local,
  }
}

/** A local store over an embedded S3 of its own, or somebody else's. */
async function openTestLocal(dir: string, { minFree = 0, local }: NonNullable<TestKeepsakeOptions['fallback']>) {
  if (local) return { store: local, close: async () => {} }
  const credentials = { accessKeyId: 'LOCALKEY', secretAccessKey: 'local-secret' }
  const folder = join(dir, 'fallback')
  const server = await startEmbeddedS3({ dir: folder, credentials, buckets: [fallbackBucket], fsync: false })
  const endpoint = server.url
  const store = await openLocalStore({ server, endpoint, publicEndpoint: null, credentials, dir: folder, minFree })
  return { store, close: () => server.close() }
}
