import { z } from 'zod'
import { type AssetHealth, type AssetRecord, isAssetId, type StorePlace } from '../media/index.ts'
import { actorName } from './acting.ts'
import type { Actor } from './catalogue.ts'
import { assetColumns, parseAsset, parseRows, safeInteger } from './row.ts'
import type { Database } from './sql.ts'

/** How closely an object is looked at: whether it is there, or whether its bytes hash to what they should. */
export type CheckDepth = 'head' | 'bytes'

/** A stored asset whose turn it is, and when it was last looked at; being stored counts as a look. */
export type DueCheck = { readonly asset: AssetRecord; readonly lastChecked: Date }

export type CheckScope = {
  readonly depth: CheckDepth
  readonly stores: readonly StorePlace[]
  readonly owner?: string | undefined
  readonly collection?: string | undefined
  /** Only what was last looked at before. */
  readonly before: Date
}

export type HealthFacts = {
  readonly missing: number
  readonly corrupt: number
  /** When the stored asset that has waited longest was last looked at; null where there is none. */
  readonly oldestCheck: Date | null
  /** The same, of looks that read the bytes. */
  readonly oldestRead: Date | null
}

/** The last run of one kind of upkeep. `detail` has its result, or the code of what ended it. */
export type UpkeepRun = {
  readonly name: string
  readonly startedAt: Date
  readonly endedAt: Date
  readonly detail: Readonly<Record<string, unknown>>
}

export interface HealthQueries {
  /** Now, on the database's clock. */
  now(): Promise<Date>

  /** Stored assets, those first that were looked at longest ago, a page at a time. */
  dueChecks(scope: CheckScope, after: DueCheck | undefined, limit: number): Promise<readonly DueCheck[]>

  /** Writes down that the objects of these assets were found as they should be. No transition, no audit. */
  recordChecks(ids: readonly string[], depth: CheckDepth): Promise<void>

  /**
   * Changes the health of an asset. Fence: the row is as it was read: stored, attempt, key, store and health. Undefined where
   * it is not.
   */
  markHealth(
    seen: AssetRecord,
    health: AssetHealth,
    detail: Readonly<Record<string, string | number>>,
    actor: Actor,
  ): Promise<AssetRecord | undefined>

  /** Where a stored asset was imported from, where that is a plain address (see migration 12). */
  originOf(id: string): Promise<string | undefined>

  /** For metrics. Cheap: by index alone. */
  healthFacts(): Promise<HealthFacts>

  recordRun(run: UpkeepRun): Promise<void>
  lastRuns(): Promise<readonly UpkeepRun[]>
}

export function healthQueries(database: Database): HealthQueries {
  return {
    now: () => now(database),
    dueChecks: (scope, after, limit) => dueChecks(database, scope, after, limit),
    recordChecks: (ids, depth) => recordChecks(database, ids, depth),
    markHealth: (seen, health, detail, actor) => markHealth(database, seen, health, detail, actor),
    originOf: (id) => originOf(database, id),
    healthFacts: () => healthFacts(database),
    recordRun: (run) => recordRun(database, run),
    lastRuns: () => lastRuns(database),
  }
}

async function now(database: Database): Promise<Date> {
  const { rows } = await database.service.query('select keepsake.now() as now', [])
  const [row] = parseRows(z.strictObject({ now: z.date() }), rows)
  return row?.now ?? new Date()
}

const lastLook = { head: 'coalesce(checked_at, stored_at)', bytes: 'coalesce(read_at, stored_at)' } as const

const dueRow = z.looseObject({ last_checked: z.date() })

async function dueChecks(
  database: Database,
  scope: CheckScope,
  after: DueCheck | undefined,
  limit: number,
): Promise<readonly DueCheck[]> {
  const look = lastLook[scope.depth]
  const values: unknown[] = [
    scope.stores,
    scope.before,
    limit,
    after?.lastChecked ?? new Date(0),
    after?.asset.id ?? '00000000-0000-0000-0000-000000000000',
  ]
  let conditions = ''
  if (scope.owner !== undefined) conditions += ` and owner = $${values.push(scope.owner)}`
  if (scope.collection !== undefined) conditions += ` and collection = $${values.push(scope.collection)}`
  const { rows } = await database.service.query(
    `select ${assetColumns}, ${look} as last_checked from keepsake.assets
    where state = 'stored' and store = any ($1::text[]) and ${look} < $2::timestamptz
      and (${look}, id) > ($4::timestamptz, $5::uuid)${conditions}
    order by ${look}, id limit $3`,
    values,
  )
  return parseRows(dueRow, rows).flatMap(({ last_checked: lastChecked, ...row }) => {
    const asset = parseAsset([row])
    return asset === undefined ? [] : [{ asset, lastChecked }]
  })
}

