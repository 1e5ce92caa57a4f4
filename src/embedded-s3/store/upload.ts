import { close, fsync, open, writev } from 'node:fs'
import fs from 'node:fs/promises'
import { promisify } from 'node:util'

const openFile = promisify(open)
const syncFile = promisify(fsync)
const closeFile = promisify(close)

/** Bytes gathered before a write: small objects are one write, large ones few. */
const BATCH = 512 * 1024

/**
 * A body on its way to disk: in memory as long as it may turn out to be small ({@link takeSmall}), and then in a file of
 * its own under tmp/. That becomes an object by {@link seal} and a rename; until then nothing of it can be seen. Call
 * `discard` when any of that fails.
 */
export class Upload {
  readonly path: string
  readonly #sync: boolean
  /** Begun with the first bytes, so that the file is there by the time it is needed. */
  #file: Promise<number> | undefined
  #created = false
  #spilled = false
  #batch: Uint8Array[] = []
  #batched = 0

  constructor(path: string, sync: boolean) {
    this.path = path
    this.#sync = sync
  }

  /** Takes the next bytes; there is nothing to wait for where it answers undefined. The caller must not change them. */
  write(bytes: Uint8Array): Promise<void> | undefined {
    this.#batch.push(bytes)
    this.#batched += bytes.length
    return this.#batched >= BATCH ? this.#drain() : undefined
  }

  /** All of it, where that is at most `limit` bytes. Else undefined, and {@link seal} is to be called. */
  takeSmall(limit: number): readonly Uint8Array[] | undefined {
    if (this.#spilled || this.#batched > limit) return undefined
    const all = this.#batch
    this.#batch = []
    this.#batched = 0
    return all
  }

  /** Writes what is left and `trailer`, makes the file durable and closes it. */
  async seal(trailer: Uint8Array): Promise<void> {
    this.#batch.push(trailer)
    this.#batched += trailer.length
    await this.#drain()
    if (this.#sync) await syncFile(await this.#open())
    await this.#close()
  }

  /** Removes the file, if any. Safe at any time, also twice. */
  async discard(): Promise<void> {
    this.#batch = []
    await this.#close()
    if (this.#created) await fs.rm(this.path, { force: true })
  }

  #open(): Promise<number> {
    if (this.#file === undefined) {
      this.#created = true
      this.#file = openFile(this.path, 'wx', 0o600)
      // Whoever needs the file gets the failure; it must not end the process before that.
      this.#file.catch(() => undefined)
    }
    return this.#file
  }

  async #drain(): Promise<void> {
    this.#spilled = true
    const batch = this.#batch
    const length = this.#batched
    this.#batch = []
    this.#batched = 0
    const fd = await this.#open()
    let left = length - (await writeAll(fd, batch))
    // It may write less, on a full disk or above IOV_MAX.
    while (left > 0) left -= await writeAll(fd, [Buffer.concat(batch).subarray(-left)])
  }

  async #close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    const fd = await file?.catch(() => undefined)
    if (fd !== undefined) await closeFile(fd)
  }
}

function writeAll(fd: number, pieces: readonly Uint8Array[]): Promise<number> {
  return new Promise((resolve, reject) => {
    writev(fd, pieces, (error, written) => (error === null ? resolve(written) : reject(error)))
  })
}
