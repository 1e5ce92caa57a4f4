import type { Actor, AuditEntry, AuditFilter, HealthFacts, LocalFacts, UpkeepRun } from './catalogue/index.ts'
import type { DoctorOptions, Report as DoctorReport } from './doctor/index.ts'
import type {
  Completion,
  ImportRequest,
  NamedPart,
  UploadedPart,
  UploadPart,
  UploadRequest,
  UploadTicket,
} from './intake/index.ts'
import type { Asset, AssetState, Collection, KeepsakeError, LocalPlace, MediaKind } from './media/index.ts'
import type { Moving } from './moving/index.ts'
import type { CircuitState } from './stores/index.ts'
import type {
  AssetChanges,
  CleanupProgress,
  CleanupRequest,
  CleanupResult,
  PromotionOptions,
  PromotionResult,
  RebuildProgress,
  RebuildRequest,
  RebuildResult,
  Reconcile,
  Replica,
  Report,
  ReportRequest,
  UpkeepRunOptions,
  VerifyProgress,
  VerifyRequest,
  VerifyResult,
  Webhooks,
} from './upkeep/index.ts'

export type ListRequest = {
  readonly owner?: string
  readonly kind?: MediaKind
  readonly state?: AssetState
  readonly attributes?: Readonly<Record<string, string>>
  /** An asset's id: only what names it among the parents of its provenance, what came of it. */
  readonly parent?: string
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
  /**
   * Signed for this moment, so that it lives as long as was asked. Default: false, the same link for a quarter of its life,
   * which caches keep and which ends up to a quarter sooner.
   */
  readonly fresh?: boolean
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
   * Reads what arrived, and stores it, with attributes that were not known when the upload began. The asset comes back `pending` where that takes long; it goes on by itself.
   * Harmless when repeated: what is stored stays as it is.
   *
   * @throws `invalid_request` for attributes that the collection does not take; `upload_incomplete` while bytes are missing; `content_type_refused`, `content_mismatch` where they are not what
   * the collection takes or the ticket said: the object is then removed and the asset `failed`.
   */
  completeUpload(id: string, options?: Completion): Promise<Asset>

  /** Gives an upload up, and removes what has arrived. @throws `upload_closed` for a stored asset, `asset_not_found` */
  abortUpload(id: string): Promise<{ done: boolean }>

  /** @throws `asset_not_found`, also for another owner's asset. */
  get(id: string): Promise<Asset>

  /**
   * The asset whose object has this key, as it stands in `asset.key`; stored, or on its way. A key that was given up, or
   * whose asset was deleted, leads nowhere: it never comes back.
   *
   * @throws `asset_not_found`, also for another owner's asset.
   */
  getByKey(key: string): Promise<Asset>

  /** Newest first. */
  list(collection: string, request?: ListRequest): Promise<{ assets: Asset[]; nextCursor: string | null }>

  /**
   * Removes an asset: unreadable in the catalogue at once, then its object, then its row.
   * `done: false` means that the store is failing and that Keepsake goes on trying.
   *
   * @throws `asset_not_found`
   */
  delete(id: string): Promise<{ done: boolean }>

  /**
   * Changes how long a stored asset is kept, or pins it. An owner may only bring the end forward; pinning is the
   * service's.
   *
   * @throws `asset_not_found`, `asset_not_stored`, `forbidden`, `invalid_request`
   */
  update(id: string, changes: AssetChanges): Promise<Asset>

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

  /** What is stored, for whom, and what it costs. @throws `invalid_request` */
  report(request?: ReportRequest): Promise<Report>
}

/** How a long verb is run; the actor stands in the audit. Default: the service. */
export type RunAs<Progress> = UpkeepRunOptions<Progress> & { readonly actor?: Actor }

/** The health of one part that Keepsake stands on. */
export type PartHealth = {
  readonly name: string
  readonly ok: boolean
  readonly code?: string
  readonly message?: string
}

