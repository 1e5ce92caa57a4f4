import { Blocks } from './blocks.ts'

/** Kept for the next range: as many parts as are under way at a time by default, and the one that is being hashed. */
const blocks = new Blocks(5)

/** Reads into the block's beginning, from a place of the source on. Answers how many bytes; 0 where the source has ended. */
export type ReadAt = (block: Uint8Array, at: number) => Promise<number>

/**
 * A range of a file, for a body in ranges: through one block of memory, which the next range takes over, so that a large
 * body does not leave its own size in garbage. A piece is good until the next one is asked for. It ends early where the
 * source does.
 *
 * @example
 * const read = (start: number, end: number) =>
 *   readInBlocks(async (block, at) => (await file.read(block, 0, block.length, at)).bytesRead, start, end)
 * await store.put({ key, body: { read }, size, sha256, contentType })
 */
export async function* readInBlocks(
  readAt: ReadAt,
  start: number,
  end: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const block = blocks.take()
  try {
    for (let at = start; at < end; ) {
      const bytes = await readAt(block.subarray(0, end - at), at)
      if (bytes === 0) return
      at += bytes
      yield block.subarray(0, bytes)
    }
  } finally {
    // No read is under way here, and whoever asks for no more has done with the last piece.
    blocks.give(block)
  }
}
