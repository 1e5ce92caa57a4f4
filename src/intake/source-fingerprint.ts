import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ImportSource } from './source.ts'
import { base64Content, dataUriContent } from './source-inline.ts'
import { bytesContent } from './source-open.ts'

/**
 * What makes two requests the same under one idempotency key, as 64 hex digits: the text of a URL, or the bytes of
 * inline content however they are spelled. Null for a stream, which cannot be known before it is read.
 *
 * @throws `invalid_source` for malformed inline content.
 */
export async function fingerprintSource(source: ImportSource): Promise<string | null> {
  if ('url' in source) return createHash('sha256').update(`url\n${source.url}`).digest('hex')
  const content =
    'dataUri' in source
      ? dataUriContent(source.dataUri)
      : 'base64' in source
        ? base64Content(source.base64)
        : source.bytes instanceof Uint8Array
          ? bytesContent(source.bytes)
          : null
  if (content === null) return null
  const hash = createHash('sha256').update('bytes\n')
  for (const slice of content.slices()) {
    hash.update(slice)
    await nextTurn()
  }
  return hash.digest('hex')
}
