import { createHash } from 'node:crypto'
import { KeepsakeError } from '../media/index.ts'
import type { ObjectBody } from '../stores/index.ts'
import type { ByteReader } from './content.ts'
import { tooLarge } from './source-limit.ts'
import { SpoolFile } from './spool-file.ts'

export type SpoolOptions = {
  /** Where larger bodies wait; made where missing. */
  readonly dir: string
  /** Bytes up to which a body stays in memory. Default: 1 MiB. */
  readonly memoryLimit?: number
  readonly maxBytes: number
  readonly signal?: AbortSignal
}

/**
 * A whole body, held until its object is stored. Why not stream straight through: S3 wants the length and the SHA-256
 * before the first byte, the hash stands in the object's metadata, and a put that failed is sent again from here,
 * without asking a dying URL a second time.
 */
export interface Spooled extends ByteReader {
  /** 64 lower-case hex digits. */
  readonly sha256: string

  /** The file, where the body is in one. */
  readonly path: string | undefined

  /** The bytes, where they are in memory. */
  readonly bytes: Uint8Array | undefined

  /** For `ObjectStore.put`; can be read any number of times. */
  open(): ObjectBody

  /** Forgets the body; harmless when repeated. */
  dispose(): Promise<void>
}

/**
 * Takes a body in: hashed on the way, small ones in memory, larger ones in a temporary file, in constant memory.
 *
 * @param first What was read already, to sniff at it.
 * @throws `content_empty`, `content_too_large`, `store_unavailable` where the disk is full or fails, and what `rest`
 * throws; an abort throws the signal's reason. Nothing is left behind.
 */
export async function spool(
  first: readonly Uint8Array[],
  rest: AsyncIterator<Uint8Array>,
  options: SpoolOptions,
): Promise<Spooled> {
  const { dir, memoryLimit = 1024 * 1024, maxBytes, signal } = options
  const hash = createHash('sha256')
  const held: Uint8Array[] = []
  let size = 0
  let file: SpoolFile | undefined
  const add = async (chunk: Uint8Array) => {
    size += chunk.byteLength
    if (size > maxBytes) throw tooLarge(maxBytes)
    hash.update(chunk)
    if (file === undefined && size <= memoryLimit) {
      held.push(chunk)
      return
    }
    if (file === undefined) {
      file = await SpoolFile.create(dir)
      for (const earlier of held.splice(0)) await file.write(earlier)
    }
    await file.write(chunk)
  }
  try {
    for (const chunk of first) await add(chunk)
    for (;;) {
      signal?.throwIfAborted()
      const next = await rest.next()
      if (next.done) break
      await add(next.value)
    }
    if (size === 0) throw new KeepsakeError('content_empty', 'The content is empty: not a single byte came.')
    await file?.flush()
  } catch (error) {
    await file?.dispose()
    void Promise.resolve(rest.return?.()).catch(() => {})
    throw error
  }
  const sha256 = hash.digest('hex')
  return file === undefined ? inMemory(held, size, sha256) : inFile(file, sha256)
}

function inMemory(chunks: readonly Uint8Array[], size: number, sha256: string): Spooled {
  const bytes = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, size)
  return {
    size,
    sha256,
    path: undefined,
    bytes,
    open: () => bytes,
    read: async (offset, length) => bytes.subarray(offset, offset + length),
    dispose: async () => {},
  }
}

function inFile(file: SpoolFile, sha256: string): Spooled {
  return {
    size: file.size,
    sha256,
    path: file.path,
    bytes: undefined,
    open: () => ({ read: (start, end) => file.stream(start, end) }),
    read: (offset, length) => file.read(offset, length),
    dispose: () => file.dispose(),
  }
}
