import { KeepsakeError } from '../../media/index.ts'
import { checkObjectKey } from '../object-key.ts'
import type {
  CallOptions,
  DeleteResult,
  GetOptions,
  ListedObject,
  ListOptions,
  ObjectContent,
  ObjectHead,
  ObjectStore,
  PutRequest,
  SignedRequest,
  SignedUrl,
  SignGetOptions,
  SignPutOptions,
} from '../object-store.ts'
import { type Address, type AddressOptions, bucketAddress } from './address.ts'
import { incomingBody } from './body.ts'
import { emptySha256 } from './canonical.ts'
import { S3Client, type S3Request } from './client.ts'
import { type Credentials, CredentialsKeeper, type CredentialsProvider } from './credentials.ts'
import { deleteObjects } from './delete.ts'
import { failedConnection } from './errors.ts'
import { parseHead } from './head.ts'
import { listObjects } from './list.ts'
import { encodeMetadata, encodeMetadataValue } from './metadata.ts'
import { responseQuery } from './response-query.ts'

export type S3StoreOptions = AddressOptions & {
  /** Where signed URLs point, if browsers reach the store by another address than this process. Default: `endpoint`. */
  readonly publicEndpoint?: string
  /** Default: `s3://bucket`. */
  readonly name?: string
  /** Most connections at a time; further requests wait. Default: 64. */
  readonly connections?: number
  /** Seconds that an attempt may go without progress. Default: 30. */
  readonly requestTimeout?: number
  /** Attempts of a request before its error is the caller's. Default: 3. */
  readonly attempts?: number
  /** Between 0 and 1, for the jitter of retries. Default: Math.random. */
  readonly random?: () => number
}

/** AWS, "Uploading objects": a single PUT takes up to 5 GiB. */
const maxPutBytes = 5 * 1024 ** 3
/** A success within this time (milliseconds) proves well enough that the bucket exists. */
const bucketSeenMillis = 60_000

/**
 * A store with fixed credentials, at once.
 *
 * @throws {KeepsakeError} `invalid_setting`
 */
export function createS3Store(options: S3StoreOptions & { readonly credentials: Credentials }): ObjectStore {
  return new S3Store(options, CredentialsKeeper.fixed(options.credentials, options.region))
}

/**
 * A store whose credentials come from a provider: loaded once before this resolves, then renewed ahead of their end.
 *
 * @example
 * const store = await openS3Store({ bucket: 'media', region: 'eu-central-1', credentials: awsCredentials() })
 *
 * @throws {KeepsakeError} `invalid_setting`, `store_denied` where there are no credentials.
 */
export async function openS3Store(
  options: S3StoreOptions & { readonly credentials: CredentialsProvider | Credentials },
): Promise<ObjectStore> {
  const { credentials, region } = options
  const keeper =
    typeof credentials === 'function'
      ? await CredentialsKeeper.load(credentials, region)
      : CredentialsKeeper.fixed(credentials, region)
  return new S3Store(options, keeper)
}

class S3Store implements ObjectStore {
  readonly name: string
  readonly #client: S3Client
  readonly #credentials: CredentialsKeeper
  readonly #public: Address

