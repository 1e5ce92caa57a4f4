import { existsSync, rmSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Place } from './pack-writer.ts'
import type { Mark } from './packs.ts'

/** What a listing shows of an object. */
export type IndexEntry = {
  readonly key: string
  readonly size: number
  readonly etag: string
  /** Milliseconds since 1970. */
  readonly modified: number
  /** Where it lies among others; undefined for a file of its own. */
  readonly place?: Place | undefined
}

export type IndexRow = Omit<IndexEntry, 'key' | 'place'> & { readonly key: Buffer }

/** What lies where: a place in a pack, `file`, or undefined for an object that is not there. */
export type Whereabouts = Place | 'file' | undefined

/** What the index keeps of the packs, as of the moment it is written. */
export type PackState = {
  /** How far they are known here; undefined while that is being found out. */
  readonly mark: Mark | undefined
  /** Bytes that are pointed to, by pack, where that has changed; undefined for a pack that is gone. */
  readonly counts: readonly (readonly [number, number | undefined])[]
  /** Called once they have been written. */
  written(): void
}

const SCHEMA_VERSION = 2
/** Without packs. */
const FIRST_VERSION = 1

/** Changes that wait to be written, at most. */
const MAX_PENDING = 512
/** Milliseconds that they wait, at most. */
const PATIENCE = 200

