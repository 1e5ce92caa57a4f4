import { z } from 'zod'
import { KeepsakeError, type MediaKind } from '../media/index.ts'
import { acting } from './acting.ts'
import type { Actor } from './catalogue.ts'
import { requireLimit } from './cursor.ts'
import { parseRows, safeInteger } from './row.ts'
import type { Database } from './sql.ts'

/** What the rows of a report are. `month` and `day` are those in which an asset was made, in UTC. */
export type ReportGroup = 'owner' | 'collection' | 'kind' | 'month' | 'day' | { readonly attribute: string }

export type ReportQuery = {
  /** Null: only the total. */
  readonly by: ReportGroup | null
  readonly owner?: string
  readonly collection?: string
  readonly kind?: MediaKind
  /** Made at or after. */
  readonly from?: Date
  /** Made before. */
  readonly to?: Date
  /** Count the requests and bytes that links were issued for, and the writes, in the last so many seconds. */
  readonly requests?: number
  /** 1 to 1000 rows. */
  readonly limit: number
  /** From the page before; opaque. */
  readonly cursor?: string
}

export type ReportCounts = {
  /** Stored assets, and their bytes. */
  readonly objects: number
  readonly bytes: number
  /** The bytes where each object counts for 128 KiB at least, as storage for rare access is billed. */
  readonly bytesOf128KiB: number
  /** Stored assets of 128 KiB and more. */
  readonly objectsOf128KiB: number
  readonly pending: number
  readonly failed: number
  /** Stored assets whose object was found missing, or with other bytes. */
  readonly missing: number
  readonly corrupt: number
  /** Links issued, and the bytes behind them. Zero unless asked for. */
  readonly reads: number
  readonly readBytes: number
  /** Objects written. Zero unless asked for. */
  readonly writes: number
  /** Stored and deleted in that time, whatever is left of it. Only by month and day, else zero. */
  readonly added: number
  readonly addedBytes: number
  readonly removed: number
  readonly removedBytes: number
}

/** A row: what it counts, and for whom; null for assets without the attribute or, while pending, without a kind. */
export type ReportGroupCounts = ReportCounts & { readonly name: string | null }

export type ReportPage = {
  readonly at: Date
  /** Over all groups, whatever the page. */
  readonly total: ReportCounts
  /** How many groups there are. */
  readonly groups: number
  /** Times newest first, all else by bytes, the most first. */
  readonly rows: readonly ReportGroupCounts[]
  readonly nextCursor: string | null
}

export interface ReportQueries {
  /** Counts what the actor may see, in one statement. Assets that are being deleted are not counted. */
  report(query: ReportQuery, actor: Actor): Promise<ReportPage>
}

export function reportQueries(database: Database): ReportQueries {
  return { report: (query, actor) => report(database, query, actor) }
}

const counts = {
  objects: safeInteger,
  bytes: safeInteger,
  bytes_of_128_kib: safeInteger,
  objects_of_128_kib: safeInteger,
  pending: safeInteger,
  failed: safeInteger,
  missing: safeInteger,
  corrupt: safeInteger,
  reads: safeInteger,
  read_bytes: safeInteger,
  writes: safeInteger,
  added: safeInteger,
  added_bytes: safeInteger,
  removed: safeInteger,
  removed_bytes: safeInteger,
}
const columns = Object.keys(counts)

const reportRow = z.strictObject({
  is_total: z.boolean(),
  at: z.date(),
  groups: safeInteger.nullable(),
  name: z.string().nullable(),
  ...counts,
})
type ReportRow = z.output<typeof reportRow>

const smallest = 128 * 1024

/** What each column counts, in each part that has it; the parts are added up by name. */
const assetCounts: Readonly<Record<string, string>> = {
  objects: "count(*) filter (where a.state = 'stored')",
  bytes: "sum(a.size) filter (where a.state = 'stored')",
  bytes_of_128_kib: `sum(greatest(a.size, ${smallest})) filter (where a.state = 'stored')`,
  objects_of_128_kib: `count(*) filter (where a.state = 'stored' and a.size >= ${smallest})`,
  pending: "count(*) filter (where a.state = 'pending')",
  failed: "count(*) filter (where a.state = 'failed')",
  missing: "count(*) filter (where a.state = 'stored' and a.health = 'missing')",
  corrupt: "count(*) filter (where a.state = 'stored' and a.health = 'corrupt')",
}

