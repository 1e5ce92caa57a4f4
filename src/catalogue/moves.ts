import { z } from 'zod'
import { type AssetProblem, type AssetRecord, KeepsakeError, type MediaKind } from '../media/index.ts'
import { requireLimit } from './cursor.ts'
import { violatedUnique } from './database-error.ts'
import { assetColumnsOf, parseAssets, parseRows, safeInteger } from './row.ts'
import type { Database } from './sql.ts'

/** The stages of a move, in order. */
export const moveStages = ['inventory', 'copy', 'verify', 'cutover', 'done'] as const
export type MoveStage = (typeof moveStages)[number]

/**
 * A file of a move: `found` in the source, `placed` (a pending asset with a key waits for it), `copied`, `verified`,
 * `done` (its asset is stored); `failed`; `skipped` (an earlier move took it over as it is); `retired` (done, and gone
 * from the source).
 */
export const moveFileStates = ['found', 'placed', 'copied', 'verified', 'done', 'failed', 'skipped', 'retired'] as const
export type MoveFileState = (typeof moveFileStates)[number]

const optionsShape = z.strictObject({
  match: z.string().nullable(),
  map: z.string().nullable(),
  keepKeys: z.boolean(),
  owner: z.string().nullable(),
  attributes: z.record(z.string(), z.string()),
})

/** How a move's files become assets; fixed when it is begun. */
export type MoveOptions = z.output<typeof optionsShape>

export type Move = {
  readonly id: string
  /** A folder, or `s3://bucket/prefix`. */
  readonly source: string
  readonly collection: string
  readonly options: MoveOptions
  readonly stage: MoveStage
  readonly createdAt: Date
  readonly changedAt: Date
}

export type MoveFile = {
  readonly path: string
  /** Bytes. */
  readonly size: number
  readonly version: string
  readonly state: MoveFileState
  readonly asset: string | null
  readonly sha256: string | null
  readonly problem: AssetProblem | null
}

export type FoundFile = Pick<MoveFile, 'path' | 'size' | 'version'>

/** What a file turned out to be, and the asset that is to be made of it. */
export type PlacedFile = {
  readonly path: string
  readonly asset: string
  readonly owner: string
  readonly attributes: Readonly<Record<string, string>>
  readonly filename: string
  readonly key: string
  readonly kind: MediaKind
  readonly contentType: string
  readonly size: number
  readonly sha256: string
  readonly width: number | null
  readonly height: number | null
  readonly duration: number | null
}

/** The row that was made for a file; the rest of it is as it was asked for. */
export type PlacedAsset = { readonly id: string; readonly createdAt: Date }

/** A file whose bytes are in the store, to be verified. */
export type CopiedFile = {
  readonly path: string
  /** Bytes. */
  readonly size: number
  readonly sha256: string
  /** As the store gave it; null where that is not known. */
  readonly etag: string | null
  /** Null where the asset was deleted or given up meanwhile. */
  readonly key: string | null
  readonly asset: string
}

export type MoveCounts = Readonly<Record<MoveFileState, { readonly files: number; readonly bytes: number }>>

/**
 * Moves of existing media into a collection. All of it is the service's. Whoever works on a move holds it by `runner`;
 * a step of one that was taken over changes nothing.
 */
export interface MoveQueries {
  /** The move of this source and collection that is not done, or a new one. */
  openMove(request: Pick<Move, 'id' | 'source' | 'collection' | 'options'>): Promise<Move>

  /** Takes hold of a move for so many seconds, or holds it longer. Undefined while another runner holds it. */
  holdMove(id: string, runner: string, lease: number): Promise<Move | undefined>

  /** Until when somebody holds it, as far as is known; null where nobody does. */
  moveHeldUntil(id: string): Promise<Date | null>

  /** Lets go of it at once. */
  releaseMove(id: string, runner: string): Promise<void>

  /** Goes on to a stage. False where the move is another runner's by now. */
  advanceMove(id: string, runner: string, stage: MoveStage): Promise<boolean>

  /** Newest first. */
  listMoves(limit: number): Promise<readonly Move[]>

  getMove(id: string): Promise<Move | undefined>

