import { type AssetProblem, type AssetRecord, isAssetId, KeepsakeError } from '../media/index.ts'
import { acting, actorName } from './acting.ts'
import type {
  Actor,
  AuditAction,
  ClaimOptions,
  FailOptions,
  KeyedContent,
  Reopening,
  StoredContent,
} from './catalogue.ts'
import { violatedUnique } from './database-error.ts'
import { assetColumns, assetColumnsOf, parseAsset } from './row.ts'
import type { Database } from './sql.ts'

/*
 * One statement for each change of state, fenced in its WHERE, with its audit row and its retired key as further parts
 * of the same statement. $1 is the asset and $2 the attempt throughout; $3 and $4 are the audit's actor and request.
 *
 * Where the row as it was matters (its key leaves it), it is read FOR UPDATE in the first part: that waits for whoever
 * changes it now and then reads, and fences on, what they left.
 */

/** The audit part, written from the rows of another part. */
export function audit(from: string, action: AuditAction, detail: string): string {
  return `insert into keepsake.audit (action, asset, owner, collection, actor, request_id, detail)
  select '${action}', id, owner, collection, $3::text, $4::text, ${detail} from ${from}`
}

/** The part that retires the key of the row as it was, if the change took place. */
export const retire = `insert into keepsake.retired_keys (key, store, asset)
  select old.key, old.store, old.id from old join changed on changed.id = old.id
  where old.key is not null and old.key is distinct from changed.key
  on conflict (key, store) do update set retired_at = excluded.retired_at, look_at = excluded.look_at`

/** The same for the key that an upload's client wrote to, where that is another one. */
export const retireInbox = `insert into keepsake.retired_keys (key, store, asset)
  select old.inbox, old.store, old.id from old join changed on changed.id = old.id where old.inbox is not null
  on conflict (key, store) do update set retired_at = excluded.retired_at, look_at = excluded.look_at`

export const later = (parameter: string) => `keepsake.now() + make_interval(secs => ${parameter}::float8)`

const assignKeyText = `
with old as (
  select id, key, store from keepsake.assets where id = $1 and state = 'pending' and attempt = $2 for update
), changed as (
  update keepsake.assets a set key = $3, store = $4, kind = $5, content_type = $6, until = ${later('$7')},
    counted = coalesce($8::bigint, a.counted), quota = $9
  from old
  where a.id = old.id and not exists (select from keepsake.retired_keys r where r.key = $3)
  returning ${assetColumnsOf('a')}
), retired as (
  insert into keepsake.retired_keys (key, store, asset)
  select old.key, old.store, old.id from old join changed on changed.id = old.id
  where old.key is not null and (old.key, old.store) <> (changed.key, changed.store)
  on conflict (key, store) do update set retired_at = excluded.retired_at, look_at = excluded.look_at
)
select ${assetColumns} from changed`

const isRetiredText = 'select from keepsake.retired_keys where key = $1'

/** Writes the key before the put. What was there before in the same attempt is retired: its object may still come. */
export async function assignKey(
  database: Database,
  id: string,
  attempt: number,
  content: KeyedContent,
): Promise<AssetRecord | undefined> {
  if (!isAssetId(id)) return undefined
  const taken = (cause?: unknown) =>
    new KeepsakeError('object_exists', 'The key is, or was, the key of another object. Begin a new attempt.', { cause })
  try {
    const { rows } = await database.service.query(assignKeyText, [
      id,
      attempt,
      content.key,
      content.store,
      content.kind,
      content.contentType,
      content.lease,
      content.reservedBytes ?? null,
      content.quota,
    ])
    const asset = parseAsset(rows)
    if (asset !== undefined) return asset
  } catch (error) {
    if (violatedUnique(error) === 'assets_key') throw taken(error)
    throw error
  }
  // The fence, or a key that is still watched: its next look would remove the new object.
  const { rows } = await database.service.query(isRetiredText, [content.key])
  if (rows.length > 0) throw taken()
  return undefined
}

