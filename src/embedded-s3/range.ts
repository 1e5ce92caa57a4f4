import { S3Error } from './errors.ts'

export type ByteRange = {
  readonly start: number
  /** Bytes in the range. */
  readonly length: number
}

/**
 * The part of an object that a Range header asks for; undefined for all of it. Like S3, one range only, and what is not
 * a range is ignored (RFC 9110, 14.2); a range outside the object is InvalidRange.
 */
export function parseRange(header: string | undefined, size: number): ByteRange | undefined {
  const match = /^\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(header ?? '')
  if (header === undefined || match === null) return undefined
  const [, first = '', last = ''] = match
  if (first === '' && last === '') return undefined
  if (first !== '' && last !== '' && Number(first) > Number(last)) return undefined
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (start >= size || start > end) {
    throw new S3Error(
      'InvalidRange',
      undefined,
      { RangeRequested: header, ActualObjectSize: String(size) },
      { 'content-range': `bytes */${size}` },
    )
  }
  return { start, length: end - start + 1 }
}
