import type { z } from '@hono/zod-openapi'
import { HTTPException } from 'hono/http-exception'
import { type ErrorCode, KeepsakeError } from '../media/index.ts'
import type { HttpContext } from './env.ts'

export type FieldError = { readonly path: string; readonly message: string }

type ProblemOptions = {
  readonly requestId: string
  readonly errors?: readonly FieldError[]
  readonly headers?: Readonly<Record<string, string>>
}

/** Seconds to wait before what may pass is asked again, where nobody knows better. */
const defaultRetryAfter = 5

/** A problem details response (RFC 9457). */
export function problemResponse(error: KeepsakeError, options: ProblemOptions): Response {
  const body = {
    ...error.details,
    // A reference to this server's own page about the code (RFC 9457, section 3.1.1).
    type: `/docs/errors#${error.code}`,
    title: error.title,
    status: error.status,
    detail: error.message,
    code: error.code,
    requestId: options.requestId,
    ...(options.errors ? { errors: options.errors } : {}),
  }
  const headers = new Headers({ 'content-type': 'application/problem+json', 'cache-control': 'no-store' })
  // 503 and its like pass: who gets one is told when to come again, also where the failing part did not say.
  const retryAfter = error.retryAfter ?? (error.retryable && error.status >= 500 ? defaultRetryAfter : undefined)
  if (retryAfter !== undefined) headers.set('retry-after', String(Math.max(1, Math.ceil(retryAfter))))
  if (error.code === 'unauthenticated') {
    // RFC 6750, section 3: no error code where no credentials came.
    const rejected = error.details.credentials !== 'missing'
    headers.set('www-authenticate', `Bearer realm="keepsake"${rejected ? ', error="invalid_token"' : ''}`)
  }
  for (const [name, value] of Object.entries(options.headers ?? {})) headers.set(name, value)
  return new Response(JSON.stringify(body), { status: error.status, headers })
}

/** Answers with a problem, and leaves its code for the request's log line. */
export function answerProblem(c: HttpContext, error: KeepsakeError, options: Omit<ProblemOptions, 'requestId'> = {}) {
  c.set('problem', error.code)
  return problemResponse(error, { requestId: c.get('requestId'), ...options })
}

const httpExceptionCodes: Readonly<Record<number, ErrorCode>> = {
  400: 'invalid_request',
  413: 'request_too_large',
  415: 'unsupported_media_type',
}

/** Anything thrown while a request is handled, as one of our errors. */
export function toKeepsakeError(error: unknown): KeepsakeError {
  if (error instanceof HTTPException) {
    const code = httpExceptionCodes[error.status]
    if (code !== undefined) return new KeepsakeError(code, `${error.message}.`, { cause: error })
  }
  return KeepsakeError.from(error)
}

const maxFieldErrors = 20

const places: Readonly<Record<string, string>> = { json: 'body', query: 'query', header: 'headers', param: 'path' }

/** What zod found, as one readable problem that names every field. */
export function answerInvalid(c: HttpContext, target: string, error: z.core.$ZodError): Response {
  return answerProblem(c, invalidRequest(target, error), { errors: fieldErrors(error) })
}

/** The same, to be thrown. */
export function invalidRequest(target: string, error: z.core.$ZodError): KeepsakeError {
  const place = places[target] ?? target
  const list = fieldErrors(error)
    .map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
    .join('; ')
  const ending = /[.!?]$/.test(list) ? '' : '.'
  return new KeepsakeError('invalid_request', `The ${place} is not valid: ${list}${ending}`)
}

function fieldErrors(error: z.core.$ZodError): readonly FieldError[] {
  return error.issues.slice(0, maxFieldErrors).map((issue) => ({
    path: issue.path.map(String).join('.').slice(0, 200),
    message: issue.message.endsWith('received undefined') ? 'is missing' : issue.message.slice(0, 500),
  }))
}