export const confirmText = `
with changed as (
  update keepsake.assets
  set state = 'stored', health = 'ok', size = $5, counted = $5, sha256 = $6, width = $7, height = $8, duration = $9,
    kind = coalesce($11, kind), content_type = coalesce($12, content_type), stored_at = keepsake.now(),
    expires_at = case when keep is null then ${later('$10')} when keep > 0 then ${later('keep')} end, until = null, source_url = null, upload = null, problem_code = null,
    -- A plain address and no signed one: see migration 12.
    origin_url = case when source_url ~ '^https?://[^/?#@]+(/[^?#]*)?$' then source_url end,
    problem_message = null, attributes = coalesce($13::jsonb, attributes)
  where id = $1 and state = 'pending' and attempt = $2 and key is not null
  returning ${assetColumns}
), retired as (
  insert into keepsake.retired_keys (key, store, asset) select $14::text, store, id from changed where $14::text is not null
  on conflict (key, store) do update set retired_at = excluded.retired_at, look_at = excluded.look_at
), audited as (
  ${audit('changed', 'asset.stored', "jsonb_build_object('attempt', attempt, 'size', size, 'sha256', sha256)")}
)
select ${assetColumns} from changed`

export async function confirm(
  database: Database,
  id: string,
  attempt: number,
  content: StoredContent,
  actor: Actor,
): Promise<AssetRecord | undefined> {
  if (!isAssetId(id)) return undefined
  const { rows } = await database.service.query(confirmText, confirmValues(id, attempt, content, actor))
  return parseAsset(rows)
}

/** What {@link confirmText} takes. */
export function confirmValues(id: string, attempt: number, content: StoredContent, actor: Actor): readonly unknown[] {
  return [
    id,
    attempt,
    actorName(actor),
    actor.requestId ?? null,
    content.size,
    content.sha256,
    content.width,
    content.height,
    content.duration,
    content.keep,
    content.type?.kind ?? null,
    content.type?.contentType ?? null,
    content.attributes === undefined ? null : JSON.stringify(content.attributes),
    content.inbox ?? null,
  ]
}

const failText = `
with old as (
  select id, key, store, upload ->> 'inbox' as inbox from keepsake.assets
  where id = $1 and state = 'pending' and attempt = $2 and (not $8::boolean or until <= keepsake.now())
    and (not $9::boolean or upload ->> 'uploadId' is null) for update
), changed as (
  update keepsake.assets a
  set state = 'failed', key = null, store = 'primary', counted = 0, until = null, source_url = null, upload = null, problem_code = $5,
    problem_message = $6, reopenable = $7
  from old where a.id = old.id
  returning ${assetColumnsOf('a')}
), retired_inbox as (
  ${retireInbox}
), retired as (
  ${retire}
), audited as (
  ${audit('changed', 'asset.failed', "jsonb_build_object('attempt', attempt, 'code', problem_code)")}
)
select ${assetColumns} from changed`

export function fail(
  database: Database,
  id: string,
  attempt: number,
  problem: AssetProblem,
  actor: Actor,
  options: FailOptions = {},
): Promise<AssetRecord | undefined> {
  const { reopenable = false, onlyDue = false, onlyUnbegun = false } = options
  return change(database, failText, id, attempt, actor, [
    problem.code,
    problem.message,
    reopenable,
    onlyDue,
    onlyUnbegun,
  ])
}

// The row let go of its key and its bytes when it failed, so it begins anew, under the next attempt.
const reopenText = `
with changed as (
  update keepsake.assets
  set state = 'pending', attempt = attempt + 1, until = ${later('$5')}, counted = $6, quota = $7, reopenable = false,
    problem_code = null, problem_message = null, key = $8, kind = $9, content_type = $10, upload = $11,
    store = $12
  where id = $1 and state = 'failed' and attempt = $2 and reopenable
    and not exists (select from keepsake.retired_keys r where r.key = $8)
  returning ${assetColumns}
), audited as (
  ${audit('changed', 'asset.reopened', "jsonb_build_object('attempt', attempt)")}
)
select ${assetColumns} from changed`

