import { KeepsakeError } from '../../media/index.ts'
import { tooLarge } from '../source-limit.ts'

type Headers = Readonly<Record<string, string | string[] | undefined>>

/** Seconds. A server that asks for a longer pause is asked again all the same: the source may die before. */
const longestRetryAfter = 3600

/** Answers below 500 that may be different the next time: too early, too many, a timeout, the wrong server. */
const temporary: ReadonlySet<number> = new Set([408, 421, 423, 425, 429])

/** Where an answer redirects to, or undefined where it does not (RFC 9110, section 15.4). */
export function redirectTarget(status: number, headers: Headers): string | undefined {
  if (![301, 302, 303, 307, 308].includes(status)) return undefined
  return only(headers.location)
}

/**
 * What an answer says of its body, once it is known to be the content itself.
 *
 * @throws {KeepsakeError} `source_gone`, `source_unavailable` or `content_too_large`.
 */
export function checkStatus(
  status: number,
  headers: Headers,
  origin: string,
  maxBytes: number,
): { size: number | null; framed: boolean } {
  if (status !== 200 && status !== 203) throw refused(status, headers, origin)
  checkEncoding(headers, origin)
  const length = only(headers['content-length'])
  const chunked = headers['transfer-encoding'] !== undefined
  const size = !chunked && length !== undefined && /^\d+$/.test(length) ? Number(length) : null
  if (size !== null && size > maxBytes) throw tooLarge(maxBytes, size)
  return { size, framed: chunked || size !== null }
}

function refused(status: number, headers: Headers, origin: string): KeepsakeError {
  const details = { sourceStatus: status }
  if (status >= 400 && status < 500 && !temporary.has(status)) {
    return new KeepsakeError(
      'source_gone',
      `${origin} answered ${status} instead of the content. The link may have expired, or need credentials.`,
      { details, retryable: false },
    )
  }
  const retryAfter = parseRetryAfter(only(headers['retry-after']))
  return new KeepsakeError('source_unavailable', `${origin} answered ${status} instead of the content.`, {
    details,
    retryable: true,
    ...(retryAfter === undefined ? {} : { retryAfter }),
  })
}

/**
 * Content that comes encoded although identity was asked for is refused: its bytes are not the media's, and unpacking
 * it would open the door to bombs. `aws-chunked` is let through: it is a label that some S3 uploads leave on plain bytes.
 */
function checkEncoding(headers: Headers, origin: string): void {
  const content = only(headers['content-encoding'])?.trim().toLowerCase() ?? ''
  const transfer = only(headers['transfer-encoding'])?.trim().toLowerCase() ?? 'chunked'
  if (['', 'identity', 'aws-chunked'].includes(content) && transfer === 'chunked') return
  throw new KeepsakeError(
    'source_gone',
    `${origin} only gives the content encoded (${(transfer === 'chunked' ? content : transfer).slice(0, 40)}), ` +
      'although it was asked for the plain bytes. Use a link that serves them as they are.',
    { retryable: false },
  )
}

/** Seconds to wait, from either form of Retry-After (RFC 9110, section 10.2.3). */
function parseRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  const seconds = /^\d+$/.test(value.trim()) ? Number(value) : Math.ceil((Date.parse(value) - Date.now()) / 1000)
  return Number.isNaN(seconds) ? undefined : Math.min(Math.max(seconds, 0), longestRetryAfter)
}

function only(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value
}