  /**
   * Notes files that were found. One that is known stays as it is, unless it is `found` or `failed` and has changed; one that an
   * earlier, finished move of this source took over unchanged is `skipped`.
   */
  addMoveFiles(move: string, files: readonly FoundFile[]): Promise<void>

  /** By path, of these states, after a path. */
  moveFiles(move: string, states: readonly MoveFileState[], after: string, limit: number): Promise<readonly MoveFile[]>

  countMoveFiles(move: string): Promise<MoveCounts>

  /**
   * found -> placed: makes a pending asset with its key for each file, whose lease is so many seconds, in one statement.
   * Files whose key is taken, or was, are not among the answers.
   *
   * @throws `quota_exceeded`, and nothing was placed.
   */
  placeMoveFiles(
    move: string,
    collection: string,
    files: readonly PlacedFile[],
    options: { readonly lease: number; readonly quota: number | null },
  ): Promise<readonly PlacedAsset[]>

  /** The assets of files that were placed before. */
  placedAssets(move: string, paths: readonly string[]): Promise<readonly AssetRecord[]>

  /** placed -> copied, with the ETag that the store gave the object. */
  markCopied(move: string, files: readonly Pick<CopiedFile, 'path' | 'etag'>[]): Promise<void>

  /** By path, after a path. */
  copiedFiles(move: string, after: string, limit: number): Promise<readonly CopiedFile[]>

  /** copied -> verified. */
  markVerified(move: string, paths: readonly string[]): Promise<void>

  /** Any open state -> failed. A pending asset that was made for it fails too, and its key is retired. */
  failMoveFiles(move: string, failures: readonly (AssetProblem & { readonly path: string })[]): Promise<void>

  /** failed -> found, for all of them. Answers how many. */
  retryMoveFiles(move: string): Promise<number>

  /**
   * verified -> done, so many at a time: their assets are stored from here on. `keep`: seconds until retention ends.
   * Answers how many files it settled; 0 when there are no more that no other call is about to settle.
   */
  cutOverMoveFiles(move: string, options: { readonly limit: number; readonly keep: number | null }): Promise<number>

  /** done -> retired. */
  retireMoveFiles(move: string, paths: readonly string[]): Promise<void>

  /** Of these paths those whose asset is stored: their source may go. */
  retirableMoveFiles(move: string, paths: readonly string[], ownPrefix: string | null): Promise<readonly string[]>
}

const moveRow = z
  .strictObject({
    id: z.string(),
    source: z.string(),
    collection: z.string(),
    options: optionsShape,
    stage: z.enum(moveStages),
    created_at: z.date(),
    changed_at: z.date(),
  })
  .transform(({ created_at, changed_at, ...row }): Move => ({ ...row, createdAt: created_at, changedAt: changed_at }))

const moveColumns = 'id, source, collection, options, stage, created_at, changed_at'

const fileRow = z
  .strictObject({
    path: z.string(),
    size: safeInteger,
    version: z.string(),
    state: z.enum(moveFileStates),
    asset: z.string().nullable(),
    sha256: z.string().nullable(),
    problem_code: z.string().nullable(),
    problem_message: z.string().nullable(),
  })
  .transform(
    ({ problem_code: code, problem_message: message, ...row }): MoveFile => ({
      ...row,
      problem: code === null ? null : { code, message: message ?? '' },
    }),
  )

const placedRow = z
  .strictObject({ id: z.string(), created_at: z.date() })
  .transform(({ id, created_at: createdAt }): PlacedAsset => ({ id, createdAt }))
const copiedRow = z.strictObject({
  path: z.string(),
  size: safeInteger,
  sha256: z.string(),
  etag: z.string().nullable(),
  asset: z.string(),
  key: z.string().nullable(),
})
const untilRow = z.strictObject({ until: z.date().nullable() })
const pathRow = z.strictObject({ path: z.string() })
const countRow = z.strictObject({ state: z.enum(moveFileStates), files: safeInteger, bytes: safeInteger })

const later = (parameter: string) => `keepsake.now() + make_interval(secs => ${parameter}::float8)`

