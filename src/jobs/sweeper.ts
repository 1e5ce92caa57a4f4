import type { Logger } from '../logger.ts'
import type { Lead } from './lead.ts'
import { within } from './within.ts'

/** After a kill the database may need a moment to notice; a new process asks again this soon, in seconds. */
const earlyRetries = [0.25, 1, 3]

/** A sweep that takes longer hangs, in milliseconds. */
const longestSweep = 15 * 60_000

/** Sweeps once at the start and then at an interval, while this process has the lead. One sweep at a time. */
export class Sweeper {
  readonly #sweep: (signal: AbortSignal) => Promise<void>
  readonly #lead: Lead
  readonly #everySeconds: number
  readonly #logger: Pick<Logger, 'warn' | 'error'>
  readonly #stop = new AbortController()
  readonly #abort = new AbortController()
  #loop: Promise<void> | undefined

  constructor(
    sweep: (signal: AbortSignal) => Promise<void>,
    lead: Lead,
    everySeconds: number,
    logger: Pick<Logger, 'warn' | 'error'>,
  ) {
    this.#sweep = sweep
    this.#lead = lead
    this.#everySeconds = everySeconds
    this.#logger = logger
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  /** Starts no more sweeps; waits for one that runs so many milliseconds, then tells it to give up. */
  async stop(milliseconds: number): Promise<void> {
    this.#stop.abort()
    if (this.#loop && !(await within(milliseconds, this.#loop))) {
      this.#abort.abort()
      await within(1000, this.#loop)
    }
    await this.#lead.release()
  }

  async #run(): Promise<void> {
    let refusals = 0
    while (!this.#stop.signal.aborted) {
      const swept = await this.#round()
      if (!swept) refusals += 1
      // Not all processes at the same moment.
      const regular = this.#everySeconds * (0.9 + Math.random() * 0.2)
      const early = swept ? undefined : earlyRetries[refusals - 1]
      await pause(Math.min(early ?? regular, regular) * 1000, this.#stop.signal)
    }
  }

  async #round(): Promise<boolean> {
    try {
      if (!(await this.#lead.hold())) return false
      if (this.#stop.signal.aborted) return true
      await this.#sweep(AbortSignal.any([this.#abort.signal, this.#lead.signal, AbortSignal.timeout(longestSweep)]))
    } catch (error) {
      this.#logger.error({ err: error }, 'The sweep failed; it runs again.')
    }
    return true
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, milliseconds)
    signal.addEventListener('abort', done, { once: true })
  })
}
