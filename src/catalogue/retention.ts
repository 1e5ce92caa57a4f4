import { z } from 'zod'
import { type AssetRecord, isAssetId } from '../media/index.ts'
import { actorName } from './acting.ts'
import type { Actor } from './catalogue.ts'
import { assetColumns, assetColumnsOf, parseAsset, parseAssets, parseRows, safeInteger } from './row.ts'
import type { Database } from './sql.ts'

/** What a change of an asset's retention names; what is left out stays as it is. */
export type RetentionChange = {
  readonly pinned?: boolean | undefined
  /** Seconds from when it was stored, 0 for ever. */
  readonly keep?: number | undefined
}

/** The old files that a clean-up is about: stored, not pinned, made before a moment. */
export type CleanupScope = {
  readonly before: Date
  readonly owner?: string | undefined
  readonly collection?: string | undefined
}

export type OldAssets = {
  readonly before: Date
  readonly assets: number
  readonly bytes: number
  /** As old, and left alone because they are pinned. */
  readonly pinned: number
  readonly oldest: Date | null
}

export interface RetentionQueries {
  /**
   * Pins, unpins, or changes when retention ends. Fence: stored, attempt and expiresAt as they were read, and an end
   * that is not past: that would be a delete. Undefined where it did not hold.
   */
  setRetention(
    seen: Pick<AssetRecord, 'id' | 'attempt' | 'expiresAt'>,
    change: RetentionChange,
    actor: Actor,
  ): Promise<AssetRecord | undefined>

  /** stored -> deleting, for the end of retention. Fence: stored, not pinned, past expiresAt at this very moment. */
  beginExpiry(id: string, lease: number, actor: Actor): Promise<AssetRecord | undefined>

  /** How much is older than so many seconds, and since which moment, on the database's clock, that is. */
  countOld(olderThan: number, scope: Omit<CleanupScope, 'before'>): Promise<OldAssets>

  /** Ids of old assets of one owner or collection, oldest first, a page at a time. */
  listOld(scope: CleanupScope, after: OldAsset | undefined, limit: number): Promise<readonly OldAsset[]>

  /** The collections that have assets. */
  collectionsInUse(): Promise<readonly string[]>

  /** stored -> deleting for those of the ids that are still in the scope, by one statement. */
  beginCleanup(ids: readonly string[], before: Date, lease: number, actor: Actor): Promise<readonly AssetRecord[]>
}

/** Where an old asset stands in the order of a clean-up. */
export type OldAsset = { readonly id: string; readonly createdAt: Date }

export function retentionQueries(database: Database): RetentionQueries {
  return {
    setRetention: (seen, change, actor) => setRetention(database, seen, change, actor),
    beginExpiry: async (id, lease, actor) => {
      const [asset] = await begin(database, beginExpiryText, [id], lease, actor, [])
      return asset
    },
    countOld: (olderThan, scope) => countOld(database, olderThan, scope),
    listOld: (scope, after, limit) => listOld(database, scope, after, limit),
    collectionsInUse: () => collectionsInUse(database),
    beginCleanup: (ids, before, lease, actor) => begin(database, beginCleanupText, ids, lease, actor, [before]),
  }
}

const setRetentionText = `
with changed as (
  update keepsake.assets
  set pinned = coalesce($6::boolean, pinned),
    expires_at = case when $7::float8 is null then expires_at
      when $7::float8 > 0 then stored_at + make_interval(secs => $7::float8) end
  where id = $1 and state = 'stored' and attempt = $2 and expires_at is not distinct from $5::timestamptz
    and (coalesce($7::float8, 0) = 0 or stored_at + make_interval(secs => $7::float8) > keepsake.now())
  returning ${assetColumns}
), audited as (
  insert into keepsake.audit (action, asset, owner, collection, actor, request_id, detail)
  select 'asset.retention', id, owner, collection, $3::text, $4::text,
    jsonb_build_object('pinned', pinned, 'keep', $7::float8,
      'expiresAt', to_char(expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
  from changed
)
select ${assetColumns} from changed`

async function setRetention(
  database: Database,
  seen: Pick<AssetRecord, 'id' | 'attempt' | 'expiresAt'>,
  change: RetentionChange,
  actor: Actor,
): Promise<AssetRecord | undefined> {
  if (!isAssetId(seen.id)) return undefined
  // As the service: the caller read the row as the actor, and attempt and expiresAt fence what was read.
  const { rows } = await database.service.query(setRetentionText, [
    seen.id,
    seen.attempt,
    actorName(actor),
    actor.requestId ?? null,
    seen.expiresAt,
    change.pinned ?? null,
    change.keep ?? null,
  ])
  return parseAsset(rows)
}

