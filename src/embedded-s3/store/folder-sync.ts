import { closeSync, fsync, openSync } from 'node:fs'
import { promisify } from 'node:util'

const syncFile = promisify(fsync)

/**
 * Makes renames and removals in folders durable (fsync of the folder, POSIX). Those that come while a sync runs share
 * the next one, so under load a folder is synced far less often than it is changed.
 */
export class FolderSync {
  readonly #enabled: boolean
  readonly #running = new Map<string, { promise: Promise<void>; next: Promise<void> | undefined }>()

  constructor(enabled: boolean) {
    // Windows cannot open a folder; NTFS journals its metadata itself.
    this.#enabled = enabled && process.platform !== 'win32'
  }

  async sync(folder: string): Promise<void> {
    if (!this.#enabled) return
    const running = this.#running.get(folder)
    if (running === undefined) return this.#start(folder)
    // What runs now may have begun before our change; only one that starts later is sure to cover it.
    running.next ??= running.promise.catch(() => undefined).then(() => this.#start(folder))
    return running.next
  }

  #start(folder: string): Promise<void> {
    const entry = { promise: syncFolder(folder), next: undefined }
    this.#running.set(folder, entry)
    const forget = () => {
      if (this.#running.get(folder) === entry && entry.next === undefined) this.#running.delete(folder)
    }
    entry.promise.then(forget, forget)
    return entry.promise
  }
}

/** Opening a folder to read only waits for nothing; the sync does. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const fd = openSync(folder, 'r')
  try {
    await syncFile(fd)
  } finally {
    closeSync(fd)
  }
}
