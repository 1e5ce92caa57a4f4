import type { PGlite } from '@electric-sql/pglite'
import { fromPglite } from 'pg-boss'

/**
 * pg-boss on the PGlite that the catalogue uses too: one connection for both. Every call of PGlite's holds its
 * transaction lock, so statements of the one never fall into a transaction of the other. One hole is left in pg-boss's
 * adapter: a block `BEGIN; …; COMMIT` that fails leaves an aborted transaction until the adapter's ROLLBACK gets its
 * turn, and whoever queued before that would run inside it. Here such a block is rolled back under the same lock.
 */
export function pgliteConnection(pglite: PGlite): ReturnType<typeof fromPglite> {
  const plain = fromPglite(pglite)
  return {
    ...plain,
    async executeSql(text, values) {
      if (values?.length || !/^\s*BEGIN\b/i.test(text)) return await plain.executeSql(text, values)
      // The block's own BEGIN and COMMIT stand inside PGlite's pair, where Postgres takes them with a warning.
      const results = await pglite.transaction((transaction) => transaction.exec(text))
      return { rows: results.flatMap((result) => result.rows) }
    },
  }
}
