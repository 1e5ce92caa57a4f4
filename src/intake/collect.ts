import { KeepsakeError } from '../media/index.ts'
import { requireComplete } from './complete.ts'
import type { GuardedFetch } from './fetch/index.ts'
import { readHead } from './head.ts'
import type { CollectedContent } from './keep.ts'
import { probe } from './probe.ts'
import { SNIFF_BYTES, sniff } from './sniff.ts'
import type { ImportSource } from './source.ts'
import { openSource } from './source-open.ts'
import { spool } from './spool.ts'

export type CollectOptions = {
  readonly fetch: Pick<GuardedFetch, 'open'>
  readonly spoolDir: string
  /** Bytes. */
  readonly maxBytes: number
  readonly signal: AbortSignal
  /** Throws where the type is not wanted; asked as soon as the first bytes are here, before the rest is read. */
  readonly accept: (contentType: string) => void
  /** Asked for a place once the source has answered, before its body is read. It is held until the content is disposed of. */
  readonly enter?: () => Promise<Disposable>
}

/** Content that is wholly here. Dispose of it when it is put, or not. */
export type Collected = CollectedContent & { dispose(): Promise<void> }

/**
 * Reads a source to its end: the first bytes say what it is, the rest is hashed on its way into memory (small) or a
 * file (large), and what the media says of itself is noted.
 *
 * @throws `invalid_source`, `source_forbidden`, `source_gone`, `source_unavailable`, `content_type_refused`,
 * `content_too_large`, `content_empty`, `content_truncated`
 */
export async function collect(source: ImportSource, options: CollectOptions): Promise<Collected> {
  const { fetch, maxBytes, signal } = options
  const opened = await openSource(source, fetch, { signal, maxBytes })
  let place: Disposable | undefined
  try {
    place = await options.enter?.()
    const body = opened.body[Symbol.asyncIterator]()
    const { chunks, head } = await readHead(body, SNIFF_BYTES)
    if (head.byteLength === 0) throw new KeepsakeError('content_empty', 'The source has no bytes. Nothing was kept.')
    const contentType = await sniff(head)
    options.accept(contentType)
    const spooled = await spool(chunks, body, { dir: options.spoolDir, maxBytes, signal })
    try {
      if (!opened.framed) await requireComplete(contentType, spooled)
      const measures = await probe(contentType, spooled)
      const { size, sha256 } = spooled
      const dispose = async () => {
        await spooled.dispose()
        place?.[Symbol.dispose]()
      }
      return { contentType, body: spooled.open(), size, sha256, ...measures, dispose }
    } catch (error) {
      await spooled.dispose()
      throw error
    }
  } catch (error) {
    place?.[Symbol.dispose]()
    throw error
  } finally {
    await opened.close()
  }
}
