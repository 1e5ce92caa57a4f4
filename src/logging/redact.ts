/**
 * Secrets never reach a log: credentials under telling names, presigned URLs (whoever has one may use it), tokens
 * and passwords inside any text, stack traces and error causes included.
 */

const secretName =
  /^(authorization|proxy-authorization|cookie|set-cookie|api[-_]?keys?|password|secret|client[-_]?secret|(aws)?[-_]?secret[-_]?access[-_]?key|(session|security|access|refresh|id)[-_]?token|token|jwt([-_]?secret)?|x-amz-security-token)$/i

// No pattern crosses a quote or a backslash, so that a line of JSON stays one.
const replacements: readonly (readonly [RegExp, string])[] = [
  // Credentials before the host: postgres://user:password@host.
  [/([a-z][a-z0-9+.-]*:\/\/)[^\s/@"'<>\\]+@/gi, '$1[redacted]@'],
  // A query may be a signature, whatever its parameters are called.
  [/([a-z][a-z0-9+.-]*:\/\/[^\s?#"'<>\\]*)[?#][^\s"'<>\\]*/gi, '$1?[redacted]'],
  // Signatures outside of a whole URL: AWS SigV4 and V2, Google, Azure SAS.
  [
    /\b((?:X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)|Signature|AWSAccessKeyId|GoogleAccessId|sig|token|access_token|api_key|apikey)=)[^\s&"'<>\\]+/gi,
    '$1[redacted]',
  ],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/-]{6,}=*/gi, '$1 [redacted]'],
  // A JWT (RFC 7519) starts with base64url of `{"`.
  [/\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)?/g, '[redacted]'],
  [/\bdata:[a-z0-9.+/-]*;base64,[A-Za-z0-9+/=_-]{16,}/gi, 'data:[redacted]'],
]

/** A text without the secrets that can be told by their shape. */
export function redactText(text: string): string {
  let result = text
  for (const [pattern, replacement] of replacements) result = result.replace(pattern, replacement)
  return result
}

const maxDepth = 6
const maxEntries = 100

/** Any value as it may stand in a log: plain data, bounded in depth and size, without secrets. */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redactText(value)
  if (typeof value === 'bigint') return value.toString()
  if (typeof value !== 'object' || value === null) return value
  if (depth >= maxDepth) return '[deep]'
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
  if (value instanceof URL) return redactText(value.href)
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`
  if (value instanceof Error) return redactError(value, depth)
  if (Array.isArray(value)) return value.slice(0, maxEntries).map((entry) => redact(entry, depth + 1))
  return redactEntries(Object.entries(value), depth)
}

function redactEntries(entries: readonly (readonly [string, unknown])[], depth: number): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  for (const [name, entry] of entries.slice(0, maxEntries)) {
    const hidden = secretName.test(name) && entry !== null && entry !== undefined && typeof entry !== 'boolean'
    result[name] = hidden ? '[redacted]' : redact(entry, depth + 1)
  }
  return result
}

function redactError(error: Error, depth: number): Record<string, unknown> {
  return {
    type: error.name,
    ...redactEntries(
      Object.entries(error).filter(([name]) => name !== 'name'),
      depth,
    ),
    message: redactText(error.message),
    stack: error.stack === undefined ? undefined : redactText(error.stack),
    ...(error.cause === undefined ? {} : { cause: redact(error.cause, depth + 1) }),
  }
}
