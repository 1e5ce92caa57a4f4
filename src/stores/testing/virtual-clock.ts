import type { Clock } from '../../clock.ts'

/** Time that passes when a test says so. */
export class VirtualClock implements Clock {
  #now = Date.UTC(2030, 0, 1)
  #sleepers: { until: number; wake: () => void }[] = []
  /** How long was asked to be waited, in seconds, in the order asked. */
  readonly sleeps: number[] = []

  now(): Date {
    return new Date(this.#now)
  }

  sleep(seconds: number, signal?: AbortSignal): Promise<void> {
    this.sleeps.push(seconds)
    return new Promise((wake) => {
      if (signal?.aborted) return wake()
      this.#sleepers.push({ until: this.#now + seconds * 1000, wake })
      signal?.addEventListener('abort', () => wake())
    })
  }

  /** Lets so many seconds pass, and everything that waited for them run. */
  async pass(seconds: number): Promise<void> {
    const end = this.#now + seconds * 1000
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve))
      const [next] = this.#sleepers.filter(({ until }) => until <= end).sort((a, b) => a.until - b.until)
      if (next === undefined) break
      this.#sleepers.splice(this.#sleepers.indexOf(next), 1)
      this.#now = Math.max(this.#now, next.until)
      next.wake()
    }
    this.#now = end
    await new Promise((resolve) => setImmediate(resolve))
  }
}
