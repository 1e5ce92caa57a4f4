import type { Clock } from '../../clock.ts'
import { KeepsakeError } from '../../media/index.ts'
import type { ObjectContent, ObjectStore } from '../../stores/index.ts'
import { backoff } from '../backoff.ts'
import type { ByteReader } from '../content.ts'

export type ReaderParts = { readonly store: ObjectStore; readonly clock: Clock }

/** Reads of an object that may fail one after the other, without a byte in between. */
const tries = 4
const pause = { base: 0.2, cap: 5 }

/**
 * Opens an object whose body goes on where a connection broke, and never mixes two contents.
 *
 * @throws what the store throws; `object_missing` where there is none.
 */
export async function openObject(parts: ReaderParts, key: string, signal: AbortSignal): Promise<ObjectContent> {
  const first = await parts.store.get(key, { signal })
  return { ...first, body: resuming(parts, first, signal) }
}

async function* resuming(
  { store, clock }: ReaderParts,
  first: ObjectContent,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  let { body } = first
  let at = 0
  for (let failures = 0; ; ) {
    try {
      for await (const chunk of body) {
        at += chunk.byteLength
        failures = 0
        yield chunk
      }
      return
    } catch (error) {
      failures += 1
      if (failures >= tries || signal.aborted || !KeepsakeError.from(error).retryable) throw error
    }
    await clock.sleep(backoff(failures, pause), signal)
    body = rest(store, first, at, signal)
  }
}

/** The object from a place on; opened when it is read, so that a failure to open counts as a failure to read. */
async function* rest(store: ObjectStore, first: ObjectContent, start: number, signal: AbortSignal) {
  if (start === first.size) return
  const again = await store.get(first.key, { range: { start }, signal })
  requireSame(first, again)
  yield* again.body
}

function requireSame(first: ObjectContent, again: ObjectContent): void {
  if (again.etag === first.etag && again.size === first.size) return
  throw changedMeanwhile()
}

/** No word about the content: another process that verifies it too gives the object its true type. */
export function changedMeanwhile(): KeepsakeError {
  return new KeepsakeError('store_unavailable', 'The object changed while it was read. Complete the upload again.', {
    retryAfter: 1,
  })
}

const blockSize = 256 * 1024
/** An index at the end, and a little of the data, are found within a few reads; more is not worth the requests. */
const maxBlocks = 48

/** Reads anywhere in an object, block by block, each once; for what a video says of itself, wherever that stands. */
export function rangeReader(store: ObjectStore, content: ObjectContent, signal: AbortSignal): ByteReader {
  const { key, size } = content
  const blocks = new Map<number, Promise<Buffer>>()
  const block = (index: number): Promise<Buffer> => {
    const known = blocks.get(index)
    if (known) return known
    if (blocks.size >= maxBlocks) throw new KeepsakeError('timeout', 'The media is too scattered to be measured.')
    const start = index * blockSize
    const read = (async () => {
      const part = await store.get(key, { range: { start, end: Math.min(start + blockSize, size) - 1 }, signal })
      requireSame(content, part)
      const chunks: Uint8Array[] = []
      for await (const chunk of part.body) chunks.push(Uint8Array.from(chunk))
      return Buffer.concat(chunks)
    })()
    blocks.set(index, read)
    return read
  }
  return {
    size,
    async read(offset, length) {
      const end = Math.min(offset + length, size)
      const pieces: Buffer[] = []
      for (let at = offset; at < end; ) {
        const index = Math.floor(at / blockSize)
        const piece = (await block(index)).subarray(at - index * blockSize, end - index * blockSize)
        if (piece.byteLength === 0) break
        pieces.push(piece)
        at += piece.byteLength
      }
      return Buffer.concat(pieces)
    },
  }
}
