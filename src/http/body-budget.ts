import { KeepsakeError } from '../media/index.ts'

/** What one request's body takes of a {@link BodyBudget}, until it is disposed of. */
export interface BodyShare extends Disposable {
  /** Counts bytes that have come; waits, with the rest unread, where they are over the budget. @throws `timeout` */
  take(bytes: number): Promise<void>
}

type Entry = { bytes: number; wake: (() => void) | undefined }

/**
 * Bytes that the bodies of requests under way hold in memory together. Who comes over it is not read on for the moment,
 * so that senders are slowed down rather than this process ended by a lack of memory. The oldest is always read on, so
 * somebody always gets done; what a slow sender has not sent takes nothing from others.
 */
export class BodyBudget {
  readonly #most: number
  readonly #patience: number
  /** In the order they came. */
  readonly #entries = new Set<Entry>()
  #taken = 0

  /** @param most Bytes in all. @param patience Seconds that a body waits without being read on. */
  constructor(most: number, patience = 60) {
    this.#most = most
    this.#patience = patience
  }

  share(): BodyShare {
    const entry: Entry = { bytes: 0, wake: undefined }
    this.#entries.add(entry)
    return {
      take: async (bytes) => {
        entry.bytes += bytes
        this.#taken += bytes
        if (!this.#fits(entry)) await this.#room(entry)
      },
      [Symbol.dispose]: () => {
        if (!this.#entries.delete(entry)) return
        this.#taken -= entry.bytes
        for (const other of this.#entries) if (this.#fits(other)) other.wake?.()
      },
    }
  }

  #fits(entry: Entry): boolean {
    const [oldest] = this.#entries
    return this.#taken <= this.#most || entry === oldest
  }

  async #room(entry: Entry): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve, reject) => {
      entry.wake = resolve
      timer = setTimeout(() => {
        const message = 'Too many large requests are under way. Send it again in a while, or import large media by URL.'
        reject(new KeepsakeError('timeout', message, { retryAfter: 10 }))
      }, this.#patience * 1000)
    }).finally(() => {
      clearTimeout(timer)
      entry.wake = undefined
    })
  }
}
