import { closeSync, fdatasync, ftruncateSync, openSync, readSync, write, writeSync, writevSync } from 'node:fs'
import { promisify } from 'node:util'
import { PAGE } from './pack-entry.ts'

const syncData = promisify(fdatasync)
const writeBytes = promisify(write)

const MAGIC = Buffer.from('S3packs\u0001')
const SEALED_AT = 8
const SEALED = Buffer.from('S')

/** Bytes of zeros that are written ahead at a time, from the least to the most. */
const RESERVE = { least: 64 * 1024, most: 1024 * 1024 } as const
/** With more writers than this, what is saved by {@link RESERVE} is less than it costs. */
const FEW = 3

/** Where an entry lies: in which pack, from where on, and its length with padding. */
export type Place = { readonly pack: number; readonly at: number; readonly bytes: number }

type Waiting = {
  readonly pieces: readonly Uint8Array[]
  readonly bytes: number
  readonly written: (at: number) => void
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

/**
 * A pack that is being written. Entries that come while others are on their way to the disk wait, and then go together:
 * one write and one sync for all of them.
 *
 * A sync of bytes that already have their place on the disk is the cheapest there is (no metadata changes), so for few
 * writers zeros are written ahead.
 */
export class PackWriter {
  readonly number: number
  readonly fd: number
  /** Entries whose changes have not been applied yet; a pack is sealed when there are none. */
  underway = 0
  readonly #size: number
  readonly #fsync: boolean
  /** Where the next entry goes. */
  #end = PAGE
  /** How far the file goes. */
  #reserved = PAGE
  #waitingBytes = 0
  #waiting: Waiting[] = []
  #running: Promise<void> | undefined
  #failure: unknown
  /** The pack's name is sure to be found after a power cut. */
  #named: Promise<void> | undefined

  /** Makes the file, which must not be there. `size` is what it is to hold, if not one entry alone is larger. */
  constructor(file: string, number: number, size: number, sync: (() => Promise<void>) | undefined) {
    this.number = number
    this.#size = size
    this.#fsync = sync !== undefined
    this.fd = openSync(file, 'wx+', 0o600)
    const header = Buffer.alloc(PAGE)
    MAGIC.copy(header)
    writeSync(this.fd, header, 0, PAGE, 0)
    this.#named = sync?.()
    this.#named?.catch(() => undefined)
  }

  /** Everything before this has been written. */
  get end(): number {
    return this.#end
  }

  hasRoom(bytes: number): boolean {
    const end = this.#end + this.#waitingBytes
    return end + bytes <= this.#size || end === PAGE
  }

  /** Resolves when a power cut cannot undo the entry. `written` is told where it lies, before it is there. */
  append(pieces: readonly Uint8Array[], bytes: number, written: (at: number) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ pieces, bytes, written, resolve, reject })
      this.#waitingBytes += bytes
      this.#running ??= this.#run()
    })
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting
      this.#waiting = []
      try {
        await this.#write(batch)
        for (const { resolve } of batch) resolve()
      } catch (error) {
        this.#giveUp(error)
        for (const { reject } of batch) reject(error)
      }
    }
    this.#running = undefined
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    const bytes = batch.reduce((sum, entry) => sum + entry.bytes, 0)
    if (this.#failure !== undefined) throw this.#failure
    if (this.#fsync && batch.length <= FEW && this.#end + bytes > this.#reserved) await this.#reserve(bytes)
    let at = this.#end
    for (const entry of batch) {
      entry.written(at)
      at += entry.bytes
    }
    const pieces = batch.flatMap((entry) => entry.pieces)
    let done = writevSync(this.fd, pieces, this.#end)
    // Short writes are rare (a signal, a disk nearly full); the next one goes on or says why not.
    while (done < bytes)
      done += writeSync(this.fd, Buffer.concat(pieces).subarray(done), 0, undefined, this.#end + done)
    if (this.#fsync) await syncData(this.fd)
    if (this.#named !== undefined) {
      await this.#named
      this.#named = undefined
    }
    this.#end += bytes
    this.#waitingBytes -= bytes
    this.#reserved = Math.max(this.#reserved, this.#end)
  }

  async #reserve(bytes: number): Promise<void> {
    const length = Math.min(Math.max(this.#end, RESERVE.least), RESERVE.most) + bytes
    const zeros = Buffer.alloc(length)
    try {
      const { bytesWritten } = await writeBytes(this.fd, zeros, 0, length, this.#reserved)
      this.#reserved += bytesWritten
    } catch {
      // A disk nearly full may still take the entries; if not, their own write says so.
    }
  }

  /**
   * What has been written of a batch that failed must not be found later. It is written over by the next one, which
   * also writes out again what the kernel may have dropped; and what is longer is cut off here.
   */
  #giveUp(error: unknown): void {
    this.#waitingBytes = this.#waiting.reduce((sum, { bytes }) => sum + bytes, 0)
    try {
      ftruncateSync(this.fd, this.#end)
      this.#reserved = this.#end
    } catch {
      this.#failure = error
    }
  }
}

/**
 * Says of a pack that what its entries tell about others is done for good. `end` is where it ends; what lies behind that
 * must be gone before the pack is called whole.
 */
export async function sealPack(fd: number, end: number, fsync: boolean): Promise<void> {
  ftruncateSync(fd, end)
  if (fsync) await syncData(fd)
  writeSync(fd, SEALED, 0, 1, SEALED_AT)
  if (fsync) await syncData(fd)
}

/** Opens a pack to read and to mark; undefined for a file that is none. */
export function openPack(file: string): { readonly fd: number; readonly isSealed: boolean } | undefined {
  const fd = openSync(file, 'r+')
  const header = Buffer.alloc(SEALED_AT + 1)
  readSync(fd, header, 0, header.length, 0)
  if (header.subarray(0, MAGIC.length).equals(MAGIC)) return { fd, isSealed: header[SEALED_AT] === SEALED[0] }
  closeSync(fd)
  return undefined
}
