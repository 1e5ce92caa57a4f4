import { KeepsakeError } from '../../media/index.ts'

/** Why a connection or its body failed, in words, by the code of undici, Node, the resolver or OpenSSL. */
const reasons: Readonly<Record<string, string>> = {
  ENOTFOUND: 'its name is not known',
  EAI_AGAIN: 'its name cannot be resolved now',
  ECONNREFUSED: 'it refuses the connection',
  ECONNRESET: 'it cut the connection',
  EPIPE: 'it cut the connection',
  UND_ERR_SOCKET: 'it cut the connection',
  ETIMEDOUT: 'it could not be connected to in time',
  UND_ERR_CONNECT_TIMEOUT: 'it could not be connected to in time',
  UND_ERR_HEADERS_TIMEOUT: 'it did not answer in time',
  UND_ERR_BODY_TIMEOUT: 'it stopped sending',
  EHOSTUNREACH: 'it cannot be reached',
  ENETUNREACH: 'it cannot be reached',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is not signed by a known authority',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is not signed by a known authority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is not signed by a known authority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is not signed by a known authority',
  UND_ERR_HEADERS_OVERFLOW: 'its headers are too large',
}

/** The silence of a body, as opposed to its being cut. */
const stalls: ReadonlySet<string> = new Set(['UND_ERR_BODY_TIMEOUT'])

/**
 * The error of a fetch as callers see it. Everything is worth a retry: a name that is not known may be a resolver's bad
 * day. The cause is left behind, since a parser's error carries bytes of the answer; its code is kept.
 */
export function failure(error: unknown, origin: string, signal: AbortSignal, phase: 'headers' | 'body'): unknown {
  if (signal.aborted) return signal.reason
  if (error instanceof KeepsakeError) return error
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown'
  const why = Object.hasOwn(reasons, code) ? reasons[code] : `it failed with ${code}`
  const options = { retryable: true, details: { reason: code } }
  if (phase === 'body' && !stalls.has(code)) {
    return new KeepsakeError('content_truncated', `The content from ${origin} was cut off before its end.`, options)
  }
  return new KeepsakeError('source_unavailable', `${origin} is failing: ${why}.`, options)
}
