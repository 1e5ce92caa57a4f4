import { type AssetRecord, type AssetState, isAssetId, type StorePlace } from '../media/index.ts'
import { acting } from './acting.ts'
import type { Actor, AssetFilter } from './catalogue.ts'
import { readAssetCursor, requireLimit, writeAssetCursor } from './cursor.ts'
import { assetColumns, parseAsset, parseAssets, parseStateCounts } from './row.ts'
import type { Database } from './sql.ts'

/*
 * An asset that is being deleted is unreadable at once, for everybody but Keepsake itself, which has to finish it.
 * Whose assets a user sees is decided by row-level security alone; no text here names the owner for that.
 */

const getText = `select ${assetColumns} from keepsake.assets where id = $1 and (state <> 'deleting' or $2::boolean)`

export async function get(database: Database, id: string, actor: Actor): Promise<AssetRecord | undefined> {
  if (!isAssetId(id)) return undefined
  const { rows } = await acting(database, actor, (sql) => sql.query(getText, [id, actor.role === 'system']))
  return parseAsset(rows)
}

const getManyText = `select ${assetColumns} from keepsake.assets where id = any($1::uuid[]) and state <> 'deleting'`

export async function getMany(
  database: Database,
  ids: readonly string[],
  actor: Actor,
): Promise<readonly AssetRecord[]> {
  const wanted = [...new Set(ids)].filter(isAssetId)
  if (wanted.length === 0) return []
  const { rows } = await acting(database, actor, (sql) => sql.query(getManyText, [wanted]))
  return parseAssets(rows)
}

const getByKeyText = `select ${assetColumns} from keepsake.assets where key = $1 and state <> 'deleting'`

export async function getByKey(database: Database, key: string, actor: Actor): Promise<AssetRecord | undefined> {
  const { rows } = await acting(database, actor, (sql) => sql.query(getByKeyText, [key]))
  return parseAsset(rows)
}

/**
 * Children are few and anywhere, so they are found first, by their index (see migration 10, which has the condition on
 * `provenance` too). As a plain condition the planner might walk the whole collection from its newest end.
 */
function childrenOf(parent: string): string {
  return (
    "array(select child.id from keepsake.assets child where child.provenance ? 'parents' " +
    `and child.provenance -> 'parents' @> ${parent}::jsonb)`
  )
}

export async function list(
  database: Database,
  filter: AssetFilter,
  actor: Actor,
): Promise<{ readonly assets: readonly AssetRecord[]; readonly nextCursor: string | null }> {
  requireLimit(filter.limit)
  const conditions = ["state <> 'deleting'"]
  const values: unknown[] = []
  const where = (condition: (...parameters: string[]) => string, ...given: unknown[]) => {
    conditions.push(condition(...given.map((value) => `$${values.push(value)}`)))
  }
  if (filter.collection !== undefined) where((p) => `collection = ${p}`, filter.collection)
  if (filter.owner !== undefined) where((p) => `owner = ${p}`, filter.owner)
  if (filter.kind !== undefined) where((p) => `kind = ${p}`, filter.kind)
  if (filter.state !== undefined) where((p) => `state = ${p}`, filter.state)
  if (filter.attributes !== undefined && Object.keys(filter.attributes).length > 0) {
    where((p) => `attributes @> ${p}::jsonb`, JSON.stringify(filter.attributes))
  }
  if (filter.parent !== undefined) where((p) => `id = any(${childrenOf(p)})`, JSON.stringify(filter.parent))
  if (filter.from !== undefined) where((p) => `created_at >= ${p}::timestamptz`, filter.from)
  if (filter.to !== undefined) where((p) => `created_at < ${p}::timestamptz`, filter.to)
  if (filter.cursor !== undefined) {
    const after = readAssetCursor(filter.cursor)
    where((at, id) => `(created_at, id) < (${at}::timestamptz, ${id}::uuid)`, after.createdAt, after.id)
  }
  // One row more than asked for tells whether there is a next page.
  const text =
    `select ${assetColumns} from keepsake.assets where ${conditions.join(' and ')} ` +
    `order by created_at desc, id desc limit $${values.push(filter.limit + 1)}`
  const { rows } = await acting(database, actor, (sql) => sql.query(text, values))
  const assets = parseAssets(rows.slice(0, filter.limit))
  const last = assets.at(-1)
  return { assets, nextCursor: rows.length > filter.limit && last !== undefined ? writeAssetCursor(last) : null }
}

const dueText = `
select ${assetColumns} from (
  (select 1 as turn, * from keepsake.assets where state in ('pending', 'deleting') and until <= keepsake.now()
    and id <> all($2::uuid[]) and ($3::text[] is null or store = any($3::text[])
      or (state = 'pending' and upload is null and until <= keepsake.now() - interval '10 minutes'))
    order by source_expires_at nulls last, until, id limit $1)
  union all
  (select 2 as turn, * from keepsake.assets where state = 'stored' and expires_at <= keepsake.now()
    and not pinned and id <> all($2::uuid[]) and ($3::text[] is null or store = any($3::text[]))
    order by expires_at, id limit $1)
) as found
order by turn, case turn when 1 then source_expires_at end nulls last, until, expires_at, id limit $1`

export async function due(
  database: Database,
  limit: number,
  except: readonly string[] = [],
  places?: readonly StorePlace[],
): Promise<readonly AssetRecord[]> {
  requireLimit(limit)
  const { rows } = await database.service.query(dueText, [limit, except, places ?? null])
  return parseAssets(rows)
}

const countText = 'select state, count(*) as count from keepsake.assets group by state'

export async function countByState(database: Database): Promise<Readonly<Record<AssetState, number>>> {
  const { rows } = await database.service.query(countText)
  return parseStateCounts(rows)
}
