import type { Catalogue } from '../catalogue/index.ts'
import type { AssetRecord } from '../media/index.ts'

/**
 * Keeps the leases of the attempts that this process works on. A lease is short, so that after a crash somebody else
 * goes on before the source's URL dies, and it is renewed for as long as the work lasts, however slow the source is.
 * One statement renews all of them.
 */
export class Leases {
  /** Seconds that a lease lasts without renewal. */
  readonly seconds: number
  readonly #catalogue: Catalogue
  readonly #held = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(catalogue: Catalogue, seconds = 30) {
    this.#catalogue = catalogue
    this.seconds = seconds
  }

  /** Renews the attempt's lease until the returned value is disposed of. */
  hold(record: AssetRecord): Disposable {
    this.#held.set(record.id, record.attempt)
    this.#timer ??= setInterval(() => void this.#renew(), (this.seconds * 1000) / 3).unref()
    return {
      [Symbol.dispose]: () => {
        if (this.#held.get(record.id) === record.attempt) this.#held.delete(record.id)
        if (this.#held.size === 0) {
          clearInterval(this.#timer)
          this.#timer = undefined
        }
      },
    }
  }

  async #renew(): Promise<void> {
    const attempts = [...this.#held].map(([id, attempt]) => ({ id, attempt }))
    // A renewal that fails costs nothing but the lease: the fence still decides who may confirm.
    await this.#catalogue.renew(attempts, this.seconds).catch(() => {})
  }
}
