import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** Another process, or another server in this one, has the folder. */
export class FolderHeldError extends Error {
  override readonly name = 'FolderHeldError'
  readonly code = 'ERR_FOLDER_HELD'
}

/** How the folder was left by whoever had it before. */
export type LeftBehind =
  /** Closed in good order, or never used. */
  | 'closed'
  /** Its process died; what it gave to the operating system is all there. */
  | 'killed'
  /** The machine went down with it (or a rebuild was cut short): only what was synced is sure. */
  | 'power-cut'

/**
 * Holds a folder for one process. The lock is SQLite's on an empty database: the kernel lets go of it however the
 * process ends, so there is no stale lock to clean up.
 *
 * Beside it lies a mark, `held`, with the machine's boot id, gone only after a close in good order. It tells a killed
 * process from a machine that went down. It is a file of its own, synced, because the index is not.
 */
export class FolderLock {
  readonly leftBehind: LeftBehind
  readonly #db: DatabaseSync
  readonly #dir: string
  readonly #mark: string

  constructor(dir: string) {
    this.#dir = dir
    this.#mark = path.join(dir, 'held')
    this.#db = new DatabaseSync(path.join(dir, 'lock'))
    try {
      this.#db.exec('pragma busy_timeout = 0; pragma journal_mode = memory; begin exclusive')
    } catch (error) {
      this.#db.close()
      throw new FolderHeldError(
        `${dir} is in use: another process (or another server in this one) serves it. Stop that one, or use another folder.`,
        { cause: error },
      )
    }
    const mark = readMark(this.#mark)
    this.leftBehind = mark === undefined ? 'closed' : isThisBoot(mark) ? 'killed' : 'power-cut'
  }

  /** From here on, until `release`, a power cut means that the index must be rebuilt. */
  markRebuilding(): void {
    this.#write(`rebuilding ${randomUUID()}`)
  }

  /** From here on the index is whole but for its intents, as long as this machine stays up. */
  markHeld(): void {
    this.#write(bootId())
  }

  /** Lets go. `inOrder` says that the index was closed and is whole. */
  release(inOrder: boolean): void {
    if (inOrder) {
      fs.rmSync(this.#mark, { force: true })
      syncFolderNow(this.#dir)
    }
    this.#db.close()
  }

  #write(content: string): void {
    const fresh = `${this.#mark}.new`
    fs.writeFileSync(fresh, content, { flush: true, mode: 0o600 })
    fs.renameSync(fresh, this.#mark)
    syncFolderNow(this.#dir)
  }
}

function readMark(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** Linux names each boot; elsewhere the time of the boot, known to about a second, is its name. */
function bootId(): string {
  try {
    return `boot ${fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}`
  } catch {
    return `booted ${bootTime()}`
  }
}

function isThisBoot(mark: string): boolean {
  const now = bootId()
  if (now.startsWith('boot ')) return mark === now
  const then = /^booted (\d+)$/.exec(mark)
  return then !== null && Math.abs(Number(then[1]) - bootTime()) <= 2
}

function bootTime(): number {
  return Math.round(Date.now() / 1000 - os.uptime())
}

function syncFolderNow(dir: string): void {
  if (process.platform === 'win32') return
  const fd = fs.openSync(dir, 'r')
  try {
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}
