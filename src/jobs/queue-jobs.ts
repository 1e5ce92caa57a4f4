import { setTimeout as sleep } from 'node:timers/promises'
import type { PGlite } from '@electric-sql/pglite'
import { type ConstructorOptions, type Job, PgBoss } from 'pg-boss'
import { z } from 'zod'
import { type Logger, silentLogger } from '../logger.ts'
import { KeepsakeError, newAssetId } from '../media/index.ts'
import { Alarms } from './alarms.ts'
import type { JobHandlers, Jobs, ScheduledWork } from './jobs.ts'
import { type Lead, PostgresLead, SoleLead } from './lead.ts'
import { pgliteConnection } from './pglite-connection.ts'
import { Scheduler } from './scheduler.ts'
import { Sweeper } from './sweeper.ts'
import { within } from './within.ts'
import { WorkPool } from './work-pool.ts'

export type JobsOptions = {
  readonly database:
    | { readonly kind: 'postgres' /** A secret. */; readonly connectionString: string }
    | { readonly kind: 'pglite' /** Stays the caller's: stop the jobs before closing it. */; readonly pglite: PGlite }
  readonly logger?: Pick<Logger, 'warn' | 'error'>
  /** Seconds between sweeps. Default: 30. */
  readonly sweepEverySeconds?: number
  /** Assets that this process settles at the same time. Default: 4. */
  readonly concurrency?: number
  /** Whether anything will be scheduled: without, this process runs no clock for it. Default: false. */
  readonly schedules?: boolean
  /** Seconds between looks at what is scheduled, 1 to 45. Default: 45. */
  readonly scheduleEverySeconds?: number
}

const queue = 'settle'
const schema = 'keepsake_jobs'
const nudgeData = z.object({ asset: z.string() })

/** How long a nudge waits for the queue, in milliseconds. */
const patience = 5000
/** Milliseconds between two looks at one job. */
const longestLook = 200

/**
 * Jobs on pg-boss, in the schema `keepsake_jobs` of the catalogue's database. Other processes on the same database
 * share the work.
 *
 * A nudge is worked some milliseconds after it was sent (NOTIFY), a delayed one within a tenth of a second of its time
 * in the process that sent it, and at the latest `sweepEverySeconds` later in any other.
 *
 * @throws {KeepsakeError} `catalogue_unavailable` where the database does not answer.
 */
export async function createJobs(options: JobsOptions): Promise<Jobs> {
  const { database } = options
  const logger = options.logger ?? silentLogger
  const every = options.scheduleEverySeconds ?? 45
  const boss = new PgBoss({
    ...bossOptions,
    ...connection(database),
    schedule: options.schedules ?? false,
    cronMonitorIntervalSeconds: every,
    cronWorkerIntervalSeconds: every,
  })
  boss.on('error', (error) => logger.warn({ err: error }, 'The job queue has a problem and goes on.'))
  boss.on('warning', ({ message }) => logger.warn({ about: message }, 'The job queue warns.'))
  try {
    await boss.start()
    await boss.createQueue(queue, queueOptions)
  } catch (error) {
    await boss.stop({ graceful: false }).catch(() => {})
    throw new KeepsakeError('catalogue_unavailable', 'The job queue in the catalogue database cannot be opened.', {
      cause: error,
    })
  }
  const leadFor = (work: string): Lead =>
    database.kind === 'postgres' ? new PostgresLead(database.connectionString, work) : new SoleLead()
  const scheduler = options.schedules ? new Scheduler(boss, leadFor, logger) : undefined
  const { sweepEverySeconds = 30, concurrency = 4 } = options
  return new QueueJobs(boss, leadFor('sweep'), logger, sweepEverySeconds, concurrency, scheduler)
}

/** Nothing here needs to be quick: NOTIFY wakes, alarms wake, the sweep is the safety net. So an idle process is idle. */
const bossOptions = {
  schema,
  application_name: 'keepsake jobs',
  useListenNotify: true,
  superviseIntervalSeconds: 300,
  monitorIntervalSeconds: 300,
  maintenanceIntervalSeconds: 300,
  queueCacheIntervalSeconds: 300,
  flowIntervalSeconds: 3600,
  bamIntervalSeconds: 3600,
  monitorVacuum: false,
} satisfies ConstructorOptions

const queueOptions = {
  notify: true,
  // One waiting nudge for each singleton key; see #insert.
  policy: 'short',
  // A retry is only for a process that stopped in between; what failed is the asset row's to remember.
  retryLimit: 1,
  retryDelay: 0,
  expireInSeconds: 3600,
  deleteAfterSeconds: 60,
} as const

function connection(database: JobsOptions['database']): ConstructorOptions {
  if (database.kind === 'postgres') return { connectionString: database.connectionString, max: 3 }
  // An index of a handful of rows needs no rebuilding, and PGlite could not do it CONCURRENTLY.
  return { db: pgliteConnection(database.pglite), backend: 'pglite', reindex: false }
}

type Nudge = { readonly asset: string; readonly afterSeconds: number; readonly done: () => void }

class QueueJobs implements Jobs {
  readonly #boss: PgBoss
  readonly #lead: Lead
  readonly #scheduler: Scheduler | undefined
  readonly #logger: Pick<Logger, 'warn' | 'error'>
  readonly #sweepEverySeconds: number
  readonly #concurrency: number
  readonly #alarms: Alarms
  #outbox: Nudge[] = []
  #sending = false
  #working: { readonly worker: string; readonly pool: WorkPool; readonly sweeper: Sweeper } | undefined
  #stopped: Promise<void> | undefined

