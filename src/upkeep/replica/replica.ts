import type { Actor, Catalogue, ReplicaFacts } from '../../catalogue/index.ts'
import { type AssetRecord, type Collection, KeepsakeError } from '../../media/index.ts'
import type { ObjectStore, Stores } from '../../stores/index.ts'
import { eachOf } from '../each-of.ts'
import type { RecoverySource } from '../reconcile/parts.ts'
import { copyAsset, isCopied } from './copy-asset.ts'

export type ReplicaStatus = ReplicaFacts & {
  /** Where it is. */
  readonly name: string
  /** Seconds since the asset was stored that has waited longest for its copy; 0 where none waits. */
  readonly lag: number
  /** Whether links lead to it now, because the bucket is down. */
  readonly inUse: boolean
}

export type RestoreRequest = {
  /** Look at every asset that has a copy, not only at those that are known to be missing or corrupt. */
  readonly all?: boolean
  /** Only say what would be done. */
  readonly dryRun?: boolean
}

export type RestoreProgress = { readonly looked: number; readonly restored: number }

export type RestoreResult = {
  readonly dryRun: boolean
  /** Assets whose object in the bucket was looked at. */
  readonly looked: number
  /** Objects that were brought back (or would be). */
  readonly restored: number
  readonly bytes: number
  /** Objects that turned out to be there and right. */
  readonly well: number
  readonly failed: number
  /** Of the first of them. */
  readonly failures: readonly { readonly asset: string; readonly code: string; readonly message: string }[]
}

export type RestoreOptions = {
  readonly actor?: Actor
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: RestoreProgress) => void
}

/** The copy of the bucket elsewhere. */
export interface Replica {
  /** What is there, what waits, and why; null where no replica is set. */
  status(): Promise<ReplicaStatus | null>

  /**
   * Brings lost objects back from the replica, each held against its SHA-256: what is missing from the bucket, and what
   * was found corrupt there. It can be broken off and run again.
   *
   * @throws `invalid_setting` where there is no replica; `store_unavailable`, `store_denied` …
   */
  restore(request?: RestoreRequest, options?: RestoreOptions): Promise<RestoreResult>
}

export type ReplicaParts = {
  readonly catalogue: Catalogue
  readonly stores: Stores
  readonly collections: ReadonlyMap<string, Collection>
}

const page = 500
const atOnce = 8
const mostFailures = 100

export function createReplica(parts: ReplicaParts): Replica {
  return {
    status: () => status(parts),
    restore: (request = {}, options = {}) => restore(parts, request, options),
  }
}

async function status({ catalogue, stores }: ReplicaParts): Promise<ReplicaStatus | null> {
  const { replica } = stores
  if (replica === null) return null
  const [facts, now] = await Promise.all([catalogue.replicaFacts(replica.name), catalogue.now()])
  const { oldestWaiting } = facts
  const lag = oldestWaiting === null ? 0 : Math.max(0, (now.getTime() - oldestWaiting.getTime()) / 1000)
  return { ...facts, name: replica.name, lag, inUse: stores.health('primary') === 'down' }
}

async function restore(
  parts: ReplicaParts,
  { all = false, dryRun = false }: RestoreRequest,
  { actor = { role: 'service' }, signal = new AbortController().signal, onProgress }: RestoreOptions,
): Promise<RestoreResult> {
  const { catalogue, stores } = parts
  const { replica } = stores
  if (replica === null) {
    throw new KeepsakeError(
      'invalid_setting',
      'There is no replica to restore from. KEEPSAKE_REPLICA_BUCKET names one.',
    )
  }
  const totals = { looked: 0, restored: 0, bytes: 0, well: 0, failed: 0 }
  const failures: { asset: string; code: string; message: string }[] = []
  const one = async (asset: AssetRecord) => {
    signal.throwIfAborted()
    totals.looked += 1
    try {
      const outcome = await restoreOne(parts, replica, asset, { dryRun, actor, signal })
      totals[outcome] += 1
      if (outcome === 'restored') totals.bytes += asset.size ?? 0
    } catch (error) {
      signal.throwIfAborted()
      const problem = KeepsakeError.from(error)
      // The bucket, or the replica, is not there: the rest would fare no better.
      if (['store_unavailable', 'store_denied', 'timeout', 'internal'].includes(problem.code)) throw problem
      totals.failed += 1
      if (failures.length < mostFailures) {
        failures.push({ asset: asset.id, code: problem.code, message: problem.message })
      }
    }
  }
  for (let after = ''; ; ) {
    const assets = await catalogue.copiedAssets(replica.name, after, page, all)
    await eachOf(assets, atOnce, one)
    onProgress?.({ looked: totals.looked, restored: totals.restored })
    const last = assets.at(-1)?.key
    if (last == null || assets.length < page) return { dryRun, ...totals, failures }
    after = last
  }
}

type Restoring = { readonly dryRun: boolean; readonly actor: Actor; readonly signal: AbortSignal }

async function restoreOne(
  { catalogue, stores, collections }: ReplicaParts,
  replica: ObjectStore,
  asset: AssetRecord,
  { dryRun, actor, signal }: Restoring,
): Promise<'well' | 'restored'> {
  const { primary } = stores
  const isThere = await isCopied(asset, primary, signal)
  // What was read and found to have other bytes is so, whatever its headers say.
  if (isThere && asset.health !== 'corrupt') {
    if (!dryRun) await catalogue.markHealth(asset, 'ok', { by: 'restore' }, actor)
    return 'well'
  }
  if (dryRun) return 'restored'
  const collection = collections.get(asset.collection)
  await copyAsset(asset, { from: replica, to: primary, collection, overwrite: asset.health === 'corrupt', signal })
  await catalogue.markHealth(asset, 'ok', { by: 'restore', from: 'replica' }, actor)
  return 'restored'
}

/** For reconcile: a lost object's bytes, where the replica has them. */
export function replicaSource({ catalogue, stores }: Pick<ReplicaParts, 'catalogue' | 'stores'>): RecoverySource[] {
  const { replica } = stores
  if (replica === null) return []
  return [
    {
      name: 'replica',
      async open({ key, size }, signal) {
        if (key === null) return undefined
        const isKnown = (await catalogue.copiedKeys(replica.name, [key])).has(key)
        const options = signal ? { signal } : {}
        if (!isKnown || (await replica.head(key, options))?.size !== size) return undefined
        return async function* () {
          yield* (await replica.get(key, options)).body
        }
      },
    },
  ]
}
