import { KeepsakeError } from '../../media/index.ts'

const prefix = 'x-amz-meta-'
/** RFC 8187, section 3.2.1: how HTTP writes Unicode in a header. */
const marker = "UTF-8''"
const name = /^[!#$%&'*+.^_`|~0-9a-z-]+$/
/** What every store gives back as it got it: visible ASCII, single spaces inside, no encoded word (RFC 2047). */
const plain = /^[\x21-\x7e]+(?: [\x21-\x7e]+)*$/

/**
 * User metadata as headers. S3 only keeps ASCII faithfully (AWS, "Working with object metadata"), so any other value
 * is written as an RFC 8187 `UTF-8''…` value, in ASCII, and {@link decodeMetadata} reads it back.
 *
 * @throws {KeepsakeError} `invalid_request` for a name that no header can have, or a value with a lone surrogate.
 */
export function encodeMetadata(metadata: Readonly<Record<string, string>>): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [key, value] of Object.entries(metadata)) {
    if (!name.test(key)) {
      throw new KeepsakeError(
        'invalid_request',
        `'${key}' cannot name metadata. Allowed are lower-case letters, digits and dashes.`,
      )
    }
    headers[prefix + key] = encodeMetadataValue(value)
  }
  return headers
}

/** One value of user metadata, in ASCII. */
export function encodeMetadataValue(value: string): string {
  if (plain.test(value) && !value.startsWith(marker) && !value.includes('=?')) return value
  if (!value.isWellFormed()) {
    throw new KeepsakeError('invalid_request', 'A metadata value has a lone surrogate, which no object store can keep.')
  }
  return marker + encodeURIComponent(value)
}

/** User metadata out of a response's headers, in whatever way it was written. */
export function decodeMetadata(headers: Readonly<Record<string, string>>): Record<string, string> {
  const metadata: Record<string, string> = {}
  for (const key in headers) {
    if (key.startsWith(prefix)) metadata[key.slice(prefix.length)] = decodeValue(headers[key] ?? '')
  }
  return metadata
}

function decodeValue(value: string): string {
  if (value.startsWith(marker)) {
    try {
      return decodeURIComponent(value.slice(marker.length))
    } catch {
      return value
    }
  }
  // Written by others in raw UTF-8, S3 gives it back as encoded words (RFC 2047, section 2).
  if (!value.includes('=?')) return value
  return value
    .replace(/\?=\s+=\?/g, '?==?')
    .replace(/=\?utf-8\?([bq])\?([^?]*)\?=/gi, (_, encoding: string, text: string) =>
      encoding.toLowerCase() === 'b' ? Buffer.from(text, 'base64').toString('utf8') : decodeQ(text),
    )
}

/** RFC 2047, section 4.2. */
function decodeQ(text: string): string {
  const bytes = text
    .replaceAll('_', ' ')
    .replace(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1').toString('utf8')
}
