import type { Actor, Catalogue, OldAsset } from '../catalogue/index.ts'
import type { Logger } from '../logger.ts'
import { type AssetRecord, KeepsakeError, parseDuration } from '../media/index.ts'
import type { Stores } from '../stores/index.ts'
import { eachOf } from './each-of.ts'
import { recorded } from './recorded.ts'
import { finishDelete } from './settle.ts'

export type CleanupRequest = {
  /** How old an asset must be, counted from when it was made: seconds or a text such as `'90d'`; at least a day. */
  readonly olderThan: number | string
  readonly owner?: string | undefined
  readonly collection?: string | undefined
  /** Only count. Default: false. */
  readonly dryRun?: boolean | undefined
  /** The most assets that may be deleted: the count of a dry run. Without it nothing is deleted. */
  readonly expect?: number | undefined
}

export type CleanupResult = {
  readonly dryRun: boolean
  /** What was made before this moment, on the database's clock, counts as old. */
  readonly before: Date
  /** Old assets that were found: stored and not pinned. */
  readonly assets: number
  /** Bytes in them. */
  readonly bytes: number
  /** As old, and left alone because they are pinned. */
  readonly pinned: number
  readonly oldest: Date | null
  readonly deleted: number
  readonly deletedBytes: number
  /** Unreadable, with an object that the failing store would not let go of: the sweep goes on with these. */
  readonly unfinished: number
}

export type CleanupParts = {
  readonly catalogue: Catalogue
  readonly stores: Stores
  readonly logger: Logger
}

export type UpkeepRunOptions<Progress> = {
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export type CleanupProgress = { readonly assets: number; readonly deleted: number }

const shortestAge = 86_400
const page = 200
const atOnce = 16
/** Seconds within which a delete must be finished before the sweep takes over. */
const lease = 60

/**
 * Deletes what is older than so many days, of an owner, of a collection, or of all. Each asset goes the way of any
 * delete, and is looked at once more in the very statement that begins it: pinned meanwhile, it stays.
 *
 * @throws `invalid_request`; `upkeep_refused`, with the count, where it was not confirmed or is larger than confirmed;
 * `store_unavailable`, `store_denied`, `catalogue_unavailable`
 */
export async function cleanUp(
  parts: CleanupParts,
  request: CleanupRequest,
  actor: Actor,
  options: UpkeepRunOptions<CleanupProgress> = {},
): Promise<CleanupResult> {
  if (request.dryRun) return run(parts, request, actor, options)
  return recorded(parts.catalogue, 'cleanup', () => run(parts, request, actor, options))
}

async function run(
  parts: CleanupParts,
  request: CleanupRequest,
  actor: Actor,
  { signal, onProgress }: UpkeepRunOptions<CleanupProgress>,
): Promise<CleanupResult> {
  const { catalogue } = parts
  const { owner, collection, dryRun = false, expect } = request
  const scope = { owner, collection }
  const found = await catalogue.countOld(ageOf(request.olderThan), scope)
  const none = { dryRun, ...found, deleted: 0, deletedBytes: 0, unfinished: 0 }
  if (dryRun || found.assets === 0) return none
  brake(found.assets, expect)
  const most = Math.min(found.assets, expect ?? 0)
  const done = { deleted: 0, deletedBytes: 0, unfinished: 0 }
  let begun = 0
  const collections =
    owner === undefined && collection === undefined ? await catalogue.collectionsInUse() : [collection]
  for (const name of collections) {
    const within = { owner, collection: name, before: found.before }
    let after: OldAsset | undefined
    while (begun < most && !signal?.aborted) {
      const old = await catalogue.listOld(within, after, Math.min(page, most - begun))
      after = old.at(-1)
      if (after === undefined) break
      const ids = old.map(({ id }) => id)
      const deleting = await catalogue.beginCleanup(ids, found.before, lease, actor)
      begun += deleting.length
      await finish(parts, deleting, actor, done)
      onProgress?.({ assets: found.assets, deleted: done.deleted })
    }
  }
  signal?.throwIfAborted()
  return { ...none, ...done }
}

/** Finishes what was begun; a store that fails ends the clean-up before more is begun. */
async function finish(
  parts: CleanupParts,
  deleting: readonly AssetRecord[],
  actor: Actor,
  done: { deleted: number; deletedBytes: number; unfinished: number },
): Promise<void> {
  let problem: KeepsakeError | undefined
  await eachOf(deleting, atOnce, async (record) => {
    if (problem) {
      done.unfinished += 1
      return
    }
    try {
      await finishDelete(parts, record, actor)
      done.deleted += 1
      done.deletedBytes += record.size ?? 0
    } catch (error) {
      problem ??= KeepsakeError.from(error)
      done.unfinished += 1
      parts.logger.warn({ asset: record.id, code: problem.code, err: problem }, 'a clean-up stopped')
    }
  })
  if (!problem) return
  const { code, retryable, cause } = problem
  throw new KeepsakeError(
    code,
    `${problem.message} The clean-up stopped after ${done.deleted} assets; ${done.unfinished} more are unreadable and go on ` +
      'being deleted by themselves. Run it again for the rest.',
    { retryable, cause, details: { deleted: done.deleted, unfinished: done.unfinished } },
  )
}

function ageOf(olderThan: number | string): number {
  let seconds = Number.NaN
  try {
    seconds = parseDuration(olderThan)
  } catch {
    // Said below, with the field's name.
  }
  if (seconds >= shortestAge && seconds <= 1000 * 365 * shortestAge) return seconds
  throw new KeepsakeError(
    'invalid_request',
    `olderThan is '${String(olderThan).slice(0, 50)}'. Allowed is an age of at least a day, such as '90d' or '1y' (or as seconds).`,
  )
}

function brake(assets: number, expect: number | undefined): void {
  if (expect !== undefined && !(Number.isSafeInteger(expect) && expect >= 0)) {
    throw new KeepsakeError('invalid_request', `expect is ${expect}. Allowed is the number of assets of a dry run.`)
  }
  if (expect !== undefined && assets <= expect) return
  const why =
    expect === undefined
      ? `This would delete ${assets} assets for good.`
      : `This would delete ${assets} assets for good, and ${expect} were confirmed.`
  throw new KeepsakeError('upkeep_refused', `${why} Where that is meant, run it again with expect ${assets}.`, {
    details: { assets },
  })
}
