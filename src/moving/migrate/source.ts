import type { FoundFile } from '../../catalogue/index.ts'
import type { Spooled } from '../../intake/index.ts'

/** Something that a source holds and that is no file to move, such as a symbolic link. */
export type Oddity = { readonly path: string; readonly why: string }

/** Where existing media lies. It is only read, but for {@link MoveSource.remove}. */
export interface MoveSource {
  /** As it stands in the catalogue and in messages: an absolute folder, or `s3://bucket/prefix`. Never a secret. */
  readonly name: string

  /**
   * Every file, in no particular order. `odd` is told what is passed over.
   *
   * @throws {KeepsakeError} `invalid_source` where the source is not there, `store_denied`, `store_unavailable`.
   */
  list(odd: (oddity: Oddity) => void, signal: AbortSignal): AsyncIterable<FoundFile>

  /**
   * A file's bytes with their hash, ready to be read anywhere in and any number of times.
   *
   * @throws {KeepsakeError} `source_gone` where it is not there any more or has changed, `source_unavailable`,
   * `content_too_large`, `content_empty`.
   */
  hold(file: FoundFile, options: { readonly maxBytes: number; readonly signal: AbortSignal }): Promise<Spooled>

  /** A file's first bytes, so many or all there are. @throws as {@link MoveSource.hold} does. */
  peek(file: FoundFile, bytes: number, signal: AbortSignal): Promise<Uint8Array>

  /** Removes a file that is still as it was. False where it has changed: then it stays. One that is gone counts as removed. */
  remove(file: FoundFile): Promise<boolean>

  close(): Promise<void>
}
