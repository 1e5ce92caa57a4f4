/** A change to a bucket that has gone meanwhile. */
export class BucketGoneError extends Error {
  override readonly name = 'BucketGoneError'
}

/** Lets many change what is in a bucket, or one remove it; within this process, which is the only one on the folder. */
export class BucketGate {
  readonly #inside = new Map<string, number>()
  readonly #removals = new Map<string, Promise<void>>()
  readonly #emptied = new Map<string, () => void>()

  /** For a change: waits while the bucket is being removed. */
  async enter<T>(bucket: string, work: () => Promise<T>): Promise<T> {
    await this.#removed(bucket)
    this.#inside.set(bucket, (this.#inside.get(bucket) ?? 0) + 1)
    try {
      return await work()
    } finally {
      const left = (this.#inside.get(bucket) ?? 1) - 1
      if (left > 0) this.#inside.set(bucket, left)
      else {
        this.#inside.delete(bucket)
        this.#emptied.get(bucket)?.()
      }
    }
  }

  /** For a removal: lets nobody in, and waits for those inside to leave. */
  async close<T>(bucket: string, work: () => Promise<T>): Promise<T> {
    await this.#removed(bucket)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#removals.set(bucket, promise)
    try {
      if (this.#inside.has(bucket)) await new Promise<void>((emptied) => this.#emptied.set(bucket, emptied))
      return await work()
    } finally {
      this.#emptied.delete(bucket)
      this.#removals.delete(bucket)
      resolve()
    }
  }

  async #removed(bucket: string): Promise<void> {
    for (let removal = this.#removals.get(bucket); removal !== undefined; removal = this.#removals.get(bucket)) {
      await removal
    }
  }
}
