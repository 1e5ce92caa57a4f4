import type { Actor, Catalogue } from '../catalogue/index.ts'
import type { Clock } from '../clock.ts'
import { confirm, dropParts, factsFromObject, type Intake, type Uploads } from '../intake/index.ts'
import type { Jobs } from '../jobs/index.ts'
import type { Logger } from '../logger.ts'
import { type AssetRecord, type Collection, KeepsakeError } from '../media/index.ts'
import type { ObjectStore, Stores } from '../stores/index.ts'

export type UpkeepParts = {
  readonly catalogue: Catalogue
  readonly stores: Stores
  readonly intake: Intake
  readonly uploads: Uploads
  readonly clock: Clock
  readonly jobs: Jobs
  readonly collections: ReadonlyMap<string, Collection>
  readonly logger: Logger
}

const system: Actor = { role: 'system' }
/** Seconds within which somebody who took over a row must show a sign of life. */
const lease = 30

/**
 * Brings one asset forward, from whatever state a crash, a failing store or a dying source left it in. Doing it twice,
 * or beside somebody who still works on it, does no harm: every step is fenced.
 */
export async function settle(parts: UpkeepParts, record: AssetRecord): Promise<void> {
  switch (record.state) {
    case 'deleting':
      await finishDelete(parts, record, system)
      return
    case 'pending':
      return settlePending(parts, record)
    case 'stored':
      if (record.expiresAt !== null) await expire(parts, record)
      return
    case 'failed':
      return
  }
}

async function settlePending(parts: UpkeepParts, record: AssetRecord): Promise<void> {
  const { catalogue, stores, collections } = parts
  // It would be begun and put off at once; the next process, or another one, does better.
  if (parts.intake.closing) return
  const collection = collections.get(record.collection)
  if (record.upload !== null) return parts.uploads.settle(record, collection, system)
  if (record.key !== null && stores.has(record.store)) {
    // The object is asked before the attempt is given up: it may be there, whole, with nobody left to confirm it.
    const head = await stores.of(record.store).head(record.key)
    const facts = head && factsFromObject(record, head)
    if (facts) {
      await confirm(parts, record, facts, collection, system)
      return
    }
  }
  const claimed = await catalogue.claim(record.id, record.attempt, lease, system)
  if (claimed === undefined) return
  if (collection !== undefined && claimed.sourceUrl !== null) return parts.intake.retry(claimed, collection)
  const problem =
    claimed.sourceUrl === null
      ? { code: 'source_unavailable', message: 'The import was interrupted and its bytes are gone. Send them again.' }
      : { code: 'collection_not_found', message: `The collection '${claimed.collection}' is no longer declared.` }
  await catalogue.fail(claimed.id, claimed.attempt, problem, system, { reopenable: claimed.sourceUrl === null })
}

/**
 * Finishes a delete: the object first, then the row. While the object cannot be removed the row stays, unreadable, and
 * says where the object is.
 *
 * @returns false where somebody else purged the row first.
 * @throws `store_unavailable`, `store_denied`, `timeout`, `catalogue_unavailable`
 */
export async function finishDelete(
  { catalogue, stores }: Pick<UpkeepParts, 'catalogue' | 'stores'>,
  record: AssetRecord,
  actor: Actor,
): Promise<boolean> {
  const { key, store: place } = record
  const store = stores.of(place)
  await dropParts(store, record)
  if (key !== null) {
    const inbox = record.upload?.inbox ?? null
    await remove(store, inbox === null ? [key] : [key, inbox])
    // Links to the local copy of what was promoted may still be alive. A copy elsewhere goes with the purge, in seconds.
    const copies = stores.local === null ? [] : await catalogue.copiesElsewhere(key, place)
    if (stores.local && copies.includes(stores.local.place)) await remove(stores.local.store, [key])
  }
  return catalogue.purge(record.id, record.attempt, actor)
}

async function remove(store: ObjectStore, keys: readonly string[]): Promise<void> {
  const { failed } = await store.delete(keys)
  const first = failed[0]
  if (first) {
    throw new KeepsakeError('store_unavailable', `The object could not be removed: ${first.code}, ${first.message}`)
  }
}

/**
 * The end of retention is the same delete as anybody's. Whether it has come is for the catalogue to say: a nudge comes
 * early, and the asset may have been pinned or kept longer since it was read.
 */
async function expire(parts: UpkeepParts, record: AssetRecord): Promise<void> {
  const deleting = await parts.catalogue.beginExpiry(record.id, lease, system)
  if (deleting) await finishDelete(parts, deleting, system)
}
