import { KeepsakeError } from '../media/index.ts'
import type { CallOptions, ListedMultipart, ObjectStore } from './object-store.ts'

export type SweepOptions = CallOptions & {
  /** Only uploads that were begun before this time, by the clock of the store, are aborted. */
  readonly before: Date
  readonly prefix?: string
  /** Which of the old ones to abort. Default: all. */
  readonly wants?: (upload: ListedMultipart) => boolean | Promise<boolean>
}

export type SweepResult = {
  readonly aborted: readonly ListedMultipart[]
  readonly failed: readonly { readonly upload: ListedMultipart; readonly code: string; readonly message: string }[]
}

/**
 * Aborts multipart uploads that nobody went on with: their parts are invisible, and are paid for.
 *
 * @throws {KeepsakeError} where the uploads cannot be listed; one that cannot be aborted is only reported.
 */
export async function sweepMultipart(
  store: Pick<ObjectStore, 'listMultipart' | 'abortMultipart'>,
  options: SweepOptions,
): Promise<SweepResult> {
  const { before, prefix, signal, wants = () => true } = options
  const aborted: ListedMultipart[] = []
  const failed: { upload: ListedMultipart; code: string; message: string }[] = []
  const call = signal ? { signal } : {}
  for await (const upload of store.listMultipart({ ...call, ...(prefix === undefined ? {} : { prefix }) })) {
    if (upload.initiated >= before || !(await wants(upload))) continue
    try {
      await store.abortMultipart(upload, call)
      aborted.push(upload)
    } catch (thrown) {
      if (signal?.aborted) throw thrown
      const { code, message } = KeepsakeError.from(thrown)
      failed.push({ upload, code, message })
    }
  }
  return { aborted, failed }
}