const requestCounts: Readonly<Record<string, string>> = {
  reads: "count(*) filter (where e.action = 'url.issued')",
  read_bytes: "sum(a.size) filter (where e.action = 'url.issued')",
  writes: "count(*) filter (where e.action = 'asset.stored')",
}

const growthCounts: Readonly<Record<string, string>> = {
  added: "count(*) filter (where e.action = 'asset.stored')",
  added_bytes: "sum((e.detail ->> 'size')::bigint) filter (where e.action = 'asset.stored')",
  removed: "count(*) filter (where e.action = 'asset.deleting' and e.detail ->> 'from' = 'stored')",
  removed_bytes: "sum((e.detail ->> 'size')::bigint) filter (where e.action = 'asset.deleting')",
}

async function report(database: Database, query: ReportQuery, actor: Actor): Promise<ReportPage> {
  requireLimit(query.limit)
  const values: unknown[] = []
  const text = reportText(query, (value) => `$${values.push(value)}`)
  const { rows } = await acting(database, actor, (sql) => sql.query(text, values))
  const [total, ...found] = parseRows(reportRow, rows)
  if (total === undefined) throw new KeepsakeError('internal', 'A report came without its total.')
  const page = found.slice(0, query.limit)
  const last = page.at(-1)
  return {
    at: total.at,
    total: toCounts(total),
    groups: total.groups ?? 0,
    rows: page.map((row) => ({ name: row.name, ...toCounts(row) })),
    nextCursor: found.length > query.limit && last !== undefined ? writeCursor(last) : null,
  }
}

/** One statement: the parts, added up by group; the total over all of them; and a page of them. */
function reportText(query: ReportQuery, parameter: (value: unknown) => string): string {
  const parts = [assetsPart(query, parameter)]
  if (query.requests !== undefined) parts.push(requestsPart(query, query.requests, parameter))
  if (isTime(query.by)) parts.push(growthPart(query, query.by, parameter))
  const sums = columns.map((column) => `coalesce(sum(${column}), 0)::bigint as ${column}`).join(', ')
  const order = isTime(query.by) ? 'name desc' : 'bytes desc, name is null, name'
  return `
with parts as (${parts.join('\n union all\n')}
), grouped as (
  select name, ${sums} from parts group by name
), page as (
  select * from grouped where ${query.by === null ? 'false' : after(query, parameter)}
  order by ${order} limit ${parameter(query.limit + 1)}
)
select * from (
  select true as is_total, keepsake.now() as at, count(*) as groups, null::text collate "C" as name, ${sums} from grouped
  union all
  select false, keepsake.now(), null, name, ${columns.join(', ')} from page
) as answer order by is_total desc, ${order}`
}

function isTime(by: ReportQuery['by']): by is 'month' | 'day' {
  return by === 'month' || by === 'day'
}

function assetsPart(query: ReportQuery, parameter: (value: unknown) => string): string {
  const where = ["a.state <> 'deleting'", ...assetConditions(query, parameter)]
  return part(groupOf(query.by, parameter), assetCounts, `keepsake.assets a where ${where.join(' and ')}`)
}

/** Of assets that are gone the links still count, by owner and collection; what they weighed is not known any more. */
function requestsPart(query: ReportQuery, seconds: number, parameter: (value: unknown) => string): string {
  const where = [
    "e.action in ('url.issued', 'asset.stored')",
    `e.at >= keepsake.now() - make_interval(secs => ${parameter(seconds)}::float8)`,
    ...auditConditions(query, parameter),
  ]
  const ofAssets = assetConditions({ ...query, owner: undefined, collection: undefined }, parameter)
  const from = 'keepsake.audit e left join keepsake.assets a on a.id = e.asset'
  const group =
    query.by === 'owner' || query.by === 'collection'
      ? { name: `e.${query.by} collate "C"` }
      : groupOf(query.by, parameter)
  return part(group, requestCounts, `${from} where ${[...where, ...ofAssets].join(' and ')}`)
}

