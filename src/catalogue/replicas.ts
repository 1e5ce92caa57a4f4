import { z } from 'zod'
import type { AssetProblem, AssetRecord, StorePlace } from '../media/index.ts'
import { requireLimit } from './cursor.ts'
import { assetColumns, assetColumnsOf, parseAssets, parseRows, safeInteger } from './row.ts'
import type { Database } from './sql.ts'

/** How far stored assets have been looked through; by when they were stored. */
export type ReplicaCursor = { readonly storedAt: Date; readonly id: string }

export type ReplicaFacts = {
  /** Copies of assets that are there. */
  readonly copied: number
  readonly copiedBytes: number
  /** Stored assets without a copy yet. */
  readonly waiting: number
  readonly waitingBytes: number
  /** When the one that has waited longest was stored: what came after is not safe elsewhere yet. */
  readonly oldestWaiting: Date | null
  /** Of those waiting, how many could not be copied when it was tried, and why the last of them. */
  readonly failing: number
  readonly problem: AssetProblem | null
  /** Copies of deleted assets, which follow later. */
  readonly leaving: number
}

/**
 * What lies in the replica. An asset's row here is made before its copy is begun, under a lock of the asset: a delete
 * either comes first, and nothing is copied, or finds the row and marks it (a trigger). A replica is known by its name;
 * under another name all begins anew.
 */
export interface ReplicaQueries {
  /** Where looking through stored assets goes on. Once a day it begins anew, for what it may have passed by. */
  replicaCursor(replica: string): Promise<ReplicaCursor>

  /**
   * Makes rows for the stored assets after the cursor that have none, a page at a time. Returns where the page ended;
   * undefined at the end. What was stored in the last minutes is looked at again: a transaction may commit late.
   */
  enlistReplicas(replica: string, after: ReplicaCursor, limit: number): Promise<ReplicaCursor | undefined>

  /** Stored assets in those places that wait for their copy, and are this process's for so many seconds. */
  takeReplicas(
    replica: string,
    places: readonly StorePlace[],
    limit: number,
    lease: number,
  ): Promise<readonly AssetRecord[]>

  /** Puts off until when copies are this process's. */
  renewReplicas(replica: string, keys: readonly string[], lease: number): Promise<void>

  /** The copy is there, and right. */
  finishReplica(replica: string, key: string): Promise<void>

  /** To be tried again in so many seconds, doubled by each failure before; without a problem the try does not count. */
  postponeReplica(replica: string, key: string, retryIn: number, problem: AssetProblem | null): Promise<void>

  /** Keys whose assets were deleted so many seconds ago, and which are to be removed there, or once more. */
  dueReplicaRemovals(replica: string, after: number, limit: number): Promise<readonly string[]>

  /** They were removed. A copy that was begun in the last hours may still land, so its key is kept for another look. */
  removedReplicas(replica: string, keys: readonly string[]): Promise<void>

  /** Those of the keys that have a copy. */
  copiedKeys(replica: string, keys: readonly string[]): Promise<ReadonlySet<string>>

  /** Assets in the bucket that have a copy, by key, a page at a time; only unwell ones unless `all`. */
  copiedAssets(replica: string, after: string, limit: number, all: boolean): Promise<readonly AssetRecord[]>

  replicaFacts(replica: string): Promise<ReplicaFacts>
}

const cursorText = `
insert into keepsake.replica_progress as p (replica) values ($1)
on conflict (replica) do update set
  stored_at = case when p.round_at <= keepsake.now() - interval '1 day' then 'epoch' else p.stored_at end,
  round_at = case when p.round_at <= keepsake.now() - interval '1 day' then keepsake.now() else p.round_at end
returning stored_at, asset as id`

const cursorRow = z.strictObject({ stored_at: z.date(), id: z.string() })

