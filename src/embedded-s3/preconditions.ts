import { S3Error } from './errors.ts'
import type { S3Request } from './request.ts'
import type { ObjectRecord } from './store/object-file.ts'

/** RFC 9110, 13.2.2, for reading. Throws PreconditionFailed; true means 304 Not Modified. */
export function isNotModified(request: Pick<S3Request, 'headers'>, record: ObjectRecord): boolean {
  const modified = Math.floor(record.modified / 1000) * 1000
  const ifMatch = request.headers.get('if-match')
  const unmodifiedSince = parseDate(request.headers.get('if-unmodified-since'))
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, record.etag)) throw failed('If-Match')
  } else if (unmodifiedSince !== undefined && modified > unmodifiedSince) {
    throw failed('If-Unmodified-Since')
  }
  const ifNoneMatch = request.headers.get('if-none-match')
  if (ifNoneMatch !== undefined) return matches(ifNoneMatch, record.etag)
  const modifiedSince = parseDate(request.headers.get('if-modified-since'))
  return modifiedSince !== undefined && modified <= modifiedSince
}

/** A check that a write makes with the key's lock held, or undefined when none was asked for. */
export function writeCondition(request: S3Request): ((current: ObjectRecord | undefined) => void) | undefined {
  const ifNoneMatch = request.headers.get('if-none-match')
  const ifMatch = request.headers.get('if-match')
  for (const name of ['if-modified-since', 'if-unmodified-since']) {
    if (request.headers.has(name)) throw notImplemented(name)
  }
  if (ifNoneMatch !== undefined && ifMatch !== undefined) throw notImplemented('if-match, if-none-match')
  if (ifNoneMatch !== undefined) {
    // "If-None-Match: … Expects the '*' character."
    if (ifNoneMatch.trim() !== '*') throw notImplemented('if-none-match')
    return (current) => {
      if (current !== undefined) throw failed('If-None-Match')
    }
  }
  if (ifMatch === undefined) return undefined
  return (current) => {
    if (current === undefined) throw new S3Error('NoSuchKey')
    if (!matches(ifMatch, current.etag)) throw failed('If-Match')
  }
}

/** The conditions of a copy on its source: any that does not hold is PreconditionFailed. */
export function requireSourceConditions(request: S3Request, source: ObjectRecord): void {
  const prefix = 'x-amz-copy-source-'
  const conditions = [...request.headers].filter(([name]) => name.startsWith(`${prefix}if-`))
  if (conditions.length === 0) return
  const headers = new Map(conditions.map(([name, value]) => [name.slice(prefix.length), value]))
  if (isNotModified({ headers }, source)) throw failed(`${prefix}if-none-match or ${prefix}if-modified-since`)
}

/** The condition of a deletion; one on what is not there has nothing to refuse. */
export function deleteCondition(
  ifMatch: string | undefined,
): ((current: ObjectRecord | undefined) => void) | undefined {
  if (ifMatch === undefined) return undefined
  return (current) => {
    if (current !== undefined && !matches(ifMatch, current.etag)) throw failed('If-Match')
  }
}

/** If-Range (RFC 9110, 13.1.5): whether a Range may be honoured. */
export function rangeApplies(request: S3Request, record: ObjectRecord): boolean {
  const condition = request.headers.get('if-range')
  if (condition === undefined) return true
  if (condition.includes('"')) return condition.trim() === `"${record.etag}"`
  return parseDate(condition) === Math.floor(record.modified / 1000) * 1000
}

/** S3 takes an ETag with or without quotes. */
function matches(list: string, etag: string): boolean {
  return list.split(',').some((item) => {
    const tag = item
      .trim()
      .replace(/^W\//, '')
      .replace(/^"(.*)"$/, '$1')
    return tag === '*' || tag === etag
  })
}

function parseDate(text: string | undefined): number | undefined {
  const time = text === undefined ? Number.NaN : Date.parse(text)
  return Number.isNaN(time) ? undefined : time
}

function failed(condition: string): S3Error {
  return new S3Error('PreconditionFailed', undefined, { Condition: condition })
}

function notImplemented(header: string): S3Error {
  return new S3Error('NotImplemented', undefined, { Header: header })
}
