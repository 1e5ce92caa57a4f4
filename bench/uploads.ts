import { z } from 'zod'
import { startPostgres } from '../test/support/postgres.ts'
import { Child } from './child.ts'
import { type Figure, figure, short, show } from './figure.ts'
import type { Part, Row } from './report.ts'

type Case = {
  readonly name: string
  readonly work: 'ticket' | 'upload'
  readonly actor: 'service' | 'user'
  readonly count: number
  readonly concurrency: number
  readonly size: number
}

const size = 20_000
const cases: readonly Case[] = [
  { name: 'ticket, as the service', work: 'ticket', actor: 'service', count: 400, concurrency: 1, size },
  { name: 'ticket, as the service', work: 'ticket', actor: 'service', count: 1000, concurrency: 16, size },
  { name: 'ticket, as a user', work: 'ticket', actor: 'user', count: 400, concurrency: 1, size },
  { name: 'ticket, as a user', work: 'ticket', actor: 'user', count: 1000, concurrency: 16, size },
  { name: 'ticket, PUT, complete: service', work: 'upload', actor: 'service', count: 100, concurrency: 1, size },
  { name: 'ticket, PUT, complete: service', work: 'upload', actor: 'service', count: 300, concurrency: 16, size },
  { name: 'ticket, PUT, complete: user', work: 'upload', actor: 'user', count: 300, concurrency: 16, size },
]
const rounds = 5
const warmUpRounds = 1

const roundSchema = z.object({
  seconds: z.number(),
  cpuMicros: z.number(),
  statements: z.number(),
  roundTrips: z.number(),
  transactions: z.number(),
})

/** Direct uploads on PostgreSQL: how fast tickets are given and small files get in, and what each asks of the database. */
export async function benchUploads(): Promise<Part> {
  await using s3 = new Child('s3-process.ts')
  const { url: endpoint } = await s3.ask(z.object({ url: z.string() }), {})
  const postgres = await startPostgres()
  const child = new Child('upload-subject.ts', {
    env: { PATH: process.env.PATH, BENCH_S3_ENDPOINT: endpoint, DATABASE_URL: postgres.url },
  })
  try {
    const figures: unknown[] = []
    const rows: Row[] = []
    for (const test of cases) {
      const perSecond: number[] = []
      const cpuMicros: number[] = []
      const asked: z.infer<typeof roundSchema>[] = []
      for (let round = 0; round < warmUpRounds + rounds; round += 1) {
        const found = await child.ask(roundSchema, test)
        if (round < warmUpRounds) continue
        perSecond.push(test.count / found.seconds)
        cpuMicros.push(found.cpuMicros / test.count)
        asked.push(found)
      }
      const statements = figure(asked.map((one) => one.statements))
      const roundTrips = figure(asked.map((one) => one.roundTrips))
      const measured = { ...test, perSecond: figure(perSecond), cpuMicros: figure(cpuMicros), statements, roundTrips }
      figures.push(measured)
      rows.push(row(measured, figure(asked.map((one) => one.transactions))))
    }
    return {
      name: 'uploads',
      title: 'Direct uploads, on PostgreSQL',
      rows,
      notes: [
        `A file of ${short(size)} bytes. Keepsake's library in a process of its own; the S3 server (embedded S3, fsync on) and PostgreSQL in others. All on one machine.`,
        'A ticket: the checks, one row with quota, idempotency, key and audit in one statement, and a signed PUT. An upload: ticket, PUT, and complete, which reads the object, sniffs, hashes and measures it.',
        'Statements and round trips are counted at the driver. As a user, each transaction opens with begin, set role and set_config in one round trip, and ends with commit.',
        'To the store go one PUT by the client and one GET by the server. The known peer needs 14 statements in 3 transactions, a PUT and a HEAD, and does not read the content.',
        "CPU is the library process's own, user and system; for uploads the client's PUT is in it.",
      ],
      figures,
    }
  } finally {
    await child[Symbol.asyncDispose]()
    await postgres.stop()
  }
}

type Measured = Case & { perSecond: Figure; cpuMicros: Figure; statements: Figure; roundTrips: Figure }

function row({ name, concurrency, perSecond, cpuMicros, statements, roundTrips }: Measured, transactions: Figure): Row {
  return {
    work: name,
    'at once': concurrency,
    'per second': show(perSecond),
    'CPU µs each': show(cpuMicros),
    statements: short(statements.median),
    'round trips': short(roundTrips.median),
    'begin … commit': short(transactions.median),
  }
}
