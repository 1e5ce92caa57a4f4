import { KeepsakeError } from '../../media/index.ts'
import { abortReason } from '../abort.ts'

/**
 * The connections of a store: so many requests at a time, and whoever comes later waits in line. The line is here and
 * not in the pool, so that waiting for other requests is not taken for a store that makes no progress.
 */
export class Places {
  readonly #name: string
  readonly #count: number
  readonly #lineMillis: number
  readonly #line = new Set<() => void>()
  #taken = 0

  /** @param lineMillis the longest wait in line, in milliseconds */
  constructor(name: string, count: number, lineMillis: number) {
    this.#name = name
    this.#count = count
    this.#lineMillis = lineMillis
  }

  /** Takes a place where one is free. */
  take(): boolean {
    if (this.#taken >= this.#count) return false
    this.#taken += 1
    return true
  }

  /** Waits for a place, and has it then. @throws {KeepsakeError} `timeout` */
  wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leaveLine = () => {
        this.#line.delete(enter)
        clearTimeout(timer)
        signal?.removeEventListener('abort', stop)
      }
      const enter = () => {
        leaveLine()
        resolve()
      }
      const stop = () => {
        leaveLine()
        reject(abortReason(this.#name, signal?.reason))
      }
      const giveUp = () => {
        leaveLine()
        reject(this.#tooLong())
      }
      const timer = setTimeout(giveUp, this.#lineMillis)
      if (signal?.aborted) return stop()
      signal?.addEventListener('abort', stop)
      this.#line.add(enter)
    })
  }

  /** Gives a place up: to the first in line, where there is one. */
  leave(): void {
    const [first] = this.#line
    if (first) first()
    else this.#taken -= 1
  }

  #tooLong(): KeepsakeError {
    return new KeepsakeError(
      'timeout',
      `All ${this.#count} connections to ${this.#name} were in use for ${Math.round(this.#lineMillis / 1000)} seconds. Do less at a time, or try again later.`,
      { details: { reason: inLine } },
    )
  }
}

/** The `reason` in the details of an error by which nothing was sent. */
export const inLine = 'connections_in_use'
