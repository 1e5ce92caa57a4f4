import { z } from 'zod'
import { type AssetRecord, isAssetId, type LocalPlace, type StorePlace } from '../media/index.ts'
import { actorName } from './acting.ts'
import type { Actor } from './catalogue.ts'
import { assetColumns, assetColumnsOf, parseAsset, parseAssets, parseRows, safeInteger, storePlace } from './row.ts'
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
   * Before a byte is copied: the bucket's key is retired for now, so that a copy that nobody comes back to is removed.
   * False where the fence does not hold.
   */
  beginPromotion(seen: LocalAsset): Promise<boolean>

  /**
   * The copy is in the bucket, and right: the row says so, the bucket's key is watched no more, and the local one is, but
   * not before `keepFor` seconds: links to it have been given.
   */
  finishPromotion(seen: LocalAsset, keepFor: number, actor: Actor): Promise<AssetRecord | undefined>

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
    beginPromotion: async ({ id, key, store }) =>
      isAssetId(id) && (await rowsOf(beginText, [id, key, store])).length > 0,
    async finishPromotion({ id, key, store }, keepFor, actor) {
      if (!isAssetId(id)) return undefined
      return parseAsset(await rowsOf(finishText, [id, key, actorName(actor), actor.requestId ?? null, store, keepFor]))
    },
    copiesElsewhere: async (key, place) =>
      parseRows(placeRow, await rowsOf(copiesText, [key, place])).map(({ store }) => store),
    localFacts: async () => parseRows(factsRow, await rowsOf(factsText, [])),
  }
}

const zeroId = '00000000-0000-0000-0000-000000000000'
const placeRow = z.strictObject({ store: storePlace })

const listText = `
select ${assetColumns} from keepsake.assets
where store = $1 and store <> 'primary' and state = 'stored' and (stored_at, id) > ($3::timestamptz, $4::uuid)
order by stored_at, id limit $2`

// The row is locked, so that a begin that comes late cannot watch a key that became live meanwhile.
const beginText = `
with old as (
  select id, key from keepsake.assets
  where id = $1 and state = 'stored' and key = $2 and store = $3 and store <> 'primary' for update
)
insert into keepsake.retired_keys (key, store, asset) select key, 'primary', id from old
on conflict (key, store) do update set retired_at = excluded.retired_at, look_at = excluded.look_at
returning key`

// Without its watched key there was no begin, and whatever lies in the bucket is not this promotion's.
const finishText = `
with old as (
  select id, key, store from keepsake.assets
  where id = $1 and state = 'stored' and key = $2 and store = $5 and store <> 'primary' for update
), watched as (
  delete from keepsake.retired_keys r using old where r.key = old.key and r.store = 'primary' returning r.key
), changed as (
  update keepsake.assets a set store = 'primary', checked_at = keepsake.now()
  from old join watched on watched.key = old.key where a.id = old.id
  returning ${assetColumnsOf('a')}
), retired as (
  insert into keepsake.retired_keys (key, store, asset, look_at)
  select old.key, old.store, old.id, keepsake.now() + make_interval(secs => $6::float8)
  from old join changed on changed.id = old.id
  on conflict (key, store) do update set retired_at = excluded.retired_at, look_at = excluded.look_at
), audited as (
  insert into keepsake.audit (action, asset, owner, collection, actor, request_id, detail)
  select 'asset.promoted', id, owner, collection, $3::text, $4::text, jsonb_build_object('size', size) from changed
)
select ${assetColumns} from changed`

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
