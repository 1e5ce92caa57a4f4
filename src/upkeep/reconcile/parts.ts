import type { Actor, Catalogue } from '../../catalogue/index.ts'
import type { AssetRecord, Collection } from '../../media/index.ts'
import type { ObjectStore } from '../../stores/index.ts'

/** What reconcile works with. */
export type ReconcileParts = {
  readonly catalogue: Catalogue
  readonly store: ObjectStore
  readonly collections: ReadonlyMap<string, Collection>
  /** A folder for a manifest on its way in, and for sorting an inventory. */
  readonly spoolDir: string
  /** Where a lost object may be had from, in the order they are tried; quarantine comes before them. */
  readonly recoverySources: readonly RecoverySource[]
}

/** A place that may still have the bytes of an asset whose object is gone: a replica, a local store, an origin. */
export type RecoverySource = {
  /** For the audit. */
  readonly name: string
  /** A way to read the bytes from the start, or undefined where this source does not have them. */
  open(record: AssetRecord, signal?: AbortSignal): Promise<(() => AsyncIterable<Uint8Array>) | undefined>
}

export const system: Actor = { role: 'system' }
export const day = 86_400
/** Heads under way at a time. */
export const headsAtOnce = 32

export function callOptions(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal ? { signal } : {}
}