const openText = `insert into keepsake.moves (id, source, collection, options) values ($1, $2, $3, $4)
  on conflict (source, collection) where stage <> 'done' do nothing returning ${moveColumns}`
const underWayText = `select ${moveColumns} from keepsake.moves where source = $1 and collection = $2 and stage <> 'done'`

const holdText = `update keepsake.moves set runner = $2, until = ${later('$3')}
  where id = $1 and (runner is null or runner = $2 or until <= keepsake.now()) returning ${moveColumns}`
const releaseText = 'update keepsake.moves set runner = null, until = null where id = $1 and runner = $2'
const advanceText = `update keepsake.moves set stage = $3, changed_at = keepsake.now()
  where id = $1 and runner = $2 returning ${moveColumns}`

// A file of an earlier move counts as taken over while its asset is stored.
const addText = `
insert into keepsake.move_files as f (move, path, size, version, state)
select $1::uuid, i.path, i.size, i.version, case when exists (
    select from keepsake.moves m
    join keepsake.move_files e on e.move = m.id and e.path = i.path
    join keepsake.assets a on a.id = e.asset and a.state = 'stored'
    where m.source = n.source and m.collection = n.collection and m.stage = 'done'
      and e.size = i.size and e.version = i.version and e.state in ('done', 'retired')
  ) then 'skipped' else 'found' end
from unnest($2::text[], $3::bigint[], $4::text[]) as i (path, size, version), keepsake.moves n
where n.id = $1
on conflict (move, path) do update set size = excluded.size, version = excluded.version, state = excluded.state,
  problem_code = null, problem_message = null
where f.state in ('found', 'failed') and (f.size, f.version) <> (excluded.size, excluded.version)`

const filesText = `select path, size, version, state, asset, sha256, problem_code, problem_message
  from keepsake.move_files where move = $1 and state = any($2::text[]) and path > $3 order by path limit $4`

const countText = `select state, count(*) as files, coalesce(sum(size), 0) as bytes
  from keepsake.move_files where move = $1 group by state`

// The planner knows nothing of how many rows an array or a new move has, and by its guess of one it would compare each
// row of the batch with each: what is compared for a batch is a lookup of one row (a scalar subquery), or an IN that it
// cannot turn into a join ("is true") and so answers by a hash.

// A key that another row has, or had, makes no row; its file stays found and is told from the answer.
const placeText = `
with input as (
  select * from unnest($4::text[], $5::uuid[], $6::text[], $7::jsonb[], $8::text[], $9::text[], $10::text[], $11::text[],
    $12::bigint[], $13::text[], $14::integer[], $15::integer[], $16::float8[])
    as i (path, asset, owner, attributes, filename, key, kind, content_type, size, sha256, width, height, duration)
), open as (
  select i.* from input i
  where (select f.state from keepsake.move_files f where f.move = $1 and f.path = i.path) = 'found'
    and not exists (select from keepsake.retired_keys r where r.key = i.key)
), made as (
  insert into keepsake.assets (id, collection, owner, attributes, filename, key, kind, content_type, size, sha256, width,
    height, duration, until, counted, quota)
  select asset, $2, owner, attributes, filename, key, kind, content_type, size, sha256, width, height, duration,
    ${later('$3')}, size, $17::bigint
  from open
  on conflict (key) where key is not null do nothing
  returning id, owner, collection, attempt, created_at
), audited as (
  insert into keepsake.audit (action, asset, owner, collection, actor, detail)
  select 'asset.reserved', id, owner, collection, 'system', jsonb_build_object('attempt', attempt, 'move', $1::text)
  from made
), placed as (
  update keepsake.move_files f set state = 'placed', asset = i.asset, sha256 = i.sha256
  from open i where f.move = $1 and f.path = i.path and (i.asset in (select id from made)) is true
)
select id, created_at from made`

const placedText = `select ${assetColumnsOf('a')} from keepsake.move_files f join keepsake.assets a on a.id = f.asset
  where f.move = $1 and f.path = any($2::text[])`

// By the paths themselves, so that the files of a move that are not in the batch are not looked at.
const copiedText = `update keepsake.move_files f set state = 'copied', etag = ($3::text[])[array_position($2::text[], f.path::text)]
  where f.move = $1 and f.path = any($2::text[]) and f.state = 'placed'`

