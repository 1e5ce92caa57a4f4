import { KeepsakeError } from '../media/index.ts'
import type { JobHandlers, Jobs, ScheduledWork } from './jobs.ts'

/** A nudge that waits, and at what second of the jobs' own clock it is due. */
export type RecordedNudge = { readonly asset: string; readonly due: number }

/** How many nudges one call of `runDue` works at most, so that work that nudges itself at once ends in an error. */
const most = 100_000

/**
 * Jobs without a queue, a timer or a second process: nudges are written down and worked when told. For tests and
 * models, where nothing may happen by itself.
 */
export class ManualJobs implements Jobs {
  /** What the handlers threw. */
  readonly errors: unknown[] = []
  #waiting: RecordedNudge[] = []
  #now = 0
  #handlers: JobHandlers | undefined
  #abort = new AbortController()
  readonly #scheduled = new Map<string, { readonly cron: string; readonly work: ScheduledWork }>()

  /** Nudges that wait, in the order they came. */
  get nudges(): readonly RecordedNudge[] {
    return this.#waiting
  }

  async nudge(asset: string, afterSeconds = 0): Promise<void> {
    this.#waiting.push({ asset, due: this.#now + Math.max(0, afterSeconds) })
  }

  async start(handlers: JobHandlers): Promise<void> {
    this.#handlers = handlers
    this.#abort = new AbortController()
    await this.sweep()
  }

  async schedule(name: string, cron: string, work: ScheduledWork): Promise<void> {
    this.#scheduled.set(name, { cron, work })
  }

  /** What is scheduled, with its expression. */
  get schedules(): ReadonlyMap<string, string> {
    return new Map([...this.#scheduled].map(([name, { cron }]) => [name, cron]))
  }

  /** Runs scheduled work, as if its time had come. */
  async runScheduled(name: string): Promise<void> {
    const scheduled = this.#scheduled.get(name)
    if (scheduled === undefined) throw new KeepsakeError('internal', `Nothing is scheduled as '${name}'.`)
    await this.#run(() => scheduled.work(this.#abort.signal))
  }

  /** Works nothing by itself, so a handler is all that is looked for. */
  async check(): Promise<number> {
    if (!this.#handlers) throw new KeepsakeError('timeout', 'Nobody worked a job of the queue in time.')
    return 0
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    this.#handlers = undefined
  }

  /** Lets so many seconds pass, then works every nudge that is due, also those that come meanwhile. Says how many. */
  async runDue(elapsedSeconds = 0): Promise<number> {
    this.#now += elapsedSeconds
    for (let count = 0; count < most; count += 1) {
      const index = this.#waiting.findIndex((nudge) => nudge.due <= this.#now)
      const [nudge] = index < 0 ? [] : this.#waiting.splice(index, 1)
      if (!nudge) return count
      await this.#run((handlers) => handlers.settle(nudge.asset, this.#abort.signal))
    }
    throw new KeepsakeError('internal', `After ${most} nudges there is still one due. Something nudges itself.`)
  }

  /** Forgets the waiting nudges, as a lost queue would. */
  lose(): void {
    this.#waiting = []
  }

  /** Sweeps once. */
  async sweep(): Promise<void> {
    await this.#run((handlers) => handlers.sweep(this.#abort.signal))
  }

  async #run(work: (handlers: JobHandlers) => Promise<void>): Promise<void> {
    if (!this.#handlers) throw new KeepsakeError('internal', 'Jobs that are not started cannot run.')
    try {
      await work(this.#handlers)
    } catch (error) {
      this.errors.push(error)
    }
  }
}

/** See {@link ManualJobs}. */
export function createInlineJobs(): ManualJobs {
  return new ManualJobs()
}
