import { close, fdatasync, mkdirSync, openSync, rmSync, writeSync, writevSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { crc32 } from 'node:zlib'
import { syncFolder } from './folder-sync.ts'

const syncData = promisify(fdatasync)
const closeFile = promisify(close)

/** Each entry begins at a multiple of this, so that writing one never touches a page that holds another. */
export const PAGE = 4096
/** What a segment holds; two of them are written by turns. */
const SEGMENT_SIZE = 32 * 1024 ** 2

export const MAGIC = Buffer.from('S3jrnl\r\u0001')
export const HEADER = 32

/** What happened to a key. */
export type JournalNote = {
  readonly bucket: string
  readonly key: string
  /**
   * `put`: its file has the content of this entry. `delete`: it has none. `file`: whatever file it has now was made
   * durable by itself, and what earlier entries say of the key holds no more.
   */
  readonly change: 'put' | 'delete' | 'file'
}

/** An entry that was written. It keeps its segment until `applied`. */
export type JournalEntry = {
  /** Resolves once a power cut cannot undo the entry. */
  readonly durable: Promise<void>
  /** What the entry says has been done to the file, or given up. Call once. */
  applied(): void
}

/** Makes files, and the names of files, durable; those that are gone count as done. */
export type SyncFiles = (files: ReadonlySet<string>) => Promise<void>

export type JournalOptions = {
  readonly dir: string
  readonly fsync: boolean
  /** Bytes. Default: 32 MiB. */
  readonly segmentSize?: number | undefined
  readonly syncFiles: SyncFiles
}

/**
 * A log of changes to small objects, so that a change costs one sync of bytes that already have their place on the disk
 * (fdatasync of a file that is written over, which changes no metadata), shared by all that are under way, instead of
 * one for its file and one for its folder. The files are written all the same, by a rename each, before the change is
 * answered; only their syncs wait until the segment is full, and then come for many at once.
 *
 * An entry is on the disk before its file is renamed, so after a power cut a file that was not synced is written again
 * from the log (see `recoverJournal`): what was answered is there, and nothing is ever half there. After a kill the log
 * also says which keys of the listing index are to be looked at.
 */
export class Journal {
  readonly #dir: string
  readonly #fsync: boolean
  readonly #segmentSize: number
  readonly #syncFiles: SyncFiles
  #segments: [Segment, Segment] | undefined
  #active = 0
  #sequence = 0
  /** The segments' names are sure to be found after a power cut. */
  #named: Promise<void> = Promise.resolve()
  /** The segment that has the last entry of a file. */
  readonly #live = new Map<string, Segment>()

  constructor({ dir, fsync, segmentSize = SEGMENT_SIZE, syncFiles }: JournalOptions) {
    this.#dir = dir
    this.#fsync = fsync
    this.#segmentSize = segmentSize
    this.#syncFiles = syncFiles
  }

  /** Whether an entry of this file would be played back after a power cut. */
  mentions(file: string): boolean {
    return this.#live.has(file)
  }

  /** Writes an entry about `file`. Waits while both segments are full. */
  async append(file: string, note: JournalNote, content: readonly Uint8Array[]): Promise<JournalEntry> {
    const meta = Buffer.from(JSON.stringify(note))
    const length = content.reduce((sum, { length }) => sum + length, 0)
    const size = roundUp(HEADER + meta.length + length)
    let segment = await this.#open()
    while (!segment.hasRoom(size)) {
      const other = this.#other(segment)
      // Whoever waited beside us may have changed over meanwhile.
      if (segment !== this.#current()) segment = this.#current()
      else if (!other.isClean) await other.clean
      else {
        this.#active = 1 - this.#active
        this.#checkpoint(segment)
        segment = other
      }
    }
    segment.write(encode(this.#sequence + 1, meta, content, length, size), size)
    // Only now: a gap would end the playing back.
    this.#sequence += 1
    segment.files.add(file)
    this.#live.set(file, segment)
    segment.underway += 1
    return { durable: segment.sync(), applied: () => segment.release() }
  }

  /** Makes all files durable and removes the log. No change may be under way. */
  async close(): Promise<void> {
    if (this.#segments === undefined) return
    for (const segment of this.#segments) {
      if (segment.isClean && segment.files.size > 0) this.#checkpoint(segment)
      await segment.clean
      await segment.close()
    }
    rmSync(this.#dir, { recursive: true, force: true })
  }

  #current(): Segment {
    const segment = this.#segments?.[this.#active]
    if (segment === undefined) throw new Error('The journal has no segment')
    return segment
  }

  #other(segment: Segment): Segment {
    const [first, second] = this.#segments ?? [segment, segment]
    return segment === first ? second : first
  }

  async #open(): Promise<Segment> {
    if (this.#segments === undefined) {
      mkdirSync(this.#dir, { recursive: true, mode: 0o700 })
      const open = (name: string) => new Segment(path.join(this.#dir, name), this.#segmentSize, this.#fsync)
      this.#segments = [open('0'), open('1')]
      if (this.#fsync) {
        // Nothing can be answered before the names of the segments are sure to be found.
        this.#named = syncFolder(this.#dir).then(() => syncFolder(path.dirname(this.#dir)))
        this.#named.catch(() => undefined)
      }
    }
    await this.#named
    return this.#current()
  }

  /** Makes a full segment's files durable, so that it can be written over. */
  #checkpoint(segment: Segment): void {
    segment.checkpoint(
      () => this.#syncFiles(segment.files),
      () => {
        for (const file of segment.files) if (this.#live.get(file) === segment) this.#live.delete(file)
      },
    )
  }
}

class Segment {
  readonly files = new Set<string>()
  /** Changes that have an entry here and whose files are not in place yet. */
  underway = 0
  isClean = true
  /** Resolves when it may be written over. */
  clean: Promise<void> = Promise.resolve()
  readonly #size: number
  readonly #fd: number
  readonly #fsync: boolean
  #offset = 0
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined
  #failure: unknown
  #onIdle: (() => void) | undefined

  constructor(file: string, size: number, fsync: boolean) {
    this.#size = size
    this.#fd = openSync(file, 'w', 0o600)
    this.#fsync = fsync
  }

  hasRoom(size: number): boolean {
    return this.isClean && (this.#offset + size <= this.#size || this.#offset === 0)
  }

  write(pieces: readonly Uint8Array[], size: number): void {
    if (this.#failure !== undefined) throw this.#failure
    const written = writevSync(this.#fd, pieces, this.#offset)
    // Short writes are rare (a signal, a disk nearly full); the next one goes on or says why not.
    for (let done = written; done < size; ) {
      done += writeSync(this.#fd, Buffer.concat(pieces).subarray(done), 0, size - done, this.#offset + done)
    }
    this.#offset += size
  }

  /** Those that come while a sync runs share the next one. */
  sync(): Promise<void> {
    if (!this.#fsync) return Promise.resolve()
    if (this.#running === undefined) return this.#sync()
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined
        return this.#sync()
      })
    return this.#next
  }

  async #sync(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    const running = syncData(this.#fd)
    this.#running = running
    try {
      await running
    } catch (error) {
      // The kernel may have dropped what it could not write, and would call the next sync a success.
      this.#failure = error
      throw error
    } finally {
      if (this.#running === running) this.#running = undefined
    }
  }

  release(): void {
    this.underway -= 1
    if (this.underway === 0) this.#onIdle?.()
  }

  checkpoint(syncFiles: () => Promise<void>, forget: () => void): void {
    this.isClean = false
    this.clean = this.#checkpoint(syncFiles, forget)
    this.clean.catch((error: unknown) => {
      this.#failure = error
    })
  }

  async #checkpoint(syncFiles: () => Promise<void>, forget: () => void): Promise<void> {
    if (this.underway > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve))
    this.#onIdle = undefined
    await syncFiles()
    // From here on it is played back no more: what comes later about these files need not be told to the log.
    writeSync(this.#fd, Buffer.alloc(PAGE), 0, PAGE, 0)
    if (this.#fsync) await syncData(this.#fd)
    forget()
    this.files.clear()
    this.#offset = 0
    this.isClean = true
  }

  async close(): Promise<void> {
    await closeFile(this.#fd)
  }
}

function encode(
  sequence: number,
  meta: Buffer,
  content: readonly Uint8Array[],
  length: number,
  size: number,
): readonly Uint8Array[] {
  const header = Buffer.alloc(HEADER)
  MAGIC.copy(header, 0)
  header.writeUIntBE(sequence, 10, 6)
  header.writeUInt32BE(meta.length, 16)
  header.writeUInt32BE(length, 20)
  header.writeUInt32BE(checksum(header, [meta, ...content]), 24)
  return [header, meta, ...content, PADDING.subarray(0, size - HEADER - meta.length - length)]
}

const PADDING = Buffer.alloc(PAGE)

/** Of all that an entry says. */
export function checksum(header: Uint8Array, pieces: readonly Uint8Array[]): number {
  return pieces.reduce((value, piece) => crc32(piece, value), crc32(header.subarray(8, 24)))
}

export function roundUp(size: number): number {
  return Math.ceil(size / PAGE) * PAGE
}
