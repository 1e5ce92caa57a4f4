import { z } from 'zod'
import { type AssetHealth, type AssetState, assetHealths, assetStates } from '../media/index.ts'
import { actorName } from './acting.ts'
import type { Actor } from './catalogue.ts'
import { parseRows, safeInteger } from './row.ts'
import type { Database } from './sql.ts'

/** One comparison of the bucket with the catalogue, done or under way. */
export type ScanRecord = {
  readonly id: string
  /** The store's name, such as `s3://media`. */
  readonly bucket: string
  readonly prefix: string
  readonly source: 'list' | 'inventory'
  /** Whether every object was asked for the hash that it states. */
  readonly hashes: boolean
  readonly startedAt: Date
  /** When the listing was begun: what was stored before that must be in it. */
  readonly listedAt: Date
  readonly finishedAt: Date | null
}

/** Keys after `after`, up to and with `until`, compared as far as `position`. */
export type ScanRange = {
  readonly scan: string
  readonly after: string
  readonly until: string
  readonly position: string
}

/** What a scan has looked at so far. */
export type ScanTotals = {
  readonly objects: number
  readonly bytes: number
  readonly rows: number
  /** Objects under Keepsake's own prefixes, which are not counted above. */
  readonly reserved: number
  readonly findings: Readonly<Record<string, { readonly count: number; readonly bytes: number; readonly ripe: number }>>
}

/**
 * Rows as far as a comparison needs them, in columns, and as small as they can be: millions of them are read. Bytes are
 * null while they are not known; flags are those of {@link rowFlags}.
 */
export type KeyedRows = {
  readonly keys: readonly string[]
  readonly sizes: readonly (number | null)[]
  readonly flags: readonly number[]
}

export const rowFlags = {
  /** Stored, and in the bucket: it must have its object. */
  stored: 1,
  /** Stored before the listing began, so that the listing must have its object. */
  settled: 2,
  /** Marked missing. */
  missing: 4,
} as const

/** A stored row of the bucket, for a second look. */
export type SuspectRow = {
  readonly id: string
  readonly key: string
  readonly health: AssetHealth
  readonly size: number | null
  readonly sha256: string | null
}

/** A finding as it is kept: `line` is what stands in the manifest. */
export type ScanFinding = {
  readonly key: string
  readonly kind: string
  /** Of a multipart upload; else empty. */
  readonly upload: string
  /** Bytes. */
  readonly size: number
  readonly ripe: boolean
  readonly line: string
}

/** One state of an object: a later one under the same key differs in it. */
export type SeenObject = { readonly key: string; readonly etag: string; readonly lastModified: Date }
export type Sighting = { readonly key: string; readonly firstSeenAt: Date; readonly lastSeenAt: Date }

export const quarantineStates = ['copying', 'removing', 'quarantined', 'restoring'] as const
export type QuarantineState = (typeof quarantineStates)[number]

/** An orphan on its way to quarantine, in it, or on its way back. */
export type QuarantineEntry = SeenObject & {
  readonly state: QuarantineState
  readonly attempt: number
  /** Bytes. */
  readonly size: number
  readonly asset: string
  readonly owner: string
  readonly collection: string
  /** Nothing may be put back before: a removal may still take effect. */
  readonly unsureUntil: Date | null
}

export type QuarantineRequest = SeenObject & Pick<QuarantineEntry, 'size' | 'asset' | 'owner' | 'collection'>

/** What reconcile asks of the catalogue. All of it is the service's. */
export interface ReconcileQueries {
  /** The catalogue's id, which a bucket of its own carries. */
  installationId(): Promise<string>
  /** Whether this catalogue has put its mark on a bucket. */
  hasMarked(bucket: string): Promise<boolean>
  rememberMarked(bucket: string): Promise<void>
  /** Whether there is a stored asset at all. */
  hasStored(): Promise<boolean>
  /** How many of these assets nothing was ever written down of. The audit is never shortened. */
  countUnheardOf(assets: readonly string[]): Promise<number>

