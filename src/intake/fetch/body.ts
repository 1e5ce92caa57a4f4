import type { Readable } from 'node:stream'
import { KeepsakeError } from '../../media/index.ts'
import { tooLarge } from '../source-limit.ts'
import { failure } from './failure.ts'
import type { TimeLimit } from './time-limit.ts'

/**
 * The bytes of an answer, counted as they arrive: more than `maxBytes` is `content_too_large`, whatever was announced,
 * and fewer than announced is `content_truncated`. A slow reader pauses the socket; one that stops reading ends it.
 */
export async function* guardedBody(
  body: Readable,
  context: { origin: string; limit: TimeLimit; maxBytes: number; size: number | null },
): AsyncGenerator<Uint8Array, void, undefined> {
  const { origin, limit, maxBytes, size } = context
  let received = 0
  try {
    try {
      for await (const chunk of body) {
        if (!(chunk instanceof Uint8Array)) throw new TypeError('The body is not bytes.')
        received += chunk.byteLength
        if (received > maxBytes) throw tooLarge(maxBytes)
        yield chunk
      }
    } catch (error) {
      throw failure(error, origin, limit.signal, 'body')
    }
    if (size !== null && received !== size) {
      throw new KeepsakeError(
        'content_truncated',
        `The content from ${origin} ended after ${received} bytes of the ${size} announced.`,
        { retryable: true },
      )
    }
  } finally {
    limit.release()
    body.destroy()
  }
}