/**
 * The order of keys, for LIST, and where small objects lie. Files and packs are the truth and this can be built again
 * from them; so SQLite never syncs (`synchronous=off`): a killed process loses nothing by that, and after a power cut
 * the store rebuilds the index.
 *
 * Changes are gathered in memory, where they hold at once, and written many at a time, with a mark: up to where the
 * packs' entries are in. After a kill those behind it are taken again.
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
  readonly #find: StatementSync
  readonly #addScanned: StatementSync
  readonly #pending = new Map<string, Pending>()
  #packState: () => PackState | undefined = () => undefined
  readonly #setMark: StatementSync
  readonly #setCount: StatementSync
  readonly #dropCount: StatementSync
  #timer: NodeJS.Timeout | undefined
  #isSoon = false
  #waiting: Waiting[] = []

  private constructor(db: DatabaseSync) {
    this.#db = db
    const insert =
      'insert into objects (bucket, key, size, etag, modified, pack, at, bytes) values (?, ?, ?, ?, ?, ?, ?, ?)'
    const update =
      'do update set size = excluded.size, etag = excluded.etag, modified = excluded.modified, pack = excluded.pack, at = excluded.at, bytes = excluded.bytes'
    this.#put = db.prepare(`${insert} on conflict ${update}`)
    // A file that has not been removed yet, of a key that a pack has an object for.
    this.#addScanned = db.prepare(`${insert} on conflict ${update} where objects.pack is null`)
    this.#remove = db.prepare('delete from objects where bucket = ? and key = ?')
    this.#intend = db.prepare('insert or ignore into intents (bucket, key) values (?, ?)')
    this.#settled = db.prepare('delete from intents where bucket = ? and key = ?')
    this.#find = db.prepare('select pack, at, bytes from objects where bucket = ? and key = ?')
    this.#setMark = db.prepare(
      'insert into applied (one, pack, at) values (1, ?, ?) on conflict do update set pack = excluded.pack, at = excluded.at',
    )
    this.#setCount = db.prepare(
      'insert into packs (pack, live) values (?, ?) on conflict do update set live = excluded.live',
    )
    this.#dropCount = db.prepare('delete from packs where pack = ?')
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
      if (db.prepare('pragma user_version').get()?.user_version === FIRST_VERSION) addPacks(db)
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
      create table intents (bucket text not null, key blob not null, primary key (bucket, key)) without rowid;`)
    addPacks(db)
    return new ListingIndex(db)
  }

  /** Records that a key's file is about to change. Once this resolves, a kill cannot lose it. */
  intend(bucket: string, key: string): Promise<void> {
    return this.#enqueue(() => this.#intend.run(bucket, Buffer.from(key)))
  }

  /** Brings a key's entry up to date, undefined for gone. It holds from now on, and is written soon. */
  set(bucket: string, key: string, entry: IndexEntry | undefined): void {
    this.#remember(bucket, key, entry, this.#pending.get(`${bucket}/${key}`)?.settles === true)
  }

  /** {@link set}, and what was intended has been done. */
  settle(bucket: string, key: string, entry: IndexEntry | undefined): void {
    this.#remember(bucket, key, entry, true)
  }

  /** What was intended has come to nothing. */
  unintend(bucket: string, key: string): Promise<void> {
    return this.#enqueue(() => this.#settled.run(bucket, Buffer.from(key)))
  }

  /** Where an object lies. */
  find(bucket: string, key: string): Whereabouts {
    const pending = this.#pending.get(`${bucket}/${key}`)
    if (pending !== undefined) return pending.entry === undefined ? undefined : (pending.entry.place ?? 'file')
    const row = this.#find.get(bucket, Buffer.from(key))
    if (row === undefined) return undefined
    return row.pack === null ? 'file' : { pack: number(row.pack), at: number(row.at), bytes: number(row.bytes) }
  }

  /** Entries met while scanning the files. Leaves intents alone: those belong to requests under way. */
  addScanned(bucket: string, entries: readonly IndexEntry[]): void {
    this.#transaction(() => {
      for (const { key, size, etag, modified } of entries) {
        this.#addScanned.run(bucket, Buffer.from(key), size, etag, modified, null, null, null)
      }
    })
  }

  /** Up to where the packs' entries are in here; the start of all, where none was. */
  mark(): Mark {
    const row = this.#db.prepare('select pack, at from applied').get()
    return row === undefined ? { pack: 1, at: 0 } : { pack: number(row.pack), at: number(row.at) }
  }

  /** Bytes of each pack that entries point to. */
  packs(): Map<number, number> {
    const rows = this.#db.prepare('select pack, live from packs').all()
    return new Map(rows.map(({ pack, live }) => [number(pack), number(live)]))
  }

  /** From now on what is written includes this. */
  follow(state: () => PackState): void {
    this.#packState = state
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
    if (this.#pending.size > 0) this.flush()
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
      this.flush()
      this.#db.exec('pragma synchronous = full; pragma wal_checkpoint(truncate)')
      return true
    } catch {
      return false
    } finally {
      this.abandon()
    }
  }

  /** Lets go of the file as it is. Safe to call twice. */
  abandon(): void {
    clearTimeout(this.#timer)
    this.#pending.clear()
    if (this.#db.isOpen) this.#db.close()
  }

  /** Writes out what is pending. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const batch = this.#waiting
    this.#waiting = []
    const state = this.#packState()
    try {
      this.#transaction(() => {
        for (const change of this.#pending.values()) this.#write(change)
        for (const { apply } of batch) apply()
        if (state !== undefined) this.#writeState(state)
      })
    } catch (error) {
      for (const { reject } of batch) reject(error)
      throw error
    }
    this.#pending.clear()
    state?.written()
    for (const { resolve } of batch) resolve()
  }

  #writeState({ mark, counts }: PackState): void {
    if (mark !== undefined) this.#setMark.run(mark.pack, mark.at)
    for (const [pack, live] of counts) {
      if (live === undefined) this.#dropCount.run(pack)
      else this.#setCount.run(pack, live)
    }
  }

  #write({ bucket, key, entry, settles }: Pending): void {
    const name = Buffer.from(key)
    if (entry === undefined) this.#remove.run(bucket, name)
    else {
      const { size, etag, modified, place } = entry
      this.#put.run(bucket, name, size, etag, modified, place?.pack ?? null, place?.at ?? null, place?.bytes ?? null)
    }
    if (settles) this.#settled.run(bucket, name)
  }

  #remember(bucket: string, key: string, entry: IndexEntry | undefined, settles: boolean): void {
    this.#pending.set(`${bucket}/${key}`, { bucket, key, entry, settles })
    if (this.#pending.size >= MAX_PENDING) this.#soon()
    else this.#timer ??= setTimeout(() => this.#tryFlush(), PATIENCE).unref()
  }

  /** Changes asked for in one turn of the event loop share a transaction. */
  #enqueue(apply: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#soon()
      this.#waiting.push({ apply, resolve, reject })
    })
  }

  #soon(): void {
    if (this.#isSoon) return
    this.#isSoon = true
    setImmediate(() => {
      this.#isSoon = false
      this.#tryFlush()
    })
  }

  /** What cannot be written, for a full disk, goes on to hold in memory; the packs know it after a kill. */
  #tryFlush(): void {
    if (this.#waiting.length === 0 && this.#pending.size === 0) return
    try {
      this.flush()
    } catch {
      this.#timer ??= setTimeout(() => this.#tryFlush(), 5 * PATIENCE).unref()
    }
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

type Pending = {
  readonly bucket: string
  readonly key: string
  readonly entry: IndexEntry | undefined
  readonly settles: boolean
}

type Waiting = {
  readonly apply: () => void
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

/** What the first version did not have. */
function addPacks(db: DatabaseSync): void {
  db.exec(`
    begin;
    alter table objects add column pack integer;
    alter table objects add column at integer;
    alter table objects add column bytes integer;
    create table packs (pack integer primary key, live integer not null);
    create table applied (one integer primary key check (one = 1), pack integer not null, at integer not null);
    pragma user_version = ${SCHEMA_VERSION};
    commit;`)
}

function openDatabase(path: string): DatabaseSync {
  const db = new DatabaseSync(path)
  // locking_mode first: in exclusive mode WAL keeps its index in memory and needs no shared-memory file.
  db.exec(
    'pragma locking_mode = exclusive; pragma journal_mode = wal; pragma synchronous = off; pragma cache_size = -16384; pragma wal_autocheckpoint = 4000',
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