/** Where Keepsake stands with its bucket. */
export type FallbackState = {
  /** The bucket's circuit; null where there is nothing to fall back to. */
  readonly circuit: { readonly state: CircuitState; readonly since: Date } | null
  /** This process's own local store. */
  readonly place: LocalPlace | null
  /** Of all instances. */
  readonly local: readonly LocalFacts[]
}

/** Where the primary store's objects lie. Nothing in it is a secret. */
export type PrimaryPlace = {
  readonly bucket: string
  readonly region: string
  /** The address of an S3 that is not AWS's own; null for AWS. */
  readonly endpoint: string | null
  /** Whether it is the embedded S3, in this installation's own data folder. */
  readonly embedded: boolean
}

/**
 * A running Keepsake. Its own verbs act as the service: any owner. Use {@link as} to act for one.
 */
export interface Keepsake extends Verbs {
  readonly collections: ReadonlyMap<string, Collection>

  /** Where the primary store's objects lie. */
  readonly place: PrimaryPlace

  /** The same verbs bound to an actor: a user sees and makes only what is its own. */
  as(actor: Actor): Verbs

  /** Compares bucket and catalogue both ways, and puts right what is wrong. */
  readonly reconcile: Reconcile
  /** The copy of the bucket elsewhere. */
  readonly replica: Replica
  /** Existing media on its way in: a folder, or another bucket. */
  readonly moving: Moving

  /** The state of the parts behind: `catalogue`, `primary` and, where there is something to fall back to, `local`. */
  check(): Promise<readonly PartHealth[]>

  /**
   * Makes a lost catalogue anew out of the objects in the bucket. A dry run unless `dryRun` is false. It can be broken
   * off and run again.
   *
   * @throws `invalid_request` where the catalogue is in use and `intoExisting` is not said.
   */
  rebuild(
    request?: RebuildRequest,
    options?: { readonly signal?: AbortSignal; readonly onProgress?: (progress: RebuildProgress) => void },
  ): Promise<RebuildResult>

  /**
   * Looks at the bucket, the catalogue and the installation from all sides, and says what is wrong, why it matters and
   * what to do (docs/doctor.md). Takes up to a minute. Writes to the bucket under `temp/.doctor/` alone, and removes
   * that again.
   *
   * @throws `invalid_request` where `only` names a check that there is not.
   */
  doctor(options?: DoctorOptions): Promise<DoctorReport>

  /**
   * Moves what fell back to the local store to the bucket, now; it happens by itself as soon as the bucket is back.
   *
   * @throws `store_unavailable`, `timeout`, `store_denied` where the bucket fails; what was moved before stays moved.
   */
  promote(options?: PromotionOptions): Promise<PromotionResult>

  /** Whether the bucket is in use, and what waits to be moved to it, by the local store where it lies. */
  fallbackState(): Promise<FallbackState>

  /** How many assets are in each state. */
  countByState(): Promise<Readonly<Record<AssetState, number>>>

  /** What verify knows, and when each kind of upkeep ran last. Cheap enough for metrics. */
  upkeepState(): Promise<HealthFacts & { readonly runs: readonly UpkeepRun[] }>

  /**
   * Looks whether stored objects are there and right, and keeps each asset's health. What was looked at longest ago
   * comes first, so that runs with a budget go round. The level `full` reads everything.
   *
   * @throws `upkeep_refused` where most objects are missing, `store_unavailable`, `store_denied`
   */
  verify(request?: VerifyRequest, run?: RunAs<VerifyProgress>): Promise<VerifyResult>

  /**
   * Deletes assets that are older than so long. Count first, with `dryRun`; then confirm by `expect`, the count.
   *
   * @throws `upkeep_refused` where it was not confirmed, or there are more than were confirmed.
   */
  cleanup(request: CleanupRequest, run?: RunAs<CleanupProgress>): Promise<CleanupResult>

  /** The receivers of events, and what is on its way to them. */
  readonly webhooks: Webhooks

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

export type {
  Completion,
  ImportRequest,
  KeepsakeError,
  NamedPart,
  UploadedPart,
  UploadPart,
  UploadRequest,
  UploadTicket,
}
