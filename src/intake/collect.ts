import { KeepsakeError } from '../media/index.ts'
import { checkComplete } from './complete.ts'
import type { GuardedFetch } from './fetch/index.ts'
import type { CollectedContent } from './keep.ts'
import { probe } from './probe.ts'
import { SNIFF_BYTES, sniff } from './sniff.ts'
import { type ImportSource, openSource } from './source.ts'
import { spool } from './spool.ts'

export type CollectOptions = {
  readonly fetch: GuardedFetch
  readonly spoolDir: string
  /** Bytes. */
  readonly maxBytes: number
  readonly signal: AbortSignal
  /** Throws where the type is not wanted; asked as soon as the first bytes are here, before the rest is read. */
  readonly accept: (contentType: string) => void
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
  const { maxBytes, signal } = options
  const opened = await openSource(source, options.fetch, { signal, maxBytes })
  try {
    const rest = opened.body[Symbol.asyncIterator]()
    const first = await readFirst(rest)
    const contentType = await sniff(Buffer.concat(first))
    options.accept(contentType)
    const spooled = await spool(first, rest, { dir: options.spoolDir, maxBytes, signal })
    try {
      if (!opened.framed) await checkComplete(contentType, spooled)
      const body = spooled.open()
      const facts = await probe({ contentType, spooled })
      const { size, sha256 } = spooled
      return { contentType, body, size, sha256, ...facts, dispose: () => spooled.dispose() }
    } catch (error) {
      await spooled.dispose()
      throw error
    }
  } finally {
    await opened.close()
  }
}

async function readFirst(body: AsyncIterator<Uint8Array>): Promise<Uint8Array[]> {
  const first: Uint8Array[] = []
  let length = 0
  while (length < SNIFF_BYTES) {
    const next = await body.next()
    if (next.done) break
    first.push(next.value)
    length += next.value.byteLength
  }
  if (length === 0) throw new KeepsakeError('content_empty', 'The source has no bytes. Nothing was kept.')
  return first
}
