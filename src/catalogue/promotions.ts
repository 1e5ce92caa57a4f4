import { z } from 'zod'
import { type AssetRecord, isAssetId, type LocalPlace, type StorePlace } from '../media/index.ts'
import { actorName } from './acting.ts'
import type { Actor } from './catalogue.ts'
import { assetColumns, parseAssets, parseRows, safeInteger, storePlace } from './row.ts'
import type { Database } from './sql.ts'

/** A stored asset in a local store, as a promotion reads it. */
export type LocalAsset = Pick<AssetRecord, 'id' | 'key' | 'store'>

/** What lies in a local store and waits for its bucket. */
export type LocalFacts = {
  readonly place: LocalPlace
  readonly assets: number
  readonly bytes: number
  /** When the one that has waited longest was stored. */
  readonly oldest: Date
}

/**
 * Moving what fell back to the bucket, under the key that it has. All of it is fenced by the row being stored in that very
 * place under that very key; a delete in between wins.
 */
export interface PromotionQueries {
  /** Stored assets of a local store, oldest first, a page at a time. */
  localAssets(place: LocalPlace, after: AssetRecord | undefined, limit: number): Promise<readonly AssetRecord[]>

  /**
   * Before a byte is copied: the bucket's keys are retired for now, so that a copy that nobody comes back to is removed.
   * Answers the ids of those for which the fence holds.
   */
  beginPromotion(seen: readonly LocalAsset[]): Promise<ReadonlySet<string>>

  /**
   * The copies are in the bucket, and right: the rows say so, the bucket's keys are watched no more, and the local ones
   * are, but not before `keepFor` seconds: links to them have been given. Answers the ids of those that are the bucket's
   * now.
   */
  finishPromotion(seen: readonly LocalAsset[], keepFor: number, actor: Actor): Promise<ReadonlySet<string>>

  /** Other places where a copy of an asset's object may lie, from a promotion. */
  copiesElsewhere(key: string, place: StorePlace): Promise<readonly StorePlace[]>

  /** For metrics, by place. Cheap: by a small index alone. */
  localFacts(): Promise<readonly LocalFacts[]>
}

export function promotionQueries(database: Database): PromotionQueries {
  const rowsOf = async (text: string, values: readonly unknown[]) => (await database.service.query(text, values)).rows
  return {
    localAssets: async (place, after, limit) =>
      parseAssets(await rowsOf(listText, [place, limit, after?.storedAt ?? new Date(0), after?.id ?? zeroId])),
    beginPromotion: async (seen) => idsOf(await rowsOf(beginText, columnsOf(seen))),
    finishPromotion: async (seen, keepFor, actor) =>
      idsOf(await rowsOf(finishText, [...columnsOf(seen), actorName(actor), actor.requestId ?? null, keepFor])),
    copiesElsewhere: async (key, place) =>
      parseRows(placeRow, await rowsOf(copiesText, [key, place])).map(({ store }) => store),
    localFacts: async () => parseRows(factsRow, await rowsOf(factsText, [])),
  }
}

function columnsOf(seen: readonly LocalAsset[]) {
  const known = seen.filter(({ id }) => isAssetId(id))
  return [known.map(({ id }) => id), known.map(({ key }) => key), known.map(({ store }) => store)] as const
}

function idsOf(rows: readonly unknown[]): ReadonlySet<string> {
  return new Set(parseRows(idRow, rows).map(({ id }) => id))
}

const idRow = z.strictObject({ id: z.string() })
const zeroId = '00000000-0000-0000-0000-000000000000'
const placeRow = z.strictObject({ store: storePlace })

const listText = `
select ${assetColumns} from keepsake.assets
where store = $1 and store <> 'primary' and state = 'stored' and (stored_at, id) > ($3::timestamptz, $4::uuid)
order by stored_at, id limit $2`

// In the order of their ids, so that two statements that have several in common do not wait for each other in a circle.
const seenRows = `
  select a.id, a.key, a.store from keepsake.assets a
  join unnest($1::uuid[], $2::text[], $3::text[]) as i (id, key, store) on i.id = a.id and i.key = a.key and i.store = a.store
  where a.state = 'stored' and a.store <> 'primary' order by a.id for update of a`

// The rows are locked, so that a begin that comes late cannot watch a key that became live meanwhile.
const beginText = `
with old as (${seenRows})
insert into keepsake.retired_keys (key, store, asset) select key, 'primary', id from old
on conflict (key, store) do update set retired_at = excluded.retired_at, look_at = excluded.look_at
returning asset as id`

// Without its watched key there was no begin, and whatever lies in the bucket is not this promotion's.
const finishText = `
with old as (${seenRows}), watched as (
  delete from keepsake.retired_keys r using old where r.key = old.key and r.store = 'primary' returning r.key
), changed as (
  update keepsake.assets a set store = 'primary', checked_at = keepsake.now()
  from old join watched on watched.key = old.key where a.id = old.id
  returning a.id, a.owner, a.collection, a.size
), retired as (
  insert into keepsake.retired_keys (key, store, asset, look_at)
  select old.key, old.store, old.id, keepsake.now() + make_interval(secs => $6::float8)
  from old join changed on changed.id = old.id
  on conflict (key, store) do update set retired_at = excluded.retired_at, look_at = excluded.look_at
), audited as (
  insert into keepsake.audit (action, asset, owner, collection, actor, request_id, detail)
  select 'asset.promoted', id, owner, collection, $4::text, $5::text, jsonb_build_object('size', size) from changed
)
select id from changed`

const copiesText = 'select store from keepsake.retired_keys where key = $1 and store <> $2'

const factsText = `
select store as place, count(*) as assets, coalesce(sum(size), 0)::bigint as bytes, min(stored_at) as oldest
from keepsake.assets where store <> 'primary' and state = 'stored' group by store order by store`

const factsRow = z
  .strictObject({ place: storePlace, assets: safeInteger, bytes: safeInteger, oldest: z.date() })
  .transform(({ place, ...facts }, context): LocalFacts => {
    if (place !== 'primary') return { place, ...facts }
    context.addIssue({ code: 'custom', message: 'no local store' })
    return z.NEVER
  })
