/**
 * The port to any object store. Every implementation passes the same suite, `conformance.ts`.
 *
 * Errors, for every verb: `object_missing`, `object_exists` (a create-only put met an object), `content_mismatch` (the
 * store got other bytes than announced), `store_denied` (credentials, policy, missing bucket: a retry does not help),
 * `store_unavailable` (down, slow, overloaded: it may), `timeout`. After `store_unavailable` or `timeout` a write may
 * have happened or may yet happen: ask with `head`.
 */
export interface ObjectStore {
  /** For messages and metrics, e.g. `s3://bucket`. Never a secret. */
  readonly name: string

  /**
   * Writes an object whole or not at all. `createOnly` (the default) refuses with `object_exists` where the key is
   * taken. The store checks the SHA-256 and refuses other bytes with `content_mismatch`.
   */
  put(request: PutRequest): Promise<{ readonly etag: string }>

  /** Opens an object. The body is streamed; abort the signal or cancel the body to stop. */
  get(key: string, options?: GetOptions): Promise<ObjectContent>

  /** What is known of an object, or undefined where there is none. */
  head(key: string, options?: CallOptions): Promise<ObjectHead | undefined>

  /** Removes objects; a key without an object counts as removed. Up to any number: it works in batches. */
  delete(keys: readonly string[], options?: CallOptions): Promise<DeleteResult>

  /** Every object under a prefix, in the byte order of the keys' UTF-8, page by page as it is consumed. */
  list(options?: ListOptions): AsyncIterable<ListedObject>

  /** A link that reads an object, made locally; see {@link SignGetOptions}. */
  signGet(key: string, options: SignGetOptions): SignedUrl

  /** A request that writes an object, made locally. The client must send exactly `headers`. */
  signPut(key: string, options: SignPutOptions): SignedRequest

  /** Makes sure that the store can be used (credentials, bucket) or throws. Cheap enough for a readiness probe. */
  check(options?: CallOptions): Promise<void>

  /** Lets go of connections. */
  close(): Promise<void>
}

export type CallOptions = { readonly signal?: AbortSignal }

/** The bytes of a put: in memory, or a way to read them from the start, so that a retry can send them again. */
export type ObjectBody = Uint8Array | (() => AsyncIterable<Uint8Array>)

export type PutRequest = CallOptions & {
  readonly key: string
  readonly body: ObjectBody
  /** Bytes in the body. */
  readonly size: number
  /** SHA-256 of the body, 64 lower-case hex digits. */
  readonly sha256: string
  readonly contentType: string
  /** User metadata, without the `x-amz-meta-` prefix; names in lower case, values any Unicode text. */
  readonly metadata?: Readonly<Record<string, string>>
  readonly cacheControl?: string
  readonly contentDisposition?: string
  /** Refuse where the key is taken. Default: true. */
  readonly createOnly?: boolean
}

export type GetOptions = CallOptions & {
  /** First and last byte, both included; without `end`, to the end. */
  readonly range?: { readonly start: number; readonly end?: number }
}

export type ObjectHead = {
  readonly key: string
  /** Bytes in the whole object. */
  readonly size: number
  readonly etag: string
  readonly contentType: string
  readonly lastModified: Date
  readonly metadata: Readonly<Record<string, string>>
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

/** A presigned URL is a secret: whoever has it may use it. */
export type SignedUrl = { readonly url: string; readonly expiresAt: Date }

export type SignedRequest = SignedUrl & {
  readonly method: 'PUT'
  readonly headers: Readonly<Record<string, string>>
}
