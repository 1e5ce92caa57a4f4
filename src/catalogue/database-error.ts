import { KeepsakeError } from '../media/index.ts'

/** Conditions raised by our own triggers (migrations 1 to 3). */
const quotaExceeded = 'KS001'
const keyRetired = 'KS003'

/**
 * Conditions under which the statement was right and the database was not able (PostgreSQL, appendix A): connection,
 * resources, operator intervention, system error, and the conflicts that a retry resolves. 57014 is our own deadline,
 * or an administrator's cancel.
 */
const unavailable = /^(08|53|57|58|40)|^(25006|55P03|28000|28P01|3D000)$/

/** Values that a text, jsonb, number or date column cannot hold, an index cannot take, or a CHECK refuses. */
const refusedValue = /^(22001|22003|22007|22008|22009|22021|22P02|22P05|23514|54000)$/

/**
 * Whatever a driver threw, as one of ours. Of the original only the code, the message and the constraint's name are
 * kept as cause: `detail` and `where` hold whole rows, with source URLs, and a URL error holds the connection string.
 */
export function databaseError(error: unknown): KeepsakeError {
  if (error instanceof KeepsakeError) return error
  const code = sqlState(error)
  const constraint = field(error, 'constraint')
  if (code === quotaExceeded) {
    return new KeepsakeError(
      'quota_exceeded',
      'The owner has no room left for this. Delete something, or ask for more.',
    )
  }
  if (code === keyRetired) {
    return new KeepsakeError('object_exists', 'The key was the key of another object. Begin with a new one.')
  }
  if (code !== undefined && refusedValue.test(code)) {
    return new KeepsakeError(
      'invalid_request',
      `The catalogue cannot hold a value of this request (${constraint ?? `SQLSTATE ${code}`}). ` +
        'Send text without NUL and without lone surrogates, and numbers and texts of a sane size.',
      { details: { sqlState: code, ...(constraint === undefined ? {} : { constraint }) } },
    )
  }
  if (code === undefined ? isOurMistake(error) : !unavailable.test(code)) {
    return new KeepsakeError(
      'internal',
      'The catalogue database refused a statement. The server log has the details.',
      {
        cause: safeCause(error),
      },
    )
  }
  return new KeepsakeError(
    'catalogue_unavailable',
    `The catalogue database did not answer as it should (${code === undefined ? connectionProblem(error) : `SQLSTATE ${code}`}). ` +
      'The change may or may not have happened: read again, then retry.',
    { cause: safeCause(error), retryAfter: 1 },
  )
}

/** Whether the connection that threw may be used again: only after a plain error of the server. */
export function leavesConnectionUsable(error: unknown): boolean {
  const code = sqlState(error)
  return code !== undefined && !/^(08|57P|58|XX)/.test(code)
}

/** The unique constraint that refused a statement, where that is what the error (already one of ours) came from. */
export function violatedUnique(error: unknown): string | undefined {
  if (!(error instanceof KeepsakeError) || field(error.cause, 'code') !== '23505') return undefined
  return field(error.cause, 'constraint')
}

/** Whether row-level security or a missing grant refused a statement: insufficient_privilege. */
export function refusedByRights(error: unknown): boolean {
  return error instanceof KeepsakeError && field(error.cause, 'code') === '42501'
}

export function sqlState(error: unknown): string | undefined {
  const code = field(error, 'code')
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) && field(error, 'severity') !== undefined ? code : undefined
}

function field(error: unknown, name: string): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const value: unknown = Reflect.get(error, name)
  return typeof value === 'string' && value !== '' ? value : undefined
}

function isOurMistake(error: unknown): boolean {
  return error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError
}

function connectionProblem(error: unknown): string {
  return field(error, 'code') ?? 'no connection, or no answer before the deadline'
}

function safeCause(error: unknown): Error {
  const cause = new Error(error instanceof Error ? error.message : 'A value that is no error was thrown.')
  return Object.assign(cause, { code: field(error, 'code'), constraint: field(error, 'constraint') })
}
