/**
 * Reads as many first bytes as are wanted, or all there are.
 *
 * @returns The chunks as they came, to be passed on, and their first bytes in one piece.
 */
export async function readHead(
  body: AsyncIterator<Uint8Array>,
  bytes: number,
): Promise<{ readonly chunks: readonly Uint8Array[]; readonly head: Uint8Array }> {
  const chunks: Uint8Array[] = []
  for (let size = 0; size < bytes; ) {
    const next = await body.next()
    if (next.done) break
    chunks.push(next.value)
    size += next.value.byteLength
  }
  const [only] = chunks
  const head = chunks.length === 1 && only ? only : Buffer.concat(chunks)
  return { chunks, head: head.subarray(0, bytes) }
}
