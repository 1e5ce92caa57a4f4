import { z } from 'zod'
import type { StorePlace } from '../media/index.ts'
import { parseRows, safeInteger } from './row.ts'
import type { Database } from './sql.ts'

/** A multipart upload that a store lists. */
export type OpenUpload = { readonly key: string; readonly initiated: Date }

export interface UploadSweepQueries {
  /**
   * Those of a store's open multipart uploads that can never make an asset any more: their key was retired, or its
   * asset is stored or being deleted while they have been open for a day. The upload of a pending asset is under way,
   * however old it is, and one of a key that the catalogue does not know is somebody else's: neither is named.
   */
  abandonedUploads<T extends OpenUpload>(uploads: readonly T[], store: StorePlace): Promise<readonly T[]>
}

/*
 * A retired key is never written to again, so there is nothing to wait for. A stored asset's key is not either; the day
 * is for what is told of it late: a completion that is still under way on the store's side, a clock that is wrong.
 */
const abandonedText = `
select u.n from unnest($1::text[], $2::timestamptz[]) with ordinality as u (key, initiated, n)
left join keepsake.assets a on a.key = u.key and a.store = $3
where a.state in ('stored', 'deleting') and u.initiated < keepsake.now() - interval '1 day'
  or a.id is null and exists (select from keepsake.retired_keys r where r.key = u.key and r.store = $3)
order by u.n`

const numberRow = z.strictObject({ n: safeInteger })

export function uploadSweepQueries(database: Database): UploadSweepQueries {
  return {
    async abandonedUploads(uploads, store) {
      // PostgreSQL's text has no NUL, and so no key of ours.
      const known = uploads.filter(({ key }) => !key.includes('\0'))
      if (known.length === 0) return []
      const { rows } = await database.service.query(abandonedText, [
        known.map(({ key }) => key),
        known.map(({ initiated }) => initiated),
        store,
      ])
      return parseRows(numberRow, rows).flatMap(({ n }) => known[n - 1] ?? [])
    },
  }
}
