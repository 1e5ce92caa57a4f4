import { createReadStream } from 'node:fs'
import type { OpenObject } from './object-file.ts'

const READ_SIZE = 512 * 1024

/** Bytes of an object's body, piece by piece. Leaves the object open. */
export async function* readSection(
  object: OpenObject,
  start: number,
  length: number,
): AsyncGenerator<Buffer, void, undefined> {
  if (length === 0) return
  if (object.bytes !== undefined) {
    yield object.bytes.subarray(start, start + length)
    return
  }
  const section = { fd: object.fd, start, end: start + length - 1, highWaterMark: READ_SIZE, autoClose: false }
  for await (const chunk of createReadStream('', section)) {
    if (!Buffer.isBuffer(chunk)) throw new TypeError('A file gave something else than bytes')
    yield chunk
  }
}
