import { KeepsakeError } from '../../media/index.ts'

/**
 * One time limit over many steps, joined with the caller's signal. Unlike `AbortSignal.timeout` it can be taken back,
 * so that a fetch that is over leaves no timer behind.
 */
export class TimeLimit {
  readonly #controller = new AbortController()
  readonly #timer: NodeJS.Timeout
  readonly #outer: AbortSignal | undefined
  readonly #onOuterAbort: () => void

  constructor(seconds: number, outer: AbortSignal | undefined, origin: string) {
    this.#outer = outer
    this.#onOuterAbort = () => this.#abort(outer?.reason)
    const late = () =>
      this.#abort(new KeepsakeError('source_unavailable', `${origin} took more than ${seconds} seconds in all.`))
    this.#timer = setTimeout(late, seconds * 1000)
    if (outer?.aborted) this.#onOuterAbort()
    else outer?.addEventListener('abort', this.#onOuterAbort, { once: true })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  release(): void {
    clearTimeout(this.#timer)
    this.#outer?.removeEventListener('abort', this.#onOuterAbort)
  }

  #abort(reason: unknown): void {
    this.release()
    this.#controller.abort(reason)
  }
}