  constructor(
    boss: PgBoss,
    lead: Lead,
    logger: Pick<Logger, 'warn' | 'error'>,
    sweepEverySeconds: number,
    concurrency: number,
    scheduler: Scheduler | undefined,
  ) {
    this.#boss = boss
    this.#scheduler = scheduler
    this.#lead = lead
    this.#logger = logger
    this.#sweepEverySeconds = sweepEverySeconds
    this.#concurrency = concurrency
    this.#alarms = new Alarms(() => {
      if (this.#working) this.#boss.notifyWorker(this.#working.worker)
    })
  }

  nudge(asset: string, afterSeconds = 0): Promise<void> {
    return new Promise((done) => {
      this.#outbox.push({ asset, afterSeconds: Math.max(0, afterSeconds), done })
      void this.#send()
    })
  }

  async start(handlers: JobHandlers): Promise<void> {
    if (this.#working || this.#stopped) throw new KeepsakeError('internal', 'Jobs can be started once.')
    const pool = new WorkPool(this.#concurrency, async (asset, signal) => {
      try {
        await handlers.settle(asset, signal)
      } catch (error) {
        this.#logger.warn({ err: error, asset }, 'An asset could not be settled now; the sweep comes back to it.')
      }
    })
    const sweeper = new Sweeper(handlers.sweep, this.#lead, this.#sweepEverySeconds, this.#logger)
    const polling = Math.max(0.5, Math.min(2, this.#sweepEverySeconds))
    const worker = await this.#boss.work(
      queue,
      {
        // As many as may run: so few wait here, while another process could take them.
        batchSize: Math.max(2, this.#concurrency),
        burstWhenBatchFull: true,
        pollingIntervalSeconds: polling,
        notifyPollingIntervalSeconds: Math.max(polling, this.#sweepEverySeconds),
      },
      // A job is done once its work has begun, so that a slow asset holds nobody up: the truth is the asset row.
      async (jobs: Job<unknown>[]) => {
        for (const job of jobs) {
          const data = nudgeData.safeParse(job.data)
          if (data.success) await pool.take(data.data.asset)
        }
      },
    )
    this.#working = { worker, pool, sweeper }
    sweeper.start()
  }

  async schedule(name: string, cron: string, work: ScheduledWork): Promise<void> {
    if (!this.#scheduler) throw new KeepsakeError('internal', 'These jobs were opened without schedules.')
    if (!this.#working || this.#stopped) throw new KeepsakeError('internal', 'Jobs that do not run take no schedule.')
    await this.#scheduler.add(name, cron, work, this.#sweepEverySeconds)
  }

  async check(signal: AbortSignal): Promise<number> {
    const started = performance.now()
    try {
      const asset = newAssetId()
      // With a key of its own, as every nudge: one without a key is not taken while an earlier check's still waits.
      const id = await this.#boss.send(queue, { asset }, { singletonKey: asset })
      for (let pause = 5; id !== null; pause = Math.min(pause * 2, longestLook)) {
        const job = await this.#boss.getJobById(queue, id)
        if (job === null || job.state === 'completed') return Math.round(performance.now() - started)
        await sleep(pause, undefined, { signal })
      }
      throw new KeepsakeError('catalogue_unavailable', 'The job queue did not take a job.')
    } catch (error) {
      if (signal.aborted)
        throw new KeepsakeError('timeout', 'Nobody worked a job of the queue in time.', { cause: error })
      if (error instanceof KeepsakeError) throw error
      throw new KeepsakeError('catalogue_unavailable', 'The job queue in the catalogue database fails.', {
        cause: error,
      })
    }
  }

  async stop(timeoutSeconds = 30): Promise<void> {
    this.#stopped ??= this.#stop(timeoutSeconds * 1000)
    await this.#stopped
  }

  async #stop(milliseconds: number): Promise<void> {
    const until = performance.now() + milliseconds
    this.#alarms.clear()
    if (this.#working) {
      const { pool, sweeper } = this.#working
      pool.close()
      await Promise.all([
        within(milliseconds, this.#boss.offWork(queue, { wait: true })),
        sweeper.stop(milliseconds),
        this.#scheduler?.stop(milliseconds),
        within(milliseconds, pool.idle()),
      ])
      pool.abort()
      // Who was told to give up gets a moment to do so.
      await within(Math.max(1000, until - performance.now()), pool.idle())
    }
    await this.#boss.stop({ graceful: false }).catch((error: unknown) => {
      this.#logger.warn({ err: error }, 'The job queue did not stop cleanly.')
    })
  }

  /** Sends what waits, all of it in one statement; what comes meanwhile goes with the next. */
  async #send(): Promise<void> {
    if (this.#sending) return
    this.#sending = true
    // Let everything that is nudged in this turn come along.
    await Promise.resolve()
    while (this.#outbox.length > 0) {
      const nudges = this.#outbox.splice(0, 1000)
      try {
        if (!(await within(patience, this.#insert(nudges)))) {
          this.#logger.warn({ nudges: nudges.length }, 'The job queue does not answer; the sweep will find the work.')
        }
      } catch (error) {
        this.#logger.warn({ err: error, nudges: nudges.length }, 'A nudge was lost; the sweep will find the work.')
      }
      for (const nudge of nudges) nudge.done()
    }
    this.#sending = false
  }

  async #insert(nudges: readonly Nudge[]): Promise<void> {
    const jobs = nudges.map(({ asset, afterSeconds }) => ({
      data: { asset },
      startAfter: afterSeconds,
      // The same asset need not wait twice for the same second; but one that waits for later must not keep out one
      // that is to be looked at now.
      singletonKey: afterSeconds === 0 ? asset : `${asset}/${Math.ceil(Date.now() / 1000 + afterSeconds)}`,
    }))
    await this.#boss.insert(queue, jobs)
    if (this.#stopped) return
    for (const { afterSeconds } of nudges) if (afterSeconds > 0) this.#alarms.set(afterSeconds * 1000)
  }
}
