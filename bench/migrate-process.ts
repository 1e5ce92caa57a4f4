import { readFile, writeFile } from 'node:fs/promises'
import { z } from 'zod'
import { createCatalogue, openPglite, openPostgres } from '../src/catalogue/index.ts'
import { systemClock } from '../src/clock.ts'
import { parseCollection } from '../src/media/index.ts'
import { createMoving } from '../src/moving/index.ts'
import { createS3Store } from '../src/stores/index.ts'
import { boundYoungGeneration } from '../src/young-generation.ts'
import { bucket, credentials, region } from './bucket.ts'
import { serveParent } from './child.ts'

/** Keepsake taking a folder in, in a process of its own, with its catalogue in PostgreSQL or, embedded, in a folder. */
const environment = z.object({
  BENCH_S3_ENDPOINT: z.string(),
  BENCH_POSTGRES: z.string().optional(),
  BENCH_PGLITE: z.string().optional(),
})
const { BENCH_S3_ENDPOINT: endpoint, BENCH_POSTGRES, BENCH_PGLITE = 'memory' } = environment.parse(process.env)
const messageSchema = z.object({ folder: z.string(), round: z.int(), maxSize: z.string() })

// As the command does at its start.
boundYoungGeneration()
const database = BENCH_POSTGRES
  ? await openPostgres({ connectionString: BENCH_POSTGRES })
  : await openPglite({ dir: BENCH_PGLITE })
const store = createS3Store({ bucket, region, endpoint, credentials })

serveParent(
  async (given) => {
    const { folder, round, maxSize } = messageSchema.parse(given)
    const collection = parseCollection(`round-${round}`, { key: 'moved/{collection}/{id}.{ext}', maxSize })
    const moving = createMoving({
      catalogue: createCatalogue(database),
      store,
      clock: systemClock,
      collections: new Map([[collection.name, collection]]),
      spoolDir: '/nonexistent',
      openBucket: () => Promise.reject(new Error('There is one bucket.')),
    })
    const idleBytes = await status('VmRSS')
    // proc(5), clear_refs: 5 makes the current size the peak.
    await writeFile('/proc/self/clear_refs', '5')
    const cpu = process.cpuUsage()
    const start = performance.now()
    const { counts, move } = await moving.migrate(folder, { collection: collection.name })
    const seconds = (performance.now() - start) / 1000
    const { user, system } = process.cpuUsage(cpu)
    if (move.stage !== 'done') throw new Error(`The move came to ${move.stage}: ${JSON.stringify(counts)}`)
    const cpuSeconds = (user + system) / 1e6
    return { files: counts.done.files, seconds, cpuSeconds, idleBytes, peakBytes: await status('VmHWM') }
  },
  async () => {
    await store.close()
    await database.close()
  },
)

async function status(field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(await readFile('/proc/self/status', 'utf8'))?.[1]
  return Number(kibibytes ?? Number.NaN) * 1024
}
