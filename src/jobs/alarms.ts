/** Due times closer together than this share one alarm, in milliseconds. */
const grain = 50

/** `setTimeout` cannot wait longer (2^31 - 1 ms); what is due later is left to the sweep. */
const farthest = 2_147_483_647

/** Calls back at known times: any number of alarms, one timer for all that fall together. */
export class Alarms {
  readonly #ring: () => void
  readonly #timers = new Map<number, NodeJS.Timeout>()

  constructor(ring: () => void) {
    this.#ring = ring
  }

  /** Rings after so many milliseconds, never earlier and at most 60 ms later. */
  set(after: number): void {
    if (after > farthest) return
    // A timer may fire a millisecond early, and the database's clock must have got there too.
    const due = Math.ceil((performance.now() + after + 10) / grain) * grain
    if (this.#timers.has(due)) return
    const timer = setTimeout(() => {
      this.#timers.delete(due)
      this.#ring()
    }, due - performance.now())
    timer.unref()
    this.#timers.set(due, timer)
  }

  clear(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
  }
}
