import { z } from 'zod'
import type { MediaKind } from '../media/index.ts'
import { actorName } from './acting.ts'
import type { Actor } from './catalogue.ts'
import { requireLimit } from './cursor.ts'
import { parseRows, safeInteger } from './row.ts'
import type { Database } from './sql.ts'

/** An object as the bucket's list has it. */
export type ListedForRebuild = {
  readonly key: string
  readonly etag: string
  readonly size: number
  readonly lastModified: Date
}

/** An object that was listed and is to be looked at. */
export type ObjectToLook = { readonly key: string; readonly size: number }

/** What an object says that names an asset, with all that a row needs. */
export type ObjectClaim = {
  readonly asset: string
  readonly attempt: number
  readonly owner: string
  readonly collection: string
  readonly kind: MediaKind
  readonly contentType: string
  readonly sha256: string
  /** Pixels. */
  readonly width: number | null
  readonly height: number | null
  /** Seconds. */
  readonly duration: number | null
  readonly attributes: Readonly<Record<string, string>>
  readonly createdAt: Date
}

/**
 * What an object turned out to be. `foreign`: it names no asset. `invalid`: it names one, and what it says cannot be a
 * row. `unhashed`: it names one, and nobody hashed it. `gone`: it was removed since it was listed.
 */
export type FoundObject =
  | { readonly key: string; readonly found: 'foreign' | 'invalid' | 'unhashed' | 'gone' }
  | ({ readonly key: string; readonly found: 'claim' } & ObjectClaim)

const verdicts = [
  'add',
  'present',
  'foreign',
  'invalid',
  'unhashed',
  'differs',
  'retired',
  'deleted',
  'duplicate',
  'other-object',
  'key-taken',
] as const

/**
 * What becomes of an object. `add`: an asset. `present`: its asset is there already. `differs`: it is, and says something
 * else. `retired`: the catalogue gave its key up. `deleted`: the catalogue deleted its asset. `duplicate`: another object
 * of the same asset is taken. `other-object`: the asset has another object. `key-taken`: the key is another asset's.
 */
export type RebuildVerdict = (typeof verdicts)[number]

export type JudgedObject = {
  readonly key: string
  readonly size: number
  readonly verdict: RebuildVerdict
  readonly asset: string | null
  readonly collection: string | null
  /** Of the object or the row that was preferred. */
  readonly otherKey: string | null
}

/**
 * Notes on what lies in the bucket, and assets made from them. A row that is there is never changed: what is inserted
 * is absent by id and by key, and neither deleted nor retired as far as the catalogue knows.
 */
export interface RebuildQueries {
  /** `empty`: no asset, and nothing was ever done but rebuilding; `used`: anything else. */
  rebuildGround(): Promise<'empty' | 'used'>

  /** Makes this the catalogue that the bucket belongs to. */
  adoptInstallation(id: string): Promise<void>

  /** The database's time, to tell notes of this run from older ones. */
  beginRebuild(): Promise<Date>

  /** Notes a page of the list. What an object with the same ETag turned out to be earlier is kept. */
  noteListed(objects: readonly ListedForRebuild[]): Promise<void>

  /** Forgets notes of objects that were not listed since. */
  forgetUnlisted(since: Date): Promise<void>

  /** How many objects are noted, and how many of them are to be looked at. `hash`: the unhashed ones as well. */
  countNoted(hash: boolean): Promise<{ readonly listed: number; readonly toLook: number }>

  /** Objects to look at, by key. */
  toLook(after: string, limit: number, hash: boolean): Promise<readonly ObjectToLook[]>

  noteFound(objects: readonly FoundObject[]): Promise<void>

  /** What becomes of the next objects that were looked at, by key. */
  judgeFound(after: string, limit: number): Promise<readonly JudgedObject[]>

  /**
   * Makes assets of the objects with the verdict `add` after one key and up to another, each with its audit row.
   * `keep`: seconds of retention by collection; nothing rebuilt expires within `grace` seconds from now.
   *
   * @returns How many.
   */
  insertRebuilt(
    range: { readonly after: string; readonly through: string },
    retention: { readonly keep: Readonly<Record<string, number>>; readonly grace: number },
    actor: Actor,
  ): Promise<number>