  constructor(options: S3StoreOptions, credentials: CredentialsKeeper) {
    const address = bucketAddress(options)
    this.name = options.name ?? `s3://${options.bucket}`
    this.#public =
      options.publicEndpoint === undefined ? address : bucketAddress({ ...options, endpoint: options.publicEndpoint })
    this.#credentials = credentials
    this.#client = new S3Client({
      storeName: this.name,
      address,
      bucket: options.bucket,
      region: options.region,
      credentials,
      connections: options.connections ?? 64,
      stallMillis: (options.requestTimeout ?? 30) * 1000,
      attempts: options.attempts ?? 3,
      random: options.random ?? Math.random,
    })
  }

  async put(request: PutRequest): Promise<{ readonly etag: string }> {
    checkObjectKey(request.key)
    const { key, body, size, sha256, signal } = request
    if (size > maxPutBytes) {
      throw new KeepsakeError('content_too_large', `'${key}' has ${size} bytes; one PUT takes up to ${maxPutBytes}.`)
    }
    if (!/^[0-9a-f]{64}$/.test(sha256)) {
      throw new KeepsakeError('invalid_request', 'sha256 is not 64 lower-case hex digits.')
    }
    const headers: Record<string, string> = {
      'content-type': request.contentType,
      'x-amz-checksum-sha256': Buffer.from(sha256, 'hex').toString('base64'),
      ...encodeMetadata(request.metadata ?? {}),
    }
    if (request.createOnly ?? true) headers['if-none-match'] = '*'
    if (request.cacheControl !== undefined) headers['cache-control'] = request.cacheControl
    if (request.contentDisposition !== undefined) headers['content-disposition'] = request.contentDisposition
    const received = await this.#client.sendForHeaders({
      method: 'PUT',
      key,
      headers,
      body: { content: body, size },
      payloadHash: sha256,
      signal,
    })
    return { etag: received.etag ?? '' }
  }

  async get(key: string, options: GetOptions = {}): Promise<ObjectContent> {
    checkObjectKey(key)
    const range = rangeHeader(options)
    const request: S3Request = {
      method: 'GET',
      key,
      headers: range === undefined ? {} : { range },
      payloadHash: emptySha256,
      signal: options.signal,
    }
    return await this.#client.send(request, ({ status, headers, body, watch }) => {
      if (range !== undefined && status !== 206) {
        throw new KeepsakeError('store_unavailable', `${this.name} answered a range of '${key}' with the whole object.`)
      }
      const head = parseHead(key, headers)
      const fail = (error: unknown) => failedConnection(this.#client.context(request), error)
      const { contentLength } = head
      return {
        ...head,
        body: incomingBody({ body, contentLength, watch, stallMillis: this.#client.stallMillis, fail }),
      }
    })
  }

  async head(key: string, options: CallOptions = {}): Promise<ObjectHead | undefined> {
    checkObjectKey(key)
    const request: S3Request = { method: 'HEAD', key, payloadHash: emptySha256, signal: options.signal }
    try {
      const { contentLength: _, ...head } = parseHead(key, await this.#client.sendForHeaders(request))
      return head
    } catch (error) {
      if (!KeepsakeError.is(error) || error.details.httpStatus !== 404) throw error
    }
    await this.#makeSureOfBucket(options)
    return undefined
  }

  delete(keys: readonly string[], options: CallOptions = {}): Promise<DeleteResult> {
    return deleteObjects(this.#client, keys, options)
  }

  list(options: ListOptions = {}): AsyncIterable<ListedObject> {
    return listObjects(this.#client, options)
  }

  signGet(key: string, options: SignGetOptions): SignedUrl {
    checkObjectKey(key)
    return this.#sign({ method: 'GET', key, query: responseQuery(options.response) }, options)
  }

  signPut(key: string, options: SignPutOptions): SignedRequest {
    checkObjectKey(key)
    const headers: Record<string, string> = {}
    for (const [name, value] of Object.entries(options.headers)) {
      headers[name] = /^x-amz-meta-/i.test(name) ? encodeMetadataValue(value) : value
    }
    return { ...this.#sign({ method: 'PUT', key, headers }, options), method: 'PUT', headers }
  }

  /**
   * HEAD needs the same permission as a list (s3:ListBucket). Its failures have no code, so a list of nothing is asked
   * for the reason.
   */
  async check(options: CallOptions = {}): Promise<void> {
    const request = { payloadHash: emptySha256, signal: options.signal, attempts: 2 }
    try {
      await this.#client.sendForHeaders({ method: 'HEAD', ...request })
    } catch (error) {
      if (!KeepsakeError.is(error, 'store_denied')) throw error
      const query = [
        ['list-type', '2'],
        ['max-keys', '1'],
      ] as const
      await this.#client.sendForHeaders({ method: 'GET', query, ...request })
    }
  }

  close(): Promise<void> {
    return this.#client.close()
  }

  /** HEAD of an object is 404 without a word also where the bucket is missing, and then nothing is known of objects. */
  async #makeSureOfBucket({ signal }: CallOptions): Promise<void> {
    if (performance.now() - this.#client.lastSuccess < bucketSeenMillis) return
    try {
      await this.#client.sendForHeaders({ method: 'HEAD', payloadHash: emptySha256, signal })
    } catch (error) {
      // Who may read objects may still not be allowed to ask for the bucket; a 403 says that it exists.
      if (!KeepsakeError.is(error) || error.details.httpStatus !== 403) throw error
    }
  }

  #sign(
    request: { method: 'GET' | 'PUT'; key: string; headers?: Readonly<Record<string, string>>; query?: string },
    { expiresIn, at }: SignPutOptions | SignGetOptions,
  ): SignedUrl {
    const { signer, until } = this.#credentials.current()
    const start = at?.getTime() ?? Date.now()
    // S3 refuses a URL when its temporary credentials end, whatever its own life says.
    const life =
      until === Number.POSITIVE_INFINITY ? expiresIn : Math.min(expiresIn, Math.floor((until - start) / 1000))
    const signedAt = new Date(start + this.#client.clockOffset)
    const url = signer.presign(this.#public, { ...request, expiresIn: life, at: signedAt })
    return { url, expiresAt: new Date(Math.floor(start / 1000) * 1000 + life * 1000) }
  }
}

function rangeHeader({ range }: GetOptions): string | undefined {
  if (!range) return undefined
  const { start, end } = range
  const isValid =
    Number.isSafeInteger(start) && start >= 0 && (end === undefined || (Number.isSafeInteger(end) && end >= start))
  if (!isValid) throw new KeepsakeError('invalid_request', `The range ${start} to ${end ?? 'the end'} is not valid.`)
  // A range of the whole of an empty object would be refused (RFC 9110, section 15.5.17).
  if (start === 0 && end === undefined) return undefined
  return `bytes=${start}-${end ?? ''}`
}
