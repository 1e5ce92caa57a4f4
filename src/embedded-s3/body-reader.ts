import type { IncomingMessage } from 'node:http'
import { S3Error } from './errors.ts'

/** Bytes that show that a client is sending, not holding on: less than this within the patience is too slow. */
const PROGRESS = 1024
const EVENTS = ['readable', 'end', 'close', 'error'] as const

/**
 * Reads a request's body, chunk by chunk, and gives up on a client that sends next to nothing. Unlike `for await` it
 * leaves the socket alone when reading stops early, so that the error can still be answered.
 */
export class BodyReader {
  readonly #incoming: IncomingMessage
  readonly #patience: number
  #left: number
  #sinceProgress = 0
  #begin: (() => void) | undefined
  /** Since when bytes are waited for, by `performance.now()`. */
  #since = 0
  #waiting: { readonly resolve: () => void; readonly reject: (reason: unknown) => void } | undefined
  /** One for the whole body: it looks at the time when it goes off, and most bodies are there by then. */
  #timer: NodeJS.Timeout | undefined
  readonly #onChange = () => this.#wake()

  /** `begin` is called before the first byte is awaited, to send 100 Continue. `patience` is in milliseconds. */
  constructor(incoming: IncomingMessage, patience: number, begin: () => void) {
    this.#incoming = incoming
    this.#patience = patience
    this.#left = patience
    this.#begin = begin
  }

  /** The next bytes; undefined at the end. Throws IncompleteBody when the client went away, or RequestTimeout. */
  async next(): Promise<Buffer | undefined> {
    if (this.#begin !== undefined) {
      this.#begin()
      this.#begin = undefined
      for (const event of EVENTS) this.#incoming.on(event, this.#onChange)
    }
    for (;;) {
      const chunk: unknown = this.#incoming.read()
      if (Buffer.isBuffer(chunk)) {
        this.#sinceProgress += chunk.length
        if (this.#sinceProgress >= PROGRESS) {
          this.#sinceProgress = 0
          this.#left = this.#patience
        }
        return chunk
      }
      if (this.#incoming.readableEnded) {
        if (this.#incoming.complete) return undefined
        throw new S3Error('IncompleteBody')
      }
      if (this.#incoming.destroyed) throw new S3Error('IncompleteBody')
      await this.#change()
    }
  }

  /** Stops reading, so that what is left of the body can flow away. */
  release(): void {
    clearTimeout(this.#timer)
    if (this.#begin !== undefined || this.#incoming.readableEnded) return
    for (const event of EVENTS) this.#incoming.off(event, this.#onChange)
  }

  /** Waits for bytes, the end or a failure. */
  #change(): Promise<void> {
    this.#since = performance.now()
    this.#timer ??= setTimeout(() => this.#ring(), this.#left)
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
    })
  }

  #wake(): void {
    const waiting = this.#waiting
    if (waiting === undefined) return
    this.#waiting = undefined
    this.#left -= performance.now() - this.#since
    waiting.resolve()
  }

  #ring(): void {
    const waited = this.#waiting === undefined ? 0 : performance.now() - this.#since
    const left = this.#left - waited
    // Not counted is the time in which nobody waited for the client.
    if (this.#waiting === undefined || left > 0) this.#timer = setTimeout(() => this.#ring(), Math.max(left, 1))
    else this.#waiting.reject(new S3Error('RequestTimeout'))
  }
}
