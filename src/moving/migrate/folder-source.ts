import { createHash, hash } from 'node:crypto'
import { type BigIntStats, close, closeSync, constants, fstatSync, open, read } from 'node:fs'
import { lstat, opendir, unlink } from 'node:fs/promises'
import { join, relative, resolve, sep } from 'node:path'
import { promisify } from 'node:util'
import type { FoundFile } from '../../catalogue/index.ts'
import type { Spooled } from '../../intake/index.ts'
import { KeepsakeError } from '../../media/index.ts'
import { readInBlocks } from '../../stores/index.ts'
import { type Piece, Slabs } from './slabs.ts'
import type { MoveSource, Oddity } from './source.ts'

// Plain descriptors: a FileHandle costs a small file more than its bytes do.
const openFile = promisify(open)
const readFile = promisify(read)
const closeFile = promisify(close)

/** Bytes up to which a file is read whole. */
const inMemory = 1024 * 1024
/** Entries of a folder that are asked for at a time. */
const atOnce = 128

/** The files of a folder and of all folders in it. Symbolic links are not followed: they may lead anywhere. */
export class FolderSource implements MoveSource {
  readonly name: string
  readonly #slabs = new Slabs()

  constructor(folder: string) {
    this.name = resolve(folder)
  }

  async *list(odd: (oddity: Oddity) => void, signal: AbortSignal): AsyncIterable<FoundFile> {
    const folders = [this.name]
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      const entries = await opendir(folder, { bufferSize: atOnce }).catch((error: unknown) => {
        throw unreadable(error, this.name)
      })
      const prefix = relative(this.name, folder).split(sep).join('/')
      let found: { readonly path: string; readonly place: string }[] = []
      for await (const entry of entries) {
        signal.throwIfAborted()
        const place = join(folder, entry.name)
        const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`
        if (entry.isDirectory()) folders.push(place)
        else if (!entry.isFile()) odd({ path, why: entry.isSymbolicLink() ? 'a symbolic link' : 'not a file' })
        // A name that is no UTF-8 comes with U+FFFD in place of what it is: it could not be opened again.
        else if (!path.isWellFormed() || path.includes('\ufffd')) odd({ path, why: 'a name that is no UTF-8' })
        else if (found.push({ path, place }) === atOnce) {
          yield* await this.#stat(found)
          found = []
        }
      }
      yield* await this.#stat(found)
    }
  }

  /** Those that are gone by now are left out. */
  async #stat(found: readonly { readonly path: string; readonly place: string }[]): Promise<readonly FoundFile[]> {
    const files = await Promise.all(
      found.map(async ({ path, place }): Promise<FoundFile[]> => {
        const stats = await lstat(place, { bigint: true }).catch(() => undefined)
        return stats === undefined ? [] : [{ path, size: Number(stats.size), version: versionOf(stats) }]
      }),
    )
    return files.flat()
  }

  async hold(
    file: FoundFile,
    { maxBytes, signal }: { readonly maxBytes: number; readonly signal: AbortSignal },
  ): Promise<Spooled> {
    if (file.size === 0) throw new KeepsakeError('content_empty', 'The file is empty.')
    if (file.size > maxBytes) {
      throw new KeepsakeError('content_too_large', `The file has ${file.size} bytes. Allowed are ${maxBytes}.`)
    }
    const { fd, place } = await this.#open(file)
    if (file.size > inMemory) {
      return largeFile(fd, place, file, signal).catch(async (error: unknown) => {
        await closeFile(fd)
        throw error
      })
    }
    try {
      return await wholeFile(fd, this.#slabs.take(file.size))
    } finally {
      closeSync(fd)
    }
  }

  async peek(file: FoundFile, bytes: number): Promise<Uint8Array> {
    const { fd } = await this.#open(file)
    try {
      const head = Buffer.allocUnsafe(Math.min(bytes, file.size))
      await fill(fd, head, 0)
      return head
    } finally {
      closeSync(fd)
    }
  }

  /**
   * To open and to read may take their time, and are given to other threads. What a file that is open says of itself is
   * known, and to close one that was only read changes nothing: handing these over would cost more than to do them.
   */
  async #open(file: FoundFile): Promise<{ readonly fd: number; readonly place: string }> {
    const place = this.#place(file.path)
    const fd = await openFile(place, constants.O_RDONLY | constants.O_NOFOLLOW).catch((error: unknown) => {
      throw unreadable(error, 'the file')
    })
    try {
      if (versionOf(fstatSync(fd, { bigint: true })) === file.version) return { fd, place }
    } catch (error) {
      closeSync(fd)
      throw unreadable(error, 'the file')
    }
    closeSync(fd)
    throw changed()
  }

  async remove(file: FoundFile): Promise<boolean> {
    const place = this.#place(file.path)
    const stats = await lstat(place, { bigint: true }).catch(() => undefined)
    if (stats === undefined) return true
    if (!stats.isFile() || versionOf(stats) !== file.version) return false
    await unlink(place)
    return true
  }

  async close(): Promise<void> {}

  /** A path comes from our own listing, by way of the database. */
  #place(path: string): string {
    const place = resolve(this.name, path)
    if (place.startsWith(this.name.endsWith(sep) ? this.name : this.name + sep)) return place
    throw new KeepsakeError('internal', 'A path of the move leads out of its folder.')
  }
}

/** Size, and both times in nanoseconds: what was written again within the same second is still another file. */
function versionOf({ size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${size}-${mtimeNs}-${ctimeNs}`
}

async function wholeFile(fd: number, { bytes, release }: Piece): Promise<Spooled> {
  await fill(fd, bytes, 0)
  return {
    size: bytes.byteLength,
    sha256: hash('sha256', bytes, 'hex'),
    path: undefined,
    bytes,
    open: () => bytes,
    read: async (offset, length) => bytes.subarray(offset, offset + length),
    dispose: async () => release(),
  }
}

/** Read twice, once for the hash and once to be sent: the second time it mostly comes from the system's cache. */
async function largeFile(fd: number, place: string, file: FoundFile, signal: AbortSignal): Promise<Spooled> {
  const whole = createHash('sha256')
  for await (const chunk of stream(fd, 0, file.size)) {
    signal.throwIfAborted()
    whole.update(chunk)
  }
  return {
    size: file.size,
    sha256: whole.digest('hex'),
    path: place,
    bytes: undefined,
    open: () => ({ read: (start, end) => stream(fd, start, end) }),
    read: async (offset, length) => {
      const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(length, file.size - offset)))
      await fill(fd, bytes, offset)
      return bytes
    },
    dispose: () => closeFile(fd),
  }
}

function stream(fd: number, start: number, end: number): AsyncGenerator<Uint8Array, void, undefined> {
  const readAt = async (block: Uint8Array, at: number) => {
    await fill(fd, block, at)
    return block.byteLength
  }
  return readInBlocks(readAt, start, end)
}

async function fill(fd: number, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesRead } = await readFile(fd, bytes, done, bytes.byteLength - done, offset + done).catch((error) => {
      throw unreadable(error, 'the file')
    })
    if (bytesRead === 0) throw changed()
    done += bytesRead
  }
}

function changed(): KeepsakeError {
  return new KeepsakeError('source_gone', 'The file was changed since it was listed. Retry it.')
}

function unreadable(error: unknown, what: string): KeepsakeError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return what === 'the file'
      ? new KeepsakeError('source_gone', 'The file is not there any more.', { cause: error })
      : new KeepsakeError('invalid_source', `There is no folder ${what}.`, { cause: error })
  }
  return new KeepsakeError('invalid_source', `Cannot read ${what} (${code}). Check its permissions.`, { cause: error })
}
