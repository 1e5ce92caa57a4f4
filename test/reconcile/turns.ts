/**
 * Lets one call to a port happen at a time, in an order drawn from a seed: whoever wants to make a call waits for its
 * turn. So what runs side by side is interleaved call by call, and the same seed interleaves the same way.
 */
export class Turns {
  readonly #waiting: (() => Promise<void>)[] = []
  #state: number
  #running = false

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** A number from 0 to 1, and without 1 (mulberry32). */
  random(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  call<T>(work: () => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    this.#waiting.push(() => work().then(resolve, reject))
    if (!this.#running) void this.#run()
    return promise
  }

  async #run(): Promise<void> {
    this.#running = true
    // Everybody who goes on after a call asks for its next one before the next turn is given.
    await quiet()
    while (this.#waiting.length > 0) {
      const [chosen] = this.#waiting.splice(Math.floor(this.random() * this.#waiting.length), 1)
      await chosen?.()
      await quiet()
    }
    this.#running = false
  }
}

async function quiet(): Promise<void> {
  for (let turn = 0; turn < 2; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}
