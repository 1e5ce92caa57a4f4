import { z } from 'zod'
import { type AssetRecord, isAssetId, KeepsakeError } from '../media/index.ts'
import { acting, actorName } from './acting.ts'
import type { Actor, Reservation } from './catalogue.ts'
import { violatedUnique } from './database-error.ts'
import { assetColumns, assetColumnsOf, parseAsset, parseRows } from './row.ts'
import type { Database, Sql } from './sql.ts'

export type Reserved = { readonly asset: AssetRecord; readonly replayed: boolean }

/**
 * One statement for all: it inserts the idempotency key first, which waits for a concurrent request under the same key
 * to end, and the asset only where the key is ours. The trigger on assets counts the bytes and refuses what is over the
 * quota, which undoes the key too.
 */
const reserveText = `
with key as (
  insert into keepsake.idempotency_keys (owner, key, fingerprint, asset)
  select $3, $12::text, $13::text, $1::uuid where $12::text is not null
  on conflict (owner, key) do nothing
  returning asset
), reserved as (
  insert into keepsake.assets (id, collection, owner, attributes, provenance, filename, source_url, source_expires_at,
    until, counted, quota, key, kind, content_type, upload, keep, store)
  select $1::uuid, $2::text, $3::text, $4::jsonb, $5::jsonb, $6::text, $7::text, $8::timestamptz,
    keepsake.now() + make_interval(secs => $9::float8), $10::bigint, $11::bigint, $16::text, $17::text, $18::text,
    $19::jsonb, $20::bigint, $21::text
  where $12::text is null or exists (select from key)
  returning ${assetColumns}
), audited as (
  insert into keepsake.audit (action, asset, owner, collection, actor, request_id, detail)
  select 'asset.reserved', id, owner, collection, $14::text, $15::text, jsonb_build_object('attempt', attempt)
    || case when upload is null then '{}' else jsonb_build_object('upload', upload - 'uploadId', 'until', until) end
  from reserved
)
select ${assetColumns} from reserved`

const replayText = `
select k.fingerprint, ${assetColumnsOf('a')}
from keepsake.idempotency_keys k
left join keepsake.assets a on a.id = k.asset and a.state <> 'deleting'
where k.owner = $1 and k.key = $2`

const replayRow = z.looseObject({ fingerprint: z.string(), id: z.string().nullable() })

/** A key can only vanish between our two statements by the purge after two days, or by a hand. */
const maxRounds = 3

export async function reserve(database: Database, reservation: Reservation, actor: Actor): Promise<Reserved> {
  if (!isAssetId(reservation.id)) {
    throw new KeepsakeError('internal', `'${reservation.id}' is no asset id. Make one with newAssetId().`)
  }
  try {
    return await acting(database, actor, (sql) => insertOrReplay(sql, reservation, actor))
  } catch (error) {
    if (violatedUnique(error) !== 'assets_key') throw error
    throw new KeepsakeError('object_exists', 'The key is the key of another object. Begin with a new one.', {
      cause: error,
    })
  }
}

async function insertOrReplay(sql: Sql, reservation: Reservation, actor: Actor): Promise<Reserved> {
  for (let round = 1; round <= maxRounds; round += 1) {
    const asset = await insert(sql, reservation, actor)
    if (asset !== undefined) return { asset, replayed: false }
    const replayed = await replay(sql, reservation)
    if (replayed !== undefined) return { asset: replayed, replayed: true }
  }
  throw new KeepsakeError('catalogue_unavailable', 'The idempotency key came and went. Send the request again.')
}

async function insert(sql: Sql, reservation: Reservation, actor: Actor): Promise<AssetRecord | undefined> {
  const { upload } = reservation
  const { rows } = await sql.query(reserveText, [
    reservation.id,
    reservation.collection,
    reservation.owner,
    JSON.stringify(reservation.attributes),
    JSON.stringify(reservation.provenance),
    reservation.filename,
    reservation.sourceUrl,
    reservation.sourceExpiresAt,
    reservation.lease,
    reservation.reservedBytes,
    reservation.quota,
    reservation.idempotency?.key ?? null,
    reservation.idempotency?.fingerprint ?? null,
    actorName(actor),
    actor.requestId ?? null,
    upload?.key ?? null,
    upload?.kind ?? null,
    upload?.contentType ?? null,
    upload === undefined ? null : JSON.stringify(upload.terms),
    reservation.keep ?? null,
    upload?.store ?? 'primary',
  ])
  return parseAsset(rows)
}

async function replay(sql: Sql, { owner, idempotency }: Reservation): Promise<AssetRecord | undefined> {
  if (idempotency === null) return undefined
  const { rows } = await sql.query(replayText, [owner, idempotency.key])
  const [found] = parseRows(replayRow, rows)
  if (found === undefined) return undefined
  const { fingerprint, ...asset } = found
  if (fingerprint !== idempotency.fingerprint) {
    throw new KeepsakeError(
      'idempotency_conflict',
      'The idempotency key was used for another request. Use a new key for a new request.',
    )
  }
  if (asset.id === null) {
    throw new KeepsakeError(
      'asset_gone',
      'The asset that this request made was deleted. Use a new idempotency key to make it again.',
    )
  }
  return parseAsset([asset])
}
