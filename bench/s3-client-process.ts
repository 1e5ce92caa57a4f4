import { randomBytes, randomUUID } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { z } from 'zod'
import { serveParent } from './child.ts'
import { type S3Subject, s3Subjects } from './s3-subjects.ts'

/** One of the S3 clients in a process of its own, so that its CPU time and its memory are nobody else's. */
const environment = z.object({
  BENCH_SUBJECT: z.enum(['keepsake', 'sdk', 'aws4fetch', 'minio', 's3mini']),
  BENCH_S3_ENDPOINT: z.string(),
})
const messageSchema = z.discriminatedUnion('task', [
  z.object({ task: z.literal('put'), size: z.int(), count: z.int(), concurrency: z.int() }),
  z.object({ task: z.literal('get'), key: z.string(), size: z.int(), count: z.int(), concurrency: z.int() }),
  z.object({
    task: z.literal('putLarge'),
    file: z.object({ path: z.string(), size: z.int(), sha256: z.string() }),
    count: z.int(),
    concurrency: z.int(),
  }),
])
type Message = z.infer<typeof messageSchema>

const { BENCH_SUBJECT: name, BENCH_S3_ENDPOINT: endpoint } = environment.parse(process.env)
const subject: S3Subject = await s3Subjects[name].open(endpoint)
/** Of the client that has done nothing yet. */
const idle = await memory('VmRSS')

serveParent(
  async (given) => {
    const message = messageSchema.parse(given)
    if (message.task === 'putLarge' && !subject.putLarge) return { isSupported: false }
    const work = workOf(message)
    const { count, concurrency } = message
    let left = count
    const worker = async () => {
      while (left > 0) {
        left -= 1
        await work()
      }
    }
    // proc(5), clear_refs: 5 makes the current size the peak.
    await writeFile('/proc/self/clear_refs', '5')
    const cpu = process.cpuUsage()
    const start = performance.now()
    await Promise.all(Array.from({ length: concurrency }, worker))
    const seconds = (performance.now() - start) / 1000
    const { user, system } = process.cpuUsage(cpu)
    return { isSupported: true, seconds, cpuMicros: user + system, peakBytes: (await memory('VmHWM')) - idle }
  },
  () => subject.close(),
)

function workOf(message: Message): () => Promise<void> {
  if (message.task === 'put') {
    const body = randomBytes(message.size)
    return () => subject.put(`small/${randomUUID()}`, body)
  }
  if (message.task === 'putLarge') {
    return async () => subject.putLarge?.(`large/${randomUUID()}`, message.file)
  }
  return async () => {
    const size = await subject.get(message.key)
    if (size !== message.size) throw new Error(`A GET gave ${size} bytes of ${message.size}.`)
  }
}

async function memory(field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile('/proc/self/status', 'utf8')
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]
  if (kibibytes === undefined) throw new Error(`/proc/self/status has no ${field}.`)
  return Number(kibibytes) * 1024
}