/** Locked in the order of ids, so that two runs over the same rows wait for each other instead of deadlocking. */
const recordTextOf = (changes: string) => `
with held as (
  select id from keepsake.assets where id = any ($1::uuid[]) and state = 'stored' order by id for update
)
update keepsake.assets a set ${changes} from held where a.id = held.id`

const recordText = {
  head: recordTextOf('checked_at = keepsake.now()'),
  bytes: recordTextOf('checked_at = keepsake.now(), read_at = keepsake.now()'),
} as const

async function recordChecks(database: Database, ids: readonly string[], depth: CheckDepth): Promise<void> {
  const known = ids.filter(isAssetId)
  if (known.length > 0) await database.service.query(recordText[depth], [known])
}

const markText = `
with changed as (
  update keepsake.assets set health = $5, checked_at = keepsake.now()
  where id = $1 and state = 'stored' and attempt = $2 and key = $6 and health = $7 and health <> $5 and store = $9
  returning ${assetColumns}
), audited as (
  insert into keepsake.audit (action, asset, owner, collection, actor, request_id, detail)
  select case health when 'ok' then 'asset.recovered' else 'asset.' || health end, id, owner, collection, $3::text,
    $4::text, $8::jsonb || jsonb_build_object('attempt', attempt)
  from changed
)
select ${assetColumns} from changed`

async function markHealth(
  database: Database,
  seen: AssetRecord,
  health: AssetHealth,
  detail: Readonly<Record<string, string | number>>,
  actor: Actor,
): Promise<AssetRecord | undefined> {
  if (!isAssetId(seen.id)) return undefined
  const { rows } = await database.service.query(markText, [
    seen.id,
    seen.attempt,
    actorName(actor),
    actor.requestId ?? null,
    health,
    seen.key,
    seen.health,
    JSON.stringify(detail),
    seen.store,
  ])
  return parseAsset(rows)
}

const originRow = z.strictObject({ origin_url: z.string() })

async function originOf(database: Database, id: string): Promise<string | undefined> {
  if (!isAssetId(id)) return undefined
  const text = "select origin_url from keepsake.assets where id = $1 and state = 'stored' and origin_url is not null"
  const [row] = parseRows(originRow, (await database.service.query(text, [id])).rows)
  return row?.origin_url
}

const factsText = `
select
  (select count(*) from keepsake.assets where state = 'stored' and health <> 'ok' and health = 'missing') as missing,
  (select count(*) from keepsake.assets where state = 'stored' and health <> 'ok' and health = 'corrupt') as corrupt,
  (select ${lastLook.head} from keepsake.assets where state = 'stored' order by ${lastLook.head}, id limit 1)
    as oldest_check,
  (select ${lastLook.bytes} from keepsake.assets where state = 'stored' order by ${lastLook.bytes}, id limit 1)
    as oldest_read`

const factsRow = z.strictObject({
  missing: safeInteger,
  corrupt: safeInteger,
  oldest_check: z.date().nullable(),
  oldest_read: z.date().nullable(),
})

async function healthFacts(database: Database): Promise<HealthFacts> {
  const { rows } = await database.service.query(factsText)
  const [facts] = parseRows(factsRow, rows)
  return {
    missing: facts?.missing ?? 0,
    corrupt: facts?.corrupt ?? 0,
    oldestCheck: facts?.oldest_check ?? null,
    oldestRead: facts?.oldest_read ?? null,
  }
}

const recordRunText = `
insert into keepsake.upkeep_runs (name, started_at, ended_at, detail) values ($1, $2, $3, $4::jsonb)
on conflict (name) do update
set started_at = excluded.started_at, ended_at = excluded.ended_at, detail = excluded.detail`

async function recordRun(database: Database, run: UpkeepRun): Promise<void> {
  const values = [run.name, run.startedAt, run.endedAt, JSON.stringify(run.detail)]
  await database.service.query(recordRunText, values)
}

const runRow = z
  .strictObject({
    name: z.string(),
    started_at: z.date(),
    ended_at: z.date(),
    detail: z.record(z.string(), z.unknown()),
  })
  .transform(
    (row): UpkeepRun => ({ name: row.name, startedAt: row.started_at, endedAt: row.ended_at, detail: row.detail }),
  )

async function lastRuns(database: Database): Promise<readonly UpkeepRun[]> {
  const { rows } = await database.service.query(
    'select name, started_at, ended_at, detail from keepsake.upkeep_runs order by name',
  )
  return parseRows(runRow, rows)
}
