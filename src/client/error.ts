/**
 * What was refused, or never answered. `code` is the server's (docs/errors.md) or one of the client's own:
 *
 * - `network`: the API did not answer, or its CORS settings do not let this page read the answer.
 * - `storage_unreachable`: the same of the bucket.
 * - `storage_refused`: the bucket refused the bytes.
 * - `unexpected_answer`: something that is not Keepsake answered, a proxy for instance.
 */
export class KeepsakeClientError extends Error {
  override readonly name = 'KeepsakeClientError'
  readonly code: string
  /** Of the HTTP answer; 0 where there was none. */
  readonly status: number
  /** What is wrong, what was found, what to do. */
  readonly detail: string
  /** Stands in the server's log too. */
  readonly requestId: string | undefined
  /** Seconds after which it makes sense to try again, where the server said so. */
  readonly retryAfter: number

  constructor(code: string, status: number, detail: string, requestId?: string, retryAfter = 0) {
    super(detail)
    this.code = code
    this.status = status
    this.detail = detail
    this.requestId = requestId
    this.retryAfter = retryAfter
  }
}
