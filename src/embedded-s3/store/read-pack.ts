import { readSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { decodeHead, decodeNote, type EntryHead, HEADER, PAGE, type PackNote, roundUp } from './pack-entry.ts'

export type FoundEntry = {
  readonly at: number
  /** With padding. */
  readonly bytes: number
  /** Something else is true of the key since. */
  readonly isDead: boolean
  readonly note: PackNote
}

/**
 * The entries of a pack from `from` to `end`, in the order they were written. In a pack that was not sealed the first
 * that is not whole is where writing ended, so bodies are checked too; in one that was, it is damage, which takes no
 * entry with it but itself.
 */
export function* readPack(
  fd: number,
  { from, end, isSealed }: { readonly from: number; readonly end: number; readonly isSealed: boolean },
): Generator<FoundEntry, void, undefined> {
  for (let at = from; at + HEADER <= end; ) {
    const found = readEntry(fd, at, end, !isSealed)
    if (found === undefined) {
      if (!isSealed) return
      at += PAGE
    } else {
      yield found
      at += found.bytes
    }
  }
}

function readEntry(fd: number, at: number, end: number, withBody: boolean): FoundEntry | undefined {
  const first = readUpTo(fd, at, Math.min(PAGE, end - at))
  const head = decodeHead(first)
  if (head === undefined || at + head.bodyEnd > end) return undefined
  const bytes = withBody || head.bodyAt > first.length ? readUpTo(fd, at, wanted(head, withBody)) : first
  const note = decodeNote(bytes, head)
  if (note === undefined) return undefined
  if (withBody && crc32(bytes.subarray(head.bodyAt, head.bodyEnd)) !== head.bodyChecksum) return undefined
  return { at, bytes: roundUp(head.bodyEnd), isDead: head.isDead, note }
}

function wanted({ bodyAt, bodyEnd }: EntryHead, withBody: boolean): number {
  return withBody ? bodyEnd : bodyAt
}

function readUpTo(fd: number, position: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  let done = 0
  while (done < length) {
    const read = readSync(fd, bytes, done, length - done, position + done)
    if (read === 0) break
    done += read
  }
  return bytes.subarray(0, done)
}
