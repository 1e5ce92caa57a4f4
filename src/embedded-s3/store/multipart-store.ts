import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import fs from 'node:fs/promises'
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { BucketGoneError } from './bucket-gate.ts'
import type { FolderSync } from './folder-sync.ts'
import { KeyLocks } from './key-locks.ts'
import { encodeTrailer, isMissing, type ObjectRecord, type OpenObject, openObject } from './object-file.ts'
import type { Upload } from './upload.ts'

/** What is settled when a multipart upload begins. */
export type MultipartStart = Pick<ObjectRecord, 'key' | 'headers' | 'metadata' | 'tags'> & {
  /** The checksum of every part, where one was asked for. */
  readonly algorithm?: string | undefined
  /** How the object's checksum is made from those of its parts. */
  readonly checksumType?: 'COMPOSITE' | 'FULL_OBJECT' | undefined
}

export type MultipartUpload = MultipartStart & {
  readonly id: string
  /** Milliseconds since 1970. */
  readonly initiated: number
}

export type Part = Pick<ObjectRecord, 'size' | 'etag' | 'modified' | 'checksums'> & { readonly number: number }

/** Parts read before others get a turn. */
const BATCH = 64

/**
 * Multipart uploads under way: `buckets/<name>/uploads/<id>/`, with `upload.json` and a file for each part, in the form
 * of an object's. The folder appears and goes by a rename, and so does each part; nothing is kept in memory.
 */
export class MultipartStore {
  readonly #buckets: string
  readonly #fsync: boolean
  readonly #folders: FolderSync
  readonly #tmp: () => string
  readonly #locks = new KeyLocks()

  constructor(buckets: string, fsync: boolean, folders: FolderSync, tmp: () => string) {
    this.#buckets = buckets
    this.#fsync = fsync
    this.#folders = folders
    this.#tmp = tmp
  }

  async begin(bucket: string, start: MultipartStart, now: number): Promise<MultipartUpload> {
    const upload = { ...start, id: randomBytes(24).toString('base64url'), initiated: now }
    const fresh = this.#tmp()
    await fs.mkdir(fresh, { mode: 0o700 })
    await fs.writeFile(path.join(fresh, 'upload.json'), JSON.stringify(upload), { flush: this.#fsync, mode: 0o600 })
    await this.#folders.sync(fresh)
    await this.#moveIn(fresh, this.#path(bucket, upload.id))
    await this.#folders.sync(path.join(this.#buckets, bucket, 'uploads'))
    return upload
  }

  find(bucket: string, id: string): MultipartUpload | undefined {
    // The id becomes a path.
    if (!/^[A-Za-z0-9_-]{32}$/.test(id)) return undefined
    try {
      const found: unknown = JSON.parse(readFileSync(path.join(this.#path(bucket, id), 'upload.json'), 'utf8'))
      return isUpload(found) ? found : undefined
    } catch (error) {
      // Cut short by a power cut, where nothing was synced: as good as not there.
      if (isMissing(error) || error instanceof SyntaxError) return undefined
      throw error
    }
  }

  /** Uploads of a bucket by key and, for one key, by age: as they are listed. */
  list(bucket: string): MultipartUpload[] {
    const found = readdirSync(path.join(this.#buckets, bucket, 'uploads')).flatMap((id) => this.find(bucket, id) ?? [])
    return found.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)) || a.initiated - b.initiated)
  }

  /** Makes a body a part, in place of one of that number; false when the upload is no more. */
  async putPart(bucket: string, id: string, body: Upload, part: Part): Promise<boolean> {
    const { number, ...digests } = part
    await body.seal(encodeTrailer({ key: String(number), headers: {}, metadata: {}, ...digests }))
    return this.hold(id, async () => {
      const folder = this.#path(bucket, id)
      if (this.find(bucket, id) === undefined) return false
      await this.#moveIn(body.path, path.join(folder, String(number)))
      await this.#folders.sync(folder)
      return true
    })
  }

  /** The parts that are there, by number. */
  async parts(bucket: string, id: string): Promise<Part[]> {
    const names = (await fs.readdir(this.#path(bucket, id))).filter((name) => /^\d+$/.test(name))
    const parts: Part[] = []
    for (const number of names.map(Number).sort((a, b) => a - b)) {
      const part = this.openPart(bucket, id, number)
      part?.close()
      if (part !== undefined) parts.push({ ...part.record, number })
      if (parts.length % BATCH === 0) await nextTurn()
    }
    return parts
  }

  openPart(bucket: string, id: string, number: number): OpenObject | undefined {
    return openObject(path.join(this.#path(bucket, id), String(number)), 0)
  }

  /** Nobody else changes the upload meanwhile. */
  hold<T>(id: string, work: () => Promise<T>): Promise<T> {
    return this.#locks.hold(id, work)
  }

  /** Takes an upload away, with its parts. */
  async remove(bucket: string, id: string): Promise<void> {
    const gone = this.#tmp()
    await fs.rename(this.#path(bucket, id), gone)
    await this.#folders.sync(path.join(this.#buckets, bucket, 'uploads'))
    await fs.rm(gone, { recursive: true, force: true })
  }

  /** Throws BucketGoneError where the bucket has been deleted meanwhile. */
  async #moveIn(from: string, to: string): Promise<void> {
    try {
      await fs.rename(from, to)
    } catch (error) {
      throw isMissing(error) ? new BucketGoneError() : error
    }
  }

  #path(bucket: string, id: string): string {
    return path.join(this.#buckets, bucket, 'uploads', id)
  }
}

function isUpload(value: unknown): value is MultipartUpload {
  if (typeof value !== 'object' || value === null) return false
  const has = (name: string, type: string) => typeof Reflect.get(value, name) === type
  return has('key', 'string') && has('id', 'string') && has('initiated', 'number') && has('headers', 'object')
}
