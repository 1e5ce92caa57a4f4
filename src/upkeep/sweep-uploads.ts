import { KeepsakeError, type StorePlace } from '../media/index.ts'
import { type ObjectStore, sweepMultipart } from '../stores/index.ts'
import type { UpkeepParts } from './settle.ts'

const hour = 3_600_000
/** Uploads that one sweep looks at: ten requests. The next sweep goes on where it ended. */
const looksAt = 10_000

type UploadSweepParts = Pick<UpkeepParts, 'catalogue' | 'clock' | 'logger'> & {
  readonly store: ObjectStore
  /** Default: primary. */
  readonly place?: StorePlace
}

/**
 * Aborts multipart uploads that were begun for an asset and can never become it (see `abandonedUploads`): a process
 * that was killed leaves parts behind that nobody sees and somebody pays for.
 *
 * The bucket is gone through once an hour, in pieces. A key is retired for six hours, so an upload under it is met
 * several times before the key is forgotten; that is why this runs before retired keys are looked at.
 */
export class UploadSweep {
  readonly #parts: UploadSweepParts
  /** When the bucket was last gone through to its end, in milliseconds of this machine's clock. */
  #ended: number | undefined
  #startAfter: string | undefined

  constructor(parts: UploadSweepParts) {
    this.#parts = parts
  }

  /** Never throws: what a bucket refuses here must not keep imports from being brought forward. */
  async run(signal: AbortSignal): Promise<void> {
    const { catalogue, store, place = 'primary', clock, logger } = this.#parts
    const now = clock.now()
    // A clock that was put back must not put the sweep off.
    const since = this.#ended === undefined ? hour : now.getTime() - this.#ended
    if (since >= 0 && since < hour) return
    try {
      const { aborted, failed, next } = await sweepMultipart(store, {
        before: now,
        limit: looksAt,
        choose: (uploads) => catalogue.abandonedUploads(uploads, place),
        signal,
        ...(this.#startAfter === undefined ? {} : { startAfter: this.#startAfter }),
      })
      this.#startAfter = next
      if (aborted.length > 0) logger.info({ count: aborted.length }, 'abandoned multipart uploads were aborted')
      if (failed.length > 0) {
        const first = failed[0]
        logger.warn(
          { count: failed.length, code: first?.code, problem: first?.message },
          'abandoned multipart uploads could not be aborted yet',
        )
      }
      if (next !== undefined) return
    } catch (error) {
      if (signal.aborted) return
      const problem = KeepsakeError.from(error)
      logger.warn({ code: problem.code, err: problem }, 'abandoned multipart uploads could not be looked for')
      this.#startAfter = undefined
    }
    this.#ended = now.getTime()
  }
}
