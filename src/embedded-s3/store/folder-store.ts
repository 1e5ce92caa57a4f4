import { hash } from 'node:crypto'
import { accessSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import fs from 'node:fs/promises'
import path from 'node:path'
import { BucketGate, BucketGoneError } from './bucket-gate.ts'
import { FolderLock } from './folder-lock.ts'
import { FolderSync, syncFiles } from './folder-sync.ts'
import { Journal, type JournalOptions, type SyncFiles } from './journal.ts'
import { KeyLocks } from './key-locks.ts'
import { type ListPage, type ListQuery, listPage } from './listing.ts'
import { type IndexEntry, ListingIndex } from './listing-index.ts'
import { MultipartStore } from './multipart-store.ts'
import {
  DamagedObjectError,
  encodeTrailer,
  isMissing,
  type ObjectRecord,
  type OpenObject,
  openObject,
} from './object-file.ts'
import { rebuildIndex } from './rebuild.ts'
import { recoverJournal } from './recover-journal.ts'
import { Upload } from './upload.ts'

export type Bucket = {
  readonly name: string
  /** Milliseconds since 1970. */
  readonly created: number
  /** What was configured for it, as documents by name: `policy`, `cors`, … */
  readonly settings: Readonly<Record<string, string>>
}

export type FolderStoreOptions = {
  readonly fsync: boolean
  /** For tests, which cut the power. */
  readonly journal?: Partial<Pick<JournalOptions, 'segmentSize' | 'syncFiles'>>
}

/** What a write is allowed to find; throws to refuse. Called with the key's lock held. */
export type WriteCondition = (current: ObjectRecord | undefined) => void

/** Objects whose file is at most this long are read in one go. */
const INLINE_LIMIT = 128 * 1024

/** Objects whose file is at most this long go through the journal; a longer one is synced by itself. */
const JOURNAL_LIMIT = 128 * 1024

/**
 * Buckets and objects in a folder. An object's file is named by the SHA-256 of its key, so no key can name a path.
 * Writes are all or nothing, also under kill -9, and with `fsync` under a power cut.
 */
export class FolderStore {
  readonly #dir: string
  readonly #fsync: boolean
  readonly #lock: FolderLock
  readonly #index: ListingIndex
  readonly #folders: FolderSync
  readonly #journal: Journal
  readonly #locks = new KeyLocks()
  readonly #gate = new BucketGate()
  readonly multipart: MultipartStore
  readonly #buckets: Map<string, Bucket>
  readonly #stopRebuild = new AbortController()
  /** Resolves when LIST can be answered. */
  readonly #listable: Promise<void>
  #rebuilt = false
  #uploads = 0

  private constructor(dir: string, options: FolderStoreOptions, lock: FolderLock, buckets: Map<string, Bucket>) {
    const { fsync, journal = {} } = options
    this.#dir = dir
    this.#fsync = fsync
    this.#lock = lock
    this.#buckets = buckets
    this.#folders = new FolderSync(fsync)
    const recovered = recoverJournal({
      dir: path.join(dir, 'journal'),
      fsync,
      fileOf: (bucket, key) => (buckets.has(bucket) ? this.#path(bucket, key) : undefined),
      tmp: () => this.#tmp(),
    })
    const sync: SyncFiles = fsync ? (files) => syncFiles(files, this.#folders) : async () => undefined
    this.#journal = new Journal({ dir: path.join(dir, 'journal'), fsync, syncFiles: sync, ...journal })
    this.multipart = new MultipartStore(path.join(dir, 'buckets'), fsync, this.#folders, () => this.#tmp())
    const file = path.join(dir, 'index.sqlite')
    const kept = lock.leftBehind === 'power-cut' ? undefined : ListingIndex.openExisting(file)
    if (kept !== undefined) {
      this.#index = kept
      const doubtful = [...kept.intents(), ...recovered]
      kept.settleNow(doubtful.map(({ bucket, key }) => ({ bucket, key, entry: this.#entryOnDisk(bucket, key) })))
      lock.markHeld()
      this.#rebuilt = true
      this.#listable = Promise.resolve()
    } else {
      lock.markRebuilding()
      this.#index = ListingIndex.create(file)
      this.#listable = this.#rebuild()
      // Whoever lists gets the failure; it must not end the process before that.
      this.#listable.catch(() => undefined)
    }
  }

  /** Opens a folder, making it if need be. Throws FolderHeldError when it is in use. */
  static async open(dir: string, options: FolderStoreOptions): Promise<FolderStore> {
    await fs.mkdir(dir, { recursive: true, mode: 0o700 })
    const lock = new FolderLock(dir)
    try {
      await fs.rm(path.join(dir, 'tmp'), { recursive: true, force: true })
      await fs.mkdir(path.join(dir, 'tmp'), { mode: 0o700 })
      await fs.mkdir(path.join(dir, 'buckets'), { recursive: true, mode: 0o700 })
      return new FolderStore(dir, options, lock, await readBuckets(path.join(dir, 'buckets')))
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
    return openObject(this.#path(bucket, key), INLINE_LIMIT)
  }

  /** What is known of an object, without its body. */
  record(bucket: string, key: string): ObjectRecord | undefined {
    const object = openObject(this.#path(bucket, key), 0)
    object?.close()
    return object?.record
  }

  exists(bucket: string, key: string): boolean {
    return existsSync(this.#path(bucket, key))
  }

  /** Begins a body; see {@link Upload}. */
  upload(): Upload {
    return new Upload(this.#tmp(), this.#fsync)
  }

  /** Makes an upload the object of `record.key`, durably, if `condition` lets it. */
  async commit(bucket: string, upload: Upload, record: ObjectRecord, condition?: WriteCondition): Promise<void> {
    const trailer = encodeTrailer(record)
    const whole = upload.takeSmall(trailer, JOURNAL_LIMIT)
    if (whole !== undefined) return this.#commitSmall(bucket, upload, whole, record, condition)
    await upload.seal(trailer)
    await this.#change(bucket, record.key, condition, async (target) => {
      try {
        await fs.rename(upload.path, target)
      } catch (error) {
        if (!isMissing(error)) throw error
        // Not recursive: it must never make a bucket.
        await fs.mkdir(path.dirname(target), { mode: 0o700 }).catch(unlessThere)
        await this.#folders.sync(path.dirname(path.dirname(target)))
        await fs.rename(upload.path, target)
      }
      await this.#dropTags(target)
      return record
    })
  }

  /** Removes an object; one that is not there counts as removed. */
  async delete(bucket: string, key: string, condition?: WriteCondition): Promise<void> {
    await this.#hold(bucket, key, condition, async (target) => {
      // A put that failed half way may have left an entry behind without a file.
      if (!existsSync(target) && !this.#journal.mentions(target)) return
      await this.#journaled(bucket, key, undefined, [], async (durable) => {
        await durable
        rmSync(target, { force: true })
        rmSync(tagsPath(target), { force: true })
      })
    })
  }

  /** The tags of an object: those it came with, or what they were changed to since. */
  tags(bucket: string, record: ObjectRecord): Readonly<Record<string, string>> {
    const file = tagsPath(this.#path(bucket, record.key))
    // Most objects have none, and asking is a tenth of a failed read.
    const changed = existsSync(file) ? readJson(file) : undefined
    if (changed !== undefined && Reflect.get(changed, 'of') === identity(record)) {
      const tags: unknown = Reflect.get(changed, 'tags')
      if (isTexts(tags)) return tags
    }
    return record.tags ?? {}
  }

  /**
   * Changes the tags of an object; false where there is none. They lie in a file of their own, `tags/` beside
   * `objects/`, which names the object it is for: so they cannot pass on to the next one under the key.
   */
  async setTags(bucket: string, key: string, tags: Readonly<Record<string, string>>): Promise<boolean> {
    const target = this.#path(bucket, key)
    return this.#gate.enter(bucket, () =>
      this.#locks.hold(target, async () => {
        const record = this.record(bucket, key)
        if (record === undefined) return false
        const fresh = this.#tmp()
        await fs.writeFile(fresh, JSON.stringify({ of: identity(record), tags }), { flush: this.#fsync, mode: 0o600 })
        await fs.mkdir(path.dirname(tagsPath(target)), { recursive: true, mode: 0o700 })
        await fs.rename(fresh, tagsPath(target))
        await this.#folders.sync(path.dirname(tagsPath(target)))
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
    this.#stopRebuild.abort()
    await this.#listable.catch(() => undefined)
    let inOrder = false
    try {
      // What the index could not write down is found by the next start, as after a kill.
      const written = this.#index.close()
      await this.#journal.close()
      inOrder = this.#rebuilt && written
    } finally {
      this.#lock.release(inOrder)
    }
  }

  /** Every change to a key's file goes through here: the key's lock, and the condition. */
  async #hold(
    bucket: string,
    key: string,
    condition: WriteCondition | undefined,
    work: (target: string) => Promise<void>,
  ): Promise<void> {
    const target = this.#path(bucket, key)
    await this.#gate.enter(bucket, () =>
      this.#locks.hold(target, async () => {
        if (!this.#buckets.has(bucket)) throw new BucketGoneError()
        if (condition !== undefined) condition(this.record(bucket, key))
        await work(target)
      }),
    )
  }

  /** A small object: its file is written but not synced, which the journal makes up for. */
  #commitSmall(
    bucket: string,
    upload: Upload,
    content: readonly Uint8Array[],
    record: ObjectRecord,
    condition: WriteCondition | undefined,
  ): Promise<void> {
    return this.#hold(bucket, record.key, condition, (target) =>
      this.#journaled(bucket, record.key, record, content, async (durable) => {
        await Promise.all([durable, upload.fill(content)])
        try {
          renameSync(upload.path, target)
        } catch (error) {
          if (!isMissing(error)) throw error
          // Not recursive: it must never make a bucket.
          mkdirSync(path.dirname(target), { mode: 0o700 })
          renameSync(upload.path, target)
        }
        if (existsSync(tagsPath(target))) rmSync(tagsPath(target), { force: true })
      }),
    )
  }

  /** Journal, file, index. Only what a power cut cannot undo may be seen, so the file comes second. */
  async #journaled(
    bucket: string,
    key: string,
    entry: IndexEntry | undefined,
    content: readonly Uint8Array[],
    apply: (durable: Promise<void>) => Promise<void>,
  ): Promise<void> {
    const change = entry === undefined ? 'delete' : 'put'
    const written = await this.#journal.append(this.#path(bucket, key), { bucket, key, change }, content)
    try {
      await apply(written.durable)
    } catch (error) {
      await this.#index.settle(bucket, key, this.#entryOnDisk(bucket, key))
      throw error
    } finally {
      written.applied()
    }
    await this.#index.settle(bucket, key, entry)
  }

  /** A large object: intent, file, folder, index. */
  async #change(
    bucket: string,
    key: string,
    condition: WriteCondition | undefined,
    apply: (target: string) => Promise<ObjectRecord>,
  ): Promise<void> {
    await this.#hold(bucket, key, condition, async (target) => {
      await this.#index.intend(bucket, key)
      let entry: IndexEntry
      try {
        entry = await apply(target)
      } catch (error) {
        await this.#index.settle(bucket, key, this.#entryOnDisk(bucket, key))
        throw error
      }
      await Promise.all([this.#folders.sync(path.dirname(target)), this.#index.settle(bucket, key, entry)])
      if (!this.#journal.mentions(target)) return
      const note = { bucket, key, change: 'file' } as const
      const written = await this.#journal.append(target, note, [])
      await written.durable.finally(() => written.applied())
    })
  }

  async #dropTags(target: string): Promise<void> {
    if (existsSync(tagsPath(target))) await fs.rm(tagsPath(target), { force: true })
  }

  async #rebuild(): Promise<void> {
    await rebuildIndex(
      path.join(this.#dir, 'buckets'),
      [...this.#buckets.keys()],
      this.#index,
      this.#stopRebuild.signal,
    )
    this.#lock.markHeld()
    this.#rebuilt = true
  }

  #entryOnDisk(bucket: string, key: string): IndexEntry | undefined {
    try {
      return this.#buckets.has(bucket) ? this.record(bucket, key) : undefined
    } catch (error) {
      if (error instanceof DamagedObjectError) return undefined
      throw error
    }
  }

  #path(bucket: string, key: string): string {
    const name = hash('sha256', key)
    return path.join(this.#dir, 'buckets', bucket, 'objects', name.slice(0, 2), name.slice(2))
  }

  #tmp(): string {
    this.#uploads += 1
    return path.join(this.#dir, 'tmp', String(this.#uploads))
  }
}

/** What a bucket's folder holds, besides bucket.json. */
const FOLDERS = ['objects', 'uploads', 'tags'] as const

async function readBuckets(dir: string): Promise<Map<string, Bucket>> {
  const buckets = new Map<string, Bucket>()
  for (const name of await fs.readdir(dir)) {
    const file = path.join(dir, name, 'bucket.json')
    const described = readJson(file) ?? {}
    const created: unknown = Reflect.get(described, 'created')
    const settings: unknown = Reflect.get(described, 'settings') ?? {}
    if (typeof created !== 'number') throw new Error(`${file} does not say when the bucket was created`)
    if (!isTexts(settings)) throw new Error(`${file} holds settings that are no documents`)
    accessSync(path.join(dir, name, 'objects'))
    for (const folder of FOLDERS) mkdirSync(path.join(dir, name, folder), { recursive: true, mode: 0o700 })
    buckets.set(name, { name, created, settings })
  }
  return buckets
}

function readJson(file: string): object | undefined {
  let content: string
  try {
    content = readFileSync(file, 'utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
  const parsed: unknown = JSON.parse(content)
  return typeof parsed === 'object' && parsed !== null ? parsed : undefined
}

function isTexts(value: unknown): value is Readonly<Record<string, string>> {
  return typeof value === 'object' && value !== null && Object.values(value).every((text) => typeof text === 'string')
}

/** Beside `objects/ab/cdef…` lies `tags/ab/cdef…`. */
function tagsPath(target: string): string {
  const folder = path.dirname(target)
  return path.join(path.dirname(path.dirname(folder)), 'tags', path.basename(folder), path.basename(target))
}

/** Tells an object from others under its key. */
function identity({ etag, modified }: ObjectRecord): string {
  return `${modified} ${etag}`
}

function unlessThere(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
}
