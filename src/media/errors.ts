/**
 * The one table of error codes. A code is a promise: it never changes meaning, it has one HTTP status, one title, and
 * a section in docs/errors.md (a test compares the two). Add a code only where a caller would act differently on it.
 */
const table = {
  // What the caller sent.
  invalid_request: { status: 400, title: 'The request is not valid' },
  invalid_source: { status: 400, title: 'The source is not valid' },
  collection_not_found: { status: 404, title: 'There is no such collection' },
  asset_not_found: { status: 404, title: 'There is no such asset' },
  route_not_found: { status: 404, title: 'There is no such address' },
  method_not_allowed: { status: 405, title: 'This address does not take that method' },
  unsupported_media_type: { status: 415, title: 'The request body has a type that is not taken here' },
  request_too_large: { status: 413, title: 'The request body is too large' },
  // Who is asking.
  unauthenticated: { status: 401, title: 'Credentials are missing or not valid' },
  identity_unavailable: { status: 503, title: 'The keys that sign tokens cannot be fetched' },
  forbidden: { status: 403, title: 'These credentials do not allow this' },
  // What the media turned out to be.
  content_type_refused: { status: 422, title: 'The content is not of an accepted type' },
  content_too_large: { status: 413, title: 'The content is too large' },
  content_empty: { status: 422, title: 'The content is empty' },
  content_truncated: { status: 422, title: 'The content was cut off' },
  content_mismatch: { status: 422, title: 'The content is not what was announced' },
  quota_exceeded: { status: 403, title: 'The quota is used up' },
  // Where it came from.
  source_forbidden: { status: 422, title: 'The source address may not be fetched' },
  source_gone: { status: 422, title: 'The source does not give the content' },
  source_unavailable: { status: 502, title: 'The source is failing' },
  // What the asset is doing.
  asset_not_stored: { status: 409, title: 'The asset is not stored' },
  asset_gone: { status: 410, title: 'The asset was deleted' },
  upload_incomplete: { status: 409, title: 'The upload is not complete' },
  upload_closed: { status: 409, title: 'The upload is over' },
  idempotency_conflict: { status: 409, title: 'The idempotency key was used for another request' },
  attempt_superseded: { status: 409, title: 'A newer attempt took over' },
  // The parts behind.
  object_exists: { status: 412, title: 'An object with this key exists' },
  object_missing: { status: 404, title: 'There is no object with this key' },
  store_denied: { status: 502, title: 'The object store refuses these credentials or this action' },
  store_unavailable: { status: 503, title: 'The object store is failing' },
  catalogue_unavailable: { status: 503, title: 'The catalogue database is failing' },
  stopping: { status: 503, title: 'This server is stopping' },
  timeout: { status: 504, title: 'The work took too long' },
  // The installation.
  invalid_setting: { status: 500, title: 'A setting is not valid' },
  data_folder_locked: { status: 503, title: 'Another process holds the data folder' },
  internal: { status: 500, title: 'Something unexpected went wrong' },
} as const satisfies Record<string, { status: number; title: string }>

export type ErrorCode = keyof typeof table

/** Every code with its HTTP status and title, for the HTTP face, the CLI and the documentation. */
export const errorTable: Readonly<Record<ErrorCode, { readonly status: number; readonly title: string }>> = table

/** Whether a text, from a database row or the wire, is one of the codes. */
export function isErrorCode(value: string): value is ErrorCode {
  return Object.hasOwn(table, value)
}

export type ErrorDetails = Readonly<Record<string, string | number | boolean | null>>

export type KeepsakeErrorOptions = {
  /** Facts for a program, shown in the problem document. Never a secret, a signed URL or a credential. */
  readonly details?: ErrorDetails
  /** True when the same request may succeed later without a change (default: by status 502, 503 and 504). */
  readonly retryable?: boolean
  /** Seconds after which a retry makes sense. */
  readonly retryAfter?: number
  readonly cause?: unknown
}

/**
 * The only error that Keepsake throws on purpose. `message` says what is wrong, what was found, and what to do.
 *
 * @example
 * try { await keepsake.import('generations', request) }
 * catch (error) { if (KeepsakeError.is(error, 'content_too_large')) … }
 */
export class KeepsakeError extends Error {
  override readonly name = 'KeepsakeError'
  readonly code: ErrorCode
  readonly details: ErrorDetails
  readonly retryable: boolean
  readonly retryAfter: number | undefined

  constructor(code: ErrorCode, message: string, options: KeepsakeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options.details ?? {}
    this.retryable = options.retryable ?? [502, 503, 504].includes(table[code].status)
    this.retryAfter = options.retryAfter
  }

  /** HTTP status of the code. */
  get status(): number {
    return table[this.code].status
  }

  /** Short title of the code, the same for every occurrence (RFC 9457, section 3.1.3). */
  get title(): string {
    return table[this.code].title
  }

  static is(error: unknown, ...codes: ErrorCode[]): error is KeepsakeError {
    return error instanceof KeepsakeError && (codes.length === 0 || codes.includes(error.code))
  }

  /** Any thrown value as a KeepsakeError: one of ours as it is, everything else as `internal` with its cause kept. */
  static from(error: unknown): KeepsakeError {
    if (error instanceof KeepsakeError) return error
    return new KeepsakeError('internal', 'Something unexpected went wrong. The server log has the details.', {
      cause: error,
    })
  }
}