  /** @param listedAt When the listing was made, where it is older than now. */
  beginScan(request: Pick<ScanRecord, 'bucket' | 'prefix' | 'source' | 'hashes'>, listedAt?: Date): Promise<ScanRecord>
  /** The latest scan of this bucket and prefix, where it was not finished. */
  unfinishedScan(bucket: string, prefix: string): Promise<ScanRecord | undefined>
  getScan(id: string): Promise<ScanRecord | undefined>
  /** Whether a scan was begun more than so many seconds ago. */
  isOlderThan(scan: string, seconds: number): Promise<boolean>
  /** The key so many rows after a key, where there are so many up to `until`. */
  keyFurtherOn(after: string, until: string, rows: number): Promise<string | undefined>
  openRange(range: Pick<ScanRange, 'scan' | 'after' | 'until'>): Promise<void>
  ranges(scan: string): Promise<readonly (ScanRange & { readonly done: boolean })[]>
  /** Rows with a key, in byte order, after one key up to and with another. */
  keyedRows(
    range: { readonly after: string; readonly until: string; readonly listedAt: Date },
    limit: number,
  ): Promise<KeyedRows>
  /** Those rows with one of these keys that are stored in the bucket, now. */
  storedWithKeys(keys: readonly string[]): Promise<readonly SuspectRow[]>
  /** Those of the keys that are watched because a row let go of them. */
  retiredAmong(keys: readonly string[]): Promise<ReadonlySet<string>>
  /** Notes that objects were seen without a row, and since when. */
  recordSightings(objects: readonly SeenObject[]): Promise<readonly Sighting[]>
  /** A range's new position with what was found on the way there, at once. False: somebody else moved it meanwhile. */
  saveProgress(
    range: ScanRange,
    to: { readonly position: string; readonly done: boolean },
    seen: Pick<ScanTotals, 'objects' | 'bytes' | 'rows' | 'reserved'>,
    findings: readonly ScanFinding[],
  ): Promise<boolean>
  addFindings(scan: string, findings: readonly ScanFinding[]): Promise<void>
  /** Ends a scan; forgets old scans and sightings. */
  finishScan(id: string): Promise<ScanRecord | undefined>
  scanTotals(id: string): Promise<ScanTotals>
  findings(scan: string, after: ScanFinding | undefined, limit: number): Promise<readonly ScanFinding[]>
  /** States of the rows that have one of these keys. */
  statesOfKeys(keys: readonly string[]): Promise<ReadonlyMap<string, AssetState>>

  /**
   * Claims the move of an orphan, in one statement: it was sighted as this very object, twice, so many seconds apart;
   * no row has its key; the key is not retired; nobody else is at it. Undefined where one of these does not hold.
   */
  claimMove(request: QuarantineRequest, apart: number, lease: number): Promise<QuarantineEntry | undefined>
  /**
   * copying -> removing: from here on no row can get the key. Looks for a row, and for a retired key, once more, when
   * nobody can be in the middle of writing one. Fence: attempt.
   */
  beginRemoval(key: string, attempt: number, lease: number): Promise<boolean>
  /** Takes over a removal whose process was lost; undefined where there is none, or its time is not up. */
  resumeRemoval(key: string, lease: number): Promise<QuarantineEntry | undefined>
  /** removing -> quarantined, with an audit row. Fence: attempt. */
  finishMove(key: string, attempt: number, actor: Actor): Promise<boolean>
  /**
   * Lets another one go on at once with what could not be finished. `unsure`: a removal may still take effect, so
   * nothing is put back for an hour.
   */
  stepBack(key: string, attempt: number, options: { readonly unsure: boolean }): Promise<void>
  /** Lets go of a move that did not come to its removal. Fence: copying, attempt. */
  dropMove(key: string, attempt: number): Promise<boolean>
  /** quarantined, or left half-way -> restoring. Undefined: nothing there, or somebody is at it, or too early. */
  beginRestore(key: string, lease: number): Promise<QuarantineEntry | undefined>
  /** restoring -> no entry, with an audit row; what was sighted is forgotten. Fence: attempt. */
  finishRestore(key: string, attempt: number, actor: Actor): Promise<boolean>
  getQuarantined(key: string): Promise<QuarantineEntry | undefined>
  quarantined(after: string, limit: number): Promise<readonly QuarantineEntry[]>
}

const scanRow = z
  .strictObject({
    id: z.string(),
    bucket: z.string(),
    prefix: z.string(),
    source: z.enum(['list', 'inventory']),
    hashes: z.boolean(),
    started_at: z.date(),
    listed_at: z.date(),
    finished_at: z.date().nullable(),
  })
  .transform(
    ({ started_at: startedAt, listed_at: listedAt, finished_at: finishedAt, ...row }): ScanRecord => ({
      ...row,
      startedAt,
      listedAt,
      finishedAt,
    }),
  )