export async function reopen(
  database: Database,
  id: string,
  attempt: number,
  { lease, reservedBytes, quota, upload }: Reopening,
  actor: Actor,
): Promise<AssetRecord | undefined> {
  const { key = null, kind = null, contentType = null, terms = null, store = 'primary' } = upload ?? {}
  const values = [lease, reservedBytes, quota, key, kind, contentType, terms, store]
  try {
    return await change(database, reopenText, id, attempt, actor, values)
  } catch (error) {
    if (violatedUnique(error) !== 'assets_key') throw error
    throw new KeepsakeError('object_exists', 'The key is the key of another object. Begin with a new one.', {
      cause: error,
    })
  }
}

/** How long after its announced end a source may still answer: clocks differ. */
const sourceGrace = "interval '5 minutes'"

// The statement decides by its own clock whether there is hope. While the source lives, a retry comes at the latest at
// half of the time it has left, so that there is always one more try before it dies; a second is the shortest pause.
const postponeText = `
with old as (
  select id, key, store,
    keepsake.now() >= coalesce(source_expires_at + ${sourceGrace}, created_at + make_interval(secs => $8::float8)) as hopeless,
    case when source_expires_at > keepsake.now()
      then least($7::float8, greatest(1, extract(epoch from source_expires_at - keepsake.now())::float8 / 2))
      else $7::float8 end as pause
  from keepsake.assets where id = $1 and state = 'pending' and attempt = $2 for update
), changed as (
  update keepsake.assets a
  set problem_code = $5, problem_message = $6,
    failures = case when hopeless then a.failures else a.failures + 1 end,
    until = case when hopeless then null else ${later('old.pause')} end,
    state = case when hopeless then 'failed' else 'pending' end,
    key = case when hopeless then null else a.key end,
    store = case when hopeless then 'primary' else a.store end,
    counted = case when hopeless then 0 else a.counted end,
    source_url = case when hopeless then null else a.source_url end,
    upload = case when hopeless then null else a.upload end
  from old where a.id = old.id
  returning ${assetColumnsOf('a')}
), retired as (
  ${retire}
), audited as (
  insert into keepsake.audit (action, asset, owner, collection, actor, request_id, detail)
  select case state when 'failed' then 'asset.failed' else 'asset.postponed' end, changed.id, owner, collection, $3::text,
    $4::text, jsonb_build_object('attempt', attempt, 'code', problem_code, 'failures', failures)
      || case state when 'failed' then '{}' else jsonb_build_object('retryIn', old.pause) end
  from changed join old on old.id = changed.id
)
select ${assetColumns} from changed`

export function postpone(
  database: Database,
  id: string,
  attempt: number,
  problem: AssetProblem,
  retry: { readonly retryIn: number; readonly giveUpAfter: number },
  actor: Actor,
): Promise<AssetRecord | undefined> {
  const values = [problem.code, problem.message, retry.retryIn, retry.giveUpAfter]
  return change(database, postponeText, id, attempt, actor, values)
}

// Locked in the order of ids, so that two processes with the same rows wait for each other instead of deadlocking. A
// row that was put off further, for a retry, stays where it is.
const renewText = `
with held as (
  select a.id from keepsake.assets a
  join unnest($1::uuid[], $2::integer[]) as h (id, attempt) on a.id = h.id and a.attempt = h.attempt
  where a.state = 'pending' order by a.id for update of a
)
update keepsake.assets a set until = greatest(a.until, ${later('$3')}) from held where a.id = held.id`

export async function renew(
  database: Database,
  attempts: readonly { readonly id: string; readonly attempt: number }[],
  lease: number,
): Promise<void> {
  const held = attempts.filter(({ id }) => isAssetId(id))
  if (held.length === 0) return
  await database.service.query(renewText, [held.map(({ id }) => id), held.map(({ attempt }) => attempt), lease])
}

