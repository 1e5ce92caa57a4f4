import { type ChildProcess, fork } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { FaultProxy } from '../support/fault-proxy.ts'
import { freePort } from '../support/listen.ts'
import { Serving } from '../support/serving.ts'
import { type Kept, type Latency, Load } from './load.ts'

export type OutageOptions = {
  /** Of each of the two outages; the other phases are shorter. */
  readonly seconds: number
  readonly perSecond: number
  /** Without it, PGlite. */
  readonly databaseUrl: string | undefined
  readonly keep: boolean
}

export type PhaseRow = {
  readonly phase: string
  readonly began: number
  readonly stored: number
  readonly local: number
  readonly retries: number
  readonly latency: readonly number[]
  readonly readiness: string
}

export type OutageReport = {
  readonly rows: readonly PhaseRow[]
  /** Seconds from the bucket's return until nothing was left on the disk. */
  readonly drained: number
  readonly fellBack: number
  readonly findings: Readonly<Record<string, readonly string[]>>
  readonly folder: string | undefined
}

/** Seconds that the disk may take to be drained. */
export const longestDrain = 60
/** Seconds that a start may take, on a machine that is busy with other things. */
const startSeconds = 180
const bucket = 'outage'
const assetSchema = z.looseObject({
  state: z.string(),
  store: z.string(),
  sha256: z.string().nullable(),
  url: z.string().nullable(),
})

/** A bucket that answers 503, dies, and comes back slow, under a serving Keepsake that is killed once itself. */
export async function runOutage({ seconds, perSecond, databaseUrl, keep }: OutageOptions): Promise<OutageReport> {
  const folder = await mkdtemp(join(tmpdir(), 'keepsake-outage-'))
  const apiKey = randomBytes(24).toString('base64url')
  const credentials = { accessKeyId: 'OUTAGEKEY', secretAccessKey: randomBytes(24).toString('base64url') }
  const [port, primaryPort] = [await freePort(), await freePort()]
  const startPrimary = () => Primary.start({ dir: join(folder, 'primary'), port: primaryPort, bucket, credentials })
  let primary = await startPrimary()
  const proxy = await FaultProxy.open(primaryPort)
  const url = `http://127.0.0.1:${port}`
  const serving = {
    url,
    log: join(folder, 'serve.log'),
    environment: {
      HOST: '127.0.0.1',
      PORT: `${port}`,
      KEEPSAKE_DATA_DIR: join(folder, 'data'),
      KEEPSAKE_API_KEY: apiKey,
      KEEPSAKE_FALLBACK: 'true',
      KEEPSAKE_FALLBACK_MIN_FREE: '100 MB',
      S3_BUCKET_NAME: bucket,
      S3_ENDPOINT: proxy.url,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
    },
  }
  const load = new Load(url, apiKey)
  const watch = new Watch(url, apiKey, load)
  let server = Serving.start(serving)
  let clean = false
  try {
    await server.ready(startSeconds)
    const short = Math.max(2, seconds / 6)
    const phases: string[] = []
    const phase = async (name: string, lasts: number, begin: () => Promise<void>) => {
      load.phase = name
      phases.push(name)
      await begin()
      await delay(lasts * 1000)
    }
    load.phase = 'all is well'
    const running = load.run(perSecond)
    const watching = watch.run()
    await phase('all is well', short, async () => {})
    await phase('the bucket answers 503', seconds, () => proxy.set('unavailable'))
    await phase('the bucket is dead', seconds, async () => {
      await primary.kill()
      await proxy.set('refusing')
    })
    await phase('… and Keepsake is killed', short, async () => {
      await server.kill()
      server = Serving.start(serving)
      await server.ready(startSeconds)
    })
    let returned = 0
    let drained = Number.POSITIVE_INFINITY
    await phase('it is back, and slow', 0, async () => {
      primary = await startPrimary()
      await proxy.set('slow')
      returned = performance.now()
      await watch.drained(returned, longestDrain * 2)
      drained = (performance.now() - returned) / 1000
      await delay(Math.max(0, short * 1000 - (performance.now() - returned)))
    })
    await phase('all is well again', short, () => proxy.set('none'))
    await load.end()
    await Promise.all([running, watch.stop(), watching])
    const findings = {
      'acknowledged and lost': await lost(url, apiKey, load.kept),
      'given up by its client': load.refused,
      'not drained in time': drained <= longestDrain ? [] : [`after ${drained.toFixed(1)} s of ${longestDrain} s`],
      'nothing fell back': load.kept.some(({ store }) => store === 'local') ? [] : ['the outage was none'],
      'said to be down while the disk took over': watch.wrong,
      'ended badly': (await server.stop()) === 0 ? [] : ['the server did not stop with exit code 0'],
    }
    clean = Object.values(findings).every((list) => list.length === 0)
    const rows = phases.map((name) => rowOf(name, load, watch))
    const fellBack = load.kept.filter(({ store }) => store === 'local').length
    return { rows, drained, fellBack, findings, folder: keep || !clean ? folder : undefined }
  } finally {
    await load.end()
    await watch.stop()
    await server.kill()
    await primary.kill()
    await proxy.close()
    if (clean && !keep) await rm(folder, { recursive: true, force: true })
  }
}