const scanColumns = 'id, bucket, prefix, source, hashes, started_at, listed_at, finished_at'

// Looked at in a loop: a schema for each of millions of values leaves more garbage than they are.
const arrayOf = <T>(isOne: (value: unknown) => value is T) =>
  z.custom<readonly T[]>((given) => Array.isArray(given) && given.every(isOne))
const keyedRows = z.strictObject({
  keys: arrayOf((value) => typeof value === 'string'),
  sizes: arrayOf((value): value is number | null => value === null || Number.isSafeInteger(value)),
  flags: arrayOf((value): value is number => Number.isSafeInteger(value)),
})

const suspectRow = z.strictObject({
  id: z.string(),
  key: z.string(),
  health: z.enum(assetHealths),
  size: safeInteger.nullable(),
  sha256: z.string().nullable(),
})

const entryRow = z
  .strictObject({
    key: z.string(),
    state: z.enum(quarantineStates),
    attempt: z.int(),
    etag: z.string(),
    size: safeInteger,
    modified_at: z.date(),
    asset: z.string(),
    owner: z.string(),
    collection: z.string(),
    unsure_until: z.date().nullable(),
  })
  .transform(
    ({ modified_at: lastModified, unsure_until: unsureUntil, ...row }): QuarantineEntry => ({
      ...row,
      lastModified,
      unsureUntil,
    }),
  )
const entryColumns = [
  'key',
  'state',
  'attempt',
  'etag',
  'size',
  'modified_at',
  'asset',
  'owner',
  'collection',
  'unsure_until',
]
const entryColumnsOf = (alias: string) => entryColumns.map((name) => `${alias}.${name}`).join(', ')

// A JSON text for each column: a driver takes several times as long over a row of its own for each.
const keyedRowsText = `
select coalesce(json_agg(key), '[]') as keys, coalesce(json_agg(size), '[]') as sizes,
  coalesce(json_agg(flags), '[]') as flags
from (
  select key, size, case when state = 'stored' and store = 'primary' then ${rowFlags.stored} else 0 end
    + case when stored_at < $3::timestamptz then ${rowFlags.settled} else 0 end
    + case when health = 'missing' then ${rowFlags.missing} else 0 end as flags
  from keepsake.assets where key > $1 and key <= $2 order by key limit $4
) as page`

const suspectsText = `
select id, key, health, size, sha256 from keepsake.assets
where key = any($1::text[]) and state = 'stored' and store = 'primary'`

const recordSightingsText = `
insert into keepsake.sightings as s (key, etag, modified_at)
select * from unnest($1::text[], $2::text[], $3::timestamptz[])
on conflict (key) do update set etag = excluded.etag, modified_at = excluded.modified_at,
  first_seen_at = case when s.etag = excluded.etag and s.modified_at = excluded.modified_at
    then s.first_seen_at else excluded.first_seen_at end,
  last_seen_at = excluded.last_seen_at
returning key, first_seen_at as "firstSeenAt", last_seen_at as "lastSeenAt"`
const sightingRow = z.strictObject({ key: z.string(), firstSeenAt: z.date(), lastSeenAt: z.date() })

const findingColumns = 'key, kind, upload, size, ripe, line'
const findingRow = z.strictObject({
  key: z.string(),
  kind: z.string(),
  upload: z.string(),
  size: safeInteger,
  ripe: z.boolean(),
  line: z.string(),
})
const insertFindings = (scan: string, first: number) => `
insert into keepsake.scan_findings (scan, ${findingColumns})
select ${scan}, * from unnest($${first}::text[], $${first + 1}::text[], $${first + 2}::text[], $${first + 3}::bigint[],
  $${first + 4}::boolean[], $${first + 5}::text[])
on conflict (scan, key, kind, upload) do update set size = excluded.size, ripe = excluded.ripe, line = excluded.line`
const findingValues = (findings: readonly ScanFinding[]) => [
  findings.map(({ key }) => key),
  findings.map(({ kind }) => kind),
  findings.map(({ upload }) => upload),
  findings.map(({ size }) => size),
  findings.map(({ ripe }) => ripe),
  findings.map(({ line }) => line),
]

