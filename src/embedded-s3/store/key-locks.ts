/** One holder a name at a time, first come first served, within this process, which is the only one on the folder. */
export class KeyLocks {
  readonly #last = new Map<string, Promise<void>>()

  async hold<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#last.set(name, promise)
    try {
      if (before !== undefined) await before
      return await work()
    } finally {
      if (this.#last.get(name) === promise) this.#last.delete(name)
      resolve()
    }
  }

  /** Names held or waited for. */
  get size(): number {
    return this.#last.size
  }
}
