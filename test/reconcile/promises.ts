import { z } from 'zod'
import type { Database } from '../../src/catalogue/index.ts'
import type { ObjectStore } from '../../src/stores/index.ts'

/** A promise of reconcile was broken. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

export const day = 86_400
/** Seconds: the age an orphan must have is more than the time between two sightings, so that each is seen to count. */
export const minAge = 2 * day
export const apart = day
/** Seconds that pass in truth while a sequence runs. */
const slack = 120
export const quarantinePrefix = 'quarantine/'

export type ObjectContent = {
  readonly body: Buffer
  readonly size: number
  readonly sha256: string
  readonly contentType: 'image/gif'
  readonly metadata: { readonly asset: string; readonly owner: string } & Readonly<Record<string, string>>
}

/** What reconcile promises, and what has to be known to hold it to that. */
export class Promises {
  /** Keys of objects without a row, or that had none for a while: a scan may rightly name them. */
  readonly rowless = new Set<string>()
  /** Keys whose asset somebody asked to delete, with what its object says. */
  readonly given = new Map<string, ObjectContent>()
  /** The first promise that was broken: the code under test catches what its store throws, and this too. */
  violation: Violation | undefined
  /** That were made to pass. */
  seconds = 0
  /** When each object was seen without a row: `key etag`. */
  readonly #seen = new Map<string, number[]>()
  readonly #database: Database
  readonly #bucket: ObjectStore

  constructor(database: Database, bucket: ObjectStore) {
    this.#database = database
    this.#bucket = bucket
  }

  /** What is stored has its object, at the end of every round. */
  async check(): Promise<void> {
    if (this.violation) throw this.violation
    for (const { id, key, state } of await this.rows()) {
      if (state !== 'stored' || key === null) continue
      if ((await this.#bucket.head(key)) === undefined) throw this.broken(`${id} is stored and ${key} is gone`)
    }
  }

  /** What a scan calls an orphan has, and had, no row: no key of an import, however it came and went. */
  async checkManifest(lines: readonly string[], prefix: string): Promise<void> {
    for (const line of lines.slice(1)) {
      const { kind, key } = z.looseObject({ kind: z.string(), key: z.string() }).parse(JSON.parse(line))
      if (!key.startsWith(prefix)) throw this.broken(`a scan of ${prefix} names ${key}`)
      if (kind === 'orphan' && !this.rowless.has(key))
        throw this.broken(`${key} has or had a row, and is called an orphan`)
      if (kind === 'missing' && !this.rowless.has(key) && !this.given.has(key)) {
        throw this.broken(`${key} was never away, and is called missing`)
      }
    }
  }

  /** When reconcile removes an object, at the very moment it takes effect. */
  async checkRemoval(keys: readonly string[]): Promise<void> {
    const rows = await this.rows()
    for (const key of keys) {
      if (key.startsWith(quarantinePrefix)) {
        const original = key.slice(quarantinePrefix.length)
        if ((await this.#bucket.head(key)) === undefined || this.given.has(original)) continue
        if ((await this.#bucket.head(original)) === undefined)
          throw this.broken(`the last copy of ${original} is removed`)
        continue
      }
      const head = await this.#bucket.head(key)
      if (head === undefined) continue
      const live = rows.find((row) => row.key === key && (row.state === 'stored' || row.state === 'pending'))
      if (live) throw this.broken(`${key} lives (${live.state}) and is moved to quarantine`)
      const copy = await this.#bucket.head(quarantinePrefix + key)
      if (copy?.metadata.sha256 !== head.metadata.sha256) throw this.broken(`${key} is removed without a copy`)
      const age = Date.now() / 1000 + this.seconds - head.lastModified.getTime() / 1000
      if (age < minAge - slack) throw this.broken(`${key} is ${age} seconds old and is moved`)
      const times = this.#seen.get(`${key} ${head.etag} ${head.lastModified.getTime()}`) ?? []
      if (Math.max(...times) - Math.min(...times) < apart - slack)
        throw this.broken(`${key} was not seen twice, and is moved`)
    }
  }

  broken(message: string): Violation {
    this.violation ??= new Violation(message)
    return this.violation
  }

  async rows() {
    const { rows } = await this.#database.service.query('select id, key, state from keepsake.assets order by id')
    return z.array(z.object({ id: z.string(), key: z.string().nullable(), state: z.string() })).parse(rows)
  }

  /** Keys that were let go of and are no longer watched: what lands there now may rightly be found. */
  async noteForgotten(): Promise<void> {
    const { rows } = await this.#database.service.query(
      'select key from keepsake.retired_keys union select key from keepsake.assets where key is not null',
    )
    const watched = new Set(
      z
        .array(z.object({ key: z.string() }))
        .parse(rows)
        .map(({ key }) => key),
    )
    for (const key of this.given.keys()) if (!watched.has(key)) this.rowless.add(key)
  }

  noteSeen(objects: unknown): void {
    const seen = z.array(z.looseObject({ key: z.string(), etag: z.string(), lastModified: z.date() })).parse(objects)
    for (const { key, etag, lastModified } of seen) {
      const name = `${key} ${etag} ${lastModified.getTime()}`
      this.#seen.set(name, [...(this.#seen.get(name) ?? []), this.seconds])
    }
  }
}
