import type { ListedPage } from './listed-page.ts'

/**
 * The port to any object store. Every implementation passes the same suite, `conformance.ts`.
 *
 * Errors, for every verb: `object_missing`, `object_exists` (a create-only put met an object), `content_mismatch` (the
 * store got other bytes than announced), `store_denied` (credentials, policy, missing bucket: a retry does not help),
 * `store_unavailable` (down, slow, overloaded: it may), `timeout`. After `store_unavailable` or `timeout` a write may
 * have happened or may yet happen: ask with `head`.
 *
 * Where a store has no create-only writes of its own (Backblaze B2, older Ceph), `createOnly` looks first and then
 * writes: exact against an object that is there, not against a writer at the same moment.
 */
export interface ObjectStore {
  /** For messages and metrics, e.g. `s3://bucket`. Never a secret. */
  readonly name: string

  /**
   * Writes an object whole or not at all. `createOnly` (the default) refuses with `object_exists` where the key is
   * taken. The SHA-256 is checked, and other bytes are refused with `content_mismatch`. A large body may go in parts,
   * several at a time; what was sent of it is taken back where it fails.
   */
  put(request: PutRequest): Promise<{ readonly etag: string }>

  /**
   * Copies an object inside the store, without its bytes passing through this process. Up to any size.
   *
   * @throws {KeepsakeError} `object_missing` where there is no source, or it is another one than `sourceEtag` says;
   * `object_exists`.
   */
  copy(request: CopyRequest): Promise<{ readonly etag: string }>

  /** Opens an object. The body is streamed; abort the signal or cancel the body to stop. */
  get(key: string, options?: GetOptions): Promise<ObjectContent>

  /** What is known of an object, or undefined where there is none. */
  head(key: string, options?: HeadOptions): Promise<ObjectHead | undefined>

  /** Removes objects; a key without an object counts as removed. Up to any number: it works in batches. */
  delete(keys: readonly string[], options?: CallOptions): Promise<DeleteResult>

  /** Every object under a prefix, in the byte order of the keys' UTF-8, page by page as it is consumed. */
  list(options?: ListOptions): AsyncIterable<ListedObject>

  /**
   * Keys and sizes alone, in the pages in which the store lists, where it does: for who reads millions. The order is
   * that of {@link list}.
   */
  listPages?(options?: ListOptions): AsyncIterable<ListedPage>

  /** A link that reads an object, made locally; see {@link SignGetOptions}. */
  signGet(key: string, options: SignGetOptions): SignedUrl

  /** A request that writes an object, made locally. The client must send exactly `headers`. */
  signPut(key: string, options: SignPutOptions): SignedRequest

  /**
   * Begins an object that comes in parts (see {@link planParts} for their sizes). It is invisible, and costs what its
   * parts weigh, until it is completed or aborted; `sweepMultipart` finds those that were forgotten.
   */
  createMultipart(request: CreateMultipartRequest): Promise<MultipartUpload>

  /**
   * Sends a part; one of the same number is replaced. The store checks the SHA-256.
   *
   * @throws {KeepsakeError} `object_missing` where the upload is not there (any more), also by the verbs below.
   */
  putPart(upload: MultipartUpload, request: PutPartRequest): Promise<MultipartPart>

  /**
   * Makes the object out of its parts, which are all named, in order. May be repeated with the same parts.
   *
   * @throws {KeepsakeError} `object_exists`; `invalid_request` where a part is missing, other than named or, unless it
   * is the last, smaller than 5 MiB; `content_mismatch` where the parts do not make up `size`.
   */
  completeMultipart(
    upload: MultipartUpload,
    parts: readonly MultipartPart[],
    options?: CompleteMultipartOptions,
  ): Promise<{ readonly etag: string }>

  /** Forgets an upload and its parts. One that is not there counts as aborted. */
  abortMultipart(upload: MultipartUpload, options?: CallOptions): Promise<void>

  /** The parts that have arrived, by their numbers. */
  listParts(upload: MultipartUpload, options?: ListPartsOptions): AsyncIterable<ListedPart>

  /** Uploads that were begun and neither completed nor aborted, by key. */
  listMultipart(options?: ListMultipartOptions): AsyncIterable<ListedMultipart>

  /** A request that sends a part, made locally. The client must send exactly `headers`. */
  signPart(upload: MultipartUpload, options: SignPartOptions): SignedRequest

  /** Makes sure that the store can be used (credentials, bucket) or throws. Cheap enough for a readiness probe. */
  check(options?: CallOptions): Promise<void>

  /** Lets go of connections. */
  close(): Promise<void>
}

export type CallOptions = { readonly signal?: AbortSignal }

/**
 * The bytes of a put: in memory, or a way to read them from the start, so that a retry can send them again. With a way
 * to read any range, a large body goes in parallel parts that are never held in memory.
 */
export type ObjectBody = Uint8Array | (() => AsyncIterable<Uint8Array>) | RangedBody

export type RangedBody = {
  /**
   * The bytes from `start` up to and without `end`. May be called several times at once. A chunk is looked at only
   * until the next one is asked for, so its memory may be used again.
   */
  read(start: number, end: number): AsyncIterable<Uint8Array>
}

/** What is kept beside the bytes. */
export type ObjectSettings = {
  readonly contentType: string
  /** User metadata, without the `x-amz-meta-` prefix; names in lower case, values any Unicode text. */
  readonly metadata?: Readonly<Record<string, string>>
  readonly cacheControl?: string
  readonly contentDisposition?: string
}

