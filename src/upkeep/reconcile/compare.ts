import type { KeyedRows } from '../../catalogue/index.ts'
import { KeepsakeError } from '../../media/index.ts'
import { compareObjectKeys, type ListedPage } from '../../stores/index.ts'

/** Hears what a comparison meets, in the order of keys. Objects and rows go by their indexes. */
export type Hearer = {
  readonly both: (key: string, object: number, row: number) => void
  readonly objectOnly: (key: string, object: number) => void
  readonly rowOnly: (key: string, row: number) => void
}

/**
 * Merges two sorted pieces of the bucket and of the catalogue. Both have all there is after `after` and up to the same
 * key, so a key that one of them lacks is lacking.
 *
 * @throws {KeepsakeError} `internal` where a piece is not in the byte order of UTF-8: everything said after a key out of
 * order would be wrong, and what is wrong here deletes what people keep.
 */
export function compare(objects: ListedPage, rows: Pick<KeyedRows, 'keys'>, after: string, hearer: Hearer): void {
  let [objectAt, rowAt] = [0, 0]
  let [lastObject, lastRow] = [after, after]
  let object = objects.key(0)
  let row = rows.keys[0]
  while (object !== undefined || row !== undefined) {
    const order = orderOf(object, row)
    if (object !== undefined && order <= 0) {
      requireOrder('bucket', lastObject, object)
      if (order < 0) hearer.objectOnly(object, objectAt)
    }
    if (row !== undefined && order >= 0) {
      // Where both came along together, one look is for both.
      if (order !== 0 || lastRow !== lastObject) requireOrder('catalogue', lastRow, row)
      if (order > 0) hearer.rowOnly(row, rowAt)
      else hearer.both(row, objectAt, rowAt)
      lastRow = row
      rowAt += 1
      row = rows.keys[rowAt]
    }
    if (object !== undefined && order <= 0) {
      lastObject = object
      objectAt += 1
      object = objects.key(objectAt)
    }
  }
}

function orderOf(object: string | undefined, row: string | undefined): number {
  if (object === undefined) return 1
  if (row === undefined) return -1
  return object === row ? 0 : compareObjectKeys(object, row)
}

function requireOrder(side: string, last: string, key: string): void {
  if (compareObjectKeys(last, key) < 0) return
  throw new KeepsakeError(
    'internal',
    `The ${side} gave its keys out of the byte order of UTF-8 (after '${last.slice(-80)}' came '${key.slice(-80)}'), so it cannot be ` +
      'compared. Nothing was decided. A database whose collation was changed, or a store that sorts otherwise, does this.',
  )
}
