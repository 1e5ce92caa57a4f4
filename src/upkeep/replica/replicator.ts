import type { Catalogue } from '../../catalogue/index.ts'
import type { Logger } from '../../logger.ts'
import { type AssetRecord, type Collection, KeepsakeError } from '../../media/index.ts'
import { isStoreFailure, type ObjectStore, type Stores } from '../../stores/index.ts'
import { copyAsset, isCopied } from './copy-asset.ts'
import { watchPrimary } from './watch-primary.ts'

export type ReplicaSettings = {
  /** Seconds by which a copy outlives its asset. */
  readonly deleteAfter: number
  /** Who copies: Keepsake, or the bucket's own replication, which is then only looked after. */
  readonly copiedBy: 'keepsake' | 'store'
}

export type ReplicatorParts = {
  readonly catalogue: Catalogue
  readonly stores: Stores
  readonly collections: ReadonlyMap<string, Collection>
  readonly logger: Logger
  readonly replication?: ReplicaSettings
}

export const defaultReplication: ReplicaSettings = { deleteAfter: 7 * 86_400, copiedBy: 'keepsake' }

/** Milliseconds between rounds; after something was stored here the next one comes this soon. */
const pause = { regular: 30_000, soon: 500 }
/** Copies under way at a time, and those that one of them takes at once. */
const atOnce = 4
const taken = 4
/** Seconds that copies are this process's; put off every third of it while they are under way. */
const lease = 60
const page = 1000
/** Seconds until a copy that failed is tried again; doubled by each failure. */
const retryAfter = 30
/** Failures of a store in a row after which a round ends: what waits behind is not hammered at it. */
const enough = 3

/**
 * Keeps the replica in step: looks for stored assets without a copy, old ones too, copies them, and has deletes follow.
 * All that is to be done stands in rows, so a nudge that is lost or comes twice does no harm, and any number of processes
 * may do this side by side.
 */
export class Replicator {
  readonly #parts: ReplicatorParts
  readonly #settings: ReplicaSettings
  readonly #stop = new AbortController()
  readonly #held = new Set<string>()
  #round: Promise<void> | undefined
  #again = false
  #timer: NodeJS.Timeout | undefined

  constructor(parts: ReplicatorParts) {
    this.#parts = parts
    this.#settings = parts.replication ?? defaultReplication
  }

