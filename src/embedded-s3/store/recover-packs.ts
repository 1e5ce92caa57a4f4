import { closeSync, existsSync, rmSync } from 'node:fs'
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { syncFolder } from './folder-sync.ts'
import type { IndexEntry, ListingIndex } from './listing-index.ts'
import { PAGE, type PackNote } from './pack-entry.ts'
import type { Place } from './pack-writer.ts'
import type { Mark, Packs } from './packs.ts'
import { type FoundEntry, readPack } from './read-pack.ts'

type Recovery = {
  readonly packs: Packs
  readonly index: ListingIndex
  /** From where on the index may not know what they say. */
  readonly mark: Mark
  readonly fsync: boolean
  /** The file of a key; undefined where its bucket is gone. */
  readonly fileOf: (bucket: string, key: string) => string | undefined
  readonly entryOnDisk: (bucket: string, key: string) => IndexEntry | undefined
}

/** Entries taken before others get a turn. */
const BATCH = 512

/**
 * Tells the index what the packs say from the mark on, with the earliest mark: everything; and seals those that were
 * left open, so that nothing that a start found is in doubt at the next one.
 *
 * Of a sealed pack only the objects count that are not marked dead. What it says of others has been done, and a later
 * large object may have gone unmentioned.
 */
export async function recoverPacks(recovery: Recovery): Promise<void> {
  const { packs, index, mark } = recovery
  const left: { number: number; end: number }[] = []
  const last = new Map<string, PackNote>()
  for (const number of packs.numbers()) {
    const pack = packs.inspect(number)
    if (pack === undefined) continue
    try {
      let { end } = pack
      if (number >= mark.pack) {
        const from = number === mark.pack ? Math.max(mark.at, PAGE) : PAGE
        if (!pack.isSealed) end = Math.min(from, end)
        let taken = 0
        for (const entry of readPack(pack.fd, { ...pack, from })) {
          if (!pack.isSealed) end = entry.at + entry.bytes
          takeEntry(recovery, number, entry, pack.isSealed)
          if (!pack.isSealed) last.set(`${entry.note.bucket}/${entry.note.key}`, entry.note)
          taken += 1
          if (taken % BATCH === 0) await nextTurn()
        }
      }
      if (!pack.isSealed) left.push({ number, end })
    } finally {
      closeSync(pack.fd)
    }
  }
  await settleFiles(recovery, last)
  packs.recovered()
  index.flush()
  for (const { number, end } of left) await packs.sealLeft(number, end)
}

/**
 * The last entry of a key holds, and those before it are marked dead, as they may have been already; what the index
 * knows of a key can be later than the entry.
 */
function takeEntry({ packs, index, fileOf }: Recovery, pack: number, entry: FoundEntry, isSealed: boolean): void {
  const { at, bytes, isDead, note } = entry
  const { bucket, key, record } = note
  if (record === undefined ? isSealed : isDead) return
  const place = { pack, at, bytes }
  const before = index.find(bucket, key)
  if (typeof before === 'object') {
    if (isSame(before, place)) return
    if (isEarlier(place, before)) {
      if (record !== undefined) packs.kill(place)
      return
    }
    packs.kill(before)
    packs.count(before.pack, -before.bytes)
    index.set(bucket, key, undefined)
  }
  if (record === undefined) return
  if (fileOf(bucket, key) === undefined) packs.kill(place)
  else {
    packs.count(pack, bytes)
    index.set(bucket, key, { ...record, place })
  }
}

function isSame(a: Place, b: Place): boolean {
  return a.pack === b.pack && a.at === b.at
}

function isEarlier(a: Place, b: Place): boolean {
  return a.pack === b.pack ? a.at < b.at : a.pack < b.pack
}

/** What the last entries say of files of their own. */
async function settleFiles(recovery: Recovery, last: ReadonlyMap<string, PackNote>): Promise<void> {
  const folders = new Set<string>()
  for (const { bucket, key, change } of last.values()) {
    const file = recovery.fileOf(bucket, key)
    if (file === undefined) continue
    // The index may still know of a file from before.
    if (change === 'file') recovery.index.set(bucket, key, recovery.entryOnDisk(bucket, key))
    else if (change === 'delete') recovery.index.set(bucket, key, undefined)
    if (change === 'file' || !existsSync(file)) continue
    rmSync(file)
    folders.add(path.dirname(file))
  }
  if (recovery.fsync) for (const folder of folders) await syncFolder(folder)
}
