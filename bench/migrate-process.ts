import { readFile, writeFile } from 'node:fs/promises'
import { z } from 'zod'
import { createCatalogue, openPostgres } from '../src/catalogue/index.ts'
import { systemClock } from '../src/clock.ts'
import { parseCollection } from '../src/media/index.ts'
import { createMoving } from '../src/moving/index.ts'
import { createS3Store } from '../src/stores/index.ts'
import { bucket, credentials, region } from './bucket.ts'
import { serveParent } from './child.ts'

/** Keepsake taking a folder in, in a process of its own, with its catalogue in PostgreSQL. */
const environment = z.object({ BENCH_S3_ENDPOINT: z.string(), DATABASE_URL: z.string() })
const { BENCH_S3_ENDPOINT: endpoint, DATABASE_URL: connectionString } = environment.parse(process.env)
const messageSchema = z.object({ folder: z.string(), round: z.int(), maxSize: z.string() })

const database = await openPostgres({ connectionString })
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
    // proc(5), clear_refs: 5 makes the current size the peak.
    await writeFile('/proc/self/clear_refs', '5')
    const cpu = process.cpuUsage()
    const start = performance.now()
    const { counts, move } = await moving.migrate(folder, { collection: collection.name })
    const seconds = (performance.now() - start) / 1000
    const { user, system } = process.cpuUsage(cpu)
    if (move.stage !== 'done') throw new Error(`The move came to ${move.stage}: ${JSON.stringify(counts)}`)
    return { files: counts.done.files, seconds, cpuSeconds: (user + system) / 1e6, peakBytes: await peak() }
  },
  async () => {
    await store.close()
    await database.close()
  },
)

async function peak(): Promise<number> {
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1]
  return Number(kibibytes ?? Number.NaN) * 1024
}
