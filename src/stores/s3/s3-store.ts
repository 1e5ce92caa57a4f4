import { KeepsakeError } from '../../media/index.ts'
import type { ListedPage } from '../listed-page.ts'
import { checkPartNumber, checkUpload } from '../multipart-checks.ts'
import { checkObjectKey } from '../object-key.ts'
import type {
  CallOptions,
  CompleteMultipartOptions,
  CopyRequest,
  CreateMultipartRequest,
  DeleteResult,
  GetOptions,
  HeadOptions,
  ListedMultipart,
  ListedObject,
  ListedPart,
  ListMultipartOptions,
  ListOptions,
  ListPartsOptions,
  MultipartPart,
  MultipartUpload,
  ObjectContent,
  ObjectHead,
  ObjectStore,
  PutPartRequest,
  PutRequest,
  SignedRequest,
  SignedUrl,
  SignGetOptions,
  SignPartOptions,
  SignPutOptions,
} from '../object-store.ts'
import { multipartLimits, planParts } from '../part-plan.ts'
import { putInParts } from '../put-in-parts.ts'
import { type Address, type AddressOptions, bucketAddress } from './address.ts'
import { incomingBody } from './body.ts'
import { emptySha256 } from './canonical.ts'
import { S3Client, type S3Request } from './client.ts'
import { type CopyLimits, copyLimits, copyObject } from './copy.ts'
import { refuseTaken } from './create-only.ts'
import { type Credentials, CredentialsKeeper, type CredentialsProvider } from './credentials.ts'
import { deleteObjects } from './delete.ts'
import { encodeRfc3986 } from './encode.ts'
import { failedConnection } from './errors.ts'
import { headObject, parseHead } from './head.ts'
import { listObjects, listPages } from './list.ts'
import { encodeMetadataValue } from './metadata.ts'
import { abortMultipart, completeMultipart, createMultipart, putPart } from './multipart.ts'
import { listMultipart, listParts } from './multipart-list.ts'
import { checkSha256 } from './object-headers.ts'
import type { ProviderName } from './providers.ts'
import { maxPutBytes, putObject } from './put.ts'
import { responseQuery } from './response-query.ts'

