import type { KeyedRow } from '../../catalogue/index.ts'
import { KeepsakeError } from '../../media/index.ts'
import { compareObjectKeys, type ListedObject } from '../../stores/index.ts'

/** Hears what a comparison meets, in the order of keys. */
export type Hearer = {
  readonly both: (object: ListedObject, row: KeyedRow) => void
  readonly objectOnly: (object: ListedObject) => void
  readonly rowOnly: (row: KeyedRow) => void
}

/**
 * Merges two sorted pieces of the bucket and of the catalogue. Both have all there is after `after` and up to the same
 * key, so a key that one of them lacks is lacking.
 *
 * @throws {KeepsakeError} `internal` where a piece is not in the byte order of UTF-8: everything said after a key out of
 * order would be wrong, and what is wrong here deletes what people keep.
 */
export function compare(
  objects: readonly ListedObject[],
  rows: readonly KeyedRow[],
  after: string,
  hearer: Hearer,
): void {
  let [objectAt, rowAt] = [0, 0]
  let [lastObject, lastRow] = [after, after]
  for (;;) {
    const object = objects[objectAt]
    const row = rows[rowAt]
    if (object === undefined && row === undefined) return
    const order =
      object === undefined
        ? 1
        : row === undefined
          ? -1
          : object.key === row[0]
            ? 0
            : compareObjectKeys(object.key, row[0])
    if (object !== undefined && order <= 0) {
      requireOrder('bucket', lastObject, object.key)
      objectAt += 1
    }
    if (row !== undefined && order >= 0) {
      // Where both came along together, one look is for both.
      if (order !== 0 || lastRow !== lastObject) requireOrder('catalogue', lastRow, row[0])
      lastRow = row[0]
      rowAt += 1
    }
    if (object !== undefined && order <= 0) lastObject = object.key
    if (object !== undefined && row !== undefined && order === 0) hearer.both(object, row)
    else if (object !== undefined && order < 0) hearer.objectOnly(object)
    else if (row !== undefined) hearer.rowOnly(row)
  }
}

function requireOrder(side: string, last: string, key: string): void {
  if (compareObjectKeys(last, key) < 0) return
  throw new KeepsakeError(
    'internal',
    `The ${side} gave its keys out of the byte order of UTF-8 (after '${last.slice(-80)}' came '${key.slice(-80)}'), so it cannot be ` +
      'compared. Nothing was decided. A database whose collation was changed, or a store that sorts otherwise, does this.',
  )
}
