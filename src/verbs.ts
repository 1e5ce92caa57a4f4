import type { Actor, AuditEntry, AuditFilter } from './catalogue/index.ts'
import type { ImportRequest } from './intake/index.ts'
import type { Asset, AssetState, Collection, KeepsakeError, MediaKind } from './media/index.ts'
import type { Moving } from './moving/index.ts'

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

export type AssetUrl = { readonly id: string; readonly url: string; readonly expiresAt: Date }

/** What can be done with assets, as one actor. Every verb throws {@link KeepsakeError} only. */
export interface Verbs {
  /** Keeps a piece of media. The asset comes back `stored`, or `pending` while the source or the store is failing. */
  import(collection: string, request: ImportRequest): Promise<Asset>

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

  /** Existing media on its way in: a folder, or another bucket. */
  readonly moving: Moving

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

export type { ImportRequest, KeepsakeError }
