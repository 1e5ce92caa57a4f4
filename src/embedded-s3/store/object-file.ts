import fs from 'node:fs'
import { crc32 } from 'node:zlib'

/**
 * How an object lies on disk: `body | record as JSON | footer`, in one file, so that one rename makes content and
 * metadata appear together. The footer is fixed: record length, CRC-32 of the record, magic.
 */
export type ObjectRecord = {
  readonly key: string
  /** Bytes in the body. */
  readonly size: number
  /** 32 hex digits for a whole put, and `-N` after them for one of N parts; without quotes. */
  readonly etag: string
  /** Milliseconds since 1970. */
  readonly modified: number
  /** System headers as stored, by lower-case name: content-type, cache-control, … */
  readonly headers: Readonly<Record<string, string>>
  /** User metadata, without `x-amz-meta-`. */
  readonly metadata: Readonly<Record<string, string>>
  /** Base64, by algorithm. */
  readonly checksums: Readonly<Record<string, string>>
  /** Whether the checksums are of the whole object, as they are where this is missing, or made of those of its parts. */
  readonly checksumType?: 'COMPOSITE' | 'FULL_OBJECT' | undefined
  /** As they were given with the object; {@link FolderStore.tags} knows those that hold. */
  readonly tags?: Readonly<Record<string, string>> | undefined
  /** The multipart upload that it was, and its parts in order. */
  readonly uploadId?: string | undefined
  readonly parts?: readonly ObjectPart[] | undefined
}

export type ObjectPart = {
  readonly number: number
  readonly size: number
  readonly checksums: Readonly<Record<string, string>>
}

const MAGIC = Buffer.from('S3file\r\u0001')
const FOOTER = 4 + 4 + MAGIC.length
const TAIL = 4096

/** The bytes that follow the body. */
export function encodeTrailer(record: ObjectRecord): Buffer {
  const json = Buffer.from(JSON.stringify(record))
  const footer = Buffer.allocUnsafe(FOOTER)
  footer.writeUInt32BE(json.length, 0)
  footer.writeUInt32BE(crc32(json), 4)
  MAGIC.copy(footer, 8)
  return Buffer.concat([json, footer])
}

/** A file in the objects folder that is not an object as written by this server. */
export class DamagedObjectError extends Error {
  override readonly name = 'DamagedObjectError'
}

/**
 * An open object. What holds a file descriptor, or the bytes themselves, is not changed by a put or delete of the same
 * key meanwhile. Call `close` once.
 */
export class OpenObject {
  readonly record: ObjectRecord
  /** To read the body from, where there are no `bytes`. */
  readonly fd: number
  /** The body, where it was small enough to be read at once. */
  readonly bytes: Buffer | undefined

  constructor(fd: number, record: ObjectRecord, bytes: Buffer | undefined) {
    this.fd = fd
    this.record = record
    this.bytes = bytes
  }

  /** An object that has been read whole, and has no file of its own. */
  static ofBytes(record: ObjectRecord, bytes: Buffer): OpenObject {
    return new OpenObject(NO_FILE, record, bytes)
  }

  close(): void {
    if (this.fd !== NO_FILE) fs.closeSync(this.fd)
  }
}

const NO_FILE = -1

/**
 * Opens an object; undefined where there is none. Files up to `inlineLimit` bytes are read whole. This is synchronous
 * on purpose: out of the page cache it takes 10 us, while four trips through the thread pool cost 120 us of CPU.
 */
export function openObject(path: string, inlineLimit: number): OpenObject | undefined {
  let fd: number
  try {
    fd = fs.openSync(path, 'r')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
  try {
    const { size } = fs.fstatSync(fd)
    const whole = size <= inlineLimit
    const start = whole ? 0 : Math.max(0, size - TAIL)
    let tail = readExactly(fd, start, size - start, path)
    const length = recordLength(tail, path)
    if (length + FOOTER > tail.length) {
      if (length + FOOTER > size) throw new DamagedObjectError(`${path}: the record is longer than the file`)
      tail = readExactly(fd, size - FOOTER - length, length + FOOTER, path)
    }
    const record = decodeRecord(tail.subarray(tail.length - FOOTER - length), path)
    if (record.size !== size - FOOTER - length) throw new DamagedObjectError(`${path}: the body has the wrong length`)
    return new OpenObject(fd, record, whole ? tail.subarray(0, record.size) : undefined)
  } catch (error) {
    fs.closeSync(fd)
    throw error
  }
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}

function readExactly(fd: number, position: number, length: number, path: string): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  let done = 0
  while (done < length) {
    const read = fs.readSync(fd, bytes, done, length - done, position + done)
    if (read === 0) throw new DamagedObjectError(`${path}: the file is shorter than it says`)
    done += read
  }
  return bytes
}

function recordLength(tail: Buffer, path: string): number {
  const magicAt = tail.length - MAGIC.length
  if (tail.length < FOOTER || !tail.subarray(magicAt).equals(MAGIC)) {
    throw new DamagedObjectError(`${path}: no footer`)
  }
  return tail.readUInt32BE(tail.length - FOOTER)
}

function decodeRecord(trailer: Buffer, path: string): ObjectRecord {
  const json = trailer.subarray(0, trailer.length - FOOTER)
  if (crc32(json) !== trailer.readUInt32BE(json.length + 4)) throw new DamagedObjectError(`${path}: damaged record`)
  const parsed: unknown = JSON.parse(json.toString())
  if (!isRecord(parsed)) throw new DamagedObjectError(`${path}: not an object record`)
  return parsed
}

/** The CRC says that the record is as this program wrote it; this says that it was this program's format. */
export function isRecord(value: unknown): value is ObjectRecord {
  if (typeof value !== 'object' || value === null) return false
  const has = (name: string, type: string) => typeof Reflect.get(value, name) === type
  return (
    has('key', 'string') &&
    has('size', 'number') &&
    has('etag', 'string') &&
    has('modified', 'number') &&
    ['headers', 'metadata', 'checksums'].every((name) => has(name, 'object') && Reflect.get(value, name) !== null)
  )
}
