import { KeepsakeError } from '../../media/index.ts'
import { type Address, keyPath } from './address.ts'
import { algorithm, canonicalHeaders, stringToSign, unsignedPayload } from './canonical.ts'
import { canonicalQuery, encodeRfc3986 } from './encode.ts'
import { HmacKey } from './hmac.ts'

export type SigningIdentity = {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
}

export type PresignRequest = {
  readonly method: 'GET' | 'PUT' | 'HEAD'
  readonly key: string
  /** Seconds, 1 to 604800. */
  readonly expiresIn: number
  readonly at: Date
  /** Headers inside the signature, besides `host`. */
  readonly headers?: Readonly<Record<string, string>>
  /**
   * Query parameters inside the signature, in canonical order. Their names must sort after `X-Amz-`, as every
   * lower-case one does.
   */
  readonly query?: string
}

export type SignedHeadersRequest = {
  readonly method: string
  /** Encoded path, exactly as it goes out. */
  readonly path: string
  readonly query?: readonly (readonly [name: string, value: string])[]
  readonly headers?: Readonly<Record<string, string>>
  /** SHA-256 of the body in hex, or `UNSIGNED-PAYLOAD`. */
  readonly payloadHash: string
  readonly at: Date
}

/** AWS, "Authenticating Requests: Using Query Parameters": X-Amz-Expires is at most seven days. */
const maxExpiresIn = 604_800

/** All that depends on the second alone: every URL of that second shares it. */
type Moment = {
  readonly second: number
  readonly amzDate: string
  /** `20130524/us-east-1/s3/aws4_request` */
  readonly scope: string
  readonly key: HmacKey
  /** The query up to and including `X-Amz-Expires=`. */
  readonly queryStart: string
}

/**
 * AWS Signature Version 4 for one identity in one region. Synchronous, local, and made for many URLs: what does not
 * change from URL to URL is worked out once.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
 */
export class Signer {
  readonly #identity: SigningIdentity
  readonly #region: string
  readonly #days = new Map<string, HmacKey>()
  readonly #token: string
  #moment: Moment | undefined

  constructor(identity: SigningIdentity, region: string) {
    this.#identity = identity
    this.#region = region
    const { sessionToken } = identity
    this.#token = sessionToken ? `&X-Amz-Security-Token=${encodeRfc3986(sessionToken)}` : ''
  }

  /**
   * A URL that carries its own signature.
   *
   * Web clients resolve `.` and `..` segments before they send (WHATWG URL), so a key that has one cannot be read by
   * URL outside of clients that send paths as they are.
   *
   * @throws {KeepsakeError} `invalid_request`
   */
  presign(address: Address, request: PresignRequest): string {
    const { method, expiresIn } = request
    if (!Number.isInteger(expiresIn) || expiresIn < 1 || expiresIn > maxExpiresIn) {
      throw new KeepsakeError(
        'invalid_request',
        `A signed URL cannot live ${expiresIn} seconds. Allowed is an integer from 1 to ${maxExpiresIn}.`,
      )
    }
    const moment = this.#at(request.at)
    const path = keyPath(address, request.key)
    let lines = `host:${address.host}\n`
    let names = 'host'
    let payloadHash = unsignedPayload
    if (request.headers) {
      ;({ lines, names } = canonicalHeaders(address.host, request.headers))
      payloadHash = headerValue(request.headers, 'x-amz-content-sha256') ?? unsignedPayload
    }
    let query = `${moment.queryStart + expiresIn + this.#token}&X-Amz-SignedHeaders=${names.replaceAll(';', '%3B')}`
    if (request.query) query += `&${request.query}`
    const text = stringToSign(method, path, query, lines, names, payloadHash, moment.amzDate, moment.scope)
    return `${address.origin}${path}?${query}&X-Amz-Signature=${moment.key.hex(text)}`
  }

  /**
   * The headers that authenticate a request, `host` left out, those given included. All of them are signed.
   *
   * @throws {KeepsakeError} `invalid_request`
   */
  signHeaders(address: Address, request: SignedHeadersRequest): Record<string, string> {
    const moment = this.#at(request.at)
    const headers: Record<string, string> = { ...request.headers }
    headers['x-amz-content-sha256'] = request.payloadHash
    headers['x-amz-date'] = moment.amzDate
    if (this.#identity.sessionToken) headers['x-amz-security-token'] = this.#identity.sessionToken
    const { lines, names } = canonicalHeaders(address.host, headers)
    const query = request.query ? canonicalQuery(request.query) : ''
    const text = stringToSign(
      request.method,
      request.path,
      query,
      lines,
      names,
      request.payloadHash,
      moment.amzDate,
      moment.scope,
    )
    headers.authorization =
      `${algorithm} Credential=${this.#identity.accessKeyId}/${moment.scope}, SignedHeaders=${names}, ` +
      `Signature=${moment.key.hex(text)}`
    return headers
  }

  #at(at: Date): Moment {
    const second = Math.floor(at.getTime() / 1000)
    if (this.#moment?.second === second) return this.#moment
    if (!Number.isFinite(second)) throw new KeepsakeError('invalid_request', 'The signing time is not a valid date.')
    const amzDate = `${new Date(second * 1000).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`
    const date = amzDate.slice(0, 8)
    const scope = `${date}/${this.#region}/s3/aws4_request`
    const credential = encodeRfc3986(`${this.#identity.accessKeyId}/${scope}`)
    this.#moment = {
      second,
      amzDate,
      scope,
      key: this.#dayKey(date),
      queryStart: `X-Amz-Algorithm=${algorithm}&X-Amz-Credential=${credential}&X-Amz-Date=${amzDate}&X-Amz-Expires=`,
    }
    return this.#moment
  }

  /** AWS, "Derive a signing key": it changes once a day. A few days are kept, as `at` may lie in the past. */
  #dayKey(date: string): HmacKey {
    const known = this.#days.get(date)
    if (known) return known
    const oldest = this.#days.keys().next().value
    if (this.#days.size >= 8 && oldest !== undefined) this.#days.delete(oldest)
    const chain = [date, this.#region, 's3', 'aws4_request']
    const key = chain.reduce(
      (previous, text) => new HmacKey(previous.bytes(text)),
      new HmacKey(Buffer.from(`AWS4${this.#identity.secretAccessKey}`)),
    )
    this.#days.set(date, key)
    return key
  }
}

function headerValue(headers: Readonly<Record<string, string>>, wanted: string): string | undefined {
  return Object.entries(headers).find(([name]) => name.toLowerCase() === wanted)?.[1]
}