const saveProgressText = `
with moved as (
  update keepsake.scan_ranges r set position = $4, done = $5, objects = r.objects + $6, bytes = r.bytes + $7,
    rows = r.rows + $8, reserved = r.reserved + $9
  where r.scan = $1 and r.after = $2 and r.position = $3 and not r.done
  returning r.scan
), found as (
  insert into keepsake.scan_findings (scan, ${findingColumns})
  select moved.scan, f.* from moved, unnest($10::text[], $11::text[], $12::text[], $13::bigint[], $14::boolean[],
    $15::text[]) as f
  on conflict (scan, key, kind, upload) do update set size = excluded.size, ripe = excluded.ripe, line = excluded.line
)
select scan from moved`

/** Finished scans that are kept, with their manifests. One under way is nobody's to forget for a week. */
const keptScans = 5
const finishScanText = `
with finished as (
  update keepsake.scans set finished_at = coalesce(finished_at, keepsake.now()) where id = $1 returning ${scanColumns}
), old_scans as (
  delete from keepsake.scans where id in (
    select id from keepsake.scans
    where id <> $1 and (finished_at is not null or started_at < keepsake.now() - interval '7 days')
    order by started_at desc offset ${keptScans - 1})
), old_sightings as (
  delete from keepsake.sightings where last_seen_at < keepsake.now() - interval '30 days'
)
select ${scanColumns} from finished`

/** No request to a store is under way for longer. */
const lateDelete = "interval '1 hour'"
const unclaimed = `not exists (select from keepsake.assets a where a.key = $1)
  and not exists (select from keepsake.retired_keys r where r.key = $1)`
const later = (parameter: string) => `keepsake.now() + make_interval(secs => ${parameter}::float8)`

// A copy that another process left half-way is taken over once its time is up.
const claimMoveText = `
insert into keepsake.quarantine as q (key, etag, size, modified_at, asset, owner, collection, until)
select s.key, s.etag, $4, s.modified_at, $5, $6, $7, ${later('$9')}
from keepsake.sightings s
where s.key = $1 and s.etag = $2 and s.modified_at = $3::timestamptz
  and s.last_seen_at - s.first_seen_at >= make_interval(secs => $8::float8)
  and ${unclaimed}
on conflict (key) do update set attempt = q.attempt + 1, until = excluded.until, etag = excluded.etag,
  size = excluded.size, modified_at = excluded.modified_at
where q.state = 'copying' and q.until <= keepsake.now()
returning ${entryColumnsOf('q')}`

// It stays a removal, so that no row can get the key: whoever left it may have sent a delete that is still on its way.
const resumeRemovalText = `
update keepsake.quarantine q set attempt = q.attempt + 1, until = ${later('$2')},
  unsure_until = keepsake.now() + ${lateDelete}
where q.key = $1 and q.state = 'removing' and q.until <= keepsake.now()
returning ${entryColumnsOf('q')}`

const beginRemovalText = `
update keepsake.quarantine q set state = 'removing', until = ${later('$3')}
where q.key = $1 and q.attempt = $2 and q.state = 'copying' and ${unclaimed}
returning q.key`

const audit = (
  action: string,
) => `insert into keepsake.audit (action, asset, owner, collection, actor, request_id, detail)
  select '${action}', asset, owner, collection, $3::text, $4::text, jsonb_build_object('key', key, 'size', size) from changed`

const finishMoveText = `
with changed as (
  update keepsake.quarantine q set state = 'quarantined', until = null, moved_at = keepsake.now()
  where q.key = $1 and q.attempt = $2 and q.state = 'removing' returning ${entryColumnsOf('q')}
), audited as (
  ${audit('object.quarantined')}
)
select key from changed`

const stepBackText = `
update keepsake.quarantine set until = keepsake.now(),
  unsure_until = case when $3::boolean then keepsake.now() + ${lateDelete} else unsure_until end
where key = $1 and attempt = $2 and state <> 'quarantined'`

const beginRestoreText = `
update keepsake.quarantine q set state = 'restoring', attempt = q.attempt + 1, until = ${later('$2')}
where q.key = $1 and (q.state = 'quarantined' or (q.state = 'restoring' and q.until <= keepsake.now())
    or (q.state = 'removing' and q.until + ${lateDelete} <= keepsake.now()))
  and (q.unsure_until is null or q.unsure_until <= keepsake.now())
returning ${entryColumnsOf('q')}`

const finishRestoreText = `
with changed as (
  delete from keepsake.quarantine q where q.key = $1 and q.attempt = $2 and q.state = 'restoring'
  returning ${entryColumnsOf('q')}
), forgotten as (
  delete from keepsake.sightings s using changed where s.key = changed.key
), audited as (
  ${audit('object.restored')}
)
select key from changed`

