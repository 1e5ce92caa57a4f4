import { closeSync, fsync, open, openSync, writevSync } from 'node:fs'
import fs, { type FileHandle } from 'node:fs/promises'
import { promisify } from 'node:util'

const openFile = promisify(open)
const syncFile = promisify(fsync)

/** Bytes gathered before a write: small objects are one write, large ones few. */
const BATCH = 512 * 1024

/**
 * A body on its way to disk, in a file of its own under tmp/. It becomes an object by {@link seal} and a rename; until
 * then nothing of it can be seen. Call `seal` or `discard`, and `discard` too when what follows `seal` fails.
 */
export class Upload {
  readonly path: string
  readonly #sync: boolean
  #file: FileHandle | undefined
  #created = false
  #batch: Uint8Array[] = []
  #batched = 0

  constructor(path: string, sync: boolean) {
    this.path = path
    this.#sync = sync
  }

  /** Takes the next bytes. The caller must not change them afterwards. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#batch.push(bytes)
    this.#batched += bytes.length
    if (this.#batched >= BATCH) await this.#drain()
  }

  /**
   * All of it with `trailer`, where it is at most `limit` bytes and no file was begun: it is then in a file of that
   * content too, which is not synced. Else undefined, and {@link seal} is to be called.
   */
  takeSmall(trailer: Uint8Array, limit: number): readonly Uint8Array[] | undefined {
    if (this.#file !== undefined || this.#batched + trailer.length > limit) return undefined
    const all = [...this.#batch, trailer]
    this.#batch = []
    this.#created = true
    const fd = openSync(this.path, 'wx', 0o600)
    try {
      writeWhole(fd, all, this.#batched + trailer.length)
    } finally {
      closeSync(fd)
    }
    return all
  }

  /** Writes what is left and `trailer`, makes the file durable and closes it. */
  async seal(trailer: Uint8Array): Promise<void> {
    this.#batch.push(trailer)
    this.#batched += trailer.length
    if (this.#file === undefined) return this.#writeAtOnce()
    const file = await this.#drain()
    if (this.#sync) await file.sync()
    await this.#close()
  }

  /** Removes the file, if any. Safe at any time, also twice. */
  async discard(): Promise<void> {
    this.#batch = []
    await this.#close()
    if (this.#created) await fs.rm(this.path, { force: true })
  }

  /**
   * A small object. What may wait for the disk leaves this thread: making the file (it waits when the journal is being
   * written) and the sync. Writing a few pages and closing go to memory, and are cheaper than a trip through the pool.
   */
  async #writeAtOnce(): Promise<void> {
    const bytes = this.#batch
    this.#batch = []
    this.#created = true
    const fd = await openFile(this.path, 'wx', 0o600)
    try {
      writeWhole(fd, bytes, this.#batched)
      if (this.#sync) await syncFile(fd)
    } finally {
      closeSync(fd)
    }
  }

  async #drain(): Promise<FileHandle> {
    let file = this.#file
    if (file === undefined) {
      this.#created = true
      file = await fs.open(this.path, 'wx', 0o600)
      this.#file = file
    }
    const batch = this.#batch
    const length = this.#batched
    this.#batch = []
    this.#batched = 0
    const { bytesWritten } = await file.writev(batch)
    // writev may write less, on a full disk or above IOV_MAX; FileHandle.write goes on until done or failed.
    if (bytesWritten < length) await file.writeFile(Buffer.concat(batch).subarray(bytesWritten))
    return file
  }

  async #close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }
}

function writeWhole(fd: number, bytes: readonly Uint8Array[], length: number): void {
  let left = length - writevSync(fd, bytes)
  // Short writes are rare (a signal, a disk nearly full); the next one goes on or says why not.
  while (left > 0) left -= writevSync(fd, [Buffer.concat(bytes).subarray(-left)])
}
