import type { IndexRow } from './listing-index.ts'

export type ListQuery = {
  readonly bucket: string
  readonly prefix: string
  /** '' for none. */
  readonly delimiter: string
  /** Only keys after this one; '' for all. */
  readonly startAfter: string
  /** Where a page before this one ended: its `next`. */
  readonly from: Buffer | undefined
  /** Objects and common prefixes together. */
  readonly limit: number
}

export type ListPage = {
  readonly objects: readonly IndexRow[]
  readonly commonPrefixes: readonly string[]
  /** The first place the next page may start at; undefined on the last page. */
  readonly next: Buffer | undefined
}

/** No UTF-8 text begins with this byte, so every key is below it. */
const END = Buffer.from([0xff])
const ZERO = Buffer.from([0])

/**
 * One page of a listing. A common prefix costs one seek, however many keys lie under it.
 * `scan` gives the rows with `from <= key < until` in byte order.
 */
export function listPage(query: ListQuery, scan: (from: Buffer, until: Buffer) => Iterable<IndexRow>): ListPage {
  const prefix = Buffer.from(query.prefix)
  const delimiter = query.delimiter === '' ? undefined : Buffer.from(query.delimiter)
  const until = successor(prefix)
  const starts = [prefix, query.startAfter === '' ? ZERO.subarray(1) : after(Buffer.from(query.startAfter)), query.from]
  let from = starts.filter((start) => start !== undefined).reduce((a, b) => (Buffer.compare(a, b) < 0 ? b : a))

  const objects: IndexRow[] = []
  const commonPrefixes: string[] = []
  if (query.limit === 0) return { objects, commonPrefixes, next: undefined }
  for (;;) {
    let jump: Buffer | undefined
    for (const row of scan(from, until)) {
      if (objects.length + commonPrefixes.length === query.limit) return { objects, commonPrefixes, next: from }
      const cut = delimiter === undefined ? -1 : row.key.indexOf(delimiter, prefix.length)
      if (delimiter === undefined || cut < 0) {
        objects.push(row)
        from = after(row.key)
      } else {
        const common = row.key.subarray(0, cut + delimiter.length)
        commonPrefixes.push(common.toString())
        jump = successor(common)
        break
      }
    }
    if (jump === undefined) return { objects, commonPrefixes, next: undefined }
    from = jump
  }
}

/** Where a listing goes on after a marker: a key, or a common prefix, whose keys have all been told of by it. */
export function afterMarker(marker: string, { prefix, delimiter }: Pick<ListQuery, 'prefix' | 'delimiter'>) {
  if (marker === '') return undefined
  const cut = delimiter === '' ? -1 : marker.indexOf(delimiter, prefix.length)
  const isCommonPrefix = cut >= 0 && marker.startsWith(prefix) && cut + delimiter.length === marker.length
  return isCommonPrefix ? successor(Buffer.from(marker)) : after(Buffer.from(marker))
}

/** The least byte string above `bytes`. */
function after(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, ZERO])
}

/** The least byte string above everything that begins with `prefix`. */
function successor(prefix: Buffer): Buffer {
  for (let length = prefix.length; length > 0; length--) {
    const last = prefix[length - 1] ?? 0xff
    if (last === 0xff) continue
    const above = Buffer.from(prefix.subarray(0, length))
    above[length - 1] = last + 1
    return above
  }
  return END
}
