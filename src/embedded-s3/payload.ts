import { createHash, type Hash, hash } from 'node:crypto'
import type { Authentication } from './authentication.ts'
import { AwsChunkedDecoder, type ChunkedOptions } from './aws-chunked.ts'
import type { BodyReader } from './body-reader.ts'
import {
  CHECKSUM_ALGORITHMS,
  CHECKSUM_LENGTH,
  type Checksum,
  type ChecksumAlgorithm,
  createChecksum,
  isChecksumAlgorithm,
} from './checksums.ts'
import { S3Error } from './errors.ts'
import { headerValue, type S3Request } from './request.ts'

/** What came, once all that was claimed of it has been found true. */
export type Digests = {
  readonly size: number
  readonly md5: Buffer
  /** Base64 of the checksum the client gave, by algorithm. */
  readonly checksums: Readonly<Record<string, string>>
}

export type PayloadOptions = {
  /** A checksum to compute though the client gave none; one of another kind from the client is refused. */
  readonly compute?: ChecksumAlgorithm | undefined
  /** The x-amz-checksum-* headers are about something else than this body. */
  readonly ignoreChecksums?: boolean
}

/** The headers that say something about a body, for an operation's list of those it knows. */
export const PAYLOAD_HEADERS: readonly string[] = [
  'x-amz-decoded-content-length',
  'x-amz-sdk-checksum-algorithm',
  'x-amz-trailer',
  ...CHECKSUM_ALGORITHMS.map((algorithm) => `x-amz-checksum-${algorithm}`),
]

/** Bytes of a body that are held until it has ended. */
const HELD = 128 * 1024
const EMPTY = Buffer.alloc(0)

const STREAMING: Readonly<Record<string, ChunkedOptions>> = {
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD': { signed: true, trailer: false },
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER': { signed: true, trailer: true },
  'STREAMING-UNSIGNED-PAYLOAD-TRAILER': { signed: false, trailer: true },
}

/**
 * A request's body and every claim about it: length, x-amz-content-sha256, Content-MD5, one x-amz-checksum-*, in a
 * header or after the body. Nothing of it may be believed before `verify`.
 */
export class Payload {
  /** Whether the client gave a checksum of its own, besides the signature's hash. */
  readonly hasIntegrity: boolean
  readonly #reader: BodyReader
  readonly #maxSize: number
  readonly #declaredSize: number | undefined
  readonly #sha256: string | undefined
  readonly #md5: string | undefined
  readonly #claim: ChecksumClaim | undefined
  readonly #decoder: AwsChunkedDecoder | undefined

  readonly #coded: AsyncGenerator<Buffer, void, undefined> | undefined
  /** What came, as long as it is little: hashed in one go that is cheaper, and most bodies end before they are much. */
  #held: Buffer[] | undefined = []
  #hashes: { readonly md5: Hash; readonly sha256: Hash | undefined } | undefined
  readonly #checksum: Checksum | undefined
  readonly #compute: ChecksumAlgorithm | undefined
  #size = 0

