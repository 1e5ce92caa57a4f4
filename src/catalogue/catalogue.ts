import type {
  AssetProblem,
  AssetRecord,
  AssetState,
  MediaKind,
  Provenance,
  StorePlace,
  UploadTerms,
} from '../media/index.ts'
import type { UploadSweepQueries } from './abandoned-uploads.ts'
import type { HealthQueries } from './health.ts'
import type { MoveQueries } from './moves.ts'
import type { PromotionQueries } from './promotions.ts'
import type { RebuildQueries } from './rebuild.ts'
import type { ReconcileQueries } from './reconcile.ts'
import type { ReplicaQueries } from './replicas.ts'
import type { ReplaceQueries } from './replace.ts'
import type { ReportQueries } from './report.ts'
import type { RetentionQueries } from './retention.ts'
import type { UploadQueries } from './uploads.ts'
import type { WebhookQueries } from './webhooks.ts'

/** Who acts. It stands in every audit row, and decides what row-level security shows. */
export type Actor =
  /** An API key: any owner. */
  | { readonly role: 'service'; readonly requestId?: string }
  /** A JWT: one owner. */
  | { readonly role: 'user'; readonly owner: string; readonly requestId?: string }
  /** Keepsake itself: retries, the reaper, retention. */
  | { readonly role: 'system'; readonly requestId?: string }

export type Reservation = {
  readonly id: string
  readonly collection: string
  readonly owner: string
  readonly attributes: Readonly<Record<string, string>>
  readonly provenance: Provenance
  readonly filename: string | null
  /** The URL to import from; null where the bytes came with the request. */
  readonly sourceUrl: string | null
  readonly sourceExpiresAt: Date | null
  /** Seconds until somebody else may take over. */
  readonly lease: number
  /** Bytes to count against the quota until the true size is known. */
  readonly reservedBytes: number
  /** Bytes that the owner may use over all collections, or null. */
  readonly quota: number | null
  /** For a direct upload, whose key is fixed from the start by what the client announces. */
  readonly upload?: {
    readonly key: string
    /** Where its links point. Default: primary. */
    readonly store?: StorePlace
    readonly kind: MediaKind
    readonly contentType: string
    readonly terms: UploadTerms
  }
  /** With the fingerprint of the request, so that a replay is told from a different request. */
  readonly idempotency: { readonly key: string; readonly fingerprint: string } | null
  /** Seconds to keep it once it is stored, 0 for ever. Left out: as its collection says. */
  readonly keep?: number | undefined
}

export type FailOptions = {
  /** For a failure that says nothing about the request, which is to be sent again: {@link Catalogue.reopen}. */
  readonly reopenable?: boolean
  /** Only where nobody has put it off since: `until` is over. */
  readonly onlyDue?: boolean
  /** Only where the store has begun no upload in parts for it: whoever has links for one goes on. */
  readonly onlyUnbegun?: boolean
}

export type ClaimOptions = {
  /** Whoever claims holds the attempt itself, and begins anew before its lease is over. Default: false. */
  readonly held?: boolean
}

/** What a request needs of a failed row that it opens again. */
export type Reopening = Pick<Reservation, 'lease' | 'reservedBytes' | 'quota' | 'upload'>

/** What an attempt found out from the first bytes, written before the put. */
export type KeyedContent = {
  readonly key: string
  readonly store: StorePlace
  readonly kind: MediaKind
  readonly contentType: string
  /** Seconds, from now. */
  readonly lease: number
  /** Bytes to count against the quota from now on; unchanged where undefined. */
  readonly reservedBytes?: number
  readonly quota: number | null
}

/** What is true of the object that was put. */
export type StoredContent = {
  /** Where it turned out to be another than the one that is written. */
  readonly type?: { readonly contentType: string; readonly kind: MediaKind }
  readonly size: number
  readonly sha256: string
  readonly width: number | null
  readonly height: number | null
  readonly duration: number | null
  /** Seconds until retention ends, from now, or null for ever; where the asset has no retention of its own. */
  readonly keep: number | null
  /** In place of those that it was reserved with. */
  readonly attributes?: Readonly<Record<string, string>>
  /** The key that its client wrote to, where that is another one: it is retired. */
  readonly inbox?: string | null
}

