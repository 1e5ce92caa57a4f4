import { S3Error } from './errors.ts'
import { headerText, headerValue, type S3Request } from './request.ts'
import type { ObjectRecord } from './store/object-file.ts'
import { tagsHeader } from './tags.ts'

/** Headers that S3 keeps with an object and gives back. */
const STORED = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
] as const

/** The headers, besides those about the body, that say something about an object being written. */
export const WRITE_HEADERS: readonly string[] = [
  'x-amz-meta-',
  'x-amz-acl',
  'x-amz-storage-class',
  'x-amz-server-side-encryption',
  'x-amz-tagging',
]

const META = 'x-amz-meta-'
/** "The user-defined metadata is limited to 2 KB in size", names and values, in UTF-8. */
const MAX_METADATA = 2048
// biome-ignore lint/suspicious/noControlCharactersInRegex: what a header value may not hold (RFC 9110, 5.5)
const FORBIDDEN = /[\u0000-\u0008\u000a-\u001f\u007f]/

/** Values that ask for what is done in any case are taken; all others are for what this server does not do. */
export function refuseOtherThanDefaults(request: S3Request): void {
  const storageClass = headerValue(request, 'x-amz-storage-class')
  if (storageClass !== undefined && storageClass !== 'STANDARD') throw notImplemented('x-amz-storage-class')
  // One account owns everything, and there are no grants: only these two say what holds anyway.
  const acl = headerValue(request, 'x-amz-acl')
  if (acl !== undefined && acl !== 'private' && acl !== 'bucket-owner-full-control') throw notImplemented('x-amz-acl')
  const encryption = headerValue(request, 'x-amz-server-side-encryption')
  if (encryption !== undefined && encryption !== 'AES256') throw notImplemented('x-amz-server-side-encryption')
}

function notImplemented(header: string): S3Error {
  return new S3Error('NotImplemented', undefined, { Header: header })
}

/** What of a request is kept with the object. */
export function storedHeaders(request: S3Request): Pick<ObjectRecord, 'headers' | 'metadata' | 'tags'> {
  refuseOtherThanDefaults(request)
  const headers: Record<string, string> = {}
  for (const name of STORED) {
    const raw = request.headers.get(name)
    if (raw === undefined) continue
    const value = headerText(name, name === 'content-encoding' ? withoutAwsChunked(raw) : raw)
    // A form's field can hold what no header may, and would make the object one that cannot be answered.
    if (FORBIDDEN.test(value)) {
      throw new S3Error('InvalidArgument', 'A header cannot hold control characters.', { ArgumentName: name })
    }
    if (value !== '') headers[name] = value
  }
  headers['content-type'] ??= 'binary/octet-stream'
  return { headers, metadata: userMetadata(request), tags: tagsHeader(request) }
}

function userMetadata(request: S3Request): Record<string, string> {
  const names = new Set<string>()
  for (const name of request.headers.keys()) if (name.startsWith(META)) names.add(name)
  for (const { name } of request.query) if (name.toLowerCase().startsWith(META)) names.add(name.toLowerCase())
  const metadata: [string, string][] = []
  let size = 0
  for (const name of names) {
    const value = headerText(name, headerValue(request, name) ?? '')
    // A name out of a presigned query can hold what no header name may.
    if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name) || FORBIDDEN.test(value)) {
      throw new S3Error('InvalidArgument', 'User metadata must be valid as HTTP headers.', { ArgumentName: name })
    }
    size += name.length - META.length + Buffer.byteLength(value)
    metadata.push([name.slice(META.length), value])
  }
  if (size > MAX_METADATA) {
    throw new S3Error('MetadataTooLarge', undefined, { Size: String(size), MaxSizeAllowed: String(MAX_METADATA) })
  }
  return Object.fromEntries(metadata)
}

/** The headers that GET and HEAD answer with; overrides from `response-*` where asked for. */
export function objectHeaders(record: ObjectRecord, request: S3Request): Record<string, string> {
  const headers: Record<string, string> = {
    'accept-ranges': 'bytes',
    etag: `"${record.etag}"`,
    'last-modified': new Date(record.modified).toUTCString(),
    'x-content-type-options': 'nosniff',
  }
  for (const [name, value] of Object.entries(record.headers)) headers[name] = headerBytes(value)
  for (const [name, value] of Object.entries(record.metadata)) headers[META + name] = headerBytes(value)
  for (const { name, value } of request.query) {
    const overridden = STORED.find((stored) => name === `response-${stored}`)
    if (overridden === undefined || value === undefined) continue
    if (FORBIDDEN.test(value)) {
      throw new S3Error('InvalidArgument', 'A response header cannot hold control characters.', { ArgumentName: name })
    }
    headers[overridden] = headerBytes(value)
  }
  if (headerValue(request, 'x-amz-checksum-mode')?.toUpperCase() === 'ENABLED') {
    Object.assign(headers, checksumHeaders(record))
  }
  return headers
}

/** The query parameters that override response headers. */
export const RESPONSE_OVERRIDES: readonly string[] = STORED.map((name) => `response-${name}`)

export function checksumHeaders(record: Pick<ObjectRecord, 'checksums' | 'checksumType'>): Record<string, string> {
  const entries = Object.entries(record.checksums).map(([algorithm, value]) => [`x-amz-checksum-${algorithm}`, value])
  if (entries.length > 0) entries.push(['x-amz-checksum-type', record.checksumType ?? 'FULL_OBJECT'])
  return Object.fromEntries(entries)
}

/** Text as the bytes of its UTF-8, one character a byte, which is how node:http takes header values. */
function headerBytes(text: string): string {
  return Buffer.from(text).toString('latin1')
}

/** aws-chunked is how the body travelled, not what it is. */
function withoutAwsChunked(encoding: string): string {
  const codings = encoding.split(',').map((coding) => coding.trim())
  return codings.filter((coding) => coding !== '' && coding.toLowerCase() !== 'aws-chunked').join(', ')
}