export type S3StoreOptions = AddressOptions & {
  /** Where signed URLs point, if browsers reach the store by another address than this process. Default: `endpoint`. */
  readonly publicEndpoint?: string
  /** Default: by the host of the endpoint, or else by how it answers. */
  readonly provider?: ProviderName
  readonly multipart?: MultipartOptions
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

export type MultipartOptions = {
  /** Bytes above which a put goes in parts. Default: 64 MiB. */
  readonly threshold?: number
  /** Bytes of a part, from 5 MiB; more where 10000 parts would not suffice. Default: 16 MiB. */
  readonly partSize?: number
  /** Parts under way at a time. Default: 4. */
  readonly parallel?: number
  /** The same for copies, whose bytes stay in the store. Default: 5 GiB, 512 MiB, 8. */
  readonly copy?: Partial<CopyLimits>
}

const mebibyte = 1024 * 1024

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
  readonly #parts: Required<Omit<MultipartOptions, 'copy'>>
  readonly #copy: CopyLimits

  constructor(options: S3StoreOptions, credentials: CredentialsKeeper) {
    const address = bucketAddress(options)
    this.name = options.name ?? `s3://${options.bucket}`
    this.#public =
      options.publicEndpoint === undefined
        ? address
        : bucketAddress({ ...options, dualStack: false, endpoint: options.publicEndpoint })
    this.#credentials = credentials
    const { threshold = 64 * mebibyte, partSize = 16 * mebibyte, parallel = 4, copy } = options.multipart ?? {}
    this.#parts = { threshold: Math.min(threshold, maxPutBytes), partSize, parallel }
    this.#copy = { ...copyLimits, ...copy }
    checkParts(this.#parts)
    checkParts(this.#copy)
    this.#client = new S3Client({
      storeName: this.name,
      address,
      bucket: options.bucket,
      region: options.region,
      credentials,
      provider: options.provider,
      connections: options.connections ?? 64,
      stallMillis: (options.requestTimeout ?? 30) * 1000,
      attempts: options.attempts ?? 3,
      random: options.random ?? Math.random,
    })
  }

  async put(request: PutRequest): Promise<{ readonly etag: string }> {
    checkObjectKey(request.key)
    checkSha256(request)
    if (request.size <= this.#parts.threshold) return putObject(this.#client, request)
    planParts(request.size)
    // Better known before hundreds of megabytes have gone out; the completion decides.
    if (request.createOnly ?? true) await refuseTaken(this.#client, request.key, request.signal)
    return putInParts(this, request, this.#parts)
  }

  copy(request: CopyRequest): Promise<{ readonly etag: string }> {
    return copyObject(this.#client, request, this.#copy)
  }

  createMultipart(request: CreateMultipartRequest): Promise<MultipartUpload> {
    return createMultipart(this.#client, request)
  }

  putPart(upload: MultipartUpload, request: PutPartRequest): Promise<MultipartPart> {
    return putPart(this.#client, upload, request)
  }

  completeMultipart(
    upload: MultipartUpload,
    parts: readonly MultipartPart[],
    options: CompleteMultipartOptions = {},
  ): Promise<{ readonly etag: string }> {
    return completeMultipart(this.#client, upload, parts, options)
  }

  abortMultipart(upload: MultipartUpload, options: CallOptions = {}): Promise<void> {
    return abortMultipart(this.#client, upload, options)
  }

  listParts(upload: MultipartUpload, options: ListPartsOptions = {}): AsyncIterable<ListedPart> {
    return listParts(this.#client, upload, options)
  }

  listMultipart(options: ListMultipartOptions = {}): AsyncIterable<ListedMultipart> {
    return listMultipart(this.#client, options)
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

  async head(key: string, options: HeadOptions = {}): Promise<ObjectHead | undefined> {
    const head = await headObject(this.#client, key, options)
    if (!head) return undefined
    const { headers: _, ...known } = head
    return known
  }

  delete(keys: readonly string[], options: CallOptions = {}): Promise<DeleteResult> {
    return deleteObjects(this.#client, keys, options)
  }

  list(options: ListOptions = {}): AsyncIterable<ListedObject> {
    return listObjects(this.#client, options)
  }

  listPages(options: ListOptions = {}): AsyncIterable<ListedPage> {
    return listPages(this.#client, options)
  }

  signGet(key: string, options: SignGetOptions): SignedUrl {
    checkObjectKey(key)
    return this.#sign({ method: 'GET', key, query: responseQuery(options.response) }, options)
  }

  signPut(key: string, options: SignPutOptions): SignedRequest {
    checkObjectKey(key)
    const headers = this.#signable(options.headers)
    return { ...this.#sign({ method: 'PUT', key, headers }, options), method: 'PUT', headers }
  }

  signPart(upload: MultipartUpload, options: SignPartOptions): SignedRequest {
    checkUpload(upload)
    checkPartNumber(options.partNumber)
    const headers = this.#signable(options.headers ?? {})
    // In the order of a canonical query.
    const query = `partNumber=${options.partNumber}&uploadId=${encodeRfc3986(upload.uploadId)}`
    return { ...this.#sign({ method: 'PUT', key: upload.key, headers, query }, options), method: 'PUT', headers }
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

  /** What a store would refuse is left out of a request to it. */
  #signable(given: Readonly<Record<string, string>>): Record<string, string> {
    const { checksums, createOnly } = this.#client.capabilities
    const headers: Record<string, string> = {}
    for (const [name, value] of Object.entries(given)) {
      if (!checksums && /^x-amz-(sdk-)?checksum-/i.test(name)) continue
      if (createOnly.put === 'refused' && /^if-(none-)?match$/i.test(name)) continue
      headers[name] = /^x-amz-meta-/i.test(name) ? encodeMetadataValue(value) : value
    }
    return headers
  }

  #sign(
    request: { method: 'GET' | 'PUT'; key: string; headers?: Readonly<Record<string, string>>; query?: string },
    { expiresIn, at }: Pick<SignGetOptions, 'expiresIn' | 'at'>,
  ): SignedUrl {
    const { clockOffset } = this.#client
    // Their end is told by AWS's clock.
    const { signer, until } = this.#credentials.current(Date.now() + clockOffset)
    const start = at?.getTime() ?? Date.now()
    const signedAt = start + clockOffset
    // S3 refuses a URL when its temporary credentials end, whatever its own life says.
    const life =
      until === Number.POSITIVE_INFINITY ? expiresIn : Math.min(expiresIn, Math.floor((until - signedAt) / 1000))
    const url = signer.presign(this.#public, { ...request, expiresIn: life, at: new Date(signedAt) })
    return { url, expiresAt: new Date(Math.floor(start / 1000) * 1000 + life * 1000) }
  }
}

function checkParts({ threshold, partSize, parallel }: CopyLimits): void {
  const { minPartSize, maxPartSize } = multipartLimits
  if (
    threshold >= 0 &&
    partSize >= minPartSize &&
    partSize <= maxPartSize &&
    Number.isInteger(parallel) &&
    parallel > 0
  ) {
    return
  }
  throw new KeepsakeError(
    'invalid_setting',
    `Multipart with a threshold of ${threshold} bytes, parts of ${partSize} and ${parallel} at a time is not possible. A part has ${minPartSize} (5 MiB) to ${maxPartSize} bytes.`,
  )
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
