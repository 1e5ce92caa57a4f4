const unreserved = /^[A-Za-z0-9._~-]*$/
const unreservedPath = /^[A-Za-z0-9._~/-]*$/
const leftByEncodeUri = /[!'()*]/g

/**
 * Percent-encodes everything but RFC 3986's unreserved characters, in upper-case hex (AWS, "Signature Calculations",
 * UriEncode). The text must be well-formed.
 */
export function encodeRfc3986(text: string): string {
  if (unreserved.test(text)) return text
  return encodeURIComponent(text).replace(leftByEncodeUri, encodeAscii)
}

/** A key as it stands in a path: encoded once, slashes kept, `//`, `.` and `..` left alone, as S3 signs it. */
export function encodeKey(key: string): string {
  if (unreservedPath.test(key)) return key
  return encodeRfc3986(key).replaceAll('%2F', '/')
}

function encodeAscii(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`
}

/** Names and values as a canonical query string: encoded, then sorted by name (AWS, "Create a canonical request"). */
export function canonicalQuery(parameters: readonly (readonly [name: string, value: string])[]): string {
  return parameters
    .map(([name, value]) => ({ name: encodeRfc3986(name), value: encodeRfc3986(value) }))
    .sort((a, b) => compareAscii(a.name, b.name) || compareAscii(a.value, b.value))
    .map(({ name, value }) => `${name}=${value}`)
    .join('&')
}

function compareAscii(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
