import { existsSync } from 'node:fs'
import fs from 'node:fs/promises'
import path from 'node:path'
import { type Bucket, FOLDERS, fileIn, readBuckets } from './bucket-folder.ts'
import { BucketGate, BucketGoneError } from './bucket-gate.ts'
import { Clearing } from './clearing.ts'
import { FolderLock } from './folder-lock.ts'
import { FolderSync } from './folder-sync.ts'
import { KeyLocks } from './key-locks.ts'
import { type ListPage, type ListQuery, listPage } from './listing.ts'
import { type IndexEntry, ListingIndex, type Whereabouts } from './listing-index.ts'
import { MultipartStore } from './multipart-store.ts'
import {
  DamagedObjectError,
  encodeTrailer,
  isMissing,
  type ObjectRecord,
  OpenObject,
  openObject,
} from './object-file.ts'
import { ObjectTags, type Tags } from './object-tags.ts'
import type { PackNote } from './pack-entry.ts'
import type { Place } from './pack-writer.ts'
import { Packs, type PacksOptions } from './packs.ts'
import { rebuildIndex } from './rebuild.ts'
import { recoverJournal } from './recover-journal.ts'
import { recoverPacks } from './recover-packs.ts'
import { Upload } from './upload.ts'

export type { Bucket } from './bucket-folder.ts'

export type FolderStoreOptions = Pick<PacksOptions, 'fsync' | 'packSize'>

/** What a write is allowed to find; throws to refuse. Called with the key's lock held. */
export type WriteCondition = (current: ObjectRecord | undefined) => void

/** Files of objects that are at most this long are read in one go. */
const INLINE_LIMIT = 128 * 1024

/** Objects that are at most this long share packs; a longer one has a file of its own. */
const PACK_LIMIT = 128 * 1024

/**
 * Buckets and objects in a folder: small objects in packs, larger ones in a file each. Writes are all or nothing, also
 * under kill -9, and with `fsync` under a power cut.
 *
 * Where a pack has an object for a key, that is the object, whatever file there is: one that could not be removed yet,
 * or that was put in place by a write that never came to be told of.
 */
export class FolderStore {
  readonly #dir: string
  readonly #bucketsDir: string
  readonly #fsync: boolean
  readonly #lock: FolderLock
  readonly #index: ListingIndex
  readonly #folders: FolderSync
  readonly #packs: Packs
  readonly #tags: ObjectTags
  readonly #locks = new KeyLocks()
  readonly #gate = new BucketGate()
  readonly multipart: MultipartStore
  readonly #buckets: Map<string, Bucket>
  readonly #stop = new AbortController()
  readonly #clearing: Clearing
  /** Resolves when LIST can be answered. */
  #listable: Promise<void> = Promise.resolve()
  #rebuilt = false
  #uploads = 0

