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
  #wake: (() => void) | undefined
  readonly #onChange = () => this.#wake?.()

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
    for (const event of EVENTS) this.#incoming.off(event, this.#onChange)
  }

  /** Waits for bytes, the end or a failure. */
  #change(): Promise<void> {
    const started = performance.now()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new S3Error('RequestTimeout')), Math.max(this.#left, 1))
      this.#wake = () => {
        this.#wake = undefined
        clearTimeout(timer)
        this.#left -= performance.now() - started
        resolve()
      }
    })
  }
}