/** The begin of a delete that nobody asked for by name. Its reason for each row is checked once more in the statement. */
function beginText(condition: string, reason: string): string {
  return `
with old as (
  select id from keepsake.assets
  where id = any ($1::uuid[]) and state = 'stored' and not pinned and ${condition} order by id for update
), changed as (
  update keepsake.assets a
  set state = 'deleting', attempt = a.attempt + 1, until = keepsake.now() + make_interval(secs => $2::float8),
    source_url = null
  from old where a.id = old.id
  returning ${assetColumnsOf('a')}
), audited as (
  insert into keepsake.audit (action, asset, owner, collection, actor, request_id, detail)
  select 'asset.deleting', id, owner, collection, $3::text, $4::text,
    jsonb_build_object('attempt', attempt, 'from', 'stored', 'reason', '${reason}', 'size', size)
  from changed
)
select ${assetColumns} from changed`
}

const beginExpiryText = beginText('expires_at <= keepsake.now()', 'expired')
const beginCleanupText = beginText('created_at < $5::timestamptz', 'cleanup')

async function begin(
  database: Database,
  text: string,
  ids: readonly string[],
  lease: number,
  actor: Actor,
  values: readonly unknown[],
): Promise<readonly AssetRecord[]> {
  const known = ids.filter(isAssetId)
  if (known.length === 0) return []
  const all = [known, lease, actorName(actor), actor.requestId ?? null, ...values]
  const { rows } = await database.service.query(text, all)
  return parseAssets(rows)
}

const countRow = z.strictObject({
  before: z.date(),
  assets: safeInteger,
  bytes: safeInteger,
  pinned: safeInteger,
  oldest: z.date().nullable(),
})

async function countOld(
  database: Database,
  olderThan: number,
  scope: Omit<CleanupScope, 'before'>,
): Promise<OldAssets> {
  const { conditions, values } = scopeOf(scope, [olderThan])
  const { rows } = await database.service.query(
    `select cut.before, count(*) filter (where not pinned) as assets,
      coalesce(sum(size) filter (where not pinned), 0)::bigint as bytes,
      count(*) filter (where pinned) as pinned, min(created_at) filter (where not pinned) as oldest
    from (select keepsake.now() - make_interval(secs => $1::float8) as before) cut
    left join keepsake.assets on state = 'stored' and created_at < cut.before${conditions}
    group by cut.before`,
    values,
  )
  const [counted] = parseRows(countRow, rows)
  return counted ?? { before: new Date(0), assets: 0, bytes: 0, pinned: 0, oldest: null }
}

const oldRow = z
  .strictObject({ id: z.string(), created_at: z.date() })
  .transform(({ id, created_at: createdAt }): OldAsset => ({ id, createdAt }))

/** Owner and collection have an index by age each; whoever cleans up everything does so collection by collection. */
async function listOld(
  database: Database,
  scope: CleanupScope,
  after: OldAsset | undefined,
  limit: number,
): Promise<readonly OldAsset[]> {
  const { conditions, values } = scopeOf(scope, [
    scope.before,
    limit,
    after?.createdAt ?? new Date(0),
    after?.id ?? '00000000-0000-0000-0000-000000000000',
  ])
  const { rows } = await database.service.query(
    `select id, created_at from keepsake.assets
    where state = 'stored' and not pinned and created_at < $1::timestamptz
      and (created_at, id) > ($3::timestamptz, $4::uuid)${conditions}
    order by created_at, id limit $2`,
    values,
  )
  return parseRows(oldRow, rows)
}

function scopeOf({ owner, collection }: Omit<CleanupScope, 'before'>, given: readonly unknown[]) {
  const values = [...given]
  let conditions = ''
  if (owner !== undefined) conditions += ` and owner = $${values.push(owner)}`
  if (collection !== undefined) conditions += ` and collection = $${values.push(collection)}`
  return { conditions, values }
}

// From one collection to the next by the index, instead of through all rows.
const collectionsText = `
with recursive found as (
  (select collection from keepsake.assets order by collection limit 1)
  union all
  select (select a.collection from keepsake.assets a where a.collection > found.collection order by a.collection limit 1)
  from found where found.collection is not null
)
select collection from found where collection is not null`

async function collectionsInUse(database: Database): Promise<readonly string[]> {
  const { rows } = await database.service.query(collectionsText)
  return parseRows(z.strictObject({ collection: z.string() }), rows).map(({ collection }) => collection)
}