  private constructor(
    dir: string,
    { fsync, packSize }: FolderStoreOptions,
    lock: FolderLock,
    buckets: Map<string, Bucket>,
    index: ListingIndex,
  ) {
    this.#dir = dir
    this.#bucketsDir = path.join(dir, 'buckets')
    this.#fsync = fsync
    this.#lock = lock
    this.#buckets = buckets
    this.#index = index
    this.#folders = new FolderSync(fsync)
    this.#tags = new ObjectTags(fsync, this.#folders)
    this.multipart = new MultipartStore(path.join(dir, 'buckets'), fsync, this.#folders, () => this.#tmp())
    this.#packs = new Packs({ dir: path.join(dir, 'packs'), fsync, packSize }, index.packs(), index.mark())
    this.#packs.attach(
      () => index.flush(),
      () => this.#clearing.begin(),
    )
    this.#clearing = new Clearing(this.#packs, (bucket, key, place) => this.#move(bucket, key, place))
    index.follow(() => this.#packs.state())
  }

  /** Opens a folder, making it if need be. Throws FolderHeldError when it is in use. */
  static async open(dir: string, options: FolderStoreOptions): Promise<FolderStore> {
    await fs.mkdir(dir, { recursive: true, mode: 0o700 })
    const lock = new FolderLock(dir)
    try {
      await fs.rm(path.join(dir, 'tmp'), { recursive: true, force: true })
      await fs.mkdir(path.join(dir, 'tmp'), { mode: 0o700 })
      await fs.mkdir(path.join(dir, 'buckets'), { recursive: true, mode: 0o700 })
      const buckets = await readBuckets(path.join(dir, 'buckets'))
      const file = path.join(dir, 'index.sqlite')
      const kept = lock.leftBehind === 'power-cut' ? undefined : ListingIndex.openExisting(file)
      if (kept === undefined) lock.markRebuilding()
      const index = kept ?? ListingIndex.create(file)
      try {
        const store = new FolderStore(dir, options, lock, buckets, index)
        await store.#recover(kept !== undefined)
        return store
      } catch (error) {
        index.abandon()
        throw error
      }
    } catch (error) {
      lock.release(false)
      throw error
    }
  }

  buckets(): Bucket[] {
    return [...this.#buckets.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  bucket(name: string): Bucket | undefined {
    return this.#buckets.get(name)
  }

  /** Makes a bucket; false when there is one. The name must be a bucket name: it becomes a folder's. */
  async createBucket(name: string, settings: Bucket['settings'] = {}): Promise<boolean> {
    return this.#locks.hold(`${name}/`, async () => {
      if (this.#buckets.has(name)) return false
      const bucket = { name, created: Date.now(), settings }
      const fresh = this.#tmp()
      for (const folder of FOLDERS) await fs.mkdir(path.join(fresh, folder), { recursive: true, mode: 0o700 })
      await fs.writeFile(path.join(fresh, 'bucket.json'), JSON.stringify(bucket), { flush: this.#fsync, mode: 0o600 })
      await this.#folders.sync(fresh)
      await fs.rename(fresh, path.join(this.#dir, 'buckets', name))
      await this.#folders.sync(path.join(this.#dir, 'buckets'))
      this.#buckets.set(name, bucket)
      return true
    })
  }

  /** Removes a bucket that holds no object, with the uploads under way in it. Waits until listings can be had. */
  async deleteBucket(name: string): Promise<'removed' | 'not empty' | 'missing'> {
    await this.#listable
    return this.#locks.hold(`${name}/`, () =>
      this.#gate.close(name, async () => {
        if (!this.#buckets.has(name)) return 'missing'
        const query = { bucket: name, prefix: '', delimiter: '', startAfter: '', from: undefined, limit: 1 }
        if (this.list(query).objects.length > 0) return 'not empty'
        const gone = this.#tmp()
        await fs.rename(path.join(this.#dir, 'buckets', name), gone)
        this.#buckets.delete(name)
        await this.#folders.sync(path.join(this.#dir, 'buckets'))
        await fs.rm(gone, { recursive: true, force: true })
        return 'removed'
      }),
    )
  }

  /** Keeps a document for a bucket under a name, or, undefined, no more. */
  async configure(name: string, setting: string, document: string | undefined): Promise<void> {
    await this.#locks.hold(`${name}/`, async () => {
      const before = this.#buckets.get(name)
      if (before === undefined) throw new BucketGoneError()
      const { [setting]: _, ...others } = before.settings
      const bucket = { ...before, settings: document === undefined ? others : { ...others, [setting]: document } }
      const fresh = this.#tmp()
      await fs.writeFile(fresh, JSON.stringify(bucket), { flush: this.#fsync, mode: 0o600 })
      await fs.rename(fresh, path.join(this.#dir, 'buckets', name, 'bucket.json'))
      await this.#folders.sync(path.join(this.#dir, 'buckets', name))
      this.#buckets.set(name, bucket)
    })
  }

  /** Opens an object for reading; the caller closes it. Undefined where there is none. */
  open(bucket: string, key: string): OpenObject | undefined {
    const found = this.#index.find(bucket, key)
    if (typeof found !== 'object') return openObject(this.#path(bucket, key), INLINE_LIMIT)
    const { record, body } = this.#packs.read(found, key)
    return OpenObject.ofBytes(record, body)
  }

  /** What is known of an object, without its body. */
  record(bucket: string, key: string): ObjectRecord | undefined {
    const found = this.#index.find(bucket, key)
    return typeof found === 'object' ? this.#packs.record(found, key) : this.#recordInFile(bucket, key)
  }

  exists(bucket: string, key: string): boolean {
    return typeof this.#index.find(bucket, key) === 'object' || existsSync(this.#path(bucket, key))
  }

  /** Begins a body; see {@link Upload}. */
  upload(): Upload {
    return new Upload(this.#tmp(), this.#fsync)
  }

  /** Makes an upload the object of `record.key`, durably, if `condition` lets it. */
  async commit(bucket: string, upload: Upload, record: ObjectRecord, condition?: WriteCondition): Promise<void> {
    const { key } = record
    const body = upload.takeSmall(PACK_LIMIT)
    if (body !== undefined) return this.#hold(bucket, key, condition, () => this.#pack(bucket, record, body))
    await upload.seal(encodeTrailer(record))
    await this.#hold(bucket, key, condition, () =>
      this.#changeFile(bucket, key, record, (target) => this.#moveIn(upload.path, target)),
    )
  }

  /** Removes an object; one that is not there counts as removed. */
  async delete(bucket: string, key: string, condition?: WriteCondition): Promise<void> {
    await this.#hold(bucket, key, condition, async () => {
      const target = this.#path(bucket, key)
      const before = this.#index.find(bucket, key)
      if (typeof before === 'object') {
        await this.#note({ bucket, key, change: 'delete' }, [], async () => {
          await this.#removeFile(target)
          this.#tell(bucket, key, before, undefined)
        })
      } else if (before !== undefined || existsSync(target)) {
        await this.#changeFile(bucket, key, undefined, () => fs.rm(target, { force: true }))
      } else return
      this.#tags.drop(this.#folder(bucket), key)
    })
  }

  /** The tags of an object: those it came with, or what they were changed to since. */
  tags(bucket: string, record: ObjectRecord): Tags {
    return this.#tags.of(this.#folder(bucket), record)
  }

  /** Changes the tags of an object; false where there is none. */
  async setTags(bucket: string, key: string, tags: Tags): Promise<boolean> {
    return this.#gate.enter(bucket, () =>
      this.#locks.hold(`${bucket}/${key}`, async () => {
        const record = this.record(bucket, key)
        if (record === undefined) return false
        await this.#tags.change(this.#folder(bucket), record, tags, this.#tmp())
        return true
      }),
    )
  }

  /** Whether a listing can be had now, or only after the index has been rebuilt. */
  get listable(): boolean {
    return this.#rebuilt
  }

  /** Resolves when listings can be had; rejects when rebuilding the index failed. */
  whenListable(): Promise<void> {
    return this.#listable
  }

  list(query: ListQuery): ListPage {
    return listPage(query, (from, until) => this.#index.scan(query.bucket, from, until))
  }

  /** Lets go of the folder. Changes must have ended. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#listable.catch(() => undefined)
    await this.#clearing.stop()
    let inOrder = false
    try {
      await this.#packs.close()
      // What the index could not write down is found by the next start, as after a kill.
      const written = this.#index.close()
      inOrder = this.#rebuilt && written
    } finally {
      this.#index.abandon()
      this.#lock.release(inOrder)
    }
  }

  /** Makes the index say what files and packs say; the files one after another, while requests go on. */
  async #recover(isKept: boolean): Promise<void> {
    const doubtful = recoverJournal({
      dir: path.join(this.#dir, 'journal'),
      fsync: this.#fsync,
      fileOf: (bucket, key) => this.#fileOf(bucket, key),
      tmp: () => this.#tmp(),
    })
    await recoverPacks({
      packs: this.#packs,
      index: this.#index,
      mark: this.#index.mark(),
      fsync: this.#fsync,
      fileOf: (bucket, key) => this.#fileOf(bucket, key),
      entryOnDisk: (bucket, key) => this.#entryOnDisk(bucket, key),
    })
    if (isKept) {
      for (const { bucket, key } of [...doubtful, ...this.#index.intents()]) {
        if (typeof this.#index.find(bucket, key) === 'object') {
          // Put in place, and killed before the packs were told.
          await this.#removeFile(this.#path(bucket, key))
          await this.#index.unintend(bucket, key)
        } else this.#index.settle(bucket, key, this.#entryOnDisk(bucket, key))
      }
      this.#index.flush()
      this.#lock.markHeld()
      this.#rebuilt = true
    } else {
      this.#listable = this.#rebuild()
      // Whoever lists gets the failure; it must not end the process before that.
      this.#listable.catch(() => undefined)
    }
    this.#clearing.begin()
  }

  /** Every change to a key goes through here: the key's lock, and the condition. */
  #hold(bucket: string, key: string, condition: WriteCondition | undefined, work: () => Promise<void>): Promise<void> {
    return this.#gate.enter(bucket, () =>
      this.#locks.hold(`${bucket}/${key}`, () => {
        if (!this.#buckets.has(bucket)) throw new BucketGoneError()
        if (condition !== undefined) condition(this.record(bucket, key))
        return work()
      }),
    )
  }