const claimText = `
with old as (
  select id, key, store from keepsake.assets
  where id = $1 and state = 'pending' and attempt = $2 and (until <= keepsake.now() or $6::boolean) and upload is null for update
), changed as (
  update keepsake.assets a set attempt = a.attempt + 1, key = null, store = 'primary', until = ${later('$5')}
  from old where a.id = old.id
  returning ${assetColumnsOf('a')}
), retired as (
  ${retire}
), audited as (
  ${audit('changed', 'asset.retried', "jsonb_build_object('attempt', attempt, 'failures', failures)")}
)
select ${assetColumns} from changed`

export function claim(
  database: Database,
  id: string,
  attempt: number,
  lease: number,
  actor: Actor,
  { held = false }: ClaimOptions = {},
): Promise<AssetRecord | undefined> {
  return change(database, claimText, id, attempt, actor, [lease, held])
}

// $2 is the lease here: a delete takes over whatever attempt there is.
const beginDeleteText = `
with old as (
  select ${assetColumns} from keepsake.assets where id = $1 for update
), changed as (
  update keepsake.assets a
  set state = 'deleting', attempt = a.attempt + 1, until = ${later('$2')}, source_url = null, reopenable = false
  from old where a.id = old.id and old.state <> 'deleting'
  returning ${assetColumnsOf('a')}
), audited as (
  insert into keepsake.audit (action, asset, owner, collection, actor, request_id, detail)
  select 'asset.deleting', changed.id, changed.owner, changed.collection, $3::text, $4::text,
    jsonb_strip_nulls(jsonb_build_object('attempt', changed.attempt, 'from', old.state,
      'size', case old.state when 'stored' then old.size end))
  from changed join old on old.id = changed.id
)
select ${assetColumns} from changed
union all
select ${assetColumns} from old where state = 'deleting'`

export async function beginDelete(
  database: Database,
  id: string,
  lease: number,
  actor: Actor,
): Promise<AssetRecord | undefined> {
  if (!isAssetId(id)) return undefined
  const values = [id, lease, actorName(actor), actor.requestId ?? null]
  const { rows } = await acting(database, actor, (sql) => sql.query(beginDeleteText, values))
  return parseAsset(rows)
}

const purgeText = `
with purged as (
  delete from keepsake.assets where id = $1 and state = 'deleting' and attempt = $2
  returning id, owner, collection, key, store, attempt, upload ->> 'inbox' as inbox
), retired as (
  insert into keepsake.retired_keys (key, store, asset)
  select key, store, id from purged where key is not null
  union all select inbox, store, id from purged where inbox is not null
  on conflict (key, store) do update set retired_at = excluded.retired_at, look_at = excluded.look_at
), elsewhere as (
  -- A copy in another store, which links were given for before a promotion, goes at once with its asset.
  update keepsake.retired_keys r set look_at = least(r.look_at, keepsake.now())
  from purged p where r.key = p.key and r.store <> p.store
), audited as (
  ${audit('purged', 'asset.purged', "jsonb_build_object('attempt', attempt)")}
)
select id from purged`

export async function purge(database: Database, id: string, attempt: number, actor: Actor): Promise<boolean> {
  if (!isAssetId(id)) return false
  const { rows } = await database.service.query(purgeText, [id, attempt, actorName(actor), actor.requestId ?? null])
  return rows.length > 0
}

/**
 * A fenced step of Keepsake's own work, as the service: whoever holds the attempt got it from a read or a reservation
 * that was checked against the owner.
 */
export async function change(
  database: Database,
  text: string,
  id: string,
  attempt: number,
  actor: Actor,
  values: readonly unknown[],
): Promise<AssetRecord | undefined> {
  if (!isAssetId(id)) return undefined
  const { rows } = await database.service.query(text, [
    id,
    attempt,
    actorName(actor),
    actor.requestId ?? null,
    ...values,
  ])
  return parseAsset(rows)
}
