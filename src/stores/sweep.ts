import { KeepsakeError } from '../media/index.ts'
import type { CallOptions, ListedMultipart, ObjectStore } from './object-store.ts'

export type SweepOptions = CallOptions & {
  /** Only uploads that were begun before this time, by the clock of the store, are aborted. */
  readonly before: Date
  readonly prefix?: string
  /** Only uploads of keys after this one: `next` of the sweep before. */
  readonly startAfter?: string
  /** How many uploads to look at, at most. Default: all. */
  readonly limit?: number
  /** Which of the old ones to abort, out of up to 1000. Default: all. */
  readonly choose?: (
    uploads: readonly ListedMultipart[],
  ) => readonly ListedMultipart[] | Promise<readonly ListedMultipart[]>
}

export type SweepResult = {
  readonly aborted: readonly ListedMultipart[]
  readonly failed: readonly { readonly upload: ListedMultipart; readonly code: string; readonly message: string }[]
  /** Where to go on with `startAfter`; undefined once the end was reached. */
  readonly next: string | undefined
}

const batchSize = 1000
const atOnce = 8

/**
 * Aborts multipart uploads that nobody went on with: their parts are invisible, and are paid for.
 *
 * @throws {KeepsakeError} where the uploads cannot be listed; one that cannot be aborted is only reported.
 */
export async function sweepMultipart(
  store: Pick<ObjectStore, 'listMultipart' | 'abortMultipart'>,
  options: SweepOptions,
): Promise<SweepResult> {
  const { before, prefix, startAfter, limit = Number.POSITIVE_INFINITY, choose = (all) => all, signal } = options
  const aborted: ListedMultipart[] = []
  const failed: { upload: ListedMultipart; code: string; message: string }[] = []
  const call = signal ? { signal } : {}

  const abort = async (upload: ListedMultipart) => {
    try {
      await store.abortMultipart(upload, call)
      aborted.push(upload)
    } catch (thrown) {
      if (signal?.aborted) throw thrown
      const { code, message } = KeepsakeError.from(thrown)
      failed.push({ upload, code, message })
    }
  }
  const abortChosen = async (old: readonly ListedMultipart[]) => {
    const queue = old.length === 0 ? [].values() : (await choose(old)).values()
    const worker = async () => {
      for (const upload of queue) await abort(upload)
    }
    await Promise.all(Array.from({ length: atOnce }, worker))
  }

  let old: ListedMultipart[] = []
  let seen = 0
  let next: string | undefined
  const from = { ...(prefix === undefined ? {} : { prefix }), ...(startAfter === undefined ? {} : { startAfter }) }
  for await (const upload of store.listMultipart({ ...call, ...from })) {
    if (upload.initiated < before) old.push(upload)
    if (old.length === batchSize) {
      await abortChosen(old)
      old = []
    }
    seen += 1
    if (seen >= limit) {
      next = upload.key
      break
    }
  }
  await abortChosen(old)
  return { aborted, failed, next }
}
