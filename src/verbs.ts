import type { Actor, AuditEntry, AuditFilter } from './catalogue/index.ts'
import type { ImportRequest, NamedPart, UploadedPart, UploadPart, UploadRequest, UploadTicket } from './intake/index.ts'
import type { Asset, AssetState, Collection, KeepsakeError, MediaKind } from './media/index.ts'

export type ListRequest = {
  readonly owner?: string
  readonly kind?: MediaKind
  readonly state?: AssetState
  readonly attributes?: Readonly<Record<string, string>>
  readonly from?: Date
  readonly to?: Date
  /** 1 to 1000. Default: 50. */
  readonly limit?: number
  readonly cursor?: string
}

export type UrlOptions = {
  /** Seconds, an integer from 1 to 3600. Default: S3_PRESIGNED_URL_EXPIRATION, else 3600. */
  readonly expiresIn?: number
  /** Open as a download, under the asset's filename. */
  readonly download?: boolean
  readonly variant?: string
}

/** An upload that goes straight to the bucket, and what has arrived of it. */
export type UploadProgress = {
  readonly asset: Asset
  /** Null once it is over: the asset's state tells how. */
  readonly upload: UploadTicket | null
  readonly uploadedParts: readonly UploadedPart[]
}

export type AssetUrl = { readonly id: string; readonly url: string; readonly expiresAt: Date }

/** What can be done with assets, as one actor. Every verb throws {@link KeepsakeError} only. */
export interface Verbs {
  /** Keeps a piece of media. The asset comes back `stored`, or `pending` while the source or the store is failing. */
  import(collection: string, request: ImportRequest): Promise<Asset>

  /**
   * A ticket by which a client sends a file straight to the bucket: one signed PUT, or many for a large file. The asset
   * is `pending` until {@link completeUpload}. A replay under the same idempotency key gives fresh links; `upload` is null
   * where the asset is stored by then.
   *
   * @throws `content_type_refused`, `content_too_large`, `quota_exceeded`, `invalid_request` …, before anything is sent.
   */
  upload(
    collection: string,
    request: UploadRequest,
  ): Promise<{ readonly asset: Asset; readonly upload: UploadTicket | null }>

  /** What has arrived, with fresh links to go on with. */
  uploadStatus(id: string): Promise<UploadProgress>

  /** Links for more parts, up to 1000 at once. @throws `upload_closed`, `invalid_request`, `asset_not_found` */
  uploadParts(id: string, partNumbers: readonly number[]): Promise<readonly UploadPart[]>

  /**
   * Reads what arrived, and stores it. The asset comes back `pending` where that takes long; it goes on by itself.
   * Harmless when repeated.
   *
   * @throws `upload_incomplete` while bytes are missing; `content_type_refused`, `content_mismatch` where they are not what
   * the collection takes or the ticket said: the object is then removed and the asset `failed`.
   */
  completeUpload(id: string, options?: { readonly parts?: readonly NamedPart[] }): Promise<Asset>

  /** Gives an upload up, and removes what has arrived. @throws `upload_closed` for a stored asset, `asset_not_found` */
  abortUpload(id: string): Promise<{ done: boolean }>

  /** @throws `asset_not_found`, also for another owner's asset. */
  get(id: string): Promise<Asset>

  /** Newest first. */
  list(collection: string, request?: ListRequest): Promise<{ assets: Asset[]; nextCursor: string | null }>

  /**
   * Removes an asset: unreadable in the catalogue at once, then its object, then its row.
   * `done: false` means that the store is failing and that Keepsake goes on trying.
   *
   * @throws `asset_not_found`
   */
  delete(id: string): Promise<{ done: boolean }>

  /** A link that opens the media. @throws `asset_not_found`, `asset_not_stored` */
  url(id: string, options?: UrlOptions): Promise<AssetUrl>

  /** Many links at once, in the order asked, up to 1000; an asset without one has the error's code in place. */
  urls(
    assets: readonly { readonly id: string; readonly variant?: string }[],
    options?: Pick<UrlOptions, 'expiresIn'>,
  ): Promise<(AssetUrl | { id: string; code: string })[]>

  /** The bytes of a stored asset. */
  read(id: string): Promise<{ asset: Asset; body: AsyncIterable<Uint8Array> }>

  audit(filter?: Partial<AuditFilter>): Promise<{ entries: readonly AuditEntry[]; nextCursor: string | null }>
}

/** The health of one part that Keepsake stands on. */
export type PartHealth = {
  readonly name: string
  readonly ok: boolean
  readonly code?: string
  readonly message?: string
}

/**
 * A running Keepsake. Its own verbs act as the service: any owner. Use {@link as} to act for one.
 */
export interface Keepsake extends Verbs {
  readonly collections: ReadonlyMap<string, Collection>

  /** The same verbs bound to an actor: a user sees and makes only what is its own. */
  as(actor: Actor): Verbs

  /** The state of the parts behind: `catalogue` and `primary`. */
  check(): Promise<readonly PartHealth[]>

  /** How many assets are in each state. */
  countByState(): Promise<Readonly<Record<AssetState, number>>>

  /**
   * Takes no more imports and gives those under way seven seconds. Those that take longer are put off for the next
   * process, and whoever waits for one is told that it is pending. Everything else goes on working: a server does this
   * while it answers its last requests. Harmless when repeated.
   */
  drain(): Promise<void>

  /**
   * Takes no more work, finishes what was acknowledged or puts it off ({@link drain}), lets go of everything.
   * `grace`: seconds that imports under way get, in place of drain's seven.
   */
  close(options?: { readonly grace?: number }): Promise<void>
}

export type { ImportRequest, KeepsakeError, NamedPart, UploadedPart, UploadPart, UploadRequest, UploadTicket }
