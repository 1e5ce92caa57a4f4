/**
 * The wire's words as the browser sees them. They are written down here, and not imported, so that a page's types need
 * nothing of the server; src/http/client-contract.test.ts proves that both say the same.
 */

export type AssetState = 'pending' | 'stored' | 'failed' | 'deleting'
export type MediaKind = 'image' | 'video' | 'audio' | 'other'

export type Provenance = {
  provider?: string | undefined
  model?: string | undefined
  prompt?: string | undefined
  settings?: Record<string, unknown> | undefined
  seed?: string | number | undefined
  /** The provider's id of the request. */
  requestId?: string | undefined
  /** Ids of the assets that this one was made from. */
  parents?: string[] | undefined
}

/** One piece of media, as the API shows it. Times are RFC 3339, sizes bytes, durations seconds. */
export type Asset = {
  id: string
  collection: string
  owner: string
  state: AssetState
  health: 'ok' | 'missing' | 'corrupt'
  kind: MediaKind | null
  key: string | null
  store: 'primary' | 'local'
  /** What the bytes are, not what the file's name says. */
  contentType: string | null
  size: number | null
  sha256: string | null
  width?: number | undefined
  height?: number | undefined
  duration?: number | undefined
  attributes: Record<string, string>
  provenance: Record<string, unknown>
  filename?: string | undefined
  /** Opens the media now. A secret: whoever has it may use it. */
  url: string | null
  urlSource: 'store' | 'public' | 'origin' | null
  urlExpiresAt: string | null
  createdAt: string
  storedAt: string | null
  expiresAt?: string | undefined
  /** Retention and clean-ups leave it alone. */
  pinned?: true | undefined
  /** When the server last looked at the object. */
  checkedAt?: string | undefined
  /** Why it is not stored. */
  problem?: { code: string; message: string } | undefined
}

export type AssetPage = {
  assets: Asset[]
  /** null on the last page. */
  nextCursor: string | null
}

export type ListQuery = {
  owner?: string | undefined
  kind?: MediaKind | undefined
  state?: AssetState | undefined
  attributes?: Record<string, string> | undefined
  /** An asset's id: only what was made from it. */
  parent?: string | undefined
  /** Created at or after. */
  from?: Date | undefined
  /** Created before. */
  to?: Date | undefined
  /** Assets a page, 1 to 1000. Default: 50. */
  limit?: number | undefined
  /** The `nextCursor` of the page before. */
  cursor?: string | undefined
}

/** A link that opens an asset. A secret: whoever has it may use it. */
export type Link = {
  readonly url: string
  readonly expiresAt: Date
}

export type UploadProgress = {
  /** Bytes that have left this machine; never less than the time before. */
  readonly loaded: number
  /** Bytes. */
  readonly total: number
}

export type UploadOptions = {
  readonly collection: string
  /** Only an API key may name one; a user's assets are its own. */
  readonly owner?: string | undefined
  readonly attributes?: Readonly<Record<string, string>> | undefined
  readonly provenance?: Provenance | undefined
  /** How long to keep it: seconds or a text such as '30d', null for ever. A user may only shorten what holds. */
  readonly keep?: number | string | null | undefined
  /** Default: the file's name. */
  readonly filename?: string | undefined
  /** Default: the file's type. */
  readonly contentType?: string | undefined
  readonly onProgress?: ((progress: UploadProgress) => void) | undefined
  /** Aborts as {@link Upload.abort} does. */
  readonly signal?: AbortSignal | undefined
  /** Parts of a large file that are on their way at the same time. Default: 4. */
  readonly parallel?: number | undefined
  /** Whether an upload of this file that a closed page left behind is gone on with. Default: true. */
  readonly resumable?: boolean | undefined
}

/** The stored asset to be, and what can be done until then. */
export type Upload = Promise<Asset> & {
  /** Stops sending; what has arrived stays. */
  pause(): void
  resume(): void
  /** Gives up and removes what has arrived; the promise then rejects with an `AbortError`. */
  abort(): void
}
