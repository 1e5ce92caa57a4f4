import { KeepsakeError } from '../../media/index.ts'
import { abortReason } from '../abort.ts'

/**
 * The deadline of one attempt: it aborts after a time without progress, or when the caller's signal does. Whoever sees
 * progress calls {@link touch}.
 */
export class Watch {
  readonly #controller = new AbortController()
  readonly #caller: AbortSignal | undefined
  readonly #name: string
  readonly #onEnd: () => void
  #timer: NodeJS.Timeout | undefined
  #hasEnded = false
  /** The longest time without progress that it began with, in milliseconds. */
  readonly millis: number

  /** @param onEnd called once, when nothing more is awaited */
  constructor(name: string, millis: number, caller: AbortSignal | undefined, onEnd: () => void) {
    this.#name = name
    this.#caller = caller
    this.#onEnd = onEnd
    this.millis = millis
    this.arm(millis)
    if (caller?.aborted) this.#follow()
    else caller?.addEventListener('abort', this.#follow)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Starts counting anew, up to another time. */
  arm(millis: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#controller.abort(stalled(this.#name, millis)), millis)
  }

  touch(): void {
    this.#timer?.refresh()
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#caller?.removeEventListener('abort', this.#follow)
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#onEnd()
  }

  readonly #follow = (): void => this.#controller.abort(abortReason(this.#name, this.#caller?.reason))
}

function stalled(name: string, millis: number): KeepsakeError {
  return new KeepsakeError(
    'timeout',
    `${name} made no progress for ${Math.round(millis / 100) / 10} seconds. Try again later; if it stays, look at S3_ENDPOINT and the network.`,
  )
}