export type AssetFilter = {
  readonly collection?: string
  readonly owner?: string
  readonly kind?: MediaKind
  readonly state?: AssetState
  readonly attributes?: Readonly<Record<string, string>>
  /** Named among the parents of its provenance. */
  readonly parent?: string
  /** Created at or after. */
  readonly from?: Date
  /** Created before. */
  readonly to?: Date
  /** 1 to 1000. */
  readonly limit: number
  /** From the page before; opaque. */
  readonly cursor?: string
}

export type AuditAction =
  | 'asset.reserved'
  | 'asset.retried'
  | 'asset.reopened'
  | 'asset.postponed'
  | 'asset.stored'
  | 'asset.failed'
  | 'asset.deleting'
  | 'asset.purged'
  | 'asset.rebuilt'
  | 'asset.retention'
  | 'asset.described'
  | 'asset.missing'
  | 'asset.corrupt'
  | 'asset.recovered'
  | 'asset.promoted'
  | 'object.quarantined'
  | 'object.restored'
  | 'url.issued'

export type AuditEntry = {
  readonly id: string
  readonly at: Date
  readonly action: AuditAction
  readonly asset: string
  readonly owner: string
  readonly collection: string
  /** `service`, `system`, or `user:<owner>`. */
  readonly actor: string
  readonly requestId: string | null
  /** Facts without secrets: attempt, error code, expiry of a URL. */
  readonly detail: Readonly<Record<string, unknown>>
}

export type AuditFilter = {
  readonly asset?: string
  readonly owner?: string
  readonly from?: Date
  readonly to?: Date
  readonly limit: number
  readonly cursor?: string
}

export type IssuedUrl = { readonly asset: string; readonly expiresAt: Date; readonly variant?: string }

/** A key that no row holds any more, watched until no late write can bring its object back. */
export type RetiredKey = { readonly key: string; readonly store: StorePlace; readonly asset: string }

/**
 * What Keepsake knows. Every change of state is one statement, fenced by the state and the attempt that the caller
 * read, with its audit row in the same statement; it answers undefined where the fence did not hold (somebody else
 * was faster: read again). Time is the database's.
 *
 * Every key that leaves a row (a failed or superseded attempt, a delete) is retired in the same statement, so that an
 * object put late is found and removed.
 *
 * Errors: `catalogue_unavailable`; after it a change may have happened: read again, never undo.
 */