  /** A small object. Only what a power cut cannot undo may be seen, so the index comes second. */
  #pack(bucket: string, record: ObjectRecord, body: readonly Uint8Array[]): Promise<void> {
    const { key } = record
    const before = this.#index.find(bucket, key)
    return this.#note({ bucket, key, change: 'put', record }, body, (place) => {
      this.#tell(bucket, key, before, { ...record, place })
      this.#tags.drop(this.#folder(bucket), key)
      // While the index is rebuilt there may be a file that it does not know of.
      const mayHaveFile = before === 'file' || (before === undefined && !this.#rebuilt)
      return mayHaveFile ? this.#removeFile(this.#path(bucket, key)) : undefined
    })
  }

  /** Writes an entry, and then does what it says. */
  async #note(
    note: PackNote,
    body: readonly Uint8Array[],
    apply: (place: Place) => Promise<void> | undefined,
  ): Promise<void> {
    const { applied, ...place } = await this.#packs.append(note, body)
    try {
      const applying = apply(place)
      if (applying !== undefined) await applying
    } finally {
      applied()
    }
  }

  /** A large object, or the removal of one: intent, file, folder, what packs say, index. */
  async #changeFile(
    bucket: string,
    key: string,
    entry: IndexEntry | undefined,
    apply: (target: string) => Promise<void>,
  ): Promise<void> {
    const target = this.#path(bucket, key)
    const before = this.#index.find(bucket, key)
    const settle = () => {
      this.#tell(bucket, key, before, entry)
      this.#index.settle(bucket, key, entry)
      this.#tags.drop(this.#folder(bucket), key)
      return undefined
    }
    await this.#index.intend(bucket, key)
    try {
      await apply(target)
      await this.#folders.sync(path.dirname(target)).catch(unlessMissing)
      const isMentioned = typeof before === 'object' || this.#packs.mentions(bucket, key)
      if (isMentioned) await this.#note({ bucket, key, change: 'file' }, [], settle)
      else settle()
    } catch (error) {
      if (typeof before === 'object') await this.#index.unintend(bucket, key)
      else this.#index.settle(bucket, key, this.#entryOnDisk(bucket, key))
      throw error
    }
  }

  /** Tells the index what there is now, and the packs what holds no more. */
  #tell(bucket: string, key: string, before: Whereabouts, entry: IndexEntry | undefined): void {
    this.#index.set(bucket, key, entry)
    if (entry?.place !== undefined) this.#packs.count(entry.place.pack, entry.place.bytes)
    if (typeof before !== 'object') return
    this.#packs.count(before.pack, -before.bytes)
    this.#packs.kill(before)
    this.#clearing.begin()
  }

  /** Writes an object anew where writing goes on, if it still is the one at `place`. */
  #move(bucket: string, key: string, place: Place): Promise<void> {
    return this.#gate.enter(bucket, () =>
      this.#locks.hold(`${bucket}/${key}`, async () => {
        if (!isAt(this.#index.find(bucket, key), place)) return this.#packs.kill(place)
        const { record, body } = this.#packs.read(place, key)
        await this.#note({ bucket, key, change: 'put', record }, [body], (moved) => {
          this.#tell(bucket, key, place, { ...record, place: moved })
          return undefined
        })
      }),
    )
  }

  async #moveIn(from: string, target: string): Promise<void> {
    try {
      await fs.rename(from, target)
    } catch (error) {
      if (!isMissing(error)) throw error
      // Not recursive: it must never make a bucket.
      await fs.mkdir(path.dirname(target), { mode: 0o700 }).catch(unlessThere)
      await this.#folders.sync(path.dirname(path.dirname(target)))
      await fs.rename(from, target)
    }
  }

  async #removeFile(target: string): Promise<void> {
    if (!existsSync(target)) return
    await fs.rm(target, { force: true })
    await this.#folders.sync(path.dirname(target))
  }

  async #rebuild(): Promise<void> {
    await rebuildIndex(path.join(this.#dir, 'buckets'), [...this.#buckets.keys()], this.#index, this.#stop.signal)
    this.#lock.markHeld()
    this.#rebuilt = true
  }

  #recordInFile(bucket: string, key: string): ObjectRecord | undefined {
    const file = this.#path(bucket, key)
    // Every create-only put asks, twice, and there mostly is none: a fifth of the time that an open takes to fail.
    if (!existsSync(file)) return undefined
    const object = openObject(file, 0)
    object?.close()
    return object?.record
  }

  /** What the file of a key says, whatever packs say. */
  #entryOnDisk(bucket: string, key: string): IndexEntry | undefined {
    try {
      return this.#buckets.has(bucket) ? this.#recordInFile(bucket, key) : undefined
    } catch (error) {
      if (error instanceof DamagedObjectError) return undefined
      throw error
    }
  }

  #fileOf(bucket: string, key: string): string | undefined {
    return this.#buckets.has(bucket) ? this.#path(bucket, key) : undefined
  }

  #folder(bucket: string): string {
    // Asked for by every request, and a bucket's name is no path.
    return `${this.#bucketsDir}${path.sep}${bucket}`
  }

  #path(bucket: string, key: string): string {
    return fileIn(path.join(this.#folder(bucket), 'objects'), key)
  }

  #tmp(): string {
    this.#uploads += 1
    return path.join(this.#dir, 'tmp', String(this.#uploads))
  }
}

function isAt(found: Whereabouts, { pack, at }: Place): boolean {
  return typeof found === 'object' && found.pack === pack && found.at === at
}

/** A folder that was never made holds nothing that could come back. */
function unlessMissing(error: unknown): void {
  if (!isMissing(error)) throw error
}

function unlessThere(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
}
