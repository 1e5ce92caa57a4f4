import { existsSync, rmSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'

/** What a listing shows of an object. */
export type IndexEntry = {
  readonly key: string
  readonly size: number
  readonly etag: string
  /** Milliseconds since 1970. */
  readonly modified: number
}

export type IndexRow = Omit<IndexEntry, 'key'> & { readonly key: Buffer }

const SCHEMA_VERSION = 1

/**
 * The order of keys, for LIST. The files are the truth and this can be built again from them; so SQLite never syncs
 * (`synchronous=off`): a killed process loses nothing by that, and after a power cut the store rebuilds the index.
 *
 * Invariant: before a file appears, is replaced or goes, an intent row for its key has been committed; it goes in the
 * transaction that brings the entry up to date. So after a kill only keys with intents can disagree with their files.
 *
 * Keys are BLOBs, because SQLite compares those by bytes: the order that S3 lists in (UTF-8 binary order).
 */
export class ListingIndex {
  readonly #db: DatabaseSync
  readonly #put: StatementSync
  readonly #remove: StatementSync
  readonly #intend: StatementSync
  readonly #settled: StatementSync
  readonly #scan: StatementSync
  #waiting: Waiting[] = []

  private constructor(db: DatabaseSync) {
    this.#db = db
    this.#put = db.prepare(
      'insert into objects (bucket, key, size, etag, modified) values (?, ?, ?, ?, ?) on conflict do update set size = excluded.size, etag = excluded.etag, modified = excluded.modified',
    )
    this.#remove = db.prepare('delete from objects where bucket = ? and key = ?')
    this.#intend = db.prepare('insert or ignore into intents (bucket, key) values (?, ?)')
    this.#settled = db.prepare('delete from intents where bucket = ? and key = ?')
    this.#scan = db.prepare(
      'select key, size, etag, modified from objects where bucket = ? and key >= ? and key < ? order by key limit ?',
    )
  }

  /** Opens the index as it is; undefined when there is none, or it is damaged, or of another version. */
  static openExisting(path: string): ListingIndex | undefined {
    if (!existsSync(path)) return undefined
    let db: DatabaseSync | undefined
    try {
      db = openDatabase(path)
      const version = db.prepare('pragma user_version').get()?.user_version
      if (version !== SCHEMA_VERSION) throw new Error(`version ${String(version)}`)
      // Reads a page of each table; damage elsewhere shows when it is met.
      db.prepare('select count(*) from intents').get()
      db.prepare('select key from objects order by bucket desc, key desc limit 1').get()
      return new ListingIndex(db)
    } catch {
      db?.close()
      return undefined
    }
  }

  /** An empty index in place of whatever is there. */
  static create(path: string): ListingIndex {
    for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(path + suffix, { force: true })
    const db = openDatabase(path)
    db.exec(`
      create table objects (
        bucket text not null, key blob not null, size integer not null, etag text not null, modified integer not null,
        primary key (bucket, key)
      ) without rowid;
      create table intents (bucket text not null, key blob not null, primary key (bucket, key)) without rowid;
      pragma user_version = ${SCHEMA_VERSION};`)
    return new ListingIndex(db)
  }

  /** Records that a key's file is about to change. Once this resolves, a kill cannot lose it. */
  intend(bucket: string, key: string): Promise<void> {
    return this.#enqueue(() => this.#intend.run(bucket, Buffer.from(key)))
  }

  /** Brings a key's entry up to date, undefined for gone, and clears its intent. */
  settle(bucket: string, key: string, entry: IndexEntry | undefined): Promise<void> {
    return this.#enqueue(() => this.#write(bucket, key, entry, true))
  }

  /** {@link settle} for many, at once, in one transaction; for recovery and rebuilding. */
  settleNow(changes: readonly { bucket: string; key: string; entry: IndexEntry | undefined }[]): void {
    this.#transaction(() => {
      for (const { bucket, key, entry } of changes) this.#write(bucket, key, entry, true)
    })
  }

  /** Entries met while scanning the files. Leaves intents alone: those belong to requests under way. */
  addScanned(bucket: string, entries: readonly IndexEntry[]): void {
    this.#transaction(() => {
      for (const entry of entries) this.#write(bucket, entry.key, entry, false)
    })
  }

  /** Keys whose file and entry may disagree. */
  intents(): { bucket: string; key: string }[] {
    return this.#db
      .prepare('select bucket, key from intents')
      .all()
      .map((row) => ({ bucket: text(row.bucket), key: bytes(row.key).toString() }))
  }

  /**
   * Entries of a bucket with `from <= key < until`, in byte order. They are fetched in batches that grow: who stops after
   * the first (a common prefix) pays for few, who goes on pays little for each. Read it out in one turn of the event loop.
   */
  *scan(bucket: string, from: Uint8Array, until: Uint8Array): Generator<IndexRow, void, undefined> {
    let start = from
    for (let size = 4; ; size = Math.min(size * 16, 1024)) {
      const rows = this.#scan.all(bucket, start, until, size)
      let key: Buffer | undefined
      for (const row of rows) {
        key = bytes(row.key)
        yield { key, size: number(row.size), etag: text(row.etag), modified: number(row.modified) }
      }
      if (key === undefined || rows.length < size) return
      start = Buffer.concat([key, Buffer.of(0)])
    }
  }

  /** Writes everything out, durably, and lets go of the file. False where the disk did not take it, for being full. */
  close(): boolean {
    try {
      this.#flush()
      this.#db.exec('pragma synchronous = full; pragma wal_checkpoint(truncate)')
      return true
    } catch {
      return false
    } finally {
      this.#db.close()
    }
  }

  #write(bucket: string, key: string, entry: IndexEntry | undefined, settles: boolean): void {
    const name = Buffer.from(key)
    if (entry === undefined) this.#remove.run(bucket, name)
    else this.#put.run(bucket, name, entry.size, entry.etag, entry.modified)
    if (settles) this.#settled.run(bucket, name)
  }

  /** Changes asked for in one turn of the event loop share a transaction. */
  #enqueue(apply: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) setImmediate(() => this.#flush())
      this.#waiting.push({ apply, resolve, reject })
    })
  }

  #flush(): void {
    const batch = this.#waiting
    if (batch.length === 0) return
    this.#waiting = []
    try {
      this.#transaction(() => {
        for (const { apply } of batch) apply()
      })
    } catch (error) {
      for (const { reject } of batch) reject(error)
      return
    }
    for (const { resolve } of batch) resolve()
  }

  #transaction(work: () => void): void {
    this.#db.exec('begin')
    try {
      work()
      this.#db.exec('commit')
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('rollback')
      throw error
    }
  }
}

type Waiting = {
  readonly apply: () => void
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

function openDatabase(path: string): DatabaseSync {
  const db = new DatabaseSync(path)
  // locking_mode first: in exclusive mode WAL keeps its index in memory and needs no shared-memory file.
  db.exec(
    'pragma locking_mode = exclusive; pragma journal_mode = wal; pragma synchronous = off; pragma cache_size = -16384',
  )
  return db
}

function bytes(value: unknown): Buffer {
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  throw new Error('The listing index holds a key that is not bytes')
}

function text(value: unknown): string {
  if (typeof value === 'string') return value
  throw new Error('The listing index holds something else than text')
}

function number(value: unknown): number {
  if (typeof value === 'number') return value
  throw new Error('The listing index holds something else than a number')
}