  /** Throws when the claims are contradictory, too large or of a kind that cannot be verified here. */
  constructor(
    request: S3Request,
    authentication: Authentication,
    reader: BodyReader,
    maxSize: number,
    options: PayloadOptions = {},
  ) {
    const { payloadHash } = authentication
    const streaming = STREAMING[payloadHash]
    this.#reader = reader
    this.#maxSize = maxSize
    this.#sha256 = signedHash(payloadHash)
    this.#md5 = contentMd5(request)
    this.#claim = options.ignoreChecksums ? undefined : checksumClaim(request, streaming?.trailer === true)
    this.#compute = options.compute
    if (this.#compute !== undefined && this.#claim !== undefined && this.#claim.algorithm !== this.#compute) {
      throw new S3Error(
        'InvalidRequest',
        `Checksum Type mismatch occurred, expected checksum Type: ${this.#compute}, actual checksum Type: ${this.#claim.algorithm}`,
      )
    }
    const algorithm = this.#claim?.algorithm ?? this.#compute
    this.#checksum = algorithm === undefined ? undefined : createChecksum(algorithm)
    this.#decoder = streaming && new AwsChunkedDecoder(reader, authentication.seed, streaming)
    this.#coded = this.#decoder?.read()
    this.#declaredSize = declaredSize(request, streaming !== undefined)
    this.hasIntegrity = this.#md5 !== undefined || this.#claim !== undefined
    if ((this.#declaredSize ?? 0) > maxSize) throw this.#tooLarge(this.#declaredSize ?? 0)
  }

  /** The next bytes; undefined at the end. */
  async next(): Promise<Buffer | undefined> {
    const chunk = this.#coded === undefined ? await this.#reader.next() : (await this.#coded.next()).value
    if (chunk === undefined) return undefined
    this.#size += chunk.length
    if (this.#size > this.#maxSize) throw this.#tooLarge(this.#size)
    this.#checksum?.update(chunk)
    if (this.#held !== undefined && this.#size <= HELD) this.#held.push(chunk)
    else this.#hash(chunk)
    return chunk
  }

  async *read(): AsyncGenerator<Buffer, void, undefined> {
    for (let chunk = await this.next(); chunk !== undefined; chunk = await this.next()) yield chunk
  }

  /** Reads a small body whole and verifies it. */
  async readAll(): Promise<Buffer> {
    const chunks: Buffer[] = []
    for await (const chunk of this.read()) chunks.push(chunk)
    this.verify()
    return Buffer.concat(chunks)
  }

  /** After the last byte: throws what S3 answers when a claim was not true. */
  verify(): Digests {
    if (this.#declaredSize !== undefined && this.#size !== this.#declaredSize) throw new S3Error('IncompleteBody')
    const { md5, sha256: computed } = this.#digests()
    if (this.#sha256 !== undefined) {
      if (computed !== this.#sha256) {
        throw new S3Error('XAmzContentSHA256Mismatch', undefined, {
          ClientComputedContentSHA256: this.#sha256,
          S3ComputedContentSHA256: computed ?? '',
        })
      }
    }
    if (this.#md5 !== undefined && md5.toString('base64') !== this.#md5) {
      throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.', {
        ExpectedDigest: this.#md5,
        CalculatedDigest: md5.toString('base64'),
      })
    }
    return { size: this.#size, md5, checksums: this.#verifyChecksum() }
  }

  #verifyChecksum(): Record<string, string> {
    const claim = this.#claim
    if (this.#checksum === undefined) return {}
    if (claim === undefined) return { [this.#compute ?? '']: this.#checksum.digest().toString('base64') }
    const trailers = this.#decoder?.trailers ?? new Map<string, string>()
    const name = `x-amz-checksum-${claim.algorithm}`
    // A trailer that was not announced is a claim that nobody would look at.
    const announced = claim.value === undefined ? 1 : 0
    if (trailers.size > announced) throw new S3Error('MalformedTrailerError')
    const given = claim.value ?? trailers.get(name)
    if (given === undefined) throw new S3Error('MalformedTrailerError')
    requireChecksumForm(claim.algorithm, given)
    const computed = this.#checksum.digest().toString('base64')
    if (computed !== given) {
      throw new S3Error(
        'BadDigest',
        `The ${claim.algorithm.toUpperCase()} you specified did not match the calculated checksum.`,
      )
    }
    return { [claim.algorithm]: computed }
  }

  #hash(chunk: Buffer): void {
    this.#hashes ??= {
      md5: createHash('md5'),
      sha256: this.#sha256 === undefined ? undefined : createHash('sha256'),
    }
    for (const bytes of [...(this.#held ?? []), chunk]) {
      this.#hashes.md5.update(bytes)
      this.#hashes.sha256?.update(bytes)
    }
    this.#held = undefined
  }

  #digests(): { readonly md5: Buffer; readonly sha256: string | undefined } {
    if (this.#hashes !== undefined) {
      return { md5: this.#hashes.md5.digest(), sha256: this.#hashes.sha256?.digest('hex') }
    }
    const [first = EMPTY, ...more] = this.#held ?? []
    const all = more.length === 0 ? first : Buffer.concat([first, ...more])
    return { md5: hash('md5', all, 'buffer'), sha256: this.#sha256 && hash('sha256', all) }
  }

  #tooLarge(size: number): S3Error {
    return new S3Error('EntityTooLarge', undefined, {
      ProposedSize: String(size),
      MaxSizeAllowed: String(this.#maxSize),
    })
  }
}

type ChecksumClaim = {
  readonly algorithm: ChecksumAlgorithm
  /** Undefined when it comes after the body. */
  readonly value: string | undefined
}

/** The SHA-256 inside the signature, or undefined for the forms that leave the body out of it. */
function signedHash(payloadHash: string): string | undefined {
  if (/^[0-9a-f]{64}$/.test(payloadHash)) return payloadHash
  if (payloadHash === 'UNSIGNED-PAYLOAD' || Object.hasOwn(STREAMING, payloadHash)) return undefined
  if (payloadHash.startsWith('STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD')) {
    throw new S3Error('NotImplemented', undefined, { Header: 'x-amz-content-sha256' })
  }
  throw new S3Error(
    'InvalidArgument',
    'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.',
    { ArgumentName: 'x-amz-content-sha256' },
  )
}

function contentMd5(request: S3Request): string | undefined {
  const given = request.headers.get('content-md5')
  if (given !== undefined && !isBase64(given, 16)) throw new S3Error('InvalidDigest')
  return given
}

function checksumClaim(request: S3Request, trailer: boolean): ChecksumClaim | undefined {
  const claims: ChecksumClaim[] = []
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const value = headerValue(request, `x-amz-checksum-${algorithm}`)
    if (value === undefined) continue
    requireChecksumForm(algorithm, value)
    claims.push({ algorithm, value })
  }
  for (const name of (headerValue(request, 'x-amz-trailer') ?? '').split(',')) {
    if (name === '') continue
    const algorithm = name
      .trim()
      .toLowerCase()
      .replace(/^x-amz-checksum-/, '')
    if (!trailer) throw new S3Error('InvalidRequest', 'x-amz-trailer needs a body with a trailer.')
    if (!isChecksumAlgorithm(algorithm)) throw new S3Error('NotImplemented', undefined, { Header: 'x-amz-trailer' })
    claims.push({ algorithm, value: undefined })
  }
  if (claims.length > 1) {
    throw new S3Error(
      'InvalidRequest',
      'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
    )
  }
  const announced = headerValue(request, 'x-amz-sdk-checksum-algorithm')?.toLowerCase()
  if (announced !== undefined && announced !== claims[0]?.algorithm) {
    throw new S3Error(
      'InvalidRequest',
      'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
    )
  }
  if (trailer && claims.length === 0) throw new S3Error('MalformedTrailerError')
  return claims[0]
}

export function requireChecksumForm(algorithm: ChecksumAlgorithm, value: string): void {
  if (isBase64(value, CHECKSUM_LENGTH[algorithm])) return
  throw new S3Error('InvalidRequest', `Value for x-amz-checksum-${algorithm} header is invalid.`)
}

function isBase64(text: string, bytes: number): boolean {
  const decoded = Buffer.from(text, 'base64')
  return decoded.length === bytes && decoded.toString('base64') === text
}

/** The bytes announced; undefined only for HTTP's own chunked coding, whose end is known when it comes. */
function declaredSize(request: S3Request, streaming: boolean): number | undefined {
  const coding = request.headers.get('transfer-encoding')?.toLowerCase()
  // "A server that receives a request message with a transfer coding it does not understand SHOULD respond with 501."
  if (coding !== undefined && coding !== 'chunked') {
    throw new S3Error('NotImplemented', undefined, { Header: 'transfer-encoding' })
  }
  const name = streaming ? 'x-amz-decoded-content-length' : 'content-length'
  const text = headerValue(request, name)
  if (text === undefined) {
    if (!streaming && coding !== undefined) return undefined
    throw new S3Error('MissingContentLength')
  }
  if (!/^\d{1,15}$/.test(text)) throw new S3Error('InvalidArgument', `${name} must be a number of bytes.`)
  return Number(text)
}
