import { crc32 } from 'node:zlib'
import { DamagedObjectError, isRecord, type ObjectRecord } from './object-file.ts'

/** Each entry begins at a multiple of this, so that writing one never touches a page that holds another. */
export const PAGE = 4096
export const HEADER = 32

const MAGIC = Buffer.from('S3pack\r\u0001')
/** One byte, in no checksum: it is changed in place once something else is true of the key. */
export const STATE_AT = 8
export const DEAD = Buffer.from('D')
const LIVE = 'L'.charCodeAt(0)
const CHANGES = ['put', 'delete', 'file'] as const

/** What happened to a key. */
export type PackNote = {
  readonly bucket: string
  readonly key: string
  /**
   * `put`: it is the object in this entry. `delete`: there is none. `file`: it has a file of its own, and what earlier
   * entries say of the key holds no more.
   */
  readonly change: (typeof CHANGES)[number]
  /** Of a `put`, and of no other. */
  readonly record?: ObjectRecord | undefined
}

export type EncodedEntry = {
  readonly pieces: readonly Uint8Array[]
  /** With the padding up to the next page. */
  readonly bytes: number
}

/**
 * `header | note as JSON | body | zeros up to the next page`. The header: magic, state, change, the lengths of note and
 * body, the CRC-32 of the body, and the CRC-32 of the header but for the state, and the note.
 */
export function encodeEntry(note: PackNote, body: readonly Uint8Array[]): EncodedEntry {
  const { bucket, key, change, record } = note
  const json = JSON.stringify(record === undefined ? { bucket, key } : { bucket, record })
  const length = Buffer.byteLength(json)
  const head = Buffer.allocUnsafe(HEADER + length)
  let size = 0
  let checksum = 0
  for (const piece of body) {
    size += piece.length
    checksum = crc32(piece, checksum)
  }
  MAGIC.copy(head)
  head[STATE_AT] = LIVE
  head[9] = CHANGES.indexOf(change) + 1
  head.writeUInt16BE(0, 10)
  head.writeUInt32BE(length, 12)
  head.writeUInt32BE(size, 16)
  head.writeUInt32BE(checksum, 20)
  head.writeUInt32BE(0, 28)
  head.write(json, HEADER)
  head.writeUInt32BE(headChecksum(head), 24)
  const bytes = roundUp(head.length + size)
  return { pieces: [head, ...body, PADDING.subarray(0, bytes - head.length - size)], bytes }
}

const PADDING = Buffer.alloc(PAGE)

export type EntryHead = {
  readonly isDead: boolean
  /** Bytes from the entry's start to its body, and to the end of that. */
  readonly bodyAt: number
  readonly bodyEnd: number
  readonly change: PackNote['change']
  readonly bodyChecksum: number
}

/** Reads the fixed part; undefined where no entry begins. Nothing of it is sure before {@link decodeNote}. */
export function decodeHead(bytes: Buffer): EntryHead | undefined {
  if (bytes.length < HEADER || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined
  const change = CHANGES[(bytes[9] ?? 0) - 1]
  if (change === undefined) return undefined
  const bodyAt = HEADER + bytes.readUInt32BE(12)
  const bodyEnd = bodyAt + bytes.readUInt32BE(16)
  return { isDead: bytes[STATE_AT] !== LIVE, bodyAt, bodyEnd, change, bodyChecksum: bytes.readUInt32BE(20) }
}

/** What an entry says, from its bytes up to the body; undefined where they are not as they were written. */
export function decodeNote(bytes: Buffer, { bodyAt, change }: EntryHead): PackNote | undefined {
  if (bytes.length < bodyAt || headChecksum(bytes.subarray(0, bodyAt)) !== bytes.readUInt32BE(24)) return undefined
  const said: unknown = JSON.parse(bytes.toString('utf8', HEADER, bodyAt))
  const { bucket, key, record } = Object(said)
  if (typeof bucket !== 'string') return undefined
  if (change === 'put') return isRecord(record) ? { bucket, key: record.key, change, record } : undefined
  return typeof key === 'string' ? { bucket, key, change } : undefined
}

/** The object of a `put`, from its whole entry. Throws DamagedObjectError where that is not as it was written. */
export function decodeObject(bytes: Buffer, key: string): { record: ObjectRecord; body: Buffer } {
  const head = decodeHead(bytes)
  const record = head === undefined ? undefined : decodeNote(bytes, head)?.record
  if (head === undefined || record === undefined) throw new DamagedObjectError('An entry of a pack is damaged')
  if (record.key !== key) throw new DamagedObjectError('An entry of a pack is of another key')
  const body = bytes.subarray(head.bodyAt, head.bodyEnd)
  if (body.length !== record.size || crc32(body) !== head.bodyChecksum) {
    throw new DamagedObjectError('The body in an entry of a pack is damaged')
  }
  return { record, body }
}

function headChecksum(head: Buffer): number {
  return crc32(head.subarray(28), crc32(head.subarray(9, 24)))
}

export function roundUp(size: number): number {
  return Math.ceil(size / PAGE) * PAGE
}