// Only what has no row yet is locked: a delete beside this waits, and then finds the row.
const enlistText = `
with page as (
  select id, stored_at from keepsake.assets
  where state = 'stored' and (stored_at, id) > ($2::timestamptz, $3::uuid)
  order by stored_at, id limit $4
), fresh as (
  select a.id, a.key, a.size, a.stored_at from keepsake.assets a
  where a.id in (select id from page) and a.state = 'stored'
    and not exists (select from keepsake.replicas r where r.key = a.key and r.replica = $1)
  order by a.id for share
), enlisted as (
  insert into keepsake.replicas (replica, key, asset, size, stored_at)
  select $1, key, id, size, stored_at from fresh on conflict do nothing
), settled as (
  select stored_at, id from page where stored_at < keepsake.now() - interval '10 minutes'
  order by stored_at desc, id desc limit 1
), moved as (
  update keepsake.replica_progress p set stored_at = s.stored_at, asset = s.id from settled s
  where p.replica = $1 and (p.stored_at, p.asset) < (s.stored_at, s.id)
)
select stored_at, id from page order by stored_at desc, id desc limit 1`

const takeText = `
with due as (
  select r.key from keepsake.replicas r
  join keepsake.assets a on a.id = r.asset and a.key = r.key and a.state = 'stored' and a.store = any($2::text[])
  where r.replica = $1 and r.copied_at is null and r.deleted_at is null and r.due_at <= keepsake.now()
  order by r.due_at, r.key limit $3 for update of r skip locked
), taken as (
  update keepsake.replicas r set began_at = keepsake.now(), due_at = keepsake.now() + make_interval(secs => $4::float8)
  from due where r.replica = $1 and r.key = due.key and r.deleted_at is null
  returning r.asset
)
select ${assetColumnsOf('a')} from keepsake.assets a join taken on taken.asset = a.id order by a.stored_at, a.id`

const renewText = `
update keepsake.replicas set began_at = keepsake.now(), due_at = keepsake.now() + make_interval(secs => $3::float8)
where replica = $1 and key = any($2::text[]) and copied_at is null`

// Also where the asset was deleted meanwhile: the copy is there, and follows.
const finishText = `
update keepsake.replicas set copied_at = keepsake.now(), problem_code = null, problem_message = null
where replica = $1 and key = $2 and copied_at is null`

// With jitter, doubled by each failure to an hour or so.
const postponeText = `
update keepsake.replicas set
  due_at = keepsake.now() + make_interval(secs => $3::float8 * power(2, least(failures, 7)) * (0.5 + random() / 2)),
  failures = failures + case when $4::text is null then 0 else 1 end, problem_code = $4, problem_message = $5
where replica = $1 and key = $2 and copied_at is null`

const removalsText = `
select key from keepsake.replicas r
where replica = $1 and deleted_at <= keepsake.now() - make_interval(secs => $2::float8)
  and (removed_at is null or removed_at <= keepsake.now() - interval '1 hour')
  and not exists (select from keepsake.assets a where a.key = r.key and a.state = 'stored')
order by deleted_at, key limit $3`

// As long as a retired key is watched (0002).
const removedText = `
with forgotten as (
  delete from keepsake.replicas where replica = $1 and key = any($2::text[]) and deleted_at is not null
    and (began_at is null or began_at <= keepsake.now() - interval '6 hours')
  returning key
)
update keepsake.replicas r set removed_at = keepsake.now()
where replica = $1 and key = any($2::text[]) and deleted_at is not null
  and not exists (select from forgotten f where f.key = r.key)`

const copiedKeysText = `
select key from keepsake.replicas
where replica = $1 and key = any($2::text[]) and copied_at is not null and deleted_at is null`

const copiedAssetsText = `
select ${assetColumns} from keepsake.assets a
where state = 'stored' and store = 'primary' and ($4 or health <> 'ok') and key > $2
  and exists (select from keepsake.replicas r
    where r.replica = $1 and r.key = a.key and r.copied_at is not null and r.deleted_at is null)
order by key limit $3`

