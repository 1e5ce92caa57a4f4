import { z } from 'zod'
import { type AssetRecord, isAssetId } from '../media/index.ts'
import { actorName } from './acting.ts'
import type { Actor, StoredContent } from './catalogue.ts'
import { parseAsset, parseRows } from './row.ts'
import type { Database } from './sql.ts'
import { confirmText, confirmValues, later } from './transitions.ts'

export type Replacement = {
  /** The asset, stored; undefined where the fence did not hold, or a newer one was stored before. */
  readonly asset: AssetRecord | undefined
  /** What is being deleted now because of it: those it replaced, or the asset itself. */
  readonly deleting: readonly string[]
}

/**
 * Assets of which an owner has one at a time, such as an avatar: by what its collection is replaced by, all assets of an
 * owner with the same values of those attributes stand in one place.
 */
export interface ReplaceQueries {
  /**
   * {@link Catalogue.confirm} for such an asset: pending -> stored, and in the same transaction whatever stands in its
   * place -> deleting. Of two at once the one that was reserved last stays, in whatever order they are confirmed: where
   * a newer one stands there already, the asset itself goes to deleting.
   */
  confirmReplacing(
    id: string,
    attempt: number,
    content: StoredContent,
    replaceBy: readonly string[],
    actor: Actor,
  ): Promise<Replacement>
}

export function replaceQueries(database: Database): ReplaceQueries {
  return {
    async confirmReplacing(id, attempt, content, replaceBy, actor) {
      if (!isAssetId(id)) return nothing
      return database.serviceTransaction(async (sql) => {
        const [mine] = parseRows(mineRow, (await sql.query(mineText, [id, attempt, replaceBy])).rows)
        if (mine === undefined) return nothing
        const place = [mine.collection, mine.owner, JSON.stringify(mine.place)]
        // Two that take the same place wait for each other; the next statement sees what the first one left.
        await sql.query(lockText, place)
        const { rows: found } = await sql.query(standingText, [...place, replaceBy, mine.created_at, id])
        const standing = parseRows(standingRow, found)
        const overtaken = standing.some(({ newer }) => newer)
        const values = confirmValues(id, attempt, content, actor)
        const asset = overtaken ? undefined : parseAsset((await sql.query(confirmText, values)).rows)
        if (asset === undefined && !overtaken) return nothing
        const leaving = overtaken ? [id] : standing.map((row) => row.id)
        if (leaving.length === 0) return { asset, deleting: [] }
        const by = overtaken ? standing.find(({ newer }) => newer)?.id : id
        const { rows } = await sql.query(leaveText, [leaving, by, actorName(actor), actor.requestId ?? null, lease])
        return { asset, deleting: parseRows(idRow, rows).map((row) => row.id) }
      })
    },
  }
}

const nothing: Replacement = { asset: undefined, deleting: [] }
/** Seconds until the sweep finishes the delete, should nobody do so at once. */
const lease = 30

const idRow = z.strictObject({ id: z.string() })

/** The place of an asset: the attributes that count, with null for one that it has not. */
const placeOf = (alias: string, names: string) =>
  `coalesce((select jsonb_object_agg(name, ${alias}.attributes -> name) from unnest(${names}::text[]) as name), '{}')`

const mineText = `
select m.collection, m.owner, m.created_at, ${placeOf('m', '$3')} as place from keepsake.assets m
where m.id = $1 and m.attempt = $2 and m.state = 'pending' and m.key is not null`
const mineRow = z.strictObject({
  collection: z.string(),
  owner: z.string(),
  created_at: z.date(),
  place: z.record(z.string(), z.string().nullable()),
})

// The first number tells these locks from others of Keepsake's.
const lockText =
  'select pg_advisory_xact_lock(5240618, hashtext(jsonb_build_array($1::text, $2::text, $3::jsonb)::text))'

// @> is for the index; it knows nothing of an attribute that an asset has and should not.
const standingText = `
select a.id, (a.created_at, a.id) > ($5::timestamptz, $6::uuid) as newer from keepsake.assets a
where a.state = 'stored' and a.collection = $1 and a.owner = $2
  and a.attributes @> jsonb_strip_nulls($3::jsonb) and ${placeOf('a', '$4')} = $3::jsonb
order by newer desc, a.created_at desc, a.id desc`
const standingRow = z.strictObject({ id: z.string(), newer: z.boolean() })

const leaveText = `
with old as (
  select id, state from keepsake.assets
  where id = any ($1::uuid[]) and state in ('pending', 'stored') order by id for update
), changed as (
  update keepsake.assets a
  set state = 'deleting', attempt = a.attempt + 1, until = ${later('$5')}, source_url = null, reopenable = false
  from old where a.id = old.id
  returning a.id, a.owner, a.collection, a.attempt, a.size, old.state as was
), audited as (
  insert into keepsake.audit (action, asset, owner, collection, actor, request_id, detail)
  select 'asset.deleting', id, owner, collection, $3::text, $4::text,
    jsonb_strip_nulls(jsonb_build_object('attempt', attempt, 'from', was, 'reason', 'replaced', 'by', $2::text,
      'size', case was when 'stored' then size end))
  from changed
)
select id from changed`
