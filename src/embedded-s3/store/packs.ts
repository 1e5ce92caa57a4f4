import {
  closeSync,
  fdatasync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { syncFolder } from './folder-sync.ts'
import type { PackState } from './listing-index.ts'
import { DamagedObjectError, isMissing, type ObjectRecord } from './object-file.ts'
import { DEAD, decodeHead, decodeNote, decodeObject, encodeEntry, PAGE, type PackNote, STATE_AT } from './pack-entry.ts'
import { openPack, PackWriter, type Place, sealPack } from './pack-writer.ts'

const syncData = promisify(fdatasync)

/** Bytes in a pack. */
const PACK_SIZE = 64 * 1024 ** 2
/** Files of packs that are kept open. */
const MAX_OPEN = 128
/** Packs less than half full, as each start leaves one, before they are joined. */
const MAX_SMALL = 8
/** Full packs that wait to be sealed, before writes wait for them. */
const MAX_UNSEALED = 2

export type PacksOptions = {
  readonly dir: string
  readonly fsync: boolean
  /** Bytes. Default: 64 MiB. */
  readonly packSize?: number | undefined
}

/** An entry that was written, and which holds its pack open until it is `applied`. */
export type PackEntry = Place & {
  /** What the entry says has been told to the index, or given up. Call once. */
  applied(): void
}

/** Up to where the packs' entries have been applied. */
export type Mark = { readonly pack: number; readonly at: number }

type Underway = { readonly writer: PackWriter; at: number | undefined }

/**
 * Small objects, one after the other in files of 64 MiB that are only ever appended to, as in Haystack and Bitcask. The
 * entry is the object: a change costs one write and one sync, shared by all that are under way, and a read one read.
 * Where an object lies is for the index to know, which can be built again from the packs: the last entry of a key holds.
 *
 * An entry that holds no more is marked dead in place, after what came instead is on the disk. A full pack is sealed
 * when all such marks that its entries caused are on the disk too: from then on it says nothing of others, and nothing
 * in other packs is in doubt because of it. So a deletion need not be remembered for ever, and a pack can be cleared by
 * itself.
 */
export class Packs {
  readonly #dir: string
  readonly #fsync: boolean
  readonly #packSize: number
  /** Writes the index out, before a pack is sealed. */
  #flushIndex: () => void = () => undefined
  #onSealed: () => void = () => undefined
  #next: number
  #writer: PackWriter | undefined
  /** In the order they were opened in. */
  readonly #open = new Map<number, number>()
  readonly #underway = new Set<Underway>()
  readonly #onIdle = new Map<PackWriter, () => void>()
  readonly #sealing = new Map<number, Promise<void>>()
  /** One could not be sealed. Packs are sealed in order, so those after it are not either; the next start does it. */
  #isStuck = false
  /** The pack of the last entry about a key, where that is not sealed. */
  readonly #mentioned = new Map<string, number>()
  /** Packs with marks that are not sure to be on the disk. */
  readonly #unsynced = new Set<number>()
  /** Bytes of each pack's entries that the index points to. */
  readonly #live = new Map<number, number>()
  /** Bytes in each pack that was sealed and is not damaged. */
  readonly #sizes = new Map<number, number>()
  /** Whether what the packs say has been told to the index. */
  #isRecovered = false
  readonly #changed = new Set<number>()

  constructor({ dir, fsync, packSize = PACK_SIZE }: PacksOptions, live: ReadonlyMap<number, number>, mark: Mark) {
    this.#dir = dir
    this.#fsync = fsync
    this.#packSize = packSize
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    const numbers = this.numbers()
    for (const number of numbers) {
      this.#live.set(number, live.get(number) ?? 0)
      this.#sizes.set(number, statSync(this.#path(number)).size)
    }
    this.#next = Math.max(mark.pack, ...numbers.map((number) => number + 1), 1)
  }

  /** Says what is to be done before a pack is sealed, and after. */
  attach(flushIndex: () => void, onSealed: () => void): void {
    this.#flushIndex = flushIndex
    this.#onSealed = onSealed
  }

  /** The packs that there are, oldest first. */
  numbers(): number[] {
    const names = readdirSync(this.#dir).filter((name) => /^[1-9]\d{0,14}$/.test(name))
    return names.map(Number).sort((a, b) => a - b)
  }

  /** Writes an entry. Resolves when a power cut cannot undo it. */
  async append(note: PackNote, body: readonly Uint8Array[]): Promise<PackEntry> {
    const { pieces, bytes } = encodeEntry(note, body)
    let writer = this.#withRoom(bytes)
    while (writer === undefined) {
      await Promise.race(this.#sealing.values())
      writer = this.#withRoom(bytes)
    }
    const underway: Underway = { writer, at: undefined }
    const applied = () => this.#applied(underway)
    this.#underway.add(underway)
    writer.underway += 1
    this.#mentioned.set(nameOf(note.bucket, note.key), writer.number)
    try {
      await writer.append(pieces, bytes, (at) => (underway.at = at))
    } catch (error) {
      applied()
      throw error
    }
    return { pack: writer.number, at: underway.at ?? 0, bytes, applied }
  }

  /** Whether an entry about a key would be obeyed after a power cut. */
  mentions(bucket: string, key: string): boolean {
    return this.#mentioned.has(nameOf(bucket, key))
  }

  /** Reads an object, and checks it whole: whatever lies side by side with others had better be. */
  read({ pack, at, bytes }: Place, key: string): { record: ObjectRecord; body: Buffer } {
    return decodeObject(this.#read(pack, at, bytes), key)
  }

  /** What is known of an object, without its body. */
  record({ pack, at, bytes }: Place, key: string): ObjectRecord {
    const first = this.#read(pack, at, PAGE)
    const head = decodeHead(first)
    const isShort = head !== undefined && head.bodyAt > PAGE
    const note = head && decodeNote(isShort ? this.#read(pack, at, Math.min(head.bodyAt, bytes)) : first, head)
    if (note?.record === undefined || note.key !== key) throw new DamagedObjectError('An entry of a pack is damaged')
    return note.record
  }

  #read(pack: number, at: number, length: number): Buffer {
    const fd = this.#fd(pack)
    const bytes = Buffer.allocUnsafe(length)
    for (let done = 0; done < length; ) {
      const read = readSync(fd, bytes, done, length - done, at + done)
      if (read === 0) throw new DamagedObjectError(`Pack ${pack} is shorter than the index says`)
      done += read
    }
    return bytes
  }

  /** Marks an entry that holds no more. What came instead must be on the disk. */
  kill({ pack, at }: Omit<Place, 'bytes'>): void {
    try {
      writeSync(this.#fd(pack), DEAD, 0, 1, at + STATE_AT)
      this.#unsynced.add(pack)
    } catch (error) {
      // Somebody has removed the pack.
      if (!isMissing(error)) throw error
    }
  }

  /** Counts what the index points to from now on, or, negative, no more. */
  count(pack: number, bytes: number): void {
    this.#live.set(pack, (this.#live.get(pack) ?? 0) + bytes)
    this.#changed.add(pack)
  }

  /** For the index to keep. */
  state(): PackState {
    const counts = [...this.#changed].map((pack) => [pack, this.#live.get(pack)] as const)
    const mark = this.#isRecovered ? this.#mark() : undefined
    return { mark, counts, written: () => this.#changed.clear() }
  }

  /** From now on the index knows what was there. */
  recovered(): void {
    this.#isRecovered = true
  }

  /** A pack that had better be cleared: one that holds mostly what is dead, or one of many small ones. */
  sparse(): number | undefined {
    const small: number[] = []
    for (const [number, size] of this.#sizes) {
      const live = this.#live.get(number) ?? 0
      if (live === 0 || live * 2 < size - PAGE) return number
      if (size * 2 < this.#packSize) small.push(number)
    }
    return small.length > MAX_SMALL ? small[0] : undefined
  }

  /** Opens a pack to be read through; the caller closes it. Undefined for a file that is none, which is left alone. */
  inspect(number: number): { readonly fd: number; readonly end: number; readonly isSealed: boolean } | undefined {
    const pack = openPack(this.#path(number))
    if (pack === undefined) this.#sizes.delete(number)
    return pack && { ...pack, end: fstatSync(pack.fd).size }
  }

  /**
   * Removes a pack whose entries are all dead. Their marks are synced, lest it comes back with a power cut, and the index
   * is written, so that after a kill nothing in it points here. One that the index still points to holds something damaged: it is left where it is, for a person to look at.
   */
  async remove(number: number): Promise<void> {
    this.#sizes.delete(number)
    if ((this.#live.get(number) ?? 0) !== 0) return
    await this.#syncMarks(number)
    this.#flushIndex()
    this.#live.delete(number)
    this.#changed.add(number)
    const fd = this.#open.get(number)
    this.#open.delete(number)
    if (fd !== undefined) closeSync(fd)
    rmSync(this.#path(number))
  }

  /** Seals a pack that was left behind. The index must have been told all that its entries say. */
  async sealLeft(number: number, end: number): Promise<void> {
    await this.#syncMarks()
    await sealPack(this.#fd(number), end, this.#fsync)
    this.#sizes.set(number, end)
  }

  /** Seals what is open. No change may be under way. */
  async close(): Promise<void> {
    try {
      if (this.#writer !== undefined) this.#seal(this.#writer)
      this.#writer = undefined
      await Promise.all(this.#sealing.values())
    } finally {
      for (const fd of this.#open.values()) closeSync(fd)
      this.#open.clear()
    }
  }

  /** The pack to write to; undefined while too many full ones wait to be sealed. */
  #withRoom(bytes: number): PackWriter | undefined {
    const writer = this.#writer
    if (writer?.hasRoom(bytes) === true) return writer
    if (writer !== undefined) {
      if (this.#sealing.size >= MAX_UNSEALED) return undefined
      this.#seal(writer)
    }
    this.#writer = this.#create()
    return this.#writer
  }

  /** What is to be taken again after a kill begins here. */
  #mark(): Mark {
    const [first] = this.#underway
    if (first !== undefined) return { pack: first.writer.number, at: first.at ?? first.writer.end }
    return this.#writer === undefined ? this.#end() : { pack: this.#writer.number, at: this.#writer.end }
  }

  #create(): PackWriter {
    const number = this.#next
    this.#next += 1
    const sync = async () => {
      await syncFolder(this.#dir)
      await syncFolder(path.dirname(this.#dir))
    }
    const writer = new PackWriter(this.#path(number), number, this.#packSize, this.#fsync ? sync : undefined)
    this.#live.set(number, 0)
    this.#keepOpen(number, writer.fd)
    return writer
  }

  #seal(writer: PackWriter): void {
    const { number } = writer
    const before = [...this.#sealing.values()].at(-1)
    const sealing = this.#finish(writer, before)
      // It is still read right, now and after a start.
      .catch(() => {
        this.#isStuck = true
      })
      .finally(() => this.#sealing.delete(number))
    this.#sealing.set(number, sealing)
  }

  async #finish(writer: PackWriter, before: Promise<void> | undefined): Promise<void> {
    await before
    if (this.#isStuck) return
    await writer.idle()
    if (writer.underway > 0) await new Promise<void>((idle) => this.#onIdle.set(writer, idle))
    this.#onIdle.delete(writer)
    this.#flushIndex()
    await this.#syncMarks()
    await sealPack(writer.fd, writer.end, this.#fsync)
    for (const [name, number] of this.#mentioned) if (number === writer.number) this.#mentioned.delete(name)
    this.#sizes.set(writer.number, writer.end)
    this.#onSealed()
  }

  async #syncMarks(only?: number): Promise<void> {
    for (const number of only === undefined ? [...this.#unsynced] : [only]) {
      if (!this.#unsynced.delete(number)) continue
      try {
        if (this.#fsync) await this.#sync(number)
      } catch (error) {
        this.#unsynced.add(number)
        throw error
      }
    }
  }

  /** By a descriptor of its own, which nobody closes meanwhile. */
  async #sync(number: number): Promise<void> {
    const fd = openSync(this.#path(number), 'r+')
    try {
      await syncData(fd)
    } finally {
      closeSync(fd)
    }
  }

  #applied(entry: Underway): void {
    this.#underway.delete(entry)
    entry.writer.underway -= 1
    if (entry.writer.underway === 0) this.#onIdle.get(entry.writer)?.()
  }

  #end(): Mark {
    return { pack: this.#next, at: PAGE }
  }

  #fd(number: number): number {
    const known = this.#open.get(number)
    if (known !== undefined) return known
    const pack = openPack(this.#path(number))
    if (pack === undefined) throw new DamagedObjectError(`${this.#path(number)} is no pack`)
    this.#keepOpen(number, pack.fd)
    return pack.fd
  }

  #keepOpen(number: number, fd: number): void {
    const before = this.#open.get(number)
    if (before !== undefined && before !== fd) closeSync(before)
    this.#open.set(number, fd)
    if (this.#open.size <= MAX_OPEN) return
    for (const [oldest, unused] of this.#open) {
      // Written or synced just now.
      if (oldest === number || oldest === this.#writer?.number || this.#sealing.has(oldest)) continue
      this.#open.delete(oldest)
      closeSync(unused)
      return
    }
  }

  #path(number: number): string {
    return path.join(this.#dir, String(number))
  }
}

/** A bucket's name has no slash. */
function nameOf(bucket: string, key: string): string {
  return `${bucket}/${key}`
}
