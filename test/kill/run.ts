import { parseArgs } from 'node:util'
import { startPostgres } from '../support/postgres.ts'
import { type Report, runKills } from './kills.ts'

/**
 * The kill test as a command: `npm run test:kill -- --kills 100 --database both`. It kills a serving Keepsake with
 * SIGKILL at random points under load, and then looks whether anything that was acknowledged is not so.
 */
const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    /** `embedded` (PGlite), `postgres`, or `both`. The bucket is the embedded S3 either way. */
    database: { type: 'string', default: 'both' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    /** Keep the data folder and the log, whatever comes of it. */
    keep: { type: 'boolean', default: false },
  },
})

const kills = Number(values.kills)
const databases = values.database === 'both' ? ['embedded', 'postgres'] : [values.database]
if (!Number.isInteger(kills) || kills < 1 || databases.some((name) => name !== 'embedded' && name !== 'postgres')) {
  console.error('Usage: npm run test:kill -- [--kills 100] [--database embedded|postgres|both] [--seed n] [--keep]')
  process.exit(2)
}

let passed = 0
let failed = 0
for (const database of databases) {
  const postgres = database === 'postgres' ? await startPostgres() : undefined
  try {
    const report = await runKills({ kills, seed: Number(values.seed), databaseUrl: postgres?.url, keep: values.keep })
    print(database, report)
  } catch (error) {
    failed += 1
    console.log(`${database}: the run did not come to its end: ${error instanceof Error ? error.message : error}`)
  } finally {
    await postgres?.stop()
  }
}
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed > 0 ? 1 : 0)

function print(database: string, { facts, findings, folder }: Report): void {
  console.log(`${database}, seed ${values.seed}`)
  for (const [name, fact] of Object.entries(facts)) console.log(`  ${name.padEnd(32)}${fact}`)
  for (const [name, list] of Object.entries(findings)) {
    if (list.length === 0) passed += 1
    else failed += 1
    console.log(`  ${name.padEnd(32)}${list.length}`)
    for (const finding of list.slice(0, 5)) console.log(`    ${finding}`)
  }
  if (folder !== undefined) console.log(`  data folder and log are left in ${folder}`)
}
