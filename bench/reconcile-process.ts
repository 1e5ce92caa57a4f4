import { tmpdir } from 'node:os'
import { z } from 'zod'
import { createCatalogue, openPostgres } from '../src/catalogue/index.ts'
import { createS3Store } from '../src/stores/index.ts'
import { createReconcile } from '../src/upkeep/index.ts'
import { serveParent } from './child.ts'

/** The process that is measured: it reads the rows alone, or compares them with the bucket. */
const environment = z.object({ BENCH_DATABASE_URL: z.string(), BENCH_S3_ENDPOINT: z.string() }).parse(process.env)
const database = await openPostgres({ connectionString: environment.BENCH_DATABASE_URL })
const catalogue = createCatalogue(database)
const store = createS3Store({
  bucket: 'media',
  region: 'us-east-1',
  endpoint: environment.BENCH_S3_ENDPOINT,
  forcePathStyle: true,
  credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' },
})
const reconcile = createReconcile({ catalogue, store, collections: new Map(), recoverySources: [], spoolDir: tmpdir() })

const text = `select id, key, state, health, store, size, sha256, stored_at from keepsake.assets
where key > $1 order by key limit 2000`

/** The rows with what any comparison has to know of them, in one stream, without as much as a look at them. */
async function readRows(): Promise<number> {
  let [after, count] = ['', 0]
  for (;;) {
    const { rows } = await database.service.query(text, [after])
    count += rows.length
    const last = rows.at(-1)?.key
    if (typeof last !== 'string') return count
    after = last
  }
}

const task = z.object({ do: z.enum(['nothing', 'rows', 'list', 'scan']), shards: z.int().optional() })
serveParent(
  async (given) => {
    const { do: what, shards = 4 } = task.parse(given)
    const start = performance.now()
    const cpu = process.cpuUsage()
    let result: object = {}
    if (what === 'rows') result = { rows: await readRows() }
    if (what === 'list') {
      let objects = 0
      for await (const _ of store.list()) objects += 1
      result = { objects }
    }
    if (what === 'scan') {
      const { objects, rows, findings } = await reconcile.scan({ shards })
      result = { objects, rows, findings }
    }
    const { user, system } = process.cpuUsage(cpu)
    return { seconds: (performance.now() - start) / 1000, cpu: (user + system) / 1e6, ...result }
  },
  async () => {
    await store.close()
    await database.close()
  },
)