/** Bytes with what proves that they arrived. */
export type CheckedBody = {
  readonly body: ObjectBody
  /** Bytes in the body. */
  readonly size: number
  /** SHA-256 of the body, 64 lower-case hex digits. */
  readonly sha256: string
}

export type PutRequest = CallOptions &
  ObjectSettings &
  CheckedBody & {
    readonly key: string
    /** Refuse where the key is taken. Default: true. */
    readonly createOnly?: boolean
  }

export type CopyRequest = CallOptions & {
  /** The key to copy from. */
  readonly source: string
  readonly key: string
  /** Copy only this state of the source. */
  readonly sourceEtag?: string
  /** Bytes of the source where they are known, from a list for instance: it saves a request. */
  readonly size?: number
  /** In place of the source's own settings, which are kept otherwise. Needed to copy an object onto itself. */
  readonly settings?: ObjectSettings
  /** Refuse where the key is taken. Default: true. */
  readonly createOnly?: boolean
}

export type CreateMultipartRequest = CallOptions &
  ObjectSettings & {
    readonly key: string
    /**
     * Every part must come with its SHA-256, also those sent by signed URLs (`x-amz-checksum-sha256`), and the store
     * keeps it. Default: false; S3 then makes a CRC-64 of the whole by itself. Has no effect on a store that does not
     * know such checksums; the hash of what {@link ObjectStore.putPart} sends is checked all the same.
     */
    readonly keepSha256?: boolean
  }

/** Names an upload. Plain data, to be kept wherever the upload is to be gone on with. */
export type MultipartUpload = {
  readonly key: string
  readonly uploadId: string
  /** Every part must come with its SHA-256. */
  readonly keepsSha256?: boolean
}

export type PutPartRequest = CallOptions &
  CheckedBody & {
    /** 1 to 10000; the order of the parts. */
    readonly partNumber: number
  }

export type MultipartPart = {
  readonly partNumber: number
  readonly etag: string
  /** 64 lower-case hex digits, where the upload keeps them. */
  readonly sha256?: string
}

export type CompleteMultipartOptions = CallOptions & {
  /** Bytes of the whole, to be checked. */
  readonly size?: number
  /** Refuse where the key is taken. Default: true. */
  readonly createOnly?: boolean
}

export type ListPartsOptions = CallOptions & {
  /** Parts a request, at most 1000. */
  readonly pageSize?: number
}

export type ListedPart = MultipartPart & {
  /** Bytes. */
  readonly size: number
  readonly lastModified: Date
}

export type ListMultipartOptions = CallOptions & {
  readonly prefix?: string
  /** Only uploads of keys after this one. */
  readonly startAfter?: string
  /** Uploads a request, at most 1000. */
  readonly pageSize?: number
}

export type ListedMultipart = {
  readonly key: string
  readonly uploadId: string
  /** By the clock of the store. */
  readonly initiated: Date
}

export type GetOptions = CallOptions & {
  /** First and last byte, both included; without `end`, to the end. */
  readonly range?: { readonly start: number; readonly end?: number }
}

export type HeadOptions = CallOptions & {
  /** Ask for the SHA-256 that the store keeps of the bytes. Default: false, because some keys may not be told it. */
  readonly checksum?: boolean
}

export type ObjectHead = {
  readonly key: string
  /** Bytes in the whole object. */
  readonly size: number
  readonly etag: string
  readonly contentType: string
  readonly lastModified: Date
  readonly metadata: Readonly<Record<string, string>>
  /** 64 lower-case hex digits, where it was asked for and the store keeps one of the whole object. */
  readonly sha256?: string
}

export type ObjectContent = ObjectHead & {
  readonly body: AsyncIterable<Uint8Array>
  /** Bytes in this body: less than `size` for a range. */
  readonly contentLength: number
}

export type DeleteResult = {
  readonly deleted: readonly string[]
  readonly failed: readonly { readonly key: string; readonly code: string; readonly message: string }[]
}

export type ListOptions = CallOptions & {
  readonly prefix?: string
  /** Only keys after this one. */
  readonly startAfter?: string
  /** Objects a request, at most 1000. */
  readonly pageSize?: number
}

export type ListedObject = {
  readonly key: string
  readonly size: number
  readonly etag: string
  readonly lastModified: Date
}

export type SignGetOptions = {
  /** Seconds from `at`, 1 to 604800. */
  readonly expiresIn: number
  /** The time the signature is made for. Default: now. Rounding it down keeps a URL the same, and cacheable. */
  readonly at?: Date
  /** Overrides of response headers, inside the signature (AWS, GetObject: response-content-type and so on). */
  readonly response?: {
    readonly contentType?: string
    readonly contentDisposition?: string
    readonly cacheControl?: string
  }
}

export type SignPutOptions = {
  readonly expiresIn: number
  readonly at?: Date
  /** Headers inside the signature: content-type, content-length, if-none-match, x-amz-checksum-sha256, metadata. */
  readonly headers: Readonly<Record<string, string>>
}

export type SignPartOptions = {
  /** 1 to 10000. */
  readonly partNumber: number
  /** Seconds from `at`, 1 to 604800. */
  readonly expiresIn: number
  readonly at?: Date
  /** Headers inside the signature: content-length, x-amz-checksum-sha256. Default: none. */
  readonly headers?: Readonly<Record<string, string>>
}

/** A presigned URL is a secret: whoever has it may use it. */
export type SignedUrl = { readonly url: string; readonly expiresAt: Date }

export type SignedRequest = SignedUrl & {
  readonly method: 'PUT'
  readonly headers: Readonly<Record<string, string>>
}
