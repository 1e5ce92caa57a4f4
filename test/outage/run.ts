import { parseArgs } from 'node:util'
import { startPostgres } from '../support/postgres.ts'
import { longestDrain, type OutageReport, runOutage } from './outage.ts'

/**
 * The outage test as a command: `npm run test:outage -- --seconds 60 --database both`. The bucket answers 503, dies, and
 * comes back slow, under steady imports and uploads; Keepsake is killed once in between. Nothing acknowledged may be lost,
 * and all that fell back must be in the bucket a minute after its return.
 */
const { values } = parseArgs({
  options: {
    /** Of each outage. */
    seconds: { type: 'string', default: '60' },
    'per-second': { type: 'string', default: '10' },
    /** `embedded` (PGlite), `postgres`, or `both`. */
    database: { type: 'string', default: 'embedded' },
    /** Keep the folder and the log, whatever comes of it. */
    keep: { type: 'boolean', default: false },
  },
})

const [seconds, perSecond] = [Number(values.seconds), Number(values['per-second'])]
const databases = values.database === 'both' ? ['embedded', 'postgres'] : [values.database]
if (!(seconds >= 1 && perSecond > 0) || databases.some((name) => name !== 'embedded' && name !== 'postgres')) {
  console.error(
    'Usage: npm run test:outage -- [--seconds 60] [--per-second 10] [--database embedded|postgres|both] [--keep]',
  )
  process.exit(2)
}

let passed = 0
let failed = 0
for (const database of databases) {
  const postgres = database === 'postgres' ? await startPostgres() : undefined
  try {
    print(database, await runOutage({ seconds, perSecond, databaseUrl: postgres?.url, keep: values.keep }))
  } catch (error) {
    failed += 1
    console.log(`${database}: the run did not come to its end: ${error instanceof Error ? error.stack : error}`)
  } finally {
    await postgres?.stop()
  }
}
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed > 0 ? 1 : 0)

function print(database: string, { rows, drained, fellBack, findings, folder }: OutageReport): void {
  console.log(`${database}: ${seconds} s of each outage, ${perSecond} a second, every fifth a direct upload`)
  const head = ['phase', 'stored', 'on disk', 'retries', 'p50 ms', 'p95 ms', 'max ms', 'readyz']
  const lines = rows.map(({ phase, stored, local, retries, latency, readiness }) => [
    phase,
    `${stored}`,
    `${local}`,
    `${retries}`,
    ...[0.5, 0.95, 1].map((share) => (latency[Math.ceil(share * latency.length) - 1] ?? 0).toFixed(0)),
    readiness,
  ])
  const widths = head.map((name, column) => Math.max(...[head, ...lines].map((line) => (line[column] ?? name).length)))
  for (const line of [head, ...lines]) {
    console.log(
      `  ${line.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  ')}`,
    )
  }
  console.log(
    `  ${fellBack} fell back; all in the bucket ${drained.toFixed(1)} s after its return (at most ${longestDrain})`,
  )
  for (const [name, list] of Object.entries(findings)) {
    if (list.length === 0) passed += 1
    else failed += 1
    console.log(`  ${name.padEnd(42)}${list.length}`)
    for (const finding of list.slice(0, 5)) console.log(`    ${finding}`)
  }
  if (folder !== undefined) console.log(`  data folder and log are left in ${folder}`)
}
