import { KeepsakeError } from '../media/index.ts'
import type { FetchedSource, GuardedFetch } from './fetch/index.ts'
import type { ImportSource, OpenedSource } from './source.ts'
import { base64Content, dataUriContent, type InlineContent } from './source-inline.ts'
import { tooLarge } from './source-limit.ts'

/** Bytes handed on at a time from content that is in memory, so that hashing and writing take turns with other work. */
const slice = 256 * 1024

/**
 * Opens whatever an import comes from. Malformed and too large inline content is refused here, before a byte is read.
 * The body throws `content_too_large` past the limit; an abort throws the signal's reason.
 *
 * @throws `invalid_source`, `content_too_large`, and for a URL what {@link GuardedFetch.open} throws.
 */
export async function openSource(
  source: ImportSource,
  fetch: Pick<GuardedFetch, 'open'>,
  options: { readonly signal?: AbortSignal; readonly maxBytes: number },
): Promise<OpenedSource | FetchedSource> {
  options.signal?.throwIfAborted()
  if ('url' in source) return fetch.open(source.url, options)
  if ('dataUri' in source) return openInline(dataUriContent(source.dataUri), options.maxBytes)
  if ('base64' in source) return openInline(base64Content(source.base64), options.maxBytes)
  if (source.bytes instanceof Uint8Array) return openInline(bytesContent(source.bytes), options.maxBytes)
  return openStream(source.bytes, options)
}

/** Content that is all there. */
export function bytesContent(bytes: Uint8Array): InlineContent {
  return {
    size: bytes.byteLength,
    *slices() {
      for (let at = 0; at < bytes.byteLength; at += slice) yield bytes.subarray(at, at + slice)
    },
  }
}

function openInline(content: InlineContent, maxBytes: number): OpenedSource {
  if (content.size > maxBytes) throw tooLarge(maxBytes, content.size)
  return {
    body: (async function* () {
      yield* content.slices()
    })(),
    size: content.size,
    framed: true,
    close: async () => {},
  }
}

function openStream(
  stream: AsyncIterable<Uint8Array>,
  options: { readonly signal?: AbortSignal; readonly maxBytes: number },
): OpenedSource {
  const iterator = stream[Symbol.asyncIterator]()
  // Not awaited: a generator that hangs in `next` would never answer.
  const close = async () => {
    void Promise.resolve(iterator.return?.()).catch(() => {})
  }
  return { body: limited(iterator, close, options), size: null, framed: true, close }
}

async function* limited(
  iterator: AsyncIterator<unknown>,
  close: () => Promise<void>,
  { signal, maxBytes }: { readonly signal?: AbortSignal; readonly maxBytes: number },
): AsyncGenerator<Uint8Array, void, undefined> {
  const aborted = Promise.withResolvers<never>()
  aborted.promise.catch(() => {})
  const onAbort = () => aborted.reject(signal?.reason)
  if (signal?.aborted) onAbort()
  else signal?.addEventListener('abort', onAbort, { once: true })
  let received = 0
  let ended = false
  try {
    for (;;) {
      const result = await Promise.race([iterator.next(), aborted.promise])
      if (result.done) break
      if (!(result.value instanceof Uint8Array)) {
        throw new KeepsakeError('invalid_source', 'The stream gives something else than bytes. Give Uint8Array chunks.')
      }
      received += result.value.byteLength
      if (received > maxBytes) throw tooLarge(maxBytes)
      yield result.value
    }
    ended = true
  } catch (error) {
    if (signal?.aborted || error instanceof KeepsakeError) throw error
    throw new KeepsakeError('content_truncated', `The stream failed after ${received} bytes.`, { cause: error })
  } finally {
    signal?.removeEventListener('abort', onAbort)
    if (!ended) await close()
  }
}
