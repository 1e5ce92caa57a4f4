import { z } from 'zod'
import { isAssetId, KeepsakeError } from '../media/index.ts'
import { acting, actorName } from './acting.ts'
import type { Actor, AuditAction, AuditEntry, AuditFilter, IssuedUrl } from './catalogue.ts'
import { readAuditCursor, requireLimit, writeAuditCursor } from './cursor.ts'
import { parseRows, safeInteger } from './row.ts'
import type { Database } from './sql.ts'

const actions = [
  'asset.reserved',
  'asset.retried',
  'asset.reopened',
  'asset.postponed',
  'asset.stored',
  'asset.failed',
  'asset.deleting',
  'asset.purged',
  'asset.rebuilt',
  'asset.retention',
  'asset.described',
  'asset.missing',
  'asset.corrupt',
  'asset.recovered',
  'asset.promoted',
  'object.quarantined',
  'object.restored',
  'url.issued',
] as const satisfies readonly AuditAction[]

const entryRow = z
  .strictObject({
    id: safeInteger,
    at: z.date(),
    action: z.enum(actions),
    asset: z.string(),
    owner: z.string(),
    collection: z.string(),
    actor: z.string(),
    request_id: z.string().nullable(),
    detail: z.record(z.string(), z.unknown()),
  })
  .transform(
    ({ id, request_id: requestId, ...row }): AuditEntry => ({
      id: String(id),
      at: row.at,
      action: row.action,
      asset: row.asset,
      owner: row.owner,
      collection: row.collection,
      actor: row.actor,
      requestId,
      detail: row.detail,
    }),
  )

// The URL itself is a secret and stays out. The join takes owner and collection from the asset, and for a user only
// the user's own.
const issuedText = `
insert into keepsake.audit (action, asset, owner, collection, actor, request_id, detail)
select 'url.issued', a.id, a.owner, a.collection, $4::text, $5::text,
  jsonb_strip_nulls(jsonb_build_object('expiresAt', to_char(u.expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'variant', u.variant))
from unnest($1::uuid[], $2::timestamptz[], $3::text[]) with ordinality as u (asset, expires_at, variant, place)
join keepsake.assets a on a.id = u.asset and ($6::text is null or a.owner = $6)
order by u.place`

export async function recordIssuedUrls(database: Database, urls: readonly IssuedUrl[], actor: Actor): Promise<void> {
  if (urls.length === 0) return
  const odd = urls.find((url) => !isAssetId(url.asset))
  if (odd !== undefined) throw new KeepsakeError('asset_not_found', `'${odd.asset}' is no asset id.`)
  const values = [
    urls.map((url) => url.asset),
    urls.map((url) => url.expiresAt),
    urls.map((url) => url.variant ?? null),
    actorName(actor),
    actor.requestId ?? null,
    actor.role === 'user' ? actor.owner : null,
  ]
  // As the service, whoever acts: what a link is issued for was read as the actor, and a statement is a quarter of a
  // transaction of its own.
  await database.service.query(issuedText, values)
}

export async function listAudit(
  database: Database,
  filter: AuditFilter,
  actor: Actor,
): Promise<{ readonly entries: readonly AuditEntry[]; readonly nextCursor: string | null }> {
  requireLimit(filter.limit)
  if (filter.asset !== undefined && !isAssetId(filter.asset)) return { entries: [], nextCursor: null }
  const conditions = ['true']
  const values: unknown[] = []
  const where = (condition: (parameter: string) => string, value: unknown) => {
    conditions.push(condition(`$${values.push(value)}`))
  }
  if (filter.asset !== undefined) where((p) => `asset = ${p}`, filter.asset)
  if (filter.owner !== undefined) where((p) => `owner = ${p}`, filter.owner)
  if (filter.from !== undefined) where((p) => `at >= ${p}::timestamptz`, filter.from)
  if (filter.to !== undefined) where((p) => `at < ${p}::timestamptz`, filter.to)
  if (filter.cursor !== undefined) where((p) => `id < ${p}::bigint`, readAuditCursor(filter.cursor))
  // Ids grow with time, and unlike times they are never equal.
  const text =
    'select id, at, action, asset, owner, collection, actor, request_id, detail from keepsake.audit ' +
    `where ${conditions.join(' and ')} order by id desc limit $${values.push(filter.limit + 1)}`
  const { rows } = await acting(database, actor, (sql) => sql.query(text, values))
  const entries = parseRows(entryRow, rows.slice(0, filter.limit))
  const last = entries.at(-1)
  return { entries, nextCursor: rows.length > filter.limit && last !== undefined ? writeAuditCursor(last.id) : null }
}
