import { createHmac, createSecretKey, hash, type KeyObject } from 'node:crypto'

/**
 * The arithmetic of Signature Version 4, for verifying.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 *
 * Headers arrive as bytes, kept one character a byte; so canonical text is hashed as Latin-1, which gives back exactly
 * the bytes that the client signed.
 */
export const ALGORITHM = 'AWS4-HMAC-SHA256'
export const EMPTY_SHA256 = hash('sha256', '')

/** `date/region/service/aws4_request`, as sent. */
export type CredentialScope = { readonly date: string; readonly region: string; readonly service: string }

/** Derives and keeps signing keys, one a day. KeyObjects: raw buffers cost ten times as much a signature. */
export class SigningKeys {
  readonly #secret: string
  readonly #byScope = new Map<string, KeyObject>()

  constructor(secretAccessKey: string) {
    this.#secret = secretAccessKey
  }

  get({ date, region, service }: CredentialScope): KeyObject {
    const name = `${date}/${region}/${service}`
    const known = this.#byScope.get(name)
    if (known !== undefined) return known
    // Presigned URLs live a week, so more than a few days at once is someone trying dates.
    if (this.#byScope.size >= 16) this.#byScope.clear()
    const steps = [date, region, service, 'aws4_request']
    const derived = steps.reduce<Buffer>((key, step) => hmac(key, step), Buffer.from(`AWS4${this.#secret}`))
    const key = createSecretKey(derived)
    this.#byScope.set(name, key)
    return key
  }
}

export type CanonicalParts = {
  readonly method: string
  /** Decoded. */
  readonly path: string
  readonly query: readonly { readonly name: string; readonly value: string | undefined }[]
  /** Lower-case, as the client listed them. */
  readonly signedHeaders: readonly string[]
  readonly headers: ReadonlyMap<string, string>
  readonly payloadHash: string
}

export function canonicalRequest(parts: CanonicalParts): string {
  let headers = ''
  for (const name of parts.signedHeaders) headers += `${name}:${headerForm(parts.headers.get(name) ?? '')}\n`
  // S3 does not normalise the path: `a//b` and `a/../b` are keys of their own.
  const path = /^[A-Za-z0-9\-._~/]*$/.test(parts.path) ? parts.path : uriEncode(parts.path).replaceAll('%2F', '/')
  return `${parts.method}\n${path}\n${canonicalQuery(parts)}\n${headers}\n${parts.signedHeaders.join(';')}\n${parts.payloadHash}`
}

/** Sorted by encoded name, and then value. Clients mostly send it so. */
function canonicalQuery({ query }: CanonicalParts): string {
  let canonical = ''
  let last = ''
  for (const { name, value } of query) {
    const encoded = uriEncode(name)
    if (encoded <= last) return sortedQuery(query)
    last = encoded
    canonical += `${canonical === '' ? '' : '&'}${encoded}=${value === undefined ? '' : uriEncode(value)}`
  }
  return canonical
}

function sortedQuery(query: CanonicalParts['query']): string {
  return query
    .map(({ name, value }): [string, string] => [uriEncode(name), uriEncode(value ?? '')])
    .sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

export function stringToSign(timestamp: string, scope: CredentialScope, canonical: string): string {
  const digest = hash('sha256', Buffer.from(canonical, 'latin1'))
  return `${ALGORITHM}\n${timestamp}\n${scopeText(scope)}\n${digest}`
}

export function scopeText({ date, region, service }: CredentialScope): string {
  return `${date}/${region}/${service}/aws4_request`
}

export function sign(key: KeyObject, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex')
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function headerForm(value: string): string {
  if (!value.includes(' ')) return value.trim()
  return value.trim().replace(/ {2,}/g, ' ')
}

/** RFC 3986 unreserved characters stay, all else is %XX in upper case; `encodeURIComponent` leaves five too many. */
function uriEncode(text: string): string {
  if (/^[A-Za-z0-9\-._~]*$/.test(text)) return text
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}
