/** The nudge that could not be taken because the process is stopping; pg-boss hands it to another process. */
export class PoolClosed extends Error {
  override readonly name = 'PoolClosed'
}

/**
 * Runs the same work for many assets, so many at once, and never twice at the same time for one asset: a nudge that
 * comes while its asset is worked on makes the work run once more afterwards.
 */
export class WorkPool {
  readonly #work: (asset: string, signal: AbortSignal) => Promise<void>
  readonly #limit: number
  /** Assets that are worked on, and whether another nudge came meanwhile. */
  readonly #running = new Map<string, boolean>()
  readonly #abort = new AbortController()
  #wakeAll: (() => void)[] = []
  #closed = false

  /** `work` must not throw. */
  constructor(limit: number, work: (asset: string, signal: AbortSignal) => Promise<void>) {
    this.#limit = limit
    this.#work = work
  }

  /** Waits for a free place and starts the work; does not wait for its end. @throws {PoolClosed} */
  async take(asset: string): Promise<void> {
    for (;;) {
      if (this.#closed) throw new PoolClosed('Stopping: no more work is taken.')
      if (this.#running.has(asset)) {
        this.#running.set(asset, true)
        return
      }
      if (this.#running.size < this.#limit) {
        void this.#run(asset)
        return
      }
      await this.#change()
    }
  }

  /** Takes no more work, and tells those who wait for a place. */
  close(): void {
    this.#closed = true
    this.#changed()
  }

  /** Resolves once nothing runs. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await this.#change()
  }

  /** Tells what runs to give up. */
  abort(): void {
    this.#abort.abort()
  }

  async #run(asset: string): Promise<void> {
    do {
      this.#running.set(asset, false)
      await this.#work(asset, this.#abort.signal)
    } while (this.#running.get(asset) === true && !this.#closed)
    this.#running.delete(asset)
    this.#changed()
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wakeAll.push(resolve))
  }

  #changed(): void {
    const waiting = this.#wakeAll
    this.#wakeAll = []
    for (const wake of waiting) wake()
  }
}