  /** Forgets all notes. */
  endRebuild(): Promise<void>
}

export function rebuildQueries({ service }: Database): RebuildQueries {
  return {
    async rebuildGround() {
      const { rows } = await service.query(groundText)
      return rows[0]?.used === false ? 'empty' : 'used'
    },
    async adoptInstallation(id) {
      await service.query('update keepsake.installation set id = $1::uuid where id <> $1::uuid', [id])
    },
    async beginRebuild() {
      const { rows } = await service.query('select keepsake.now() as at')
      return only(parseRows(z.strictObject({ at: z.date() }), rows)).at
    },
    async noteListed(objects) {
      if (objects.length === 0) return
      await service.query(listedText, [
        objects.map(({ key }) => key),
        objects.map(({ etag }) => etag),
        objects.map(({ size }) => size),
        objects.map(({ lastModified }) => lastModified),
      ])
    },
    async forgetUnlisted(since) {
      await service.query('delete from keepsake.rebuild_objects where seen_at < $1::timestamptz', [since])
    },
    async countNoted(hash) {
      const { rows } = await service.query(notedText, [hash])
      const noted = only(parseRows(z.strictObject({ listed: safeInteger, to_look: safeInteger }), rows))
      return { listed: noted.listed, toLook: noted.to_look }
    },
    async toLook(after, limit, hash) {
      requireLimit(limit)
      const { rows } = await service.query(toLookText, [after, limit, hash])
      return parseRows(z.strictObject({ key: z.string(), size: safeInteger }), rows)
    },
    async noteFound(objects) {
      const gone = objects.filter(({ found }) => found === 'gone').map(({ key }) => key)
      if (gone.length > 0) {
        await service.query('delete from keepsake.rebuild_objects where key = any($1::text[])', [gone])
      }
      const rest = objects.filter(({ found }) => found !== 'gone')
      if (rest.length > 0) await service.query(foundText, [JSON.stringify(rest.map(toNote))])
    },
    async judgeFound(after, limit) {
      requireLimit(limit)
      const { rows } = await service.query(`${judgeText} where key > $1 order by key limit $2`, [after, limit])
      return parseRows(judgedRow, rows).map(({ other_key: otherKey, ...row }) => ({ ...row, otherKey }))
    },
    async insertRebuilt({ after, through }, { keep, grace }, actor) {
      const values = [after, through, JSON.stringify(keep), grace, actorName(actor), actor.requestId ?? null]
      const { rows } = await service.query(insertText, values)
      return only(parseRows(z.strictObject({ inserted: safeInteger }), rows)).inserted
    },
    async endRebuild() {
      await service.query('delete from keepsake.rebuild_objects')
    },
  }
}

/** The row of a statement that always answers with one. */
function only<T>([row]: readonly T[]): T {
  if (row === undefined) throw new TypeError('A statement that answers with one row answered with none.')
  return row
}

// Every change of state leaves an audit row, so a catalogue without any, or with those of a rebuild alone, has seen
// nothing that a rebuild could harm. One that lost its audit but not its assets is used, too.
const groundText = `
select exists (select from keepsake.audit where action <> 'asset.rebuilt')
  or exists (select from keepsake.retired_keys)
  or exists (select from keepsake.assets a
    where not exists (select from keepsake.audit e where e.asset = a.id and e.action = 'asset.rebuilt')) as used`

const listedText = `
insert into keepsake.rebuild_objects as o (key, etag, size, last_modified, seen_at)
select key, etag, size, last_modified, keepsake.now()
from unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[]) as l (key, etag, size, last_modified)
on conflict (key) do update set etag = excluded.etag, size = excluded.size, last_modified = excluded.last_modified,
  seen_at = excluded.seen_at,
  found = case when o.etag = excluded.etag and o.size = excluded.size then o.found end`

const unlooked = (hash: string) => `(found is null or (${hash}::boolean and found = 'unhashed'))`

