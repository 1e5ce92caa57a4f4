import { existsSync, readdirSync, rmSync } from 'node:fs'
import fs from 'node:fs/promises'
import path from 'node:path'
import { fileIn, isTexts, readJson } from './bucket-folder.ts'
import type { FolderSync } from './folder-sync.ts'
import { isMissing, type ObjectRecord } from './object-file.ts'

export type Tags = Readonly<Record<string, string>>

/**
 * Tags that were changed after the put. They lie in a file of their own, in `tags/` of the bucket's folder, which names
 * the object it is for: so they cannot pass on to the next one under the key.
 */
export class ObjectTags {
  readonly #fsync: boolean
  readonly #folders: FolderSync
  /** Buckets' folders without any: most never do, and asking for a file costs each request a system call. */
  readonly #empty = new Set<string>()

  constructor(fsync: boolean, folders: FolderSync) {
    this.#fsync = fsync
    this.#folders = folders
  }

  /** The tags of an object: those it came with, or what they were changed to. */
  of(bucketFolder: string, record: ObjectRecord): Tags {
    const file = this.#find(bucketFolder, record.key)
    const changed = file === undefined ? undefined : readJson(file)
    if (changed !== undefined && Reflect.get(changed, 'of') === identity(record)) {
      const tags: unknown = Reflect.get(changed, 'tags')
      if (isTexts(tags)) return tags
    }
    return record.tags ?? {}
  }

  /** `fresh` is where a file can be written before it is renamed. */
  async change(bucketFolder: string, record: ObjectRecord, tags: Tags, fresh: string): Promise<void> {
    const file = fileIn(path.join(bucketFolder, 'tags'), record.key)
    await fs.writeFile(fresh, JSON.stringify({ of: identity(record), tags }), { flush: this.#fsync, mode: 0o600 })
    this.#empty.delete(bucketFolder)
    await fs.mkdir(path.dirname(file), { recursive: true, mode: 0o700 })
    await fs.rename(fresh, file)
    await this.#folders.sync(path.dirname(file))
  }

  /** Forgets them: there is another object now, or none. */
  drop(bucketFolder: string, key: string): void {
    const file = this.#find(bucketFolder, key)
    if (file !== undefined) rmSync(file, { force: true })
  }

  #find(bucketFolder: string, key: string): string | undefined {
    if (this.#empty.has(bucketFolder)) return undefined
    const folder = path.join(bucketFolder, 'tags')
    if (isEmpty(folder)) {
      this.#empty.add(bucketFolder)
      return undefined
    }
    const file = fileIn(folder, key)
    return existsSync(file) ? file : undefined
  }
}

function isEmpty(folder: string): boolean {
  try {
    return readdirSync(folder).length === 0
  } catch (error) {
    if (isMissing(error)) return true
    throw error
  }
}

/** Tells an object from others under its key. */
function identity({ etag, modified }: ObjectRecord): string {
  return `${modified} ${etag}`
}
