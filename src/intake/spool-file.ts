import { randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { KeepsakeError } from '../media/index.ts'
import { readInBlocks } from '../stores/index.ts'
import type { ByteReader } from './content.ts'

const suffix = '.spool'

/** Bytes written and read at a time: few system calls, and little memory for many bodies at once. */
const blockSize = 256 * 1024

/** A temporary file that is written once and then read, readable by nobody else. */
export class SpoolFile implements ByteReader {
  readonly path: string
  readonly #handle: FileHandle
  /** The one block that is being filled; let go of once all is written. */
  #block: Buffer | undefined
  #filled = 0
  #written = 0
  #disposed: Promise<void> | undefined

  private constructor(path: string, handle: FileHandle) {
    this.path = path
    this.#handle = handle
    this.#block = Buffer.allocUnsafeSlow(blockSize)
  }

  /** @throws `store_unavailable` */
  static async create(dir: string): Promise<SpoolFile> {
    const path = join(dir, `${randomUUID()}${suffix}`)
    return onDisk(dir, async () => {
      await mkdir(dir, { recursive: true, mode: 0o700 })
      return new SpoolFile(path, await open(path, 'wx+', 0o600))
    })
  }

  get size(): number {
    return this.#written + this.#filled
  }

  /** Takes the bytes before it resolves, so that the caller may use the chunk again. @throws `store_unavailable` */
  async write(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.byteLength; ) {
      if (this.#block === undefined) throw new TypeError('The spool file is already flushed.')
      const part = chunk.subarray(at, at + blockSize - this.#filled)
      this.#block.set(part, this.#filled)
      this.#filled += part.byteLength
      at += part.byteLength
      if (this.#filled === blockSize) await this.#writeBlock()
    }
  }

  /** Ends the writing. @throws `store_unavailable` */
  async flush(): Promise<void> {
    await this.#writeBlock()
    this.#block = undefined
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const wanted = Math.max(Math.min(length, this.#written - offset), 0)
    const buffer = Buffer.allocUnsafeSlow(wanted)
    let filled = 0
    while (filled < wanted) {
      const { bytesRead } = await onDisk(this.path, () =>
        this.#handle.read(buffer, filled, wanted - filled, offset + filled),
      )
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return buffer.subarray(0, filled)
  }

  /** A range, through one block of memory: a chunk is good until the next one is asked for. */
  stream(start: number, end: number): AsyncGenerator<Uint8Array, void, undefined> {
    const readAt = (block: Uint8Array, at: number) =>
      onDisk(this.path, async () => (await this.#handle.read(block, 0, block.length, at)).bytesRead)
    return readInBlocks(readAt, start, Math.min(end, this.#written))
  }

  dispose(): Promise<void> {
    this.#disposed ??= this.#remove()
    return this.#disposed
  }

  async #remove(): Promise<void> {
    this.#block = undefined
    // A file that cannot be removed now is removed with its folder, by the next process to open it.
    await this.#handle.close().catch(() => {})
    await rm(this.path, { force: true }).catch(() => {})
  }

  async #writeBlock(): Promise<void> {
    let done = 0
    while (this.#block !== undefined && done < this.#filled) {
      const block = this.#block
      const { bytesWritten } = await onDisk(this.path, () =>
        this.#handle.write(block, done, this.#filled - done, this.#written + done),
      )
      done += bytesWritten
    }
    this.#written += done
    this.#filled = 0
  }
}

async function onDisk<T>(where: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    const full = ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code)
    throw new KeepsakeError(
      'store_unavailable',
      full
        ? `There is no room left on the disk to hold incoming content at ${where} (${code}). Free some space.`
        : `Incoming content cannot be held at ${where}: the disk answers ${code}. Check the folder and its permissions.`,
      { cause: error, retryable: true, details: { reason: code } },
    )
  }
}
