import { readdir, readFile } from 'node:fs/promises'
import pg from 'pg'
import { z } from 'zod'
import { createS3Store } from '../src/stores/index.ts'
import { type PostgresServer, startPostgres } from '../test/support/postgres.ts'
import { bucket, credentials, region } from './bucket.ts'
import { Child } from './child.ts'
import { type Figure, figure, short, show } from './figure.ts'
import type { Part, Row } from './report.ts'

type Case = {
  readonly name: string
  readonly size: number
  readonly concurrency: number
  readonly count: number
  readonly rounds: number
}

const cases: readonly Case[] = [
  { name: '20 KB', size: 20_000, concurrency: 1, count: 60, rounds: 7 },
  { name: '20 KB', size: 20_000, concurrency: 16, count: 240, rounds: 7 },
  { name: '50 MB', size: 50_000_000, concurrency: 1, count: 2, rounds: 5 },
  { name: '50 MB', size: 50_000_000, concurrency: 4, count: 4, rounds: 5 },
]
const warmUpRounds = 1
/** The peer is the first. */
const subjects = [
  { name: 'script', title: 'fetch, arrayBuffer, AWS SDK PutObject' },
  { name: 'pglite', title: 'Keepsake, PGlite' },
  { name: 'postgres', title: 'Keepsake, PostgreSQL' },
] as const

const roundSchema = z.object({ seconds: z.number(), cpuMicros: z.number() })
const clockTicksPerSecond = 100

type Sample = { readonly perSecond: number; readonly cpuMicros: number; readonly databaseCpuMicros: number }

/** How fast sources behind a URL get into the bucket: Keepsake beside the script that one would write by hand. */
export async function benchImport(): Promise<Part> {
  await using source = new Child('source-process.ts')
  await using s3 = new Child('s3-process.ts')
  const { port } = await source.ask(z.object({ port: z.number() }), {})
  const { url: endpoint } = await s3.ask(z.object({ url: z.string() }), {})
  const postgres = await startPostgres()
  const database = await postgresProcesses(postgres)
  const store = createS3Store({ bucket, region, endpoint, credentials })
  const env = (subject: string) => ({
    PATH: process.env.PATH,
    BENCH_SUBJECT: subject,
    BENCH_ALLOW_HOST: `127.0.0.1:${port}`,
    BENCH_S3_ENDPOINT: endpoint,
    ...(subject === 'postgres' ? { DATABASE_URL: postgres.url } : {}),
  })
  const children = subjects.map(({ name }) => new Child('import-subject.ts', { env: env(name) }))
  try {
    const rows: Row[] = []
    const figures: unknown[] = []
    for (const test of cases) {
      const samples = new Map<Child, Sample[]>(children.map((child) => [child, []]))
      for (let round = 0; round < warmUpRounds + test.rounds; round += 1) {
        // Whoever goes first in one round goes last in the next.
        const order = children.map((_, index) => children[(index + round) % children.length])
        for (const child of order) {
          if (child === undefined) continue
          const { concurrency, count, size } = test
          const before = await database()
          const { seconds, cpuMicros } = await child.ask(roundSchema, {
            source: `http://127.0.0.1:${port}/${size}`,
            count,
            concurrency,
          })
          const databaseCpuMicros = child === children[2] ? ((await database()) - before) / count : 0
          if (round >= warmUpRounds) {
            samples.get(child)?.push({ perSecond: count / seconds, cpuMicros: cpuMicros / count, databaseCpuMicros })
          }
          if (size > 1_000_000) await empty(store)
        }
      }
      const measured = children.map((child, index) => ({
        ...test,
        subject: subjects[index]?.title ?? '',
        perSecond: figure((samples.get(child) ?? []).map(({ perSecond }) => perSecond)),
        cpuMicros: figure((samples.get(child) ?? []).map(({ cpuMicros }) => cpuMicros)),
        databaseCpuMicros: figure((samples.get(child) ?? []).map((sample) => sample.databaseCpuMicros)),
      }))
      figures.push(...measured)
      const [peer] = measured
      for (const one of measured) rows.push(row(one, peer ?? one))
    }
    return {
      name: 'import',
      title: 'Import of a URL into the bucket',
      rows,
      notes: [
        'Each side in a process of its own; the source, the S3 server (embedded S3, fsync on) and PostgreSQL in others. All on one machine.',
        'Medians over interleaved rounds, least to most in brackets. Ratios are to the script; above 1 is faster, for CPU above 1 is more.',
        'The script does nothing else. Keepsake checks the address, limits and sniffs the bytes, hashes them (SHA-256), writes the row, its audit and the URL that it answers with.',
        "CPU is the process's own, user and system. PGlite runs inside of Keepsake's; what PostgreSQL's processes took stands after the plus (from /proc, in ticks of 10 ms).",
      ],
      figures,
    }
  } finally {
    for (const child of children) await child[Symbol.asyncDispose]()
    await store.close()
    await postgres.stop()
  }
}

type Measured = Case & { subject: string; perSecond: Figure; cpuMicros: Figure; databaseCpuMicros: Figure }

function row(
  { name, concurrency, size, subject, perSecond, cpuMicros, databaseCpuMicros }: Measured,
  peer: Measured,
): Row {
  const database = databaseCpuMicros.median > 0 ? ` + ${short(databaseCpuMicros.median)}` : ''
  return {
    source: name,
    'at once': concurrency,
    side: subject,
    'imports/s': show(perSecond),
    'MB/s': short((perSecond.median * size) / 1_000_000),
    ratio: short(perSecond.median / peer.perSecond.median),
    'CPU µs/import': show(cpuMicros) + database,
    'CPU ratio': short(cpuMicros.median / peer.cpuMicros.median),
  }
}

async function empty(store: ReturnType<typeof createS3Store>): Promise<void> {
  const keys: string[] = []
  for await (const { key } of store.list()) keys.push(key)
  await store.delete(keys)
}

/** A reader of the CPU time (microseconds) that the server's processes have used: its own, and of those it started. */
async function postgresProcesses({ url }: PostgresServer): Promise<() => Promise<number>> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query('select pg_backend_pid() as pid')
  const { pid } = z.object({ pid: z.number() }).parse(rows[0])
  const postmaster = (await processTimes(pid))?.parent
  await client.end()
  return async () => {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
    const all = await Promise.all(pids.map(processTimes))
    const own = all.filter((times) => times !== undefined && (times.pid === postmaster || times.parent === postmaster))
    const ticks = own.reduce((sum, times) => sum + (times?.ticks ?? 0), 0)
    return (ticks / clockTicksPerSecond) * 1_000_000
  }
}

/** proc(5): after the name in brackets, ppid is the 2nd field, utime, stime and those of ended children from the 12th. */
async function processTimes(pid: number): Promise<{ pid: number; parent: number; ticks: number } | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  if (stat === undefined) return undefined
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const ticks = fields.slice(11, 15).reduce((sum, value) => sum + value, 0)
  return { pid, parent: fields[1] ?? 0, ticks }
}
