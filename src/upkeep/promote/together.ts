type Waiting<T, R> = {
  readonly item: T
  readonly resolve: (result: R) => void
  readonly reject: (reason: unknown) => void
}

/**
 * Work that costs as much for many things as for one: what is asked for while it is under way waits, and then goes
 * together. With one at a time nothing waits; the more come at once, the less each costs.
 */
export class Together<T, R> {
  readonly #work: (items: readonly T[]) => Promise<R>
  readonly #most: number
  readonly #waiting: Waiting<T, R>[] = []
  #isRunning = false

  /** @param most Things that may go together. */
  constructor(most: number, work: (items: readonly T[]) => Promise<R>) {
    this.#most = most
    this.#work = work
  }

  /** Answers, or throws, what the work did for all that went together. */
  run(item: T): Promise<R> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject })
      if (!this.#isRunning) void this.#drain()
    })
  }

  async #drain(): Promise<void> {
    this.#isRunning = true
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#most)
      try {
        const result = await this.#work(batch.map(({ item }) => item))
        for (const { resolve } of batch) resolve(result)
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    this.#isRunning = false
  }
}
