export type TransferGateOptions = {
  /** Transfers that may be in their first seconds at the same time. */
  readonly atOnce: number
  /** Transfers at the same time in all, long ones among them. */
  readonly most: number
  /** Seconds after which a transfer is a long one. */
  readonly longAfter: number
}

/**
 * Bounds how many bodies are on their way at the same time, and with them memory and open files, without letting slow
 * sources stop fast ones: a transfer that takes long no longer counts against those that are let in. First come, first
 * served.
 */
export class TransferGate {
  readonly #options: TransferGateOptions
  readonly #waiting = new Set<() => void>()
  #young = 0
  #all = 0

  constructor(options: TransferGateOptions) {
    this.#options = options
  }

  /** Waits for a place, and holds it until it is disposed of. An abort throws the signal's reason. */
  async enter(signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted()
    if (this.#free) return this.#place()
    return new Promise<Disposable>((resolve, reject) => {
      const done = () => {
        this.#waiting.delete(admit)
        signal.removeEventListener('abort', abort)
      }
      const admit = () => {
        done()
        resolve(this.#place())
      }
      const abort = () => {
        done()
        reject(signal.reason)
      }
      this.#waiting.add(admit)
      signal.addEventListener('abort', abort, { once: true })
    })
  }

  get #free(): boolean {
    return this.#young < this.#options.atOnce && this.#all < this.#options.most
  }

  #place(): Disposable {
    this.#all += 1
    this.#young += 1
    let young = true
    let held = true
    const age = () => {
      if (young) this.#young -= 1
      young = false
    }
    const timer = setTimeout(() => {
      age()
      this.#admit()
    }, this.#options.longAfter * 1000).unref()
    return {
      [Symbol.dispose]: () => {
        if (!held) return
        held = false
        clearTimeout(timer)
        age()
        this.#all -= 1
        this.#admit()
      },
    }
  }

  #admit(): void {
    for (const admit of this.#waiting) {
      if (!this.#free) return
      admit()
    }
  }
}
