import type { Clock } from '../../clock.ts'

/** How far, in seconds, readers may run ahead of the rate. */
const burst = 0.25

/** Holds several readers together to so many bytes a second. */
export class Throttle {
  readonly #clock: Clock
  readonly #bytesPerSecond: number
  /** Milliseconds: when all that was taken so far is paid for. */
  #paidAt = 0

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerSecond = bytesPerSecond
    this.#clock = clock
  }

  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    const now = this.#clock.now().getTime()
    this.#paidAt = Math.max(now, this.#paidAt) + (bytes / this.#bytesPerSecond) * 1000
    const ahead = (this.#paidAt - now) / 1000 - burst
    if (ahead > 0) await this.#clock.sleep(ahead, signal)
  }
}
