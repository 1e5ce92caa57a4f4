/**
 * The embedded S3 beside npm's s3rver: each in a process of its own, the load in a third, in interleaved rounds. Ours
 * syncs every PUT to the disk before it answers; s3rver never does.
 */
import { z } from 'zod'
import { credentials } from './bucket.ts'
import { Child } from './child.ts'
import { type Figure, figure, short, show } from './figure.ts'
import type { Part, Row } from './report.ts'
import { usageSchema } from './usage.ts'

const size = 20_000
const rounds = 7
const warmUpRounds = 1
/** Requests a round: enough for a second or so, and for the engine to have compiled either side by the end of the first. */
const counts = { put: 3_000, get: 8_000 } as const
const tasks = [
  { task: 'put', clients: 1 },
  { task: 'put', clients: 16 },
  { task: 'get', clients: 1 },
  { task: 'get', clients: 16 },
] as const

type Task = (typeof tasks)[number]
type Sample = { readonly perSecond: number; readonly cpuMicros: number }

const serverSchema = usageSchema.extend({ url: z.string() })
const loadSchema = z.object({ seconds: z.number() })

class Side implements AsyncDisposable {
  readonly title: string
  readonly #credentials: typeof credentials
  readonly #server: Child
  #runs = 0

  constructor(title: string, file: string, given: typeof credentials) {
    this.title = title
    this.#credentials = given
    this.#server = new Child(file)
  }

  async measure(load: Child, { task, clients }: Task): Promise<Sample> {
    const count = counts[task]
    this.#runs += 1
    const before = await this.#server.ask(serverSchema, {})
    const prefix = task === 'put' ? `put-${this.#runs}` : 'get'
    const { seconds } = await load.ask(loadSchema, this.#message({ task, url: before.url, prefix, count, clients }))
    const after = await this.#server.ask(serverSchema, {})
    return { perSecond: count / seconds, cpuMicros: (after.cpuMicros - before.cpuMicros) / count }
  }

  /** What is read later. */
  async fill(load: Child): Promise<void> {
    const { url } = await this.#server.ask(serverSchema, {})
    await load.ask(loadSchema, this.#message({ task: 'put', url, prefix: 'get', count: counts.get, clients: 4 }))
  }

  async peakBytes(): Promise<number> {
    return (await this.#server.ask(serverSchema, {})).peakBytes
  }

  #message(message: object): object {
    return { ...message, size, credentials: this.#credentials }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#server[Symbol.asyncDispose]()
  }
}

export async function benchEmbeddedS3(): Promise<Part> {
  await using load = new Child('embedded-s3-load.ts')
  await using ours = new Side('Keepsake, fsync on', 's3-process.ts', credentials)
  // s3rver knows this pair only.
  await using theirs = new Side('s3rver, no fsync', 's3rver-process.ts', {
    accessKeyId: 'S3RVER',
    secretAccessKey: 'S3RVER',
  })
  const sides = [ours, theirs]
  for (const side of sides) await side.fill(load)

  const rows: Row[] = []
  const figures: unknown[] = []
  for (const task of tasks) {
    const samples = await compare(load, sides, task)
    const [mine, peer] = sides.map((side) => summary(samples.get(side) ?? []))
    if (!mine || !peer) throw new Error('A side was not measured.')
    for (const [side, measured] of [
      [ours, mine],
      [theirs, peer],
    ] as const) {
      rows.push({
        task: `${task.task.toUpperCase()} 20 KB, ${task.clients} ${task.clients === 1 ? 'client' : 'clients'}`,
        server: side.title,
        'requests/s': show(measured.perSecond),
        'times s3rver': side === ours ? short(mine.perSecond.median / peer.perSecond.median) : '',
        'CPU µs a request': show(measured.cpuMicros),
        'CPU of s3rver': side === ours ? short(mine.cpuMicros.median / peer.cpuMicros.median) : '',
      })
      figures.push({ ...task, server: side.title, ...measured })
    }
  }
  const peaks = await Promise.all(sides.map(async (side) => ({ title: side.title, bytes: await side.peakBytes() })))
  return {
    name: 'embedded-s3',
    title: 'The embedded S3 and s3rver',
    rows,
    notes: [
      'Each server and the load in a process of its own, presigned requests over kept-alive connections; medians over interleaved rounds after one to warm up, least to most in brackets.',
      'Keepsake answers a PUT when its bytes, its metadata and its name are synced to the disk; s3rver answers when the kernel has the bytes.',
      `Peak memory of the server over all of it: ${peaks.map(({ title, bytes }) => `${title} ${short(bytes / 1024 ** 2)} MiB`).join(', ')}.`,
    ],
    figures: { figures, peaks },
  }
}

async function compare(load: Child, sides: readonly Side[], task: Task): Promise<Map<Side, Sample[]>> {
  const samples = new Map<Side, Sample[]>()
  for (let round = 0; round < warmUpRounds + rounds; round += 1) {
    // Whoever goes first in one round goes last in the next.
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      const sample = await side.measure(load, task)
      if (round >= warmUpRounds) samples.set(side, [...(samples.get(side) ?? []), sample])
    }
  }
  return samples
}

function summary(samples: readonly Sample[]): { readonly perSecond: Figure; readonly cpuMicros: Figure } {
  return {
    perSecond: figure(samples.map(({ perSecond }) => perSecond)),
    cpuMicros: figure(samples.map(({ cpuMicros }) => cpuMicros)),
  }
}