const notedText = `
select count(*) as listed, count(*) filter (where ${unlooked('$1')}) as to_look from keepsake.rebuild_objects`

const toLookText = `
select key, size from keepsake.rebuild_objects where key > $1 and ${unlooked('$3')} order by key limit $2`

function toNote(object: FoundObject): Readonly<Record<string, unknown>> {
  if (object.found !== 'claim') return { key: object.key, found: object.found }
  const { contentType, createdAt, ...rest } = object
  return { ...rest, content_type: contentType, created_at: createdAt.toISOString() }
}

const foundText = `
update keepsake.rebuild_objects o
set found = n.found, asset = n.asset, attempt = n.attempt, owner = n.owner, collection = n.collection, kind = n.kind,
  content_type = n.content_type, sha256 = n.sha256, width = n.width, height = n.height, duration = n.duration,
  attributes = n.attributes, created_at = n.created_at
from jsonb_to_recordset($1::jsonb) as n (key text, found text, asset uuid, attempt integer, owner text, collection text,
  kind text, content_type text, sha256 text, width integer, height integer, duration double precision,
  attributes jsonb, created_at timestamptz)
where o.key = n.key`

/*
 * Of two objects that claim one asset, the one of the later attempt was confirmed: an attempt can only be confirmed
 * while it is the latest. Of two with the same attempt the older is the original, and the other one somebody's copy.
 */
const judged = `
select o.*,
  case
    when o.found <> 'claim' then o.found
    when here.key = o.key and (here.state <> 'stored' or (here.sha256, here.size, here.owner, here.collection)
      = (o.sha256, o.size, o.owner, o.collection)) then 'present'
    when here.key = o.key then 'differs'
    when exists (select from keepsake.retired_keys r where r.key = o.key) then 'retired'
    when exists (select from keepsake.audit e where e.asset = o.asset and e.action in ('asset.deleting', 'asset.purged'))
      then 'deleted'
    when taken.key <> o.key then 'duplicate'
    when here.id is not null then 'other-object'
    when there.id is not null then 'key-taken'
    else 'add'
  end as verdict,
  coalesce(here.key, there.key, taken.key) as other_key
from keepsake.rebuild_objects o
left join keepsake.assets here on here.id = o.asset
left join keepsake.assets there on there.key = o.key
left join lateral (
  select t.key from keepsake.rebuild_objects t where t.asset = o.asset and t.found = 'claim'
    and not exists (select from keepsake.retired_keys r where r.key = t.key)
  order by t.attempt desc, t.last_modified, t.key limit 1
) as taken on o.found = 'claim'
where o.found is not null`

const judgeText = `
select key, size, asset, collection, verdict, nullif(other_key, key) as other_key from (${judged}) as j`
const judgedRow = z.strictObject({
  key: z.string(),
  size: safeInteger,
  asset: z.string().nullable(),
  collection: z.string().nullable(),
  verdict: z.enum(verdicts),
  other_key: z.string().nullable(),
})

// `on conflict do nothing` is for whoever makes the same row at this moment. An asset was stored when the bucket says
// that its object was last written: an object of ours is written once.
const insertText = `
with page as (
  select * from (${judged}) as j where key > $1 and key <= $2 and verdict = 'add'
), inserted as (
  insert into keepsake.assets (id, collection, owner, state, kind, key, content_type, size, counted, sha256, width,
    height, duration, attributes, attempt, created_at, stored_at, expires_at)
  select asset, collection, owner, 'stored', kind, key, content_type, size, size, sha256, width,
    height, duration, attributes, attempt, created_at, last_modified,
    greatest(last_modified + make_interval(secs => ($3::jsonb ->> collection)::float8),
      case when $3::jsonb ->> collection is not null then keepsake.now() + make_interval(secs => $4::float8) end)
  from page
  on conflict do nothing
  returning id, owner, collection, size, sha256
), audited as (
  insert into keepsake.audit (action, asset, owner, collection, actor, request_id, detail)
  select 'asset.rebuilt', id, owner, collection, $5::text, $6::text,
    jsonb_build_object('size', size, 'sha256', sha256) from inserted
)
select count(*) as inserted from inserted`
