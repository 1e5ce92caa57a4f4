import type { Actor, Catalogue } from '../../catalogue/index.ts'
import type { Clock } from '../../clock.ts'
import { factsFromObject } from '../../intake/index.ts'
import type { Logger } from '../../logger.ts'
import { type AssetRecord, type Collection, KeepsakeError } from '../../media/index.ts'
import { isStoreFailure, type LocalStore, type ObjectBody, type ObjectStore, type Stores } from '../../stores/index.ts'
import { objectOf, requireWhole } from '../stored-object.ts'
import { rising } from './rising.ts'
import { Together } from './together.ts'

export type PromotionParts = {
  readonly catalogue: Catalogue
  readonly stores: Stores
  readonly collections: ReadonlyMap<string, Collection>
  readonly clock: Clock
  readonly logger: Logger
}

export type PromotionResult = {
  /** Assets that are in the bucket now. */
  readonly promoted: number
  /** Bytes in them. */
  readonly bytes: number
  /** Deleted, or moved by somebody else, in between. */
  readonly gone: number
  /** Whose own copy could not be read, or was refused by the bucket; tried again a minute later. */
  readonly failed: number
}

export type PromotionProgress = PromotionResult

export type PromotionOptions = {
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: PromotionProgress) => void
}

/** How the bucket does: copies in a row that it failed, and what the last of them met. */
type Bucket = { troubles: number; last: unknown }

const system: Actor = { role: 'system' }
const page = 100
/** A bucket that is just back is not to be run over: each copy that went well lets one more in. */
const atOnce = { start: 8, most: 32 }
/** Seconds that the local copy outlives its promotion: as long as a link to it may live, and a little more. */
const keepFor = 3600 + 300
/** Bytes that are read at once; more is read piece by piece, as the bucket takes it. */
const largestInMemory = 1024 * 1024
/** Copies in a row that may meet a failing bucket before a run ends: one lost connection is no outage. */
const mostTroubles = 3
/** Seconds after which what failed by itself is tried again. */
const putOffFor = 60

/**
 * Moves what fell back to the bucket: watch the bucket's key, copy create-only with the hash checked, then the row says
 * so, in one fenced statement for those that come together. A crash anywhere costs the copy alone, and the next run goes
 * on. One process has a local store, so one runs this for it; several who ask in that process wait for one run.
 */
export class Promoter {
  readonly #parts: PromotionParts
  /** What failed by itself, and until when it is put off, in milliseconds. */
  readonly #putOff = new Map<string, number>()
  #running: Promise<PromotionResult> | undefined

  constructor(parts: PromotionParts) {
    this.#parts = parts
  }

  /**
   * Promotes all there is.
   *
   * @throws `store_unavailable`, `timeout`, `store_denied` where the bucket fails; what was moved before stays moved.
   */
  run(options: PromotionOptions = {}): Promise<PromotionResult> {
    this.#running ??= this.#run(options).finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #run({ signal, onProgress }: PromotionOptions): Promise<PromotionResult> {
    const { catalogue, stores } = this.#parts
    const done = { promoted: 0, bytes: 0, gone: 0, failed: 0 }
    const { local } = stores
    if (local === null) return done
    const finishing = new Together(page, (seen: readonly AssetRecord[]) =>
      catalogue.finishPromotion(seen, keepFor, system),
    )
    const bucket: Bucket = { troubles: 0, last: undefined }
    const one = async (asset: AssetRecord) => {
      if (signal?.aborted) return
      try {
        await this.#one(asset, local, finishing, bucket, done, signal)
      } catch (error) {
        bucket.last = error
        bucket.troubles += 1
        if (signal?.aborted || !isStoreFailure(error) || bucket.troubles >= mostTroubles) throw error
      }
      onProgress?.({ ...done })
    }
    await rising(this.#begun(local, done, signal), atOnce, one)
    // What met it still waits, for the next run.
    if (bucket.last !== undefined) throw bucket.last
    return done
  }

  /** What there is to promote, oldest first, each under a watched key. */
  async *#begun(
    local: LocalStore,
    done: { gone: number },
    signal: AbortSignal | undefined,
  ): AsyncGenerator<AssetRecord, void, undefined> {
    const { catalogue, clock } = this.#parts
    for (let after: AssetRecord | undefined; !signal?.aborted; ) {
      const found = await catalogue.localAssets(local.place, after, page)
      after = found.at(-1)
      if (after === undefined) return
      const due = found.filter(({ id }) => (this.#putOff.get(id) ?? 0) <= clock.now().getTime())
      if (due.length === 0) continue
      const begun = await catalogue.beginPromotion(due)
      done.gone += due.length - begun.size
      yield* due.filter(({ id }) => begun.has(id))
    }
  }

  async #one(
    asset: AssetRecord,
    local: LocalStore,
    finishing: Together<AssetRecord, ReadonlySet<string>>,
    bucket: Bucket,
    done: { promoted: number; bytes: number; gone: number; failed: number },
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { clock, logger } = this.#parts
    try {
      await this.#copy(asset, local.store, signal)
      bucket.troubles = 0
      const promoted = await finishing.run(asset)
      this.#putOff.delete(asset.id)
      if (promoted.has(asset.id)) {
        done.promoted += 1
        done.bytes += asset.size ?? 0
      } else done.gone += 1
    } catch (error) {
      const problem = KeepsakeError.from(error)
      const ofBucket = isStoreFailure(problem) || problem.code === 'store_denied'
      if (signal?.aborted || ofBucket || problem.code === 'catalogue_unavailable') throw problem
      // Its own copy is missing or other than it should be: verify says so of the asset; the others go on.
      done.failed += 1
      this.#putOff.set(asset.id, clock.now().getTime() + putOffFor * 1000)
      logger.warn({ asset: asset.id, code: problem.code, err: problem }, 'an asset could not be moved to the bucket')
    }
  }

  async #copy(asset: AssetRecord, local: ObjectStore, signal: AbortSignal | undefined): Promise<void> {
    const { collections, stores } = this.#parts
    const { primary } = stores
    const object = objectOf(requireWhole(asset), collections.get(asset.collection))
    const { key, size, sha256 } = object
    const call = signal ? { signal } : {}
    try {
      await primary.put({ ...object, body: await bodyOf(local, key, size, signal), ...call })
    } catch (error) {
      if (!KeepsakeError.is(error, 'object_exists')) throw error
      // An earlier try arrived. Nothing else is ever written under this key.
      const head = await primary.head(key, call)
      const facts = head && factsFromObject(asset, head)
      if (facts?.sha256 !== sha256 || facts.size !== size) throw error
    }
  }
}

async function bodyOf(
  store: ObjectStore,
  key: string,
  size: number,
  signal: AbortSignal | undefined,
): Promise<ObjectBody> {
  const call = signal ? { signal } : {}
  if (size <= largestInMemory) {
    const pieces: Uint8Array[] = []
    for await (const piece of (await store.get(key, call)).body) pieces.push(Uint8Array.from(piece))
    return Buffer.concat(pieces)
  }
  return {
    async *read(start, end) {
      if (start < end) yield* (await store.get(key, { range: { start, end: end - 1 }, ...call })).body
    },
  }
}