const copiedFilesText = `select f.path, f.size, f.sha256, f.etag, f.asset, a.key
  from keepsake.move_files f left join keepsake.assets a on a.id = f.asset
  where f.move = $1 and f.state = 'copied' and f.path > $2 order by f.path limit $3`

const verifiedText = `update keepsake.move_files set state = 'verified'
  where move = $1 and path = any($2::text[]) and state = 'copied'`

const failText = `
with failed as (
  update keepsake.move_files f set state = 'failed', problem_code = i.code, problem_message = i.message
  from unnest($2::text[], $3::text[], $4::text[]) as i (path, code, message)
  where f.move = $1 and f.path = i.path and f.state in ('found', 'placed', 'copied', 'verified')
  returning f.asset, f.problem_code, f.problem_message
), old as (
  select a.id, a.key, a.store, failed.problem_code, failed.problem_message
  from keepsake.assets a join failed on failed.asset = a.id where a.state = 'pending' and a.attempt = 1 for update of a
), changed as (
  update keepsake.assets a set state = 'failed', key = null, counted = 0, until = null,
    problem_code = old.problem_code, problem_message = old.problem_message
  from old where a.id = old.id
  returning a.id, a.owner, a.collection, a.attempt, a.problem_code
), retired as (
  insert into keepsake.retired_keys (key, store, asset) select key, store, id from old where key is not null
  on conflict (key, store) do update set retired_at = excluded.retired_at, look_at = excluded.look_at
)
insert into keepsake.audit (action, asset, owner, collection, actor, detail)
select 'asset.failed', id, owner, collection, 'system', jsonb_build_object('attempt', attempt, 'code', problem_code)
from changed`

const retryText = `update keepsake.move_files set state = 'found', asset = null, sha256 = null, etag = null, problem_code = null,
  problem_message = null where move = $1 and state = 'failed'`

// An asset may have been settled meanwhile by the regular sweep (stored all the same), or deleted by its owner.
const cutOverText = `
with files as (
  select path, asset from keepsake.move_files where move = $1 and state = 'verified' order by path limit $2
  for update skip locked
), stored as (
  update keepsake.assets a set state = 'stored', health = 'ok', counted = a.size, stored_at = keepsake.now(),
    expires_at = ${later('$3')}, until = null
  from files where a.id = files.asset and a.state = 'pending' and a.attempt = 1
  returning a.id, a.owner, a.collection, a.attempt, a.size, a.sha256
), audited as (
  insert into keepsake.audit (action, asset, owner, collection, actor, detail)
  select 'asset.stored', id, owner, collection, 'system',
    jsonb_build_object('attempt', attempt, 'size', size, 'sha256', sha256, 'move', $1::text)
  from stored
), settled as materialized (
  select path, asset in (select id from stored)
    or coalesce((select a.state = 'stored' from keepsake.assets a where a.id = files.asset), false) as stored
  from files
)
update keepsake.move_files f set state = case when settled.stored then 'done' else 'failed' end,
  problem_code = case when settled.stored then null else 'asset_gone' end,
  problem_message = case when settled.stored then null else 'The asset was deleted before the move was done.' end
from settled where f.move = $1 and f.path = settled.path`

const retirableText = `select f.path from keepsake.move_files f join keepsake.assets a on a.id = f.asset
  where f.move = $1 and f.path = any($2::text[]) and f.state = 'done' and a.state = 'stored' and a.health = 'ok'
    and not exists (select from keepsake.assets o where o.key = $3::text || f.path)`

const retireText = `update keepsake.move_files set state = 'retired'
  where move = $1 and path = any($2::text[]) and state = 'done'`

/** A finished move may end, and a new one begin, between our two statements. */
const rounds = 3

