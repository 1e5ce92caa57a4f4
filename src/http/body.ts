import { createMiddleware } from 'hono/factory'
import { formatSize, KeepsakeError } from '../media/index.ts'
import { BodyBudget, type BodyShare } from './body-budget.ts'
import type { HttpEnv } from './env.ts'

/** Beyond this a JSON text comes near V8's longest string (512 MiB), and one request takes a machine's memory. */
const hardLimit = 256 * 1024 ** 2
const slack = 1024 ** 2
/** Bytes of bodies in memory at the same time. Decoding and parsing one takes about three times its size. */
const together = 256 * 1024 ** 2

/** Bytes that a JSON body may have, so that the largest asset fits in as base64 (4 characters for 3 bytes). */
export function jsonBodyLimit(largestAsset: number): number {
  return Math.min(Math.ceil((largestAsset * 4) / 3) + slack, hardLimit)
}

/**
 * Reads a JSON body before it is parsed: of the right type, within the limit however it is sent, valid UTF-8.
 *
 * `optional`: no body at all is as good as `{}`.
 *
 * @throws {KeepsakeError} `unsupported_media_type`, `request_too_large`, `invalid_request`; `timeout` where there is no
 * memory for it.
 */
export function readJsonBody(limit: number, { optional = false }: { readonly optional?: boolean } = {}) {
  const budget = new BodyBudget(together)
  return createMiddleware<HttpEnv>(async (c, next) => {
    const contentType = c.req.header('content-type')
    if (optional && contentType === undefined && !hasBody(c.req.raw.headers)) return next()
    if (contentType === undefined || !/^application\/json\s*(;.*)?$/i.test(contentType)) {
      const found = contentType === undefined ? 'no content type' : `'${contentType.slice(0, 100)}'`
      throw new KeepsakeError('unsupported_media_type', `The body must be application/json; found ${found}.`)
    }
    if (Number(c.req.header('content-length') ?? 0) > limit) throw tooLarge(limit)
    using share = budget.share()
    const read = decode(await readAtMost(c.req.raw.body, limit, share))
    const text = optional && read === '' ? '{}' : read
    // Where Hono keeps a body that was read (as a promise, whatever its type says), for the validator that comes next.
    Object.assign(c.req.bodyCache, { text: Promise.resolve(text) })
    await next()
  })
}

/** RFC 9112, section 6.3: a request without either header has no body. */
function hasBody(headers: Headers): boolean {
  return headers.has('transfer-encoding') || Number(headers.get('content-length') ?? 0) > 0
}

async function readAtMost(body: ReadableStream<Uint8Array> | null, limit: number, share: BodyShare): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    // Leaving the loop early cancels the stream.
    for await (const chunk of body ?? []) {
      size += chunk.byteLength
      if (size > limit) throw tooLarge(limit)
      chunks.push(chunk)
      await share.take(chunk.byteLength)
    }
  } catch (error) {
    if (error instanceof KeepsakeError) throw error
    throw new KeepsakeError('invalid_request', 'The request body was cut off.', { cause: error })
  }
  return Buffer.concat(chunks)
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    // RFC 8259, section 8.1: JSON between systems is UTF-8.
    throw new KeepsakeError('invalid_request', 'The body is not valid UTF-8.', { cause })
  }
}

function tooLarge(limit: number): KeepsakeError {
  return new KeepsakeError(
    'request_too_large',
    `The body has more than ${formatSize(limit)}. Import large media by URL instead.`,
    { details: { limit } },
  )
}