  /** Begins to look by itself. Without a replica it never does anything. */
  start(): void {
    const { stores } = this.#parts
    if (stores.replica === null) return
    watchPrimary(stores, this.#stop.signal)
    this.wake()
  }

  /** Something may wait for its copy: looks soon. */
  wake(): void {
    if (this.#parts.stores.replica === null || this.#stop.signal.aborted) return
    if (this.#round) this.#again = true
    else this.#schedule(pause.soon)
  }

  /** Ends what is under way at once: a copy that was cut off is not there, and is begun anew. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.#stop.abort(new KeepsakeError('stopping', 'Stopping.'))
    await this.#round
  }

  /** One round: all that is due now. For tests, and for who wants to see it done. */
  async run(signal: AbortSignal = this.#stop.signal): Promise<void> {
    const { replica } = this.#parts.stores
    if (replica === null) return
    await this.#enlist(replica, signal)
    await this.#copyAll(replica, signal)
    await this.#followDeletes(replica, signal)
  }

  #schedule(milliseconds: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#round = this.#rounds().finally(() => {
        this.#round = undefined
        if (this.#stop.signal.aborted) return
        this.#schedule(this.#again ? pause.soon : pause.regular * (0.9 + Math.random() * 0.2))
        this.#again = false
      })
    }, milliseconds)
    this.#timer.unref()
  }

  async #rounds(): Promise<void> {
    try {
      await this.run()
    } catch (error) {
      if (this.#stop.signal.aborted) return
      const problem = KeepsakeError.from(error)
      this.#parts.logger.warn({ code: problem.code, err: problem }, 'the replica could not be looked after; it waits')
    }
  }

  async #enlist(replica: ObjectStore, signal: AbortSignal): Promise<void> {
    const { catalogue } = this.#parts
    let cursor = await catalogue.replicaCursor(replica.name)
    while (!signal.aborted) {
      const next = await catalogue.enlistReplicas(replica.name, cursor, page)
      if (next === undefined) return
      cursor = next
    }
  }

  async #copyAll(replica: ObjectStore, signal: AbortSignal): Promise<void> {
    const { catalogue, stores, logger } = this.#parts
    let failures = 0
    const goesOn = () => failures < enough && !signal.aborted
    const renewing = setInterval(
      () => {
        catalogue.renewReplicas(replica.name, [...this.#held], lease).catch((error: unknown) => {
          logger.warn({ err: error }, 'copies to the replica could not be held on to')
        })
      },
      (lease * 1000) / 3,
    )
    const worker = async () => {
      while (goesOn()) {
        const assets = await catalogue.takeReplicas(replica.name, stores.places, taken, lease)
        if (assets.length === 0) return
        const keys = assets.flatMap(({ key }) => key ?? [])
        for (const key of keys) this.#held.add(key)
        try {
          for (const asset of assets) {
            if (goesOn()) failures = (await this.#copyOne(replica, asset, signal)) ? failures + 1 : 0
            else await this.#giveBack(replica, asset)
          }
        } finally {
          for (const key of keys) this.#held.delete(key)
        }
      }
    }
    try {
      const ends = await Promise.allSettled(Array.from({ length: atOnce }, worker))
      const failed = ends.find((end) => end.status === 'rejected')
      if (failed) throw failed.reason
    } finally {
      clearInterval(renewing)
    }
  }

  /** @returns Whether a store failed, so that the next one would fare no better. */
  async #copyOne(replica: ObjectStore, asset: AssetRecord, signal: AbortSignal): Promise<boolean> {
    const { catalogue, collections, stores, logger } = this.#parts
    const key = asset.key ?? ''
    try {
      if (this.#settings.copiedBy === 'store') {
        if (!(await isCopied(asset, replica, signal))) {
          throw new KeepsakeError('object_missing', 'The bucket’s own replication has not brought it yet.')
        }
      } else {
        const collection = collections.get(asset.collection)
        await copyAsset(asset, { from: stores.of(asset.store), to: replica, collection, signal })
      }
      await catalogue.finishReplica(replica.name, key)
      return false
    } catch (error) {
      if (signal.aborted) {
        await this.#giveBack(replica, asset)
        return false
      }
      const problem = KeepsakeError.from(error)
      logger.debug({ asset: asset.id, code: problem.code, err: problem }, 'an asset was not copied to the replica')
      const { code, message } = problem
      await catalogue.postponeReplica(replica.name, key, retryAfter, { code, message })
      return isStoreFailure(problem)
    }
  }

  /** Not tried: the next round, or another process, may take it at once. */
  async #giveBack(replica: ObjectStore, { key }: AssetRecord): Promise<void> {
    await this.#parts.catalogue.postponeReplica(replica.name, key ?? '', 0, null)
  }

  /** A deleted asset's copy goes later; and again, where a copy may have been under way when it was deleted. */
  async #followDeletes(replica: ObjectStore, signal: AbortSignal): Promise<void> {
    const { catalogue, logger } = this.#parts
    while (!signal.aborted) {
      const keys = await catalogue.dueReplicaRemovals(replica.name, this.#settings.deleteAfter, page)
      if (keys.length === 0) return
      const { deleted, failed } = await replica.delete(keys, { signal })
      await catalogue.removedReplicas(replica.name, deleted)
      if (failed.length === 0) continue
      logger.warn({ count: failed.length, code: failed[0]?.code }, 'copies of deleted assets could not be removed yet')
      return
    }
  }
}
