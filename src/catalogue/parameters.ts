import { KeepsakeError } from '../media/index.ts'

/**
 * Values as both drivers send them alike: a Date as RFC 3339 text, because `pg` would write it in the process's time
 * zone. Text that Postgres cannot hold is refused here, because a driver would turn a lone surrogate into U+FFFD, and
 * two owners that differ in it would become one.
 *
 * @throws {KeepsakeError} `invalid_request`
 */
export function toParameters(values: readonly unknown[]): unknown[] {
  return values.map(toParameter)
}

function toParameter(value: unknown): unknown {
  if (typeof value === 'string') {
    if (value.includes('\0') || !value.isWellFormed()) refuse('a text has a NUL character or a lone surrogate')
    return value
  }
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) refuse('a date is not valid')
    return value.toISOString()
  }
  if (Array.isArray(value)) return value.map(toParameter)
  return value
}

function refuse(why: string): never {
  throw new KeepsakeError('invalid_request', `The catalogue cannot hold a value of this request: ${why}. Remove it.`)
}
