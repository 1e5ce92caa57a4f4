import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../support/listen.ts'
import { Serving } from '../support/serving.ts'
import { Client } from './client.ts'
import { inspect } from './inspection.ts'
import { type Findings, judgeAnswers, judgeRemains } from './judge.ts'
import { Ledger } from './ledger.ts'
import { Load } from './load.ts'
import { seededRandom } from './random.ts'
import { Sources } from './sources.ts'

export type KillsOptions = {
  readonly kills: number
  readonly seed: number
  /** Without it, the embedded default. */
  readonly databaseUrl: string | undefined
  readonly keep: boolean
}

export type Report = {
  readonly facts: Readonly<Record<string, string | number>>
  readonly findings: Findings
  /** Where the data folder and the log are, if they were kept. */
  readonly folder: string | undefined
}

/** The part of the kills that hit a server that is still starting. */
const whileStarting = 0.15
/** Milliseconds under load before a kill, at most. */
const longestLife = 1500
/** Past every lease. */
const soon = '1 minute'
/** Past every watch, and short of a day, after which imports are given up. */
const later = '8 hours'
/** Past the watch of what was retired then. */
const muchLater = '16 hours'

/** Kills a serving Keepsake under load, again and again on the same folder; then looks at what is left. */
export async function runKills({ kills, seed, databaseUrl, keep }: KillsOptions): Promise<Report> {
  const started = performance.now()
  const random = seededRandom(seed)
  const folder = await mkdtemp(join(tmpdir(), 'keepsake-kill-'))
  const dataDir = join(folder, 'data')
  const sources = await Sources.start()
  const port = await freePort()
  const apiKey = randomBytes(24).toString('base64url')
  const url = `http://127.0.0.1:${port}`
  const serving = {
    url,
    log: join(folder, 'serve.log'),
    environment: {
      HOST: '127.0.0.1',
      PORT: `${port}`,
      KEEPSAKE_DATA_DIR: dataDir,
      KEEPSAKE_API_KEY: apiKey,
      KEEPSAKE_IMPORT_ALLOW_HOSTS: sources.host,
      ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
    },
  }
  const ledger = new Ledger()
  const client = new Client(url, apiKey)
  const inspection = inspect(dataDir, databaseUrl)
  let server: Serving | undefined
  let clean = false
  try {
    const load = new Load({ client, sources, ledger, random })
    const startTimes: number[] = []
    let killedStarting = 0
    for (let kill = 0; kill < kills; kill += 1) {
      server = Serving.start(serving)
      const begun = performance.now()
      // The first starts make the database and the bucket: some of the kills must hit that too.
      const known = startTimes.at(-1)
      if (kill < Math.min(3, kills / 10) || (known !== undefined && random() < whileStarting)) {
        await delay(random() * (known ?? 3000))
        killedStarting += 1
      } else {
        await server.ready()
        startTimes.push(performance.now() - begun)
        await delay(random() * longestLife)
      }
      if (!(await server.kill())) ledger.violations.push(`the server ended by itself before kill ${kill + 1}`)
    }

    // From here on the world is well, and all that was begun comes to its end.
    sources.heal()
    await inspection.moveClock(soon)
    server = Serving.start(serving)
    await server.ready()
    await load.end(90)
    await server.kill()
    await inspection.moveClock(later)
    server = Serving.start(serving)
    await server.ready()
    const settled = await settle(client, 90)
    const answers = await judgeAnswers(client, ledger)
    const exitCode = await server.stop()
    if (exitCode !== 0) ledger.violations.push(`the server ended with exit code ${exitCode} after SIGTERM`)
    await inspection.moveClock(muchLater)
    for (let starts = 0; starts < 3 && (await inspection.catalogue()).retiredKeys.length > 0; starts += 1) {
      server = Serving.start(serving)
      await server.ready()
      await delay(1000)
      await server.stop()
    }
    const remains = await judgeRemains(inspection, ledger)

    const findings: Findings = {
      ...remains,
      lost: [...answers.lost, ...remains.lost],
      wrong: [...answers.wrong, ...remains.wrong],
      forsaken: answers.forsaken,
      undead: [...answers.undead, ...remains.undead],
      stuck: settled ? remains.stuck : ['assets were still pending or deleting after 90 s', ...remains.stuck],
      leftovers: await spooled(dataDir),
      violations: ledger.violations,
    }
    clean = Object.values(findings).every((list) => list.length === 0)
    const facts = {
      kills: `${kills} (${killedStarting} while starting)`,
      'imports acknowledged': ledger.counts.imports,
      'imports told to be pending': ledger.counts.pending,
      'imports refused': ledger.counts.refused,
      'deletes acknowledged': ledger.counts.deletes,
      retries: ledger.counts.retries,
      lists: ledger.counts.lists,
      'start to ready': `${Math.round(median(startTimes))} ms (median)`,
      took: `${Math.round((performance.now() - started) / 1000)} s`,
    }
    return { facts, findings, folder: clean && !keep ? undefined : folder }
  } finally {
    await server?.kill()
    sources.close()
    if (clean && !keep) await rm(folder, { recursive: true, force: true })
  }
}

/** Waits until nothing is pending or deleting. */
async function settle(client: Client, seconds: number): Promise<boolean> {
  const until = performance.now() + seconds * 1000
  while (performance.now() < until) {
    const states = await client.states()
    if (states?.get('pending') === 0 && states.get('deleting') === 0) return true
    await delay(200)
  }
  return false
}

/** Files of imports that were under way when the server was killed. */
async function spooled(dataDir: string): Promise<string[]> {
  const entries = await readdir(join(dataDir, 'spool'), { recursive: true }).catch(() => [])
  return entries.filter((name) => name !== 'gate.lock').map((name) => `spool/${name}`)
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
