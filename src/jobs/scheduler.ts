import type { PgBoss } from 'pg-boss'
import type { Logger } from '../logger.ts'
import { KeepsakeError } from '../media/index.ts'
import type { ScheduledWork } from './jobs.ts'
import type { Lead } from './lead.ts'
import { within } from './within.ts'

type Running = { readonly name: string; readonly end: Promise<void> }

/**
 * Work at the times of a cron expression. pg-boss decides when, once for all processes: it puts one job into the
 * queue of that work. The job is a nudge; the lead, a lock that ends with its holder, keeps two runs from being under
 * way at once, so a job is done as soon as its run has begun and a killed process blocks nobody.
 */
export class Scheduler {
  readonly #boss: PgBoss
  readonly #leadFor: (work: string) => Lead
  readonly #logger: Pick<Logger, 'warn' | 'error'>
  readonly #abort = new AbortController()
  readonly #queues = new Set<string>()
  readonly #running = new Map<string, Running>()
  #closed = false

  constructor(boss: PgBoss, leadFor: (work: string) => Lead, logger: Pick<Logger, 'warn' | 'error'>) {
    this.#boss = boss
    this.#leadFor = leadFor
    this.#logger = logger
  }

  async add(name: string, cron: string, work: ScheduledWork, pollingSeconds: number): Promise<void> {
    const queue = queueOf(name)
    await this.#boss.createQueue(queue, queueOptions)
    try {
      await this.#boss.schedule(queue, cron, {}, { tz: 'UTC', singletonKey: name })
    } catch (error) {
      throw new KeepsakeError(
        'invalid_setting',
        `The schedule of '${name}' is '${cron}'. Allowed is a cron expression of five fields, such as '0 3 * * *' ` +
          '(every day at 03:00 UTC).',
        { cause: error },
      )
    }
    this.#queues.add(queue)
    await this.#boss.work(
      queue,
      { batchSize: 1, pollingIntervalSeconds: 2, notifyPollingIntervalSeconds: Math.max(2, pollingSeconds) },
      async () => {
        if (this.#closed) throw new Error('Stopping: no more work is begun.')
        if (!this.#running.has(name)) this.#begin(name, work)
      },
    )
  }

  /**
   * Begins no more work. What runs may take hours, so it is told to stop where it is, gets so many milliseconds for
   * that, and is left to the next process.
   */
  async stop(milliseconds: number): Promise<void> {
    this.#closed = true
    const cut = [...this.#running.values()]
    this.#abort.abort()
    const queues = [...this.#queues].map((queue) => this.#boss.offWork(queue, { wait: true }))
    await within(milliseconds, Promise.allSettled([...queues, ...cut.map(({ end }) => end)]))
    for (const { name } of cut) {
      await this.#boss.send(queueOf(name), {}, { singletonKey: name }).catch((error: unknown) => {
        this.#logger.warn({ err: error, work: name }, 'Scheduled work was cut off and waits for its next time.')
      })
    }
  }

  #begin(name: string, work: ScheduledWork): void {
    const end = this.#run(name, work).finally(() => this.#running.delete(name))
    this.#running.set(name, { name, end })
  }

  async #run(name: string, work: ScheduledWork): Promise<void> {
    const lead = this.#leadFor(`schedule ${name}`)
    try {
      if (!(await lead.hold())) return
      await work(AbortSignal.any([this.#abort.signal, lead.signal]))
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#logger.error({ err: error, work: name }, 'Scheduled work failed.')
    } finally {
      await lead.release()
    }
  }
}

function queueOf(name: string): string {
  return `schedule_${name}`
}

const queueOptions = {
  notify: true,
  // One waiting run is enough, however long nobody took it.
  policy: 'short',
  retryLimit: 1,
  retryDelay: 0,
  expireInSeconds: 60,
  // A time that nobody was there for is not made up for in the middle of the day.
  retentionSeconds: 3600,
  deleteAfterSeconds: 60,
} as const