const totalsText = `
select coalesce(sum(objects), 0)::bigint as objects, coalesce(sum(bytes), 0)::bigint as bytes,
  coalesce(sum(rows), 0)::bigint as rows, coalesce(sum(reserved), 0)::bigint as reserved
from keepsake.scan_ranges where scan = $1`
const totalsRow = z.strictObject({ objects: safeInteger, bytes: safeInteger, rows: safeInteger, reserved: safeInteger })
const kindsText = `
select kind, count(*) as count, coalesce(sum(size), 0)::bigint as bytes, count(*) filter (where ripe) as ripe
from keepsake.scan_findings where scan = $1 group by kind order by kind`
const kindRow = z.strictObject({ kind: z.string(), count: safeInteger, bytes: safeInteger, ripe: safeInteger })

const keyRow = z.strictObject({ key: z.string() })
const idRow = z.strictObject({ id: z.string() })
const rangeRow = z.strictObject({
  scan: z.string(),
  after: z.string(),
  until: z.string(),
  position: z.string(),
  done: z.boolean(),
})

export function reconcileQueries(database: Database): ReconcileQueries {
  const { service } = database
  const rowsOf = async <T>(schema: z.ZodType<T>, text: string, values: readonly unknown[]): Promise<readonly T[]> =>
    parseRows(schema, (await service.query(text, values)).rows)
  const changed = async (text: string, values: readonly unknown[]) =>
    (await service.query(text, values)).rows.length > 0

  return {
    async installationId() {
      const [row] = await rowsOf(idRow, 'select id from keepsake.installation', [])
      return row?.id ?? ''
    },
    hasMarked: (bucket) => changed('select bucket from keepsake.marked_buckets where bucket = $1', [bucket]),
    async rememberMarked(bucket) {
      await service.query('insert into keepsake.marked_buckets (bucket) values ($1) on conflict do nothing', [bucket])
    },
    async countUnheardOf(assets) {
      const [row] = await rowsOf(
        z.strictObject({ count: safeInteger }),
        `select count(*) as count from unnest($1::uuid[]) as named (id)
        where not exists (select from keepsake.audit a where a.asset = named.id)`,
        [assets],
      )
      return row?.count ?? 0
    },
    hasStored: () => changed("select id from keepsake.assets where state = 'stored' limit 1", []),

    async beginScan({ bucket, prefix, source, hashes }, listedAt) {
      const [scan] = await rowsOf(
        scanRow,
        `insert into keepsake.scans (bucket, prefix, source, hashes, listed_at)
        values ($1, $2, $3, $4, coalesce($5::timestamptz, keepsake.now())) returning ${scanColumns}`,
        [bucket, prefix, source, hashes, listedAt ?? null],
      )
      if (scan === undefined) throw new TypeError('An insert answered without a row.')
      return scan
    },
    async unfinishedScan(bucket, prefix) {
      const [scan] = await rowsOf(
        scanRow,
        `select ${scanColumns} from keepsake.scans
        where bucket = $1 and prefix = $2 and source = 'list' order by started_at desc, id desc limit 1`,
        [bucket, prefix],
      )
      return scan?.finishedAt === null ? scan : undefined
    },
    async getScan(id) {
      return (await rowsOf(scanRow, `select ${scanColumns} from keepsake.scans where id = $1::uuid`, [id]))[0]
    },
    isOlderThan: (scan, seconds) =>
      changed(
        'select id from keepsake.scans where id = $1::uuid and started_at < keepsake.now() - make_interval(secs => $2::float8)',
        [scan, seconds],
      ),
    async keyFurtherOn(after, until, rows) {
      const text = 'select key from keepsake.assets where key > $1 and key <= $2 order by key offset $3 limit 1'
      return (await rowsOf(keyRow, text, [after, until, rows]))[0]?.key
    },
    async openRange({ scan, after, until }) {
      await service.query(
        `insert into keepsake.scan_ranges (scan, after, until, position) values ($1, $2, $3, $2)
        on conflict do nothing`,
        [scan, after, until],
      )
    },
    ranges: (scan) =>
      rowsOf(
        rangeRow,
        'select scan, after, until, position, done from keepsake.scan_ranges where scan = $1 order by after',
        [scan],
      ),
    async keyedRows({ after, until, listedAt }, limit) {
      const [rows] = await rowsOf(keyedRows, keyedRowsText, [after, until, listedAt, limit])
      return rows ?? { keys: [], sizes: [], flags: [] }
    },
    storedWithKeys: (keys) => (keys.length === 0 ? Promise.resolve([]) : rowsOf(suspectRow, suspectsText, [keys])),
    async retiredAmong(keys) {
      if (keys.length === 0) return new Set()
      const text = 'select distinct key from keepsake.retired_keys where key = any($1::text[])'
      return new Set((await rowsOf(keyRow, text, [keys])).map(({ key }) => key))
    },
    async recordSightings(objects) {
      if (objects.length === 0) return []
      return rowsOf(sightingRow, recordSightingsText, [
        objects.map(({ key }) => key),
        objects.map(({ etag }) => etag),
        objects.map(({ lastModified }) => lastModified),
      ])
    },
    saveProgress: (range, to, seen, findings) =>
      changed(saveProgressText, [
        range.scan,
        range.after,
        range.position,
        to.position,
        to.done,
        seen.objects,
        seen.bytes,
        seen.rows,
        seen.reserved,
        ...findingValues(findings),
      ]),
    async addFindings(scan, findings) {
      if (findings.length > 0) await service.query(insertFindings('$1::uuid', 2), [scan, ...findingValues(findings)])
    },
    async finishScan(id) {
      return (await rowsOf(scanRow, finishScanText, [id]))[0]
    },
    async scanTotals(id) {
      const [totals] = await rowsOf(totalsRow, totalsText, [id])
      const kinds = await rowsOf(kindRow, kindsText, [id])
      return {
        ...(totals ?? { objects: 0, bytes: 0, rows: 0, reserved: 0 }),
        findings: Object.fromEntries(kinds.map(({ kind, ...rest }) => [kind, rest])),
      }
    },
    findings: (scan, after, limit) =>
      rowsOf(
        findingRow,
        `select ${findingColumns} from keepsake.scan_findings
        where scan = $1 and (key, kind, upload) > ($2, $3, $4) order by key, kind, upload limit $5`,
        [scan, after?.key ?? '', after?.kind ?? '', after?.upload ?? '', limit],
      ),
    async statesOfKeys(keys) {
      const text = 'select key, state from keepsake.assets where key = any($1::text[])'
      const rows = await rowsOf(z.strictObject({ key: z.string(), state: z.enum(assetStates) }), text, [keys])
      return new Map(rows.map(({ key, state }) => [key, state]))
    },

    async claimMove({ key, etag, lastModified, size, asset, owner, collection }, apart, lease) {
      const values = [key, etag, lastModified, size, asset, owner, collection, apart, lease]
      return (await rowsOf(entryRow, claimMoveText, values))[0]
    },
    // Two statements: the second one's snapshot is taken when the lock is held, and so sees every row whose writer had it.
    beginRemoval: (key, attempt, lease) =>
      database.serviceTransaction(async (sql) => {
        await sql.query('select pg_advisory_xact_lock(5240617, hashtext($1))', [key])
        return (await sql.query(beginRemovalText, [key, attempt, lease])).rows.length > 0
      }),
    async resumeRemoval(key, lease) {
      return (await rowsOf(entryRow, resumeRemovalText, [key, lease]))[0]
    },
    finishMove: (key, attempt, actor) =>
      changed(finishMoveText, [key, attempt, actorName(actor), actor.requestId ?? null]),
    async stepBack(key, attempt, { unsure }) {
      await service.query(stepBackText, [key, attempt, unsure])
    },
    dropMove: (key, attempt) =>
      changed("delete from keepsake.quarantine where key = $1 and attempt = $2 and state = 'copying' returning key", [
        key,
        attempt,
      ]),
    async beginRestore(key, lease) {
      return (await rowsOf(entryRow, beginRestoreText, [key, lease]))[0]
    },
    finishRestore: (key, attempt, actor) =>
      changed(finishRestoreText, [key, attempt, actorName(actor), actor.requestId ?? null]),
    async getQuarantined(key) {
      const text = `select ${entryColumnsOf('q')} from keepsake.quarantine q where q.key = $1`
      return (await rowsOf(entryRow, text, [key]))[0]
    },
    quarantined: (after, limit) =>
      rowsOf(
        entryRow,
        `select ${entryColumnsOf('q')} from keepsake.quarantine q where q.key > $1 order by q.key limit $2`,
        [after, limit],
      ),
  }
}
