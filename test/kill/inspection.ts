import { randomBytes } from 'node:crypto'
import { appendFile, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { z } from 'zod'
import { startEmbeddedS3 } from '../../src/embedded-s3/index.ts'
import { createS3Store } from '../../src/stores/index.ts'

const rowSchema = z.object({
  id: z.string(),
  state: z.enum(['pending', 'stored', 'failed', 'deleting']),
  key: z.string().nullable(),
  size: z.coerce.number().nullable(),
  sha256: z.string().nullable(),
  /** The idempotency key, which the load writes into each row as its request id. */
  order: z.string(),
  problem: z.string().nullable(),
})
export type InspectedRow = z.infer<typeof rowSchema>

/** What a stopped Keepsake left behind, read by plain SQL and by listing the bucket. */
export type Inspection = {
  catalogue(): Promise<{
    readonly rows: readonly InspectedRow[]
    readonly retiredKeys: readonly string[]
    readonly bookkeeping: string[]
  }>
  /** The objects' keys and sizes. */
  objects(): Promise<ReadonlyMap<string, number>>
  /** Moves the database's time, so that what is watched for hours is due at the next start. */
  moveClock(by: string): Promise<void>
}

type Query = (text: string) => Promise<readonly unknown[]>

/** The server must have stopped: PGlite and the embedded S3 each belong to one process. */
export function inspect(dataDir: string, databaseUrl: string | undefined): Inspection {
  const pglite = join(dataDir, 'catalogue')
  const withDatabase = databaseUrl === undefined ? onPglite(pglite) : onPostgres(databaseUrl)
  return {
    catalogue: () => withDatabase(readCatalogue),
    objects: () => listBucket(dataDir),
    async moveClock(by) {
      const setting = `keepsake.clock_offset = '${by}'`
      // PGlite has one session and no settings by database; it reads its configuration file.
      if (databaseUrl === undefined) return appendFile(join(pglite, 'postgresql.conf'), `\n${setting}\n`)
      return withDatabase(async (query) => {
        await query(`alter database ${new URL(databaseUrl).pathname.slice(1)} set ${setting}`)
      })
    },
  }
}

async function readCatalogue(query: Query) {
  const rows = await query(`
    select id::text, state, key, size, sha256, provenance->>'requestId' as order, problem_code as problem
    from keepsake.assets`)
  const retired = await query('select key from keepsake.retired_keys')
  const unaudited = await query(`
    select a.id::text || ': ' || a.state || ' with ' || count(u.id) || ' audit rows of it' as finding
    from keepsake.assets a left join keepsake.audit u on u.asset = a.id
      and u.action = case a.state when 'stored' then 'asset.stored' when 'failed' then 'asset.failed' end
    where a.state in ('stored', 'failed') group by a.id, a.state having count(u.id) <> 1
    union all
    select asset::text || ': reserved ' || count(*) || ' times' from keepsake.audit
    where action = 'asset.reserved' group by asset having count(*) <> 1
    union all
    select u.asset::text || ': purged by the audit, and there' from keepsake.audit u join keepsake.assets a on a.id = u.asset
    where u.action = 'asset.purged'`)
  const miscounted = await query(`
    select coalesce(u.owner, a.owner) || ': ' || coalesce(u.bytes, 0) || ' bytes counted, '
      || coalesce(a.bytes, 0) || ' in the rows' as finding
    from keepsake.usage u
    full join (select owner, sum(size)::bigint as bytes from keepsake.assets where state = 'stored' group by owner) a
      on a.owner = u.owner
    where coalesce(u.bytes, 0) <> coalesce(a.bytes, 0)`)
  const findings = z.array(z.object({ finding: z.string() })).parse([...unaudited, ...miscounted])
  return {
    rows: z.array(rowSchema).parse(rows),
    retiredKeys: z
      .array(z.object({ key: z.string() }))
      .parse(retired)
      .map(({ key }) => key),
    bookkeeping: findings.map(({ finding }) => finding),
  }
}

function onPglite(folder: string) {
  return async <T>(work: (query: Query) => Promise<T>): Promise<T> => {
    const database = await PGlite.create(folder)
    try {
      return await work(async (text) => (await database.query(text)).rows)
    } finally {
      await database.close()
    }
  }
}

function onPostgres(url: string) {
  return async <T>(work: (query: Query) => Promise<T>): Promise<T> => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    try {
      return await work(async (text) => (await client.query(text)).rows)
    } finally {
      await client.end()
    }
  }
}

/** What the bucket's listing says, and whether the same is there without its index, which is built anew for it. */
async function listBucket(dataDir: string): Promise<ReadonlyMap<string, number>> {
  const dir = join(dataDir, 'objects')
  const objects = await listObjects(dir)
  await rm(join(dir, 'index.sqlite'))
  const found = await listObjects(dir)
  for (const [key, size] of found) if (objects.get(key) !== size) objects.set(`(found, but not listed: ${key})`, size)
  for (const key of objects.keys()) if (!key.startsWith('(') && !found.has(key)) objects.set(`(gone: ${key})`, 0)
  // By which the bucket says whose it is.
  for (const key of objects.keys()) if (key.startsWith('.keepsake/')) objects.delete(key)
  return objects
}

async function listObjects(dir: string): Promise<Map<string, number>> {
  const credentials = { accessKeyId: 'inspection', secretAccessKey: randomBytes(24).toString('hex') }
  const server = await startEmbeddedS3({ dir, credentials })
  try {
    const objects = new Map<string, number>()
    for (const bucket of await readdir(join(dir, 'buckets'))) {
      const store = createS3Store({ bucket, region: server.region, endpoint: server.url, credentials })
      for await (const { key, size } of store.list()) objects.set(key, size)
      await store.close()
    }
    return objects
  } finally {
    await server.close()
  }
}
