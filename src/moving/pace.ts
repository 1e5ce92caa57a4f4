import { setTimeout as sleep } from 'node:timers/promises'
import { KeepsakeError } from '../media/index.ts'

export type PaceOptions = {
  /** Works at a time, to begin with. */
  readonly start: number
  /** Never more than this many. */
  readonly most: number
  /** Bytes a second over all works, or null for as many as there are. */
  readonly bandwidth: number | null
}

/**
 * How much is done at a time. It grows by one for every round that went well and is halved where the store says that it
 * is too much (additive increase, multiplicative decrease: what lets TCP share a line, RFC 5681), and holds the bytes to
 * a rate.
 */
export class Pace {
  readonly #most: number
  readonly #bandwidth: number | null
  #allowed: number
  #underWay = 0
  #halvedAt = 0
  /** When the bytes that were let through so far are paid for; milliseconds. */
  #paidUntil = 0
  readonly #waiting: (() => void)[] = []

  constructor({ start, most, bandwidth }: PaceOptions) {
    this.#most = most
    this.#allowed = Math.min(start, most)
    this.#bandwidth = bandwidth
  }

  /** How many may be under way at a time, now. */
  get allowed(): number {
    return Math.floor(this.#allowed)
  }

  /** Runs work when there is room for it. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    // Whoever waits is counted by the one that lets it through, so that no more are let through than there is room for.
    if (this.#underWay < this.allowed) this.#underWay += 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    const begunAt = performance.now()
    try {
      const result = await work()
      this.#allowed = Math.min(this.#most, this.#allowed + 1 / this.#allowed)
      return result
    } catch (error) {
      // What was under way when the rate was last halved says nothing about the new rate.
      if (isTooMuch(error) && begunAt >= this.#halvedAt) {
        this.#halvedAt = performance.now()
        this.#allowed = Math.max(1, this.#allowed / 2)
      }
      throw error
    } finally {
      this.#underWay -= 1
      while (this.#waiting.length > 0 && this.#underWay < this.allowed) {
        this.#underWay += 1
        this.#waiting.shift()?.()
      }
    }
  }

  /** Resolves when so many more bytes may be moved. */
  async bytes(count: number, signal: AbortSignal): Promise<void> {
    if (this.#bandwidth === null) return
    const now = performance.now()
    const begin = Math.max(now, this.#paidUntil)
    this.#paidUntil = begin + (count / this.#bandwidth) * 1000
    if (begin > now) await sleep(begin - now, undefined, { signal })
  }
}

function isTooMuch(error: unknown): boolean {
  return KeepsakeError.is(error, 'store_unavailable', 'timeout')
}