function rowOf(phase: string, { kept, latencies, retries }: Load, { seen }: Watch): PhaseRow {
  const ofPhase = kept.filter((it) => it.phase === phase)
  const latency = latencies.filter((it: Latency) => it.phase === phase).map(({ millis }) => millis)
  return {
    phase,
    began: latency.length,
    stored: ofPhase.length,
    local: ofPhase.filter(({ store }) => store === 'local').length,
    retries: retries.get(phase) ?? 0,
    latency: latency.sort((a, b) => a - b),
    readiness: [...(seen.get(phase) ?? [])].join(', '),
  }
}

/** Looks at everything that was acknowledged: the row, and the bytes behind its link. */
async function lost(url: string, apiKey: string, kept: readonly Kept[]): Promise<string[]> {
  const found: string[] = []
  const queue = kept.values()
  const look = async () => {
    for (const { id, sha256, phase } of queue) {
      const response = await fetch(`${url}/v1/assets/${id}`, { headers: { authorization: `Bearer ${apiKey}` } })
      const asset = assetSchema.parse(await response.json())
      const body = Buffer.from(await (await fetch(asset.url ?? '')).arrayBuffer())
      const hash = createHash('sha256').update(body).digest('hex')
      const right = asset.state === 'stored' && asset.store === 'primary' && asset.sha256 === sha256 && hash === sha256
      if (!right) found.push(`${id}, of '${phase}', is ${asset.state} in ${asset.store}, ${body.length} bytes`)
    }
  }
  await Promise.all(Array.from({ length: 8 }, look))
  return found
}

/** Asks a serving Keepsake how it is, twice a second. */
class Watch {
  readonly seen = new Map<string, Set<string>>()
  readonly wrong: string[] = []
  readonly #url: string
  readonly #apiKey: string
  readonly #load: Load
  #running = true

  constructor(url: string, apiKey: string, load: Load) {
    this.#url = url
    this.#apiKey = apiKey
    this.#load = load
  }

  async run(): Promise<void> {
    while (this.#running) {
      const { phase } = this.#load
      const status = await this.#readiness()
      // Asked in one phase and answered in another, or killed meanwhile, it says nothing.
      if (phase === this.#load.phase) {
        this.seen.set(phase, (this.seen.get(phase) ?? new Set()).add(status))
        const isUp = status === 'ok' || status === 'degraded' || phase.includes('killed')
        if (!isUp) this.wrong.push(`${status} in '${phase}'`)
      }
      await delay(500)
    }
  }

  async stop(): Promise<void> {
    this.#running = false
  }

  async #readiness(): Promise<string> {
    const answer = await fetch(`${this.#url}/readyz`).then(
      (response) => response.json(),
      () => ({ status: 'no answer' }),
    )
    return z.looseObject({ status: z.string() }).parse(answer).status
  }

  /** Until nothing waits in a local store. */
  async drained(since: number, seconds: number): Promise<void> {
    while (performance.now() - since < seconds * 1000) {
      const response = await fetch(`${this.#url}/metrics`, { headers: { authorization: `Bearer ${this.#apiKey}` } })
      const waiting = /^keepsake_local_assets\{.*\} (\d+)/m.exec(await response.text())?.[1] ?? '0'
      if (waiting === '0') return
      await delay(100)
    }
  }
}

class Primary {
  readonly #child: ChildProcess
  readonly #exit: Promise<unknown>

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#exit = new Promise((done) => child.once('exit', done))
  }

  static async start(task: object): Promise<Primary> {
    const child = fork(resolve(import.meta.dirname, 'primary.ts'), {
      execArgv: ['--disable-warning=ExperimentalWarning'],
    })
    const primary = new Primary(child)
    const listening = new Promise((done) => child.once('message', done))
    child.send(task)
    const failed = primary.#exit.then(() => {
      throw new Error('The bucket ended before it listened.')
    })
    await Promise.race([listening, failed])
    failed.catch(() => {})
    return primary
  }

  /** SIGKILL, as a machine dies. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exit
  }
}
