import type { IncomingMessage } from 'node:http'
import { S3Error } from './errors.ts'

/** What a request says, taken apart once. Header values are kept as the bytes that came, one character a byte. */
export type S3Request = {
  readonly method: string
  /** The path as sent, still encoded, and decoded: signatures are over the former's canonical form. */
  readonly rawPath: string
  readonly path: string
  readonly bucket: string
  /** '' where the request is about the bucket. */
  readonly key: string
  /** Decoded, in the order sent; names may repeat. `value` is undefined for a bare `?name`. */
  readonly query: readonly QueryParameter[]
  /** The first value of each `x-amz-*` parameter of the query, by lower-case name. */
  readonly hoisted: ReadonlyMap<string, string>
  /** By lower-case name; a header sent twice is joined by a comma (SigV4, canonical headers). */
  readonly headers: ReadonlyMap<string, string>
  readonly incoming: IncomingMessage
}

export type QueryParameter = { readonly name: string; readonly value: string | undefined }

/** Takes a request apart, or throws InvalidURI. */
export function parseRequest(incoming: IncomingMessage): S3Request {
  const url = incoming.url ?? '/'
  if (!url.startsWith('/')) throw new S3Error('InvalidURI')
  const mark = url.indexOf('?')
  const rawPath = mark < 0 ? url : url.slice(0, mark)
  const path = percentDecode(rawPath)
  const headers = collectHeaders(incoming.rawHeaders)
  const { bucket, key } = locate(path, headers.get('host') ?? '')
  const query = mark < 0 ? [] : parseQuery(url.slice(mark + 1))
  return {
    method: incoming.method ?? 'GET',
    rawPath,
    path,
    bucket,
    key,
    query,
    hoisted: collectHoisted(query),
    headers,
    incoming,
  }
}

/** The first value of a query parameter; '' for a bare name. */
export function queryValue(request: S3Request, name: string): string | undefined {
  for (const parameter of request.query) if (parameter.name === name) return parameter.value ?? ''
  return undefined
}

/**
 * A header, or, in a presigned URL, the query parameter of that name: SDKs hoist `x-amz-*` headers into the query when
 * they presign, and S3 takes them from there.
 */
export function headerValue(request: S3Request, name: string): string | undefined {
  const header = request.headers.get(name)
  if (header !== undefined || !name.startsWith('x-amz-')) return header
  const hoisted = request.hoisted.get(name)
  return hoisted === undefined ? undefined : Buffer.from(hoisted).toString('latin1')
}

/** Header bytes as text. Bytes that are not UTF-8 are refused: they could not be given back as they came. */
export function headerText(name: string, value: string): string {
  if (/^[\x20-\x7e]*$/.test(value)) return value
  try {
    return utf8.decode(Buffer.from(value, 'latin1'))
  } catch {
    throw new S3Error('InvalidArgument', `The value of ${name} is not valid UTF-8.`, { ArgumentName: name })
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Percent-decoding, once. A broken escape, bytes that are not UTF-8 and NUL have no meaning as a key, so they are
 * InvalidURI. Dots and double slashes mean nothing special: a key is any string.
 */
export function percentDecode(text: string): string {
  if (/^[\x21-\x24\x26-\x7e]*$/.test(text)) return text
  if (/^[\x21-\x7e]*$/.test(text)) return plainDecode(text)
  if (/%(?![0-9a-fA-F]{2})/.test(text)) throw new S3Error('InvalidURI')
  const bytes = Buffer.from(
    text.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )
  if (bytes.includes(0)) throw new S3Error('InvalidURI')
  try {
    return utf8.decode(bytes)
  } catch {
    throw new S3Error('InvalidURI')
  }
}

/** Of what consists of ASCII, as nearly everything does: the same by the engine's own means. */
function plainDecode(text: string): string {
  let decoded: string
  try {
    decoded = decodeURIComponent(text)
  } catch {
    throw new S3Error('InvalidURI')
  }
  if (decoded.includes('\0')) throw new S3Error('InvalidURI')
  return decoded
}

function parseQuery(text: string): QueryParameter[] {
  const parameters: QueryParameter[] = []
  for (const part of text.split('&')) {
    if (part === '') continue
    const equals = part.indexOf('=')
    if (equals < 0) parameters.push({ name: decodeQuery(part), value: undefined })
    else parameters.push({ name: decodeQuery(part.slice(0, equals)), value: decodeQuery(part.slice(equals + 1)) })
  }
  return parameters
}

function collectHoisted(query: readonly QueryParameter[]): ReadonlyMap<string, string> {
  const hoisted = new Map<string, string>()
  for (const { name, value } of query) {
    const lower = name.toLowerCase()
    if (value !== undefined && lower.startsWith('x-amz-') && !hoisted.has(lower)) hoisted.set(lower, value)
  }
  return hoisted
}

function decodeQuery(text: string): string {
  return percentDecode(text.includes('+') ? text.replaceAll('+', '%20') : text)
}

function collectHeaders(raw: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>()
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] ?? '').toLowerCase()
    const value = raw[i + 1] ?? ''
    const earlier = headers.get(name)
    headers.set(name, earlier === undefined ? value : `${earlier},${value}`)
  }
  return headers
}

/** Path style, or virtual-hosted as `bucket.localhost`, which every resolver maps to loopback (RFC 6761, 6.3). */
function locate(path: string, host: string): { bucket: string; key: string } {
  const hosted = /^(.+)\.localhost(?::\d+)?$/i.exec(host)
  if (hosted?.[1] !== undefined) return { bucket: hosted[1].toLowerCase(), key: path.slice(1) }
  const slash = path.indexOf('/', 1)
  if (slash < 0) return { bucket: path.slice(1), key: '' }
  return { bucket: path.slice(1, slash), key: path.slice(slash + 1) }
}
