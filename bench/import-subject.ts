import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { serveParent } from './child.ts'
import { openSubject, type Subject } from './subjects.ts'

/** One of the sides that import, in a process of its own, so that its CPU time is nobody else's. */
const messageSchema = z.object({ source: z.string(), count: z.int(), concurrency: z.int() })

const subject: Subject = await openSubject(process.env.BENCH_SUBJECT ?? '')

serveParent(
  async (message) => {
    const { source, count, concurrency } = messageSchema.parse(message)
    const urls = Array.from({ length: count }, () => `${source}/${randomUUID()}`).values()
    const import_ = async () => {
      for (const url of urls) await subject.import(url)
    }
    const cpu = process.cpuUsage()
    const start = performance.now()
    await Promise.all(Array.from({ length: concurrency }, import_))
    const seconds = (performance.now() - start) / 1000
    const { user, system } = process.cpuUsage(cpu)
    return { seconds, cpuMicros: user + system }
  },
  () => subject.close(),
)
