import { hash } from 'node:crypto'
import { KeepsakeError } from '../../media/index.ts'

export const algorithm = 'AWS4-HMAC-SHA256'
export const unsignedPayload = 'UNSIGNED-PAYLOAD'
export const emptySha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

/** Headers ready to be signed: names in lower case, sorted, with `host` among them. */
export type CanonicalHeaders = {
  /** `name;name`, the SignedHeaders of the signature. */
  readonly names: string
  /** `name:value\n` for each. */
  readonly lines: string
}

/** @throws {KeepsakeError} `invalid_request` for a header that HTTP or the signature cannot carry. */
export function canonicalHeaders(host: string, headers: Readonly<Record<string, string>>): CanonicalHeaders {
  const entries: [string, string][] = [['host', host]]
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined) continue
    checkHeader(name, value)
    // S3 collapses runs of spaces before it compares (AWS, "Create a canonical request": Trimall).
    entries.push([name.toLowerCase(), value.trim().replace(/ {2,}/g, ' ')])
  }
  entries.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0))
  let names = ''
  let lines = ''
  let previous = ''
  for (const [name, value] of entries) {
    // Sorted, so that the same name comes twice in a row.
    if (name === previous) {
      throw new KeepsakeError('invalid_request', `The header ${name} is given twice. Give it once.`)
    }
    names += previous === '' ? name : `;${name}`
    lines += `${name}:${value}\n`
    previous = name
  }
  return { names, lines }
}

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const visibleAscii = /^[\t\x20-\x7e]*$/

function checkHeader(name: string, value: string): void {
  if (!token.test(name)) {
    throw new KeepsakeError('invalid_request', `'${name}' is not the name of a header (RFC 9110, section 5.1).`)
  }
  // Outside ASCII, clients disagree on the bytes that they send, and the signature would not match.
  if (!visibleAscii.test(value)) {
    throw new KeepsakeError(
      'invalid_request',
      `The header ${name} has characters outside visible ASCII. Encode them (RFC 8187 for a file name).`,
    )
  }
}

/** The string to sign, made from the parts of a canonical request. `path` and `query` are encoded already. */
export function stringToSign(
  method: string,
  path: string,
  query: string,
  headerLines: string,
  headerNames: string,
  payloadHash: string,
  amzDate: string,
  scope: string,
): string {
  const request = `${method}\n${path}\n${query}\n${headerLines}\n${headerNames}\n${payloadHash}`
  return `${algorithm}\n${amzDate}\n${scope}\n${hash('sha256', request, 'hex')}`
}
