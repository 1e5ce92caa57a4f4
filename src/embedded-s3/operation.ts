import type { Authentication } from './authentication.ts'
import type { Payload } from './payload.ts'
import type { S3Request } from './request.ts'
import type { FolderStore } from './store/folder-store.ts'
import type { OpenObject } from './store/object-file.ts'

/** What an operation is given: a request that is signed, routed, and holds nothing the operation does not know. */
export type Context = {
  readonly request: S3Request
  readonly authentication: Authentication
  readonly store: FolderStore
  readonly region: string
  /** The id that this server's one account shows as the owner of everything. */
  readonly ownerId: string
  /** The request's body, for operations that take one; at most `maxSize` bytes. */
  payload(maxSize: number): Payload
}

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
  readonly target: 'service' | 'bucket' | 'object'
  /** The query parameter that tells it from others, e.g. `location`. */
  readonly subresource?: string
  /** Further query parameters that it obeys. */
  readonly query?: readonly string[]
  /** The `x-amz-*` headers that it obeys; any other is NotImplemented. `x-amz-meta-` stands for all of those. */
  readonly headers?: readonly string[]
  /** The bucket need not exist. */
  readonly withoutBucket?: boolean
  /** Takes a body. Without, the signed hash must be that of an empty one. */
  readonly takesBody?: boolean
  readonly handle: (context: Context) => Promise<Reply> | Reply
}

/** An answer in XML. */
export function xmlReply(body: string, headers: Readonly<Record<string, string>> = {}): Reply {
  return { status: 200, headers: { 'content-type': 'application/xml', ...headers }, body }
}
