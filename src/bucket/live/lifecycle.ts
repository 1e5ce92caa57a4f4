import type { LifecycleRule as S3LifecycleRule } from '@aws-sdk/client-s3'

export type Transition = {
  readonly storageClass: string
  readonly days: number | null
  /** `2026-01-31` */
  readonly date: string | null
}

/** A lifecycle rule in one spelling, whichever of S3's forms of filter it was written in. */
export type LifecycleRule = {
  readonly id: string
  readonly enabled: boolean
  readonly prefix: string
  readonly tags: Readonly<Record<string, string>>
  /** Bytes; null: no limit. */
  readonly sizeGreaterThan: number | null
  readonly sizeLessThan: number | null
  readonly expirationDays: number | null
  /** `2026-01-31` */
  readonly expirationDate: string | null
  readonly expireDeleteMarkers: boolean
  /** Days after a multipart upload began; null: never aborted. */
  readonly abortUploadDays: number | null
  /** Days after a version was replaced or deleted; null: kept. */
  readonly noncurrentDays: number | null
  /** How many replaced versions stay in any case. */
  readonly noncurrentKept: number | null
  readonly transitions: readonly Transition[]
  readonly noncurrentTransitions: readonly {
    readonly storageClass: string
    readonly days: number | null
    readonly kept: number | null
  }[]
}

export type Lifecycle = {
  readonly rules: readonly { readonly rule: LifecycleRule; readonly raw: S3LifecycleRule }[]
  /** Null where the store does not say. */
  readonly transitionDefaultMinimumObjectSize: string | null
}

export const emptyRule: LifecycleRule = {
  id: '',
  enabled: true,
  prefix: '',
  tags: {},
  sizeGreaterThan: null,
  sizeLessThan: null,
  expirationDays: null,
  expirationDate: null,
  expireDeleteMarkers: false,
  abortUploadDays: null,
  noncurrentDays: null,
  noncurrentKept: null,
  transitions: [],
  noncurrentTransitions: [],
}

export function normalLifecycleRule(raw: S3LifecycleRule): LifecycleRule {
  const { Filter, Expiration, NoncurrentVersionExpiration: noncurrent } = raw
  const scope = Filter?.And ?? Filter
  const tags = Filter?.And?.Tags ?? (Filter?.Tag ? [Filter.Tag] : [])
  return {
    id: raw.ID ?? '',
    enabled: raw.Status === 'Enabled',
    prefix: scope?.Prefix ?? raw.Prefix ?? '',
    tags: Object.fromEntries(tags.map(({ Key, Value }) => [Key ?? '', Value ?? ''])),
    sizeGreaterThan: scope?.ObjectSizeGreaterThan ?? null,
    sizeLessThan: scope?.ObjectSizeLessThan ?? null,
    expirationDays: Expiration?.Days || null,
    expirationDate: dayOf(Expiration?.Date),
    expireDeleteMarkers: Expiration?.ExpiredObjectDeleteMarker ?? false,
    abortUploadDays: raw.AbortIncompleteMultipartUpload?.DaysAfterInitiation ?? null,
    noncurrentDays: noncurrent?.NoncurrentDays ?? null,
    noncurrentKept: noncurrent?.NewerNoncurrentVersions ?? null,
    transitions: (raw.Transitions ?? []).map((transition) => ({
      storageClass: transition.StorageClass ?? '',
      days: transition.Days ?? null,
      date: dayOf(transition.Date),
    })),
    noncurrentTransitions: (raw.NoncurrentVersionTransitions ?? []).map((transition) => ({
      storageClass: transition.StorageClass ?? '',
      days: transition.NoncurrentDays ?? null,
      kept: transition.NewerNoncurrentVersions ?? null,
    })),
  }
}

/** S3 wants midnight UTC, so the day says it all. */
function dayOf(date: Date | undefined): string | null {
  return date === undefined ? null : date.toISOString().slice(0, 10)
}
