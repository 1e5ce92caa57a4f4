import { createHash } from 'node:crypto'
import type { MultipartPart } from './object-store.ts'

/**
 * The entity tag that S3 gives to an object of parts: the MD5 of the parts' MD5s, a dash, and their number. Undefined
 * where a part's tag is no MD5, as under encryption with KMS keys (AWS, "Object", ETag).
 */
export function multipartEtag(parts: readonly MultipartPart[]): string | undefined {
  const whole = createHash('md5')
  for (const { etag } of parts) {
    const md5 = /^"?([0-9a-f]{32})"?$/.exec(etag)?.[1]
    if (md5 === undefined) return undefined
    whole.update(md5, 'hex')
  }
  return `"${whole.digest('hex')}-${parts.length}"`
}