export function moveQueries(database: Database): MoveQueries {
  const run = async (text: string, values: readonly unknown[]) => (await database.service.query(text, values)).rows
  const one = async (text: string, values: readonly unknown[]) => parseRows(moveRow, await run(text, values))[0]
  return {
    async openMove({ id, source, collection, options }) {
      for (let round = 0; round < rounds; round += 1) {
        const opened = await one(openText, [id, source, collection, options])
        const move = opened ?? (await one(underWayText, [source, collection]))
        if (move !== undefined) return move
      }
      throw new KeepsakeError('catalogue_unavailable', 'Another process ends and begins this move. Try again.')
    },
    holdMove: (id, runner, lease) => one(holdText, [id, runner, lease]),
    async moveHeldUntil(id) {
      const rows = await run('select until from keepsake.moves where id = $1 and runner is not null', [id])
      return parseRows(untilRow, rows)[0]?.until ?? null
    },
    async releaseMove(id, runner) {
      await run(releaseText, [id, runner])
    },
    advanceMove: async (id, runner, stage) => (await one(advanceText, [id, runner, stage])) !== undefined,
    async listMoves(limit) {
      requireLimit(limit)
      const text = `select ${moveColumns} from keepsake.moves order by created_at desc, id limit $1`
      return parseRows(moveRow, await run(text, [limit]))
    },
    getMove: (id) => one(`select ${moveColumns} from keepsake.moves where id = $1`, [id]),
    async addMoveFiles(move, files) {
      const column = <K extends keyof FoundFile>(name: K) => files.map((file) => file[name])
      await run(addText, [move, column('path'), column('size'), column('version')])
    },
    async moveFiles(move, states, after, limit) {
      requireLimit(limit)
      return parseRows(fileRow, await run(filesText, [move, states, after, limit]))
    },
    async countMoveFiles(move) {
      const none = { files: 0, bytes: 0 }
      const counts: Record<MoveFileState, { files: number; bytes: number }> = {
        found: none,
        placed: none,
        copied: none,
        verified: none,
        done: none,
        failed: none,
        skipped: none,
        retired: none,
      }
      for (const { state, files, bytes } of parseRows(countRow, await run(countText, [move]))) {
        counts[state] = { files, bytes }
      }
      return counts
    },
    async placeMoveFiles(move, collection, files, { lease, quota }) {
      const column = <K extends keyof PlacedFile>(name: K) => files.map((file) => file[name])
      try {
        const rows = await run(placeText, [
          move,
          collection,
          lease,
          column('path'),
          column('asset'),
          column('owner'),
          files.map(({ attributes }) => JSON.stringify(attributes)),
          column('filename'),
          column('key'),
          column('kind'),
          column('contentType'),
          column('size'),
          column('sha256'),
          column('width'),
          column('height'),
          column('duration'),
          quota,
        ])
        return parseRows(placedRow, rows)
      } catch (error) {
        // Another row took one of the keys at the same moment.
        if (violatedUnique(error) === 'assets_key') return []
        throw error
      }
    },
    placedAssets: async (move, paths) => parseAssets(await run(placedText, [move, paths])),
    async markCopied(move, files) {
      if (files.length === 0) return
      await run(copiedText, [move, files.map(({ path }) => path), files.map(({ etag }) => etag)])
    },
    async copiedFiles(move, after, limit) {
      requireLimit(limit)
      return parseRows(copiedRow, await run(copiedFilesText, [move, after, limit]))
    },
    async markVerified(move, paths) {
      if (paths.length > 0) await run(verifiedText, [move, paths])
    },
    async failMoveFiles(move, failures) {
      if (failures.length === 0) return
      const column = <K extends 'path' | 'code' | 'message'>(name: K) => failures.map((failure) => failure[name])
      await run(failText, [move, column('path'), column('code'), column('message')])
    },
    retryMoveFiles: async (move) => (await database.service.query(retryText, [move])).rowCount,
    async cutOverMoveFiles(move, { limit, keep }) {
      requireLimit(limit)
      return (await database.service.query(cutOverText, [move, limit, keep])).rowCount
    },
    async retireMoveFiles(move, paths) {
      if (paths.length > 0) await run(retireText, [move, paths])
    },
    retirableMoveFiles: async (move, paths, ownPrefix) =>
      parseRows(pathRow, await run(retirableText, [move, paths, ownPrefix])).map(({ path }) => path),
  }
}
