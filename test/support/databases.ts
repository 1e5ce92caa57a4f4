import { randomUUID } from 'node:crypto'
import {
  type Database,
  openPglite,
  openPostgres,
  type PgliteDatabase,
  type PostgresDatabase,
  type Reservation,
} from '../../src/catalogue/index.ts'
import { newAssetId } from '../../src/media/index.ts'
import { freshDatabase } from './fresh-database.ts'

export type OpenedDatabase = {
  readonly database: PgliteDatabase | PostgresDatabase
  /** The same data through one session, so that {@link moveClock} reaches all that is done through it. */
  readonly single: Database
  close(): Promise<void>
}

/** Both databases that Keepsake runs on, for `describe.each`. */
export const databases: readonly { readonly name: string; open(): Promise<OpenedDatabase> }[] = [
  {
    name: 'PGlite',
    async open() {
      const database = await openPglite({ dir: 'memory' })
      return { database, single: database, close: () => database.close() }
    },
  },
  {
    name: 'PostgreSQL',
    async open() {
      const fresh = await freshDatabase()
      const database = await openPostgres({ connectionString: fresh.url })
      const single = await openPostgres({ connectionString: fresh.url, max: 1 })
      return {
        database,
        single,
        async close() {
          await Promise.all([database.close(), single.close()])
          await fresh.drop()
        },
      }
    },
  },
]

/** Sets how many seconds the database's clock is ahead of the true time. */
export async function moveClock(database: Database, seconds: number): Promise<void> {
  await database.service.query("select set_config('keepsake.clock_offset', $1, false)", [`${seconds} seconds`])
}

/** A reservation of a new asset, with what the test is about laid over it. */
export function reservation(given: Partial<Reservation> = {}): Reservation {
  return {
    id: newAssetId(),
    collection: 'generations',
    owner: `owner-${randomUUID()}`,
    attributes: {},
    provenance: {},
    filename: null,
    sourceUrl: 'https://example.com/a.png?signature=secret',
    sourceExpiresAt: null,
    lease: 30,
    reservedBytes: 0,
    quota: null,
    idempotency: null,
    ...given,
  }
}
