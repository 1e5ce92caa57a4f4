/**
 * Putting and getting objects: Keepsake's S3 store beside other clients, each in a process of its own, against the
 * same embedded S3 in another, in interleaved rounds.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { createS3Store, type ObjectStore } from '../src/stores/index.ts'
import { bucket, credentials, region } from './bucket.ts'
import { Child } from './child.ts'
import { type Figure, figure, short, show } from './figure.ts'
import type { Part, Row } from './report.ts'
import { isInstalled, type LargeFile, type S3SubjectName, s3Subjects } from './s3-subjects.ts'

const mebibyte = 1024 * 1024
const names: readonly S3SubjectName[] = ['keepsake', 'sdk', 'aws4fetch', 'minio', 's3mini']
/** Whom the ratios are about. */
const measureOf: S3SubjectName = 'sdk'
const warmUpRounds = 1

type Task = {
  readonly name: string
  readonly message: Readonly<Record<string, unknown>>
  readonly count: number
  readonly rounds: number
}
type Sample = { readonly perSecond: number; readonly cpuMicros: number; readonly peakBytes: number }
type Side = { readonly perSecond: Figure; readonly cpuMillis: Figure; readonly peakMebibytes: Figure }

const answerSchema = z.discriminatedUnion('isSupported', [
  z.object({ isSupported: z.literal(false) }),
  z.object({ isSupported: z.literal(true), seconds: z.number(), cpuMicros: z.number(), peakBytes: z.number() }),
])

export async function benchS3Client(): Promise<Part> {
  await using server = new Child('s3-process.ts')
  const { url: endpoint } = await server.ask(z.object({ url: z.string() }), {})
  const store = createS3Store({ bucket, region, endpoint, credentials })
  const folder = await mkdtemp(join(tmpdir(), 'keepsake-bench-s3-client-'))
  const present: S3SubjectName[] = []
  for (const name of names) if (await isInstalled(name)) present.push(name)
  try {
    const rows: Row[] = []
    const figures: unknown[] = []
    for (const task of await tasks(store, folder)) {
      const measured = await compare(task, present, endpoint, store)
      const peer = measured.get(measureOf)
      for (const [name, side] of measured) {
        rows.push(row(task.name, s3Subjects[name].title, side, peer))
        figures.push({ task: task.name, subject: name, ...side })
      }
    }
    const absent = names.filter((name) => !present.includes(name)).map((name) => s3Subjects[name].packageName)
    return {
      name: 's3-client',
      title: 'Putting and getting objects',
      rows,
      notes: [
        'Each client in a fresh process for each task, all against one embedded S3; medians over interleaved rounds after one to warm up, least to most in brackets.',
        'CPU is that of the client, user and system, for one request; memory is the peak of a round above the client that has done nothing yet (VmHWM of the round less VmRSS of the start).',
        'The SHA-256 that Keepsake sends is made in the measured time for 20 KB and 5 MB. That of the 200 MB is given, as Keepsake has it from the intake; the put takes it once more, and that of every part, and compares.',
        'Parts of 200 MB by each client with its own defaults: Keepsake 16 MiB, lib-storage 5 MiB, both four at a time; minio 64 MiB, one at a time.',
        ...(absent.length > 0 ? [`NOT measured, because not installed: ${absent.join(', ')}.`] : []),
      ],
      figures,
    }
  } finally {
    await store.close()
    await rm(folder, { recursive: true, force: true })
  }
}

async function tasks(store: ObjectStore, folder: string): Promise<Task[]> {
  const file = await writeFile(join(folder, 'large'), 200_000_000)
  const all: Task[] = []
  for (const [name, size, count, concurrency, rounds] of [
    ['20 KB', 20_000, 1_000, 16, 5],
    ['5 MB', 5_000_000, 8, 4, 3],
  ] as const) {
    const key = `get/${size}`
    const body = randomBytes(size)
    const sha256 = createHash('sha256').update(body).digest('hex')
    await store.put({ key, body, size, sha256, contentType: 'image/png' })
    all.push({ name: `PUT ${name}`, message: { task: 'put', size, count, concurrency }, count, rounds })
    all.push({ name: `GET ${name}`, message: { task: 'get', key, size, count, concurrency }, count, rounds })
  }
  all.push({
    name: 'PUT 200 MB in parts',
    message: { task: 'putLarge', file, count: 1, concurrency: 1 },
    count: 1,
    rounds: 5,
  })
  return all
}

async function writeFile(path: string, size: number): Promise<LargeFile> {
  const hash = createHash('sha256')
  const block = randomBytes(mebibyte)
  const file = await open(path, 'w')
  for (let at = 0; at < size; at += block.length) {
    const part = block.subarray(0, size - at)
    hash.update(part)
    await file.write(part)
  }
  await file.close()
  return { path, size, sha256: hash.digest('hex') }
}

async function compare(
  { message, count, rounds }: Task,
  names: readonly S3SubjectName[],
  endpoint: string,
  store: ObjectStore,
): Promise<Map<S3SubjectName, Side>> {
  const samples = new Map<S3SubjectName, Sample[]>()
  await using children = new AsyncDisposableStack()
  const entries = names.map((name) => {
    const env = { PATH: process.env.PATH, BENCH_SUBJECT: name, BENCH_S3_ENDPOINT: endpoint }
    return [name, children.use(new Child('s3-client-process.ts', { env }))] as const
  })
  for (let round = 0; round < warmUpRounds + rounds; round += 1) {
    // Whoever goes first in one round goes last in the next.
    for (const index of entries.keys()) {
      const entry = entries[(index + round) % entries.length]
      if (!entry) continue
      const [name, child] = entry
      const answer = await child.ask(answerSchema, message)
      await empty(store)
      if (!answer.isSupported || round < warmUpRounds) continue
      const { seconds, cpuMicros, peakBytes } = answer
      const sample = { perSecond: count / seconds, cpuMicros: cpuMicros / count, peakBytes }
      samples.set(name, [...(samples.get(name) ?? []), sample])
    }
  }
  const ordered = entries.flatMap(([name]) => (samples.has(name) ? [name] : []))
  return new Map(ordered.map((name) => [name, side(samples.get(name) ?? [])]))
}

function side(samples: readonly Sample[]): Side {
  return {
    perSecond: figure(samples.map(({ perSecond }) => perSecond)),
    cpuMillis: figure(samples.map(({ cpuMicros }) => cpuMicros / 1000)),
    peakMebibytes: figure(samples.map(({ peakBytes }) => peakBytes / mebibyte)),
  }
}

async function empty(store: ObjectStore): Promise<void> {
  const keys: string[] = []
  for await (const { key } of store.list()) if (!key.startsWith('get/')) keys.push(key)
  await store.delete(keys)
}

function row(task: string, title: string, side: Side, peer: Side | undefined): Row {
  const ratio = (of: (side: Side) => Figure) => (peer ? short(of(side).median / of(peer).median) : '')
  return {
    task,
    client: title,
    'requests/s': show(side.perSecond),
    'CPU ms': show(side.cpuMillis),
    'CPU of the SDK': ratio((one) => one.cpuMillis),
    'peak MiB': show(side.peakMebibytes),
    'peak of the SDK': ratio((one) => one.peakMebibytes),
  }
}
