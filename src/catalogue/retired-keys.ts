import { z } from 'zod'
import type { StorePlace } from '../media/index.ts'
import type { RetiredKey } from './catalogue.ts'
import { requireLimit } from './cursor.ts'
import { parseRows, storePlace } from './row.ts'
import type { Database } from './sql.ts'

/*
 * A retired key is looked at right away, and again 1 minute, 10 minutes, 1 hour and 6 hours after it was retired; then
 * it is forgotten. An upload may begin in the last second of its URL's hour and take its time after that.
 *
 * The table is keyed by key and store: where an asset moved to another store under the same key, the old place is
 * watched and the new one is left alone. A promotion retires the bucket's key before it copies there; that key is not
 * looked at while the asset is stored elsewhere under it. Once the asset is not, it never is again, so whoever reads that a
 * key is due may remove what lies there at any later time.
 */

const retiredRow = z.strictObject({ key: z.string(), store: storePlace, asset: z.string() })

// Idempotency keys are good for a day at least; this regular look takes the old ones along.
const dueText = `
with forgotten as (
  delete from keepsake.idempotency_keys where (owner, key) in (
    select owner, key from keepsake.idempotency_keys where created_at < keepsake.now() - interval '48 hours'
    order by created_at limit 1000)
)
select key, store, asset from keepsake.retired_keys r
where look_at <= keepsake.now() and ($2::text[] is null or store = any($2::text[]))
  and not exists (select from keepsake.assets a where a.key = r.key
    and (a.store = r.store or (a.state = 'stored' and r.store = 'primary')))
order by look_at, key limit $1`

export async function dueRetiredKeys(
  database: Database,
  limit: number,
  places?: readonly StorePlace[],
): Promise<readonly RetiredKey[]> {
  requireLimit(limit)
  const { rows } = await database.service.query(dueText, [limit, places ?? null])
  return parseRows(retiredRow, rows)
}

const sweptText = `
with swept as (
  select key, store, retired_at, keepsake.now() as at from keepsake.retired_keys
  where key = any($1::text[]) and store = $2 and look_at <= keepsake.now() for update
), forgotten as (
  delete from keepsake.retired_keys r using swept s
  where r.key = s.key and r.store = s.store and s.at >= s.retired_at + interval '6 hours'
)
update keepsake.retired_keys r set look_at = s.retired_at + case
  when s.at < s.retired_at + interval '1 minute' then interval '1 minute'
  when s.at < s.retired_at + interval '10 minutes' then interval '10 minutes'
  when s.at < s.retired_at + interval '1 hour' then interval '1 hour'
  else interval '6 hours' end
from swept s
where r.key = s.key and r.store = s.store and s.at < s.retired_at + interval '6 hours'`

export async function sweptRetiredKeys(
  database: Database,
  keys: readonly string[],
  place: StorePlace = 'primary',
): Promise<void> {
  if (keys.length > 0) await database.service.query(sweptText, [keys, place])
}
