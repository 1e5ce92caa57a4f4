import { hash } from 'node:crypto'
import { accessSync, existsSync, readFileSync } from 'node:fs'
import fs from 'node:fs/promises'
import path from 'node:path'
import { FolderLock } from './folder-lock.ts'
import { FolderSync } from './folder-sync.ts'
import { KeyLocks } from './key-locks.ts'
import { type ListPage, type ListQuery, listPage } from './listing.ts'
import { type IndexEntry, ListingIndex } from './listing-index.ts'
import {
  DamagedObjectError,
  encodeTrailer,
  isMissing,
  type ObjectRecord,
  type OpenObject,
  openObject,
} from './object-file.ts'
import { rebuildIndex } from './rebuild.ts'
import { Upload } from './upload.ts'

export type Bucket = {
  readonly name: string
  /** Milliseconds since 1970. */
  readonly created: number
}

/** What a write is allowed to find; throws to refuse. Called with the key's lock held. */
export type WriteCondition = (current: ObjectRecord | undefined) => void

/** Objects whose file is at most this long are read in one go. */
const INLINE_LIMIT = 128 * 1024

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
  readonly #locks = new KeyLocks()
  readonly #buckets: Map<string, Bucket>
  readonly #stopRebuild = new AbortController()
  /** Resolves when LIST can be answered. */
  readonly #listable: Promise<void>
  #rebuilt = false
  #uploads = 0

  private constructor(dir: string, fsync: boolean, lock: FolderLock, buckets: Map<string, Bucket>) {
    this.#dir = dir
    this.#fsync = fsync
    this.#lock = lock
    this.#buckets = buckets
    this.#folders = new FolderSync(fsync)
    const file = path.join(dir, 'index.sqlite')
    const kept = lock.leftBehind === 'power-cut' ? undefined : ListingIndex.openExisting(file)
    if (kept !== undefined) {
      this.#index = kept
      kept.settleNow(kept.intents().map(({ bucket, key }) => ({ bucket, key, entry: this.#entryOnDisk(bucket, key) })))
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
  static async open(dir: string, options: { readonly fsync: boolean }): Promise<FolderStore> {
    await fs.mkdir(dir, { recursive: true, mode: 0o700 })
    const lock = new FolderLock(dir)
    try {
      await fs.rm(path.join(dir, 'tmp'), { recursive: true, force: true })
      await fs.mkdir(path.join(dir, 'tmp'), { mode: 0o700 })
      await fs.mkdir(path.join(dir, 'buckets'), { recursive: true, mode: 0o700 })
      return new FolderStore(dir, options.fsync, lock, await readBuckets(path.join(dir, 'buckets')))
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
  async createBucket(name: string): Promise<boolean> {
    return this.#locks.hold(`${name}/`, async () => {
      if (this.#buckets.has(name)) return false
      const bucket = { name, created: Date.now() }
      const fresh = this.#tmp()
      await fs.mkdir(path.join(fresh, 'objects'), { recursive: true, mode: 0o700 })
      await fs.writeFile(path.join(fresh, 'bucket.json'), JSON.stringify(bucket), { flush: this.#fsync })
      await this.#folders.sync(fresh)
      await fs.rename(fresh, path.join(this.#dir, 'buckets', name))
      await this.#folders.sync(path.join(this.#dir, 'buckets'))
      this.#buckets.set(name, bucket)
      return true
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
    await upload.seal(encodeTrailer(record))
    await this.#change(bucket, record.key, condition, async (target) => {
      try {
        await fs.rename(upload.path, target)
      } catch (error) {
        if (!isMissing(error)) throw error
        await fs.mkdir(path.dirname(target), { recursive: true, mode: 0o700 })
        await this.#folders.sync(path.dirname(path.dirname(target)))
        await fs.rename(upload.path, target)
      }
      return record
    })
  }

  /** Removes an object; one that is not there counts as removed. */
  async delete(bucket: string, key: string, condition?: WriteCondition): Promise<void> {
    await this.#change(bucket, key, condition, async (target) => {
      await fs.rm(target, { force: true })
      return undefined
    })
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
    this.#index.close()
    this.#lock.release(this.#rebuilt)
  }

  /** Every change to a key's file goes through here: lock, condition, intent, file, folder, index. */
  async #change(
    bucket: string,
    key: string,
    condition: WriteCondition | undefined,
    apply: (target: string) => Promise<ObjectRecord | undefined>,
  ): Promise<void> {
    const target = this.#path(bucket, key)
    await this.#locks.hold(target, async () => {
      if (condition !== undefined) condition(this.record(bucket, key))
      await this.#index.intend(bucket, key)
      let entry: IndexEntry | undefined
      try {
        entry = await apply(target)
      } catch (error) {
        await this.#index.settle(bucket, key, this.#entryOnDisk(bucket, key))
        throw error
      }
      await Promise.all([this.#syncParent(target), this.#index.settle(bucket, key, entry)])
    })
  }

  async #syncParent(target: string): Promise<void> {
    try {
      await this.#folders.sync(path.dirname(target))
    } catch (error) {
      // The folder is made with its first object; without it there was nothing to remove.
      if (!isMissing(error)) throw error
    }
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

async function readBuckets(dir: string): Promise<Map<string, Bucket>> {
  const buckets = new Map<string, Bucket>()
  for (const name of await fs.readdir(dir)) {
    const file = path.join(dir, name, 'bucket.json')
    const described: unknown = JSON.parse(readFileSync(file, 'utf8'))
    const created = typeof described === 'object' && described !== null ? Reflect.get(described, 'created') : undefined
    if (typeof created !== 'number') throw new Error(`${file} does not say when the bucket was created`)
    accessSync(path.join(dir, name, 'objects'))
    buckets.set(name, { name, created })
  }
  return buckets
}
