/**
 * An asset is one piece of media: a catalogue row and, when `stored`, exactly one object.
 *
 * Its life: `pending -> stored -> deleting -> (row purged)`, `pending -> failed`, and a pending or failed asset may be
 * deleted too. An import of bytes that failed with its process is pending again when its request comes again. Whoever changes a state holds the `attempt` it read: a newer attempt makes the older one powerless.
 */
export const assetStates = ['pending', 'stored', 'failed', 'deleting'] as const
export type AssetState = (typeof assetStates)[number]

/** Whether the object is as the row says; found out by verify and reconcile, apart from the state. */
export const assetHealths = ['ok', 'missing', 'corrupt'] as const
export type AssetHealth = (typeof assetHealths)[number]

export const mediaKinds = ['image', 'video', 'audio', 'other'] as const
export type MediaKind = (typeof mediaKinds)[number]

/** Which object store holds the object: the bucket, or a disk that was fallen back to. */
export const storeNames = ['primary', 'local'] as const
export type StoreName = (typeof storeNames)[number]

/** The local store of one data folder, by the id that lies in it: two machines' disks are two stores. */
export type LocalPlace = `local:${string}`
/** Which very store holds the object. */
export type StorePlace = 'primary' | LocalPlace

/** Which kind of store a place is, as callers are told. */
export function storeNameOf(place: StorePlace): StoreName {
  return place === 'primary' ? 'primary' : 'local'
}

const transitions: Readonly<Record<AssetState, readonly (AssetState | 'purged')[]>> = {
  pending: ['stored', 'failed', 'deleting'],
  stored: ['deleting'],
  failed: ['deleting', 'pending'],
  deleting: ['purged'],
}

/** Whether an asset may go from one state to another; `purged` stands for the row being gone. */
export function canTransition(from: AssetState, to: AssetState | 'purged'): boolean {
  return transitions[from].includes(to)
}

/** How a piece of media was made. All optional, kept as given, never used for a key and never sent to the bucket. */
export type Provenance = {
  readonly provider?: string
  readonly model?: string
  readonly prompt?: string
  readonly settings?: Readonly<Record<string, unknown>>
  readonly seed?: string | number
  readonly requestId?: string
  /** Ids of the assets that this one was made from. */
  readonly parents?: readonly string[]
}

/** What was promised of a direct upload's content, until it is verified or given up. */
export type UploadTerms = {
  /** Bytes; the most there may be of them where `atMost`. */
  readonly size: number
  readonly atMost: boolean
  /** The bytes must be of the very type that was announced. */
  readonly sameType: boolean
  /** The key that the client writes to, from where verified bytes are moved; null: the asset's own. */
  readonly inbox: string | null
  /** 64 lower-case hex digits, where the client said so. */
  readonly sha256: string | null
  /** Bytes of every part but the last; null where it comes in one piece. */
  readonly partSize: number | null
  /** The store's name of the multipart upload, once it is begun. */
  readonly uploadId: string | null
}

/** Why an asset is not stored: the last error's code and its message. */
export type AssetProblem = { readonly code: string; readonly message: string }

/** An asset as the catalogue knows it: the row, parsed. Delivery turns it into an {@link Asset} by adding a URL. */
export type AssetRecord = {
  readonly id: string
  readonly collection: string
  readonly owner: string
  readonly state: AssetState
  readonly health: AssetHealth
  readonly kind: MediaKind | null
  /** The object's key; null until an import has seen its first bytes. */
  readonly key: string | null
  /** Where the object lies, or is to lie; `primary` while there is no key. */
  readonly store: StorePlace
  readonly contentType: string | null
  /** Bytes. */
  readonly size: number | null
  /** SHA-256 of the bytes, 64 lower-case hex digits. */
  readonly sha256: string | null
  /** Pixels. */
  readonly width: number | null
  /** Pixels. */
  readonly height: number | null
  /** Seconds. */
  readonly duration: number | null
  readonly attributes: Readonly<Record<string, string>>
  readonly provenance: Provenance
  readonly filename: string | null
  /** Where it comes from, for an import by URL; cleared once the asset is stored, failed or deleting: it is a secret. */
  readonly sourceUrl: string | null
  /** When the source dies, where that is known. */
  readonly sourceExpiresAt: Date | null
  /** For a direct upload, while its content is to come. */
  readonly upload: UploadTerms | null
  /** Fencing number: every statement that changes this row names the attempt it belongs to. */
  readonly attempt: number
  /** How many attempts failed in a way that a later one may not. */
  readonly failures: number
  /** Lease or next due time, on the database's clock; null when nothing is to be done. */
  readonly until: Date | null
  readonly problem: AssetProblem | null
  readonly createdAt: Date
  readonly storedAt: Date | null
  /** When retention ends, where it does; says nothing while the asset is pinned. */
  readonly expiresAt: Date | null
  /** Never removed by retention or by a clean-up, only by somebody who deletes it. */
  readonly pinned: boolean
  /** When the object was last looked at by verify; null where nobody has since it was stored. */
  readonly checkedAt: Date | null
}

/** Where an asset's `url` points: a signed store link, a public one, or (while pending) the original. */
export type UrlSource = 'store' | 'public' | 'origin'

/** An asset as callers see it, in the library and over HTTP alike (there, dates are RFC 3339 strings). */
export type Asset = Omit<
  AssetRecord,
  'sourceUrl' | 'sourceExpiresAt' | 'upload' | 'attempt' | 'failures' | 'until' | 'store'
> & {
  /** `local` while the bucket was failing when it came in; it moves to the bucket by itself. */
  readonly store: StoreName
  /** A link that opens the media now; null where there is none (failed, deleting, or a source that cannot be linked). */
  readonly url: string | null
  readonly urlSource: UrlSource | null
  readonly urlExpiresAt: Date | null
}
