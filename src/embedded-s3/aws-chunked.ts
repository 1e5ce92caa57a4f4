import { createHash } from 'node:crypto'
import { type ChunkSeed, sameText } from './authentication.ts'
import type { BodyReader } from './body-reader.ts'
import { S3Error } from './errors.ts'
import { EMPTY_SHA256, sign } from './sigv4.ts'

const MAX_LINE = 4096
const MAX_TRAILERS = 16
/** "Chunk size must be at least 8 KB", but for the last. */
const MIN_CHUNK = 8192

export type ChunkedOptions = {
  /** Chunks carry signatures, each over the one before it. */
  readonly signed: boolean
  readonly trailer: boolean
}

/**
 * Decodes an aws-chunked body and verifies what is signed in it. `trailers` is filled once it has been read to the end.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and …/sigv4-streaming-trailers.html
 */
export class AwsChunkedDecoder {
  readonly trailers = new Map<string, string>()
  readonly #body: BodyReader
  readonly #seed: ChunkSeed | undefined
  readonly #options: ChunkedOptions
  #signature: string
  #rest: Buffer = Buffer.alloc(0)

  /** Throws AccessDenied when chunks are to be signed and the request was not. */
  constructor(body: BodyReader, seed: ChunkSeed | undefined, options: ChunkedOptions) {
    if (options.signed && seed === undefined) throw new S3Error('AccessDenied')
    this.#body = body
    this.#seed = seed
    this.#options = options
    this.#signature = seed?.signature ?? ''
  }

  async *read(): AsyncGenerator<Buffer, void, undefined> {
    for (let previous = MIN_CHUNK; ; ) {
      const { size, signature } = this.#parseHeader(await this.#line())
      if (size > 0 && previous < MIN_CHUNK) throw new S3Error('InvalidChunkSizeError')
      const digest = this.#options.signed ? createHash('sha256') : undefined
      for (let left = size; left > 0; ) {
        const piece = await this.#some(left)
        left -= piece.length
        digest?.update(piece)
        yield piece
      }
      if (digest !== undefined) this.#verifyChunk(digest.digest('hex'), signature)
      if (size === 0) break
      if ((await this.#line()) !== '') throw malformed()
      previous = size
    }
    await this.#readTrailers()
    if (this.#rest.length > 0 || (await this.#body.next()) !== undefined) throw malformed()
  }

  #parseHeader(line: string): { size: number; signature: string } {
    const match = /^([0-9a-fA-F]{1,10})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line)
    if (match?.[1] === undefined || (match[2] !== undefined) !== this.#options.signed) throw malformed()
    return { size: Number.parseInt(match[1], 16), signature: match[2] ?? '' }
  }

  #verifyChunk(digest: string, signature: string): void {
    this.#verify(`AWS4-HMAC-SHA256-PAYLOAD\n${this.#context()}\n${EMPTY_SHA256}\n${digest}`, signature)
  }

  #verify(toSign: string, signature: string): void {
    const seed = this.#seed
    if (seed === undefined || !sameText(sign(seed.signingKey, toSign), signature))
      throw new S3Error('SignatureDoesNotMatch')
    this.#signature = signature
  }

  #context(): string {
    return `${this.#seed?.timestamp}\n${this.#seed?.scope}\n${this.#signature}`
  }

  async #readTrailers(): Promise<void> {
    let signature: string | undefined
    let canonical = ''
    for (;;) {
      const line = await this.#line(true)
      if (line === '') break
      const colon = line.indexOf(':')
      const name = line.slice(0, Math.max(colon, 0)).trim().toLowerCase()
      const value = line.slice(colon + 1).trim()
      if (name === '' || signature !== undefined || this.trailers.size >= MAX_TRAILERS) throw malformedTrailer()
      if (name === 'x-amz-trailer-signature') {
        signature = value
      } else {
        if (this.trailers.has(name)) throw malformedTrailer()
        this.trailers.set(name, value)
        canonical += `${name}:${value}\n`
      }
    }
    if (!this.#options.trailer && (this.trailers.size > 0 || signature !== undefined)) throw malformedTrailer()
    if (this.#options.signed && this.#options.trailer) {
      if (signature === undefined) throw malformedTrailer()
      const digest = createHash('sha256').update(canonical).digest('hex')
      this.#verify(`AWS4-HMAC-SHA256-TRAILER\n${this.#context()}\n${digest}`, signature)
    }
  }

  /** A line without its CRLF. With `orEnd`, the end of the body is an empty line: some clients leave out the last CRLF. */
  async #line(orEnd = false): Promise<string> {
    for (let searched = 0; ; ) {
      const end = this.#rest.indexOf('\r\n', Math.max(0, searched - 1))
      if (end > MAX_LINE || (end < 0 && this.#rest.length > MAX_LINE)) throw malformed()
      if (end >= 0) {
        const line = this.#rest.toString('latin1', 0, end)
        this.#rest = this.#rest.subarray(end + 2)
        return line
      }
      searched = this.#rest.length
      const more = await this.#body.next()
      if (more === undefined) {
        if (orEnd && searched === 0) return ''
        throw new S3Error('IncompleteBody')
      }
      this.#rest = searched === 0 ? more : Buffer.concat([this.#rest, more])
    }
  }

  /** At most `limit` bytes, at least one. */
  async #some(limit: number): Promise<Buffer> {
    if (this.#rest.length === 0) {
      const more = await this.#body.next()
      if (more === undefined) throw new S3Error('IncompleteBody')
      this.#rest = more
    }
    const piece = this.#rest.subarray(0, limit)
    this.#rest = this.#rest.subarray(piece.length)
    return piece
  }
}

function malformed(): S3Error {
  return new S3Error('InvalidRequest', 'The aws-chunked body is not well-formed.')
}

function malformedTrailer(): S3Error {
  return new S3Error('MalformedTrailerError')
}
