import fs from 'node:fs/promises'
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { IndexEntry, ListingIndex } from './listing-index.ts'
import { DamagedObjectError, openObject } from './object-file.ts'

/** Files read before others get a turn: about two milliseconds. */
const BATCH = 64

/**
 * Fills an empty index from the files, while requests go on. A batch of files is read and entered in one turn of the
 * event loop, and a request enters its own change after it has changed the file; so whichever comes later tells the
 * truth, and no lock is needed.
 */
export async function rebuildIndex(
  dir: string,
  buckets: readonly string[],
  index: ListingIndex,
  signal: AbortSignal,
): Promise<void> {
  for (const bucket of buckets) {
    const objects = path.join(dir, bucket, 'objects')
    for (const folder of await fs.readdir(objects)) {
      const names = await fs.readdir(path.join(objects, folder))
      for (let i = 0; i < names.length; i += BATCH) {
        signal.throwIfAborted()
        const files = names.slice(i, i + BATCH).map((name) => path.join(objects, folder, name))
        index.addScanned(bucket, files.flatMap(readEntry))
        await nextTurn()
      }
    }
  }
}

/** A damaged file is left where it is, for a person to look at; a listing of it would promise what GET cannot give. */
function readEntry(file: string): IndexEntry[] {
  try {
    const object = openObject(file, 0)
    object?.close()
    return object === undefined ? [] : [object.record]
  } catch (error) {
    if (error instanceof DamagedObjectError) return []
    throw error
  }
}
