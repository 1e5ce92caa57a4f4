import { closeSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { PAGE } from './pack-entry.ts'
import type { Place } from './pack-writer.ts'
import type { Packs } from './packs.ts'
import { type FoundEntry, readPack } from './read-pack.ts'

/** Entries under way at a time: enough to share syncs, few enough to leave the disk to others. */
const HANDS = 8
/** Entries looked at before others get a turn. */
const BATCH = 256

/**
 * Moves what a pack still holds to where writing goes on, and removes it. May be broken off at any time, by a kill or a
 * signal: what has been moved is there, and what has not is where it was.
 *
 * `move` writes an object anew if it is still the one at this place, and marks the entry dead either way.
 */
export async function clearPack(
  packs: Packs,
  number: number,
  move: (entry: FoundEntry, place: Place) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const pack = packs.inspect(number)
  if (pack === undefined) return
  try {
    const entries = readPack(pack.fd, { ...pack, from: PAGE })
    let seen = 0
    const failures: unknown[] = []
    const hand = async () => {
      for (const entry of entries) {
        if (signal.aborted || failures.length > 0) return
        seen += 1
        if (seen % BATCH === 0) await nextTurn()
        if (entry.note.change !== 'put' || entry.isDead) continue
        await move(entry, { pack: number, at: entry.at, bytes: entry.bytes }).catch((error) => failures.push(error))
      }
    }
    await Promise.all(Array.from({ length: HANDS }, hand))
    if (failures.length > 0) throw failures[0]
    if (!signal.aborted && pack.isSealed) await packs.remove(number)
  } finally {
    closeSync(pack.fd)
  }
}