// What has no row yet waits too: after the cursor, that is, in the last minutes and while old assets are looked through.
const factsText = `
with listed as (
  select count(*) filter (where copied_at is not null and deleted_at is null) as copied,
    coalesce(sum(size) filter (where copied_at is not null and deleted_at is null), 0)::bigint as copied_bytes,
    count(*) filter (where copied_at is null and deleted_at is null) as waiting,
    coalesce(sum(size) filter (where copied_at is null and deleted_at is null), 0)::bigint as waiting_bytes,
    min(stored_at) filter (where copied_at is null and deleted_at is null) as oldest_waiting,
    count(*) filter (where copied_at is null and deleted_at is null and problem_code is not null) as failing,
    count(*) filter (where deleted_at is not null and removed_at is null) as leaving
  from keepsake.replicas where replica = $1
), begun as (
  select stored_at, asset from keepsake.replica_progress where replica = $1
  union all select 'epoch', '00000000-0000-0000-0000-000000000000' order by 1 desc limit 1
), unlisted as (
  select count(*) as waiting, coalesce(sum(a.size), 0)::bigint as waiting_bytes, min(a.stored_at) as oldest_waiting
  from keepsake.assets a
  where a.state = 'stored' and (a.stored_at, a.id) > (select stored_at, asset from begun)
    and not exists (select from keepsake.replicas r where r.key = a.key and r.replica = $1)
)
select l.copied, l.copied_bytes, l.waiting + u.waiting as waiting, l.waiting_bytes + u.waiting_bytes as waiting_bytes,
  least(l.oldest_waiting, u.oldest_waiting) as oldest_waiting, l.failing, l.leaving,
  (select row_to_json(p) from (select problem_code as code, problem_message as message from keepsake.replicas
    where replica = $1 and copied_at is null and deleted_at is null and problem_code is not null
    order by began_at desc nulls last limit 1) p) as problem
from listed l, unlisted u`

const factsRow = z
  .strictObject({
    copied: safeInteger,
    copied_bytes: safeInteger,
    waiting: safeInteger,
    waiting_bytes: safeInteger,
    oldest_waiting: z.date().nullable(),
    failing: safeInteger,
    leaving: safeInteger,
    problem: z.strictObject({ code: z.string(), message: z.string() }).nullable(),
  })
  .transform(
    ({
      copied_bytes: copiedBytes,
      waiting_bytes: waitingBytes,
      oldest_waiting: oldestWaiting,
      ...rest
    }): ReplicaFacts => ({
      ...{ ...rest, copiedBytes, waitingBytes, oldestWaiting },
    }),
  )

const keyRow = z.strictObject({ key: z.string() })

export function replicaQueries(database: Database): ReplicaQueries {
  const rowsOf = async (text: string, values: readonly unknown[]) => (await database.service.query(text, values)).rows
  const run = async (text: string, values: readonly unknown[]) => {
    await database.service.query(text, values)
  }
  const keysOf = async (text: string, values: readonly unknown[]) =>
    parseRows(keyRow, await rowsOf(text, values)).map(({ key }) => key)
  const cursorOf = async (text: string, values: readonly unknown[]) =>
    parseRows(cursorRow, await rowsOf(text, values)).map(({ stored_at: storedAt, id }) => ({ storedAt, id }))[0]
  return {
    async replicaCursor(replica) {
      const cursor = await cursorOf(cursorText, [replica])
      if (cursor === undefined) throw new TypeError('The upsert of a cursor answered no row.')
      return cursor
    },
    enlistReplicas: (replica, { storedAt, id }, limit) => {
      requireLimit(limit)
      return cursorOf(enlistText, [replica, storedAt, id, limit])
    },
    async takeReplicas(replica, places, limit, lease) {
      requireLimit(limit)
      return parseAssets(await rowsOf(takeText, [replica, places, limit, lease]))
    },
    renewReplicas: async (replica, keys, lease) => {
      if (keys.length > 0) await run(renewText, [replica, keys, lease])
    },
    finishReplica: (replica, key) => run(finishText, [replica, key]),
    postponeReplica: (replica, key, retryIn, problem) =>
      run(postponeText, [replica, key, retryIn, problem?.code ?? null, problem?.message ?? null]),
    dueReplicaRemovals: (replica, after, limit) => keysOf(removalsText, [replica, after, limit]),
    removedReplicas: async (replica, keys) => {
      if (keys.length > 0) await run(removedText, [replica, keys])
    },
    copiedKeys: async (replica, keys) =>
      new Set(keys.length === 0 ? [] : await keysOf(copiedKeysText, [replica, keys])),
    async copiedAssets(replica, after, limit, all) {
      requireLimit(limit)
      return parseAssets(await rowsOf(copiedAssetsText, [replica, after, limit, all]))
    },
    async replicaFacts(replica) {
      const [facts] = parseRows(factsRow, await rowsOf(factsText, [replica]))
      if (facts === undefined) throw new TypeError('An aggregate answered no row.')
      return facts
    },
  }
}
