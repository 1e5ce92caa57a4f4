import type { Authenticator, Identity } from './authentication.ts'
import type { Payload, PayloadOptions } from './payload.ts'
import type { S3Request } from './request.ts'
import type { FolderStore } from './store/folder-store.ts'
import type { OpenObject } from './store/object-file.ts'

/** What an operation is given: a request that is signed, routed, and holds nothing the operation does not know. */
export type Context = {
  readonly request: S3Request
  readonly identity: Identity
  readonly authenticator: Authenticator
  readonly store: FolderStore
  readonly region: string
  /** The id that this server's one account shows as the owner of everything. */
  readonly ownerId: string
  /** The request's body, for operations that take one; at most `maxSize` bytes. */
  payload(maxSize: number, options?: PayloadOptions): Payload
  /**
   * Throws AccessDenied when the sender may not do `action` (`s3:…`), to what the request names or to something else.
   * `asked` is what policies' conditions look at, where that is not the request as it came.
   */
  authorize(action: string, target?: Partial<AccessTarget>, asked?: S3Request): void
  /** Milliseconds since 1970. */
  now(): number
  /** What a new bucket is configured with. */
  readonly bucketDefaults: Readonly<Record<string, string>>
}

/** Who would do something to what. */
export type AccessTarget = { readonly bucket: string; readonly key: string; readonly identity: Identity }

/** What an operation answers with. `object` is streamed and closed by the server. */
export type Reply = {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array | ObjectSection
}

export type ObjectSection = { readonly object: OpenObject; readonly start: number; readonly length: number }

/** One S3 operation: what it answers to, what it understands, and the work. */
export type Operation = {
  /** As AWS names it. */
  readonly name: string
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  /** What a policy calls the permission it takes; without, the operation asks for permission itself. */
  readonly action?: string
  readonly target: 'service' | 'bucket' | 'object'
  /** The query parameter that tells it from others, e.g. `location`. */
  readonly subresource?: string
  /** It is asked for by an x-amz-copy-source header. */
  readonly copies?: boolean
  /** Further query parameters that it obeys. */
  readonly query?: readonly string[]
  /** The `x-amz-*` headers that it obeys; any other is NotImplemented. `x-amz-meta-` stands for all of those. */
  readonly headers?: readonly string[]
  /** The bucket need not exist. */
  readonly withoutBucket?: boolean
  /** Takes a body. Without, the signed hash must be that of an empty one. */
  readonly takesBody?: boolean
  /** Goes over bytes that are here already, however many; answers in XML. See {@link SlowAnswer}. */
  readonly takesLong?: boolean
  readonly handle: (context: Context) => Promise<Reply> | Reply
}

/** An answer in XML. */
export function xmlReply(body: string, headers: Readonly<Record<string, string>> = {}): Reply {
  return { status: 200, headers: { 'content-type': 'application/xml', ...headers }, body }
}
