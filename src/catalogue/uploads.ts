import { type AssetRecord, isAssetId, type StorePlace } from '../media/index.ts'
import { acting, actorName } from './acting.ts'
import type { Actor } from './catalogue.ts'
import { assetColumns, assetColumnsOf, parseAsset } from './row.ts'
import type { Database } from './sql.ts'
import { audit, later, retire, retireInbox } from './transitions.ts'

/**
 * What is particular to direct uploads. They are reserved, confirmed and failed as imports are; in between their bytes
 * are in the hands of a client, and `until` says how long it may take.
 *
 * All are fenced by pending, the attempt, and being an upload, and answer undefined where the fence does not hold.
 */
export interface UploadQueries {
  /** Writes which multipart upload of the store takes the parts; fenced by there being none yet. */
  beginParts(id: string, attempt: number, uploadId: string): Promise<AssetRecord | undefined>

  /**
   * Gives the client so many seconds from now, where it had fewer, up to a week in all; and writes to the audit that
   * links for so many parts (null: for the whole) go out.
   */
  extendUpload(
    id: string,
    attempt: number,
    links: { readonly seconds: number; readonly parts: number | null },
    actor: Actor,
  ): Promise<AssetRecord | undefined>

  /** The bytes are all here: from now on `until` is a lease of whoever verifies them. */
  holdUpload(id: string, attempt: number, lease: number): Promise<AssetRecord | undefined>

  /**
   * The store that its links point to has failed: attempt + 1 under another key in another store, where nothing has
   * arrived yet. What comes late under the old key is removed. Undefined also where the new key was used before.
   */
  moveUpload(
    id: string,
    attempt: number,
    to: {
      readonly key: string
      /** Where its client puts the bytes of a plain one. */
      readonly inbox: string | null
      readonly store: StorePlace
      readonly lease: number
    },
    actor: Actor,
  ): Promise<AssetRecord | undefined>

  /** pending -> deleting, as the actor, of a direct upload alone: never of what was stored meanwhile. No fence of attempt. */
  beginAbort(id: string, lease: number, actor: Actor): Promise<AssetRecord | undefined>
}

export function uploadQueries(database: Database): UploadQueries {
  const changed = async (text: string, id: string, values: readonly unknown[]) => {
    if (!isAssetId(id)) return undefined
    const { rows } = await database.service.query(text, [id, ...values])
    return parseAsset(rows)
  }
  return {
    beginParts: (id, attempt, uploadId) => changed(beginPartsText, id, [attempt, uploadId]),
    extendUpload: (id, attempt, { seconds, parts }, actor) =>
      changed(extendText, id, [attempt, seconds, parts, actorName(actor), actor.requestId ?? null]),
    holdUpload: (id, attempt, lease) => changed(holdText, id, [attempt, lease]),
    moveUpload: (id, attempt, { key, inbox, store, lease }, actor) =>
      changed(moveText, id, [attempt, actorName(actor), actor.requestId ?? null, key, store, lease, inbox]),
    async beginAbort(id, lease, actor) {
      if (!isAssetId(id)) return undefined
      const values = [id, lease, actorName(actor), actor.requestId ?? null]
      const { rows } = await acting(database, actor, (sql) => sql.query(beginAbortText, values))
      return parseAsset(rows)
    },
  }
}

const isOpen = "id = $1 and state = 'pending' and attempt = $2 and upload is not null"

const beginPartsText = `
update keepsake.assets set upload = upload || jsonb_build_object('uploadId', $3::text)
where ${isOpen} and upload ->> 'uploadId' is null
returning ${assetColumns}`

const extendText = `
with changed as (
  update keepsake.assets set until = greatest(until, least(${later('$3')}, created_at + interval '7 days'))
  where ${isOpen}
  returning ${assetColumns}
), audited as (
  insert into keepsake.audit (action, asset, owner, collection, actor, request_id, detail)
  select 'url.issued', id, owner, collection, $5::text, $6::text,
    jsonb_strip_nulls(jsonb_build_object('upload', true, 'parts', $4::integer))
  from changed
)
select ${assetColumns} from changed`

const holdText = `
update keepsake.assets set until = ${later('$3')} where ${isOpen} returning ${assetColumns}`

const moveText = `
with old as (
  select id, key, store, upload ->> 'inbox' as inbox from keepsake.assets where ${isOpen} for update
), changed as (
  update keepsake.assets a set attempt = a.attempt + 1, key = $5, store = $6,
    upload = a.upload || jsonb_build_object('uploadId', null, 'inbox', $8::text), until = greatest(a.until, ${later('$7')})
  from old
  where a.id = old.id and not exists (select from keepsake.retired_keys r where r.key = $5)
  returning ${assetColumnsOf('a')}
), retired_inbox as (
  ${retireInbox}
), retired as (
  ${retire}
), audited as (
  ${audit('changed', 'asset.retried', "jsonb_build_object('attempt', attempt, 'store', split_part(store, ':', 1))")}
)
select ${assetColumns} from changed`

const beginAbortText = `
with old as (
  select id from keepsake.assets where id = $1 and state = 'pending' and upload is not null for update
), changed as (
  update keepsake.assets a set state = 'deleting', attempt = a.attempt + 1, until = ${later('$2')}
  from old where a.id = old.id
  returning ${assetColumnsOf('a')}
), audited as (
  insert into keepsake.audit (action, asset, owner, collection, actor, request_id, detail)
  select 'asset.deleting', id, owner, collection, $3::text, $4::text,
    jsonb_build_object('attempt', attempt, 'from', 'pending', 'aborted', true)
  from changed
)
select ${assetColumns} from changed`
