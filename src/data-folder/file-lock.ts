import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'

type Sqlite = typeof import('node:sqlite')
type Database = InstanceType<Sqlite['DatabaseSync']>

/** SQLITE_BUSY; https://sqlite.org/rescode.html */
const busy = 5

/**
 * Somebody who only asks whether the lock is held has a shared lock for some microseconds. Whoever wants it for
 * itself tries again for this long, in milliseconds, before believing that it is held.
 */
const patience = 250

/**
 * A lock between processes that the kernel lets go when its holder dies, kill -9 included, so that there is no stale
 * lock to guess about. Node has no `flock`; SQLite, which is inside Node, takes fcntl locks on its database file and
 * (unlike bare fcntl) also refuses a second holder in the same process.
 *
 * Nobody may open the lock's file by other means: POSIX drops a process's fcntl locks when it closes *any* descriptor
 * of the file (https://sqlite.org/howtocorrupt.html, section 2.2).
 */
export class FileLock {
  readonly #database: Database

  private constructor(database: Database) {
    this.#database = database
  }

  /** Takes the lock, or answers undefined where somebody holds it. Creates the file. */
  static async take(path: string): Promise<FileLock | undefined> {
    const until = performance.now() + patience
    for (;;) {
      const lock = FileLock.#tryTake(path)
      if (lock || performance.now() >= until) return lock
      await sleep(5 + Math.random() * 10)
    }
  }

  static #tryTake(path: string): FileLock | undefined {
    const { DatabaseSync } = loadSqlite()
    const database = new DatabaseSync(path)
    try {
      // Nothing is ever written, so a journal would only be a file to find after a crash.
      database.exec('PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE')
      return new FileLock(database)
    } catch (error) {
      database.close()
      if (errorCode(error) === busy) return undefined
      throw error
    }
  }

  /** Whether somebody, this process included, holds the lock. Creates nothing. */
  static isHeld(path: string): boolean {
    const { DatabaseSync } = loadSqlite()
    let database: Database | undefined
    try {
      database = new DatabaseSync(path, { readOnly: true })
      // A shared lock, so that two who ask do not see each other.
      database.exec('BEGIN; SELECT count(*) FROM sqlite_schema')
      return false
    } catch (error) {
      if (errorCode(error) === busy) return true
      if (database === undefined) return false
      throw error
    } finally {
      database?.close()
    }
  }

  /** Lets go. Harmless when repeated. */
  release(): void {
    if (this.#database.isOpen) this.#database.close()
  }
}

const sqliteError = z.object({ errcode: z.number() })

function errorCode(error: unknown): number | undefined {
  const parsed = sqliteError.safeParse(error)
  // The low byte is the primary code; the rest tells variants apart, e.g. SQLITE_BUSY_RECOVERY.
  return parsed.success ? parsed.data.errcode & 0xff : undefined
}

let sqlite: Sqlite | undefined

/**
 * Node 22 warns once, when it loads `node:sqlite`, that its interface may still change; what is used here has not.
 * The warning, and no other, is held back for the moment of that load.
 */
function loadSqlite(): Sqlite {
  if (sqlite) return sqlite
  const { emitWarning } = process
  process.emitWarning = (...given: unknown[]): void => {
    if (!/sqlite is an experimental feature/i.test(String(given[0]))) Reflect.apply(emitWarning, process, given)
  }
  try {
    sqlite = process.getBuiltinModule('node:sqlite')
    return sqlite
  } finally {
    process.emitWarning = emitWarning
  }
}