export interface Catalogue
  extends UploadQueries,
    UploadSweepQueries,
    RetentionQueries,
    HealthQueries,
    WebhookQueries,
    ReplaceQueries,
    ReportQueries,
    RebuildQueries,
    ReconcileQueries,
    MoveQueries,
    PromotionQueries,
    ReplicaQueries {
  /**
   * Inserts `pending`, attempt 1, in one transaction with the quota check and the idempotency key. `replayed` is true
   * where the same owner sent the same request under the same key before: the asset is then that one.
   *
   * @throws `quota_exceeded`; `idempotency_conflict` for another request under the key; `asset_gone` where the asset
   * of the replayed request was deleted; `object_exists` where the key of a direct upload is, or was, another row's.
   */
  reserve(reservation: Reservation, actor: Actor): Promise<{ readonly asset: AssetRecord; readonly replayed: boolean }>

  /** Writes the key before the put. Fence: pending, attempt. @throws `quota_exceeded`; `object_exists` if the key is another row's. */
  assignKey(id: string, attempt: number, content: KeyedContent): Promise<AssetRecord | undefined>

  /** pending -> stored. Fence: pending, attempt, key present. Clears the source URL and the problem. */
  confirm(id: string, attempt: number, content: StoredContent, actor: Actor): Promise<AssetRecord | undefined>

  /**
   * pending -> failed. Retires the key. Frees the reserved bytes. For good, unless `reopenable`: for a failure that says
   * nothing about the request, which the caller is to send again.
   */
  fail(
    id: string,
    attempt: number,
    problem: AssetProblem,
    actor: Actor,
    options?: FailOptions,
  ): Promise<AssetRecord | undefined>

  /**
   * failed -> pending, attempt + 1: the same request came again. Fence: failed, attempt, reopenable.
   *
   * @throws `quota_exceeded`; `object_exists` where the upload's key is, or was, another object's.
   */
  reopen(id: string, attempt: number, room: Reopening, actor: Actor): Promise<AssetRecord | undefined>

  /**
   * Stays pending; `failures` + 1; due again after `retryIn` seconds, sooner where the source dies sooner. Keeps the
   * key: a late put may still make it valid. Once the source is past saving (5 minutes after `sourceExpiresAt`, or,
   * where that is not known, `giveUpAfter` seconds after the asset was made) it fails instead, as {@link fail} does.
   */
  postpone(
    id: string,
    attempt: number,
    problem: AssetProblem,
    retry: { readonly retryIn: number; readonly giveUpAfter: number },
    actor: Actor,
  ): Promise<AssetRecord | undefined>

  /** Puts off `until` for pending attempts that are being worked on. Fence: pending, attempt. No transition, no audit. */
  renew(attempts: readonly { readonly id: string; readonly attempt: number }[], lease: number): Promise<void>

  /**
   * Takes over a pending import that is due: attempt + 1, a new lease, its old key retired and cleared. Fence: pending,
   * attempt, until <= now unless the claimer holds the attempt. A direct upload is never taken over like this: its key is
   * in the client's hands.
   */
  claim(
    id: string,
    attempt: number,
    lease: number,
    actor: Actor,
    options?: ClaimOptions,
  ): Promise<AssetRecord | undefined>

  /**
   * Pending and deleting assets past `until`, those whose source dies first in front; then stored ones past `expiresAt`;
   * none of `except`. With `places`, only those there, and imports that another place's instance has left for ten minutes:
   * anybody may begin those anew.
   */
  due(limit: number, except?: readonly string[], places?: readonly StorePlace[]): Promise<readonly AssetRecord[]>

  /** pending, stored or failed -> deleting, unreadable at once; attempt + 1. The owner is checked for a user. Undefined: no such asset to that actor. A deleting one is returned as it is. */
  beginDelete(id: string, lease: number, actor: Actor): Promise<AssetRecord | undefined>

  /** deleting -> the row gone, key retired. Fence: deleting, attempt. */
  purge(id: string, attempt: number, actor: Actor): Promise<boolean>

  /**
   * Retired keys whose next look is due, in those places (default: in all). The bucket's key of a stored asset that still
   * lies in a local store is none: its promotion may be copying there.
   */
  dueRetiredKeys(limit: number, places?: readonly StorePlace[]): Promise<readonly RetiredKey[]>

  /** After the object at a retired key was removed (or found missing): look again later, or forget it once the watch is over. */
  sweptRetiredKeys(keys: readonly string[], place?: StorePlace): Promise<void>

  /** One asset, if the actor may see it. One that is being deleted is only seen by `system`. */
  get(id: string, actor: Actor): Promise<AssetRecord | undefined>

  /** The assets with these ids that the actor may see, in no particular order. */
  getMany(ids: readonly string[], actor: Actor): Promise<readonly AssetRecord[]>

  /** One asset by its key, if the actor may see it. */
  getByKey(key: string, actor: Actor): Promise<AssetRecord | undefined>

  /** Newest first, by keyset. */
  list(
    filter: AssetFilter,
    actor: Actor,
  ): Promise<{ readonly assets: readonly AssetRecord[]; readonly nextCursor: string | null }>

  /** Writes one audit row for each URL, in one statement. */
  recordIssuedUrls(urls: readonly IssuedUrl[], actor: Actor): Promise<void>

  /** Newest first, by keyset. */
  listAudit(
    filter: AuditFilter,
    actor: Actor,
  ): Promise<{ readonly entries: readonly AuditEntry[]; readonly nextCursor: string | null }>

  /** How many assets are in each state, for metrics. */
  countByState(): Promise<Readonly<Record<AssetState, number>>>
}
