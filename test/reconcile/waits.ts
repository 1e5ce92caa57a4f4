import type { Wait } from './acts.ts'

/** What is aimed at the middle of a move waits here for it. */
export class Waits {
  /** Scans, applies and restores under way, and the calls that they have made. */
  #busy = 0
  #calls = 0
  readonly #sleepers: { readonly at: Wait; readonly wake: (key: string | undefined) => void }[] = []

  begin(): void {
    this.#busy += 1
  }

  end(): void {
    this.#busy -= 1
    this.wake()
  }

  /** A call of reconcile's. */
  call(): void {
    this.#calls += 1
    this.wake()
  }

  /**
   * Reconcile makes so many calls first, or takes a step of a move, or ends: what is aimed at the middle of a move must
   * not come before it. Answers the key of the move.
   */
  idle(wait: Wait): Promise<string | undefined> {
    if (this.#busy === 0) return Promise.resolve(undefined)
    const { promise, resolve } = Promise.withResolvers<string | undefined>()
    this.#sleepers.push({ at: typeof wait === 'number' ? this.#calls + wait : wait, wake: resolve })
    return promise
  }

  wake(step?: string, key?: string): void {
    for (const sleeper of this.#sleepers.splice(0)) {
      if (sleeper.at === step) sleeper.wake(key)
      else if (this.#busy === 0 || (typeof sleeper.at === 'number' && sleeper.at <= this.#calls))
        sleeper.wake(undefined)
      else this.#sleepers.push(sleeper)
    }
  }
}
