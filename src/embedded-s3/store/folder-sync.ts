import { execFile } from 'node:child_process'
import { closeSync, fsync, openSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { isMissing } from './object-file.ts'

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
  if (process.platform !== 'win32') await syncOne(folder)
}

/** Makes files and their names durable, and the names of their folders; what is gone counts as done. */
export async function syncFiles(files: ReadonlySet<string>, folders: FolderSync): Promise<void> {
  const [any] = files
  if (any === undefined || (await syncFileSystem(path.dirname(path.dirname(any))))) return
  // Two at a time share the file system's own journal, and leave threads of the pool to others.
  await eachOf(files, (file) => syncOne(file, 'r+'))
  const parents = new Set([...files].map((file) => path.dirname(file)))
  await eachOf(parents, (folder) => folders.sync(folder))
  await eachOf(new Set([...parents].map((folder) => path.dirname(folder))), (folder) => folders.sync(folder))
}

async function eachOf(names: ReadonlySet<string>, work: (name: string) => Promise<void>): Promise<void> {
  const queue = names.values()
  const worker = async () => {
    for (const name of queue) {
      await work(name).catch((error: unknown) => {
        if (!isMissing(error)) throw error
      })
    }
  }
  await Promise.all([worker(), worker()])
}

/** Windows syncs only what is open for writing; nobody can open a folder so. */
async function syncOne(file: string, flags: 'r' | 'r+' = 'r'): Promise<void> {
  const fd = openSync(file, flags)
  try {
    await syncFile(fd)
  } finally {
    closeSync(fd)
  }
}

const run = promisify(execFile)

/**
 * syncfs(2) by way of coreutils, since Node has no call for it: one commit of the file system's journal for any number
 * of files. False where there is no such command, or it failed.
 */
async function syncFileSystem(folder: string): Promise<boolean> {
  if (process.platform !== 'linux') return false
  try {
    await run('sync', ['--file-system', folder])
    return true
  } catch {
    return false
  }
}