/** What was stored and deleted when, out of the audit: what was deleted since is not forgotten. */
function growthPart(query: ReportQuery, by: 'month' | 'day', parameter: (value: unknown) => string): string {
  const where = ["e.action in ('asset.stored', 'asset.deleting')", ...auditConditions(query, parameter)]
  if (query.from !== undefined) where.push(`e.at >= ${parameter(query.from)}::timestamptz`)
  if (query.to !== undefined) where.push(`e.at < ${parameter(query.to)}::timestamptz`)
  return part(timeGroup(by, 'e.at'), growthCounts, `keepsake.audit e where ${where.join(' and ')}`)
}

type Group = { readonly name: string; readonly key?: string }

function part({ name, key = '1' }: Group, counted: Readonly<Record<string, string>>, from: string): string {
  const all = columns.map((column) => `${counted[column] ?? '0'} as ${column}`).join(', ')
  return `select ${name} as name, ${all} from ${from} group by ${key}`
}

function groupOf(by: ReportQuery['by'], parameter: (value: unknown) => string): Group {
  if (by === null) return { name: 'null::text collate "C"' }
  if (typeof by === 'object') return { name: `(a.attributes ->> ${parameter(by.attribute)}::text) collate "C"` }
  return isTime(by) ? timeGroup(by, 'a.created_at') : { name: `a.${by} collate "C"` }
}

/** Grouped by the time itself: to write it down takes ten times as long, and is done once for a group. */
function timeGroup(by: 'month' | 'day', column: string): Group {
  const key = `date_trunc('${by}', ${column} at time zone 'UTC')`
  return { name: `to_char(${key}, '${by === 'day' ? 'YYYY-MM-DD' : 'YYYY-MM'}') collate "C"`, key }
}

type Conditions = { readonly [Name in keyof ReportQuery]?: ReportQuery[Name] | undefined }

function assetConditions(query: Conditions, parameter: (value: unknown) => string): string[] {
  const where = ownerConditions('a', query, parameter)
  if (query.kind !== undefined) where.push(`a.kind = ${parameter(query.kind)}`)
  if (query.from !== undefined) where.push(`a.created_at >= ${parameter(query.from)}::timestamptz`)
  if (query.to !== undefined) where.push(`a.created_at < ${parameter(query.to)}::timestamptz`)
  return where
}

function auditConditions(query: Conditions, parameter: (value: unknown) => string): string[] {
  return ownerConditions('e', query, parameter)
}

function ownerConditions(table: string, query: Conditions, parameter: (value: unknown) => string): string[] {
  const where: string[] = []
  if (query.owner !== undefined) where.push(`${table}.owner = ${parameter(query.owner)}`)
  if (query.collection !== undefined) where.push(`${table}.collection = ${parameter(query.collection)}`)
  return where
}

/** Groups after the cursor, in the order of the report. */
function after({ by, cursor }: ReportQuery, parameter: (value: unknown) => string): string {
  if (cursor === undefined) return 'true'
  const last = readCursor(cursor)
  if (isTime(by)) return `name < ${parameter(last.name)}`
  const bytes = parameter(last.bytes)
  if (last.name === null) return `bytes < ${bytes}::bigint`
  return `(bytes < ${bytes}::bigint or (bytes = ${bytes}::bigint and (name is null or name > ${parameter(last.name)})))`
}

const cursorShape = z.strictObject({ bytes: z.int().min(0), name: z.string().nullable() })

function writeCursor({ bytes, name }: Pick<ReportRow, 'bytes' | 'name'>): string {
  return Buffer.from(JSON.stringify({ bytes, name })).toString('base64url')
}

function readCursor(cursor: string): z.output<typeof cursorShape> {
  try {
    return cursorShape.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')))
  } catch (cause) {
    throw new KeepsakeError(
      'invalid_request',
      'The cursor is not one. Send nextCursor of the page before, unchanged.',
      {
        cause,
      },
    )
  }
}

function toCounts(row: ReportRow): ReportCounts {
  return {
    objects: row.objects,
    bytes: row.bytes,
    bytesOf128KiB: row.bytes_of_128_kib,
    objectsOf128KiB: row.objects_of_128_kib,
    pending: row.pending,
    failed: row.failed,
    missing: row.missing,
    corrupt: row.corrupt,
    reads: row.reads,
    readBytes: row.read_bytes,
    writes: row.writes,
    added: row.added,
    addedBytes: row.added_bytes,
    removed: row.removed,
    removedBytes: row.removed_bytes,
  }
}
