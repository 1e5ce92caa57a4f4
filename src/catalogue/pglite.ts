import { access, mkdir, rename, rm, rmdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { PGlite, type QueryOptions, type Transaction } from '@electric-sql/pglite'
import { KeepsakeError } from '../media/index.ts'
import { databaseError } from './database-error.ts'
import { applySchemas, type SchemaOptions } from './extension-schemas.ts'
import { type MigrationTransaction, migrate } from './migrate.ts'
import { toParameters } from './parameters.ts'
import { openUserRole, requireOpen } from './roles.ts'
import type { Database, Sql, SqlResult } from './sql.ts'

export type PgliteOptions = {
  /** The folder, or `memory`. Two processes on one folder corrupt it: whoever opens it holds a lock on it. */
  readonly dir: string
  /** Seconds that a statement, or a transaction, may wait for its turn and run. Default: 30. */
  readonly deadline?: number
} & SchemaOptions

/**
 * PostgreSQL inside this process. One session serves all, so statements and transactions take turns; the session is
 * the embedded superuser's, which is what service work runs as, and a user's transaction becomes `keepsake_user`.
 */
export class PgliteDatabase implements Database {
  readonly kind = 'pglite'
  readonly service: Sql = { query: (text, values) => this.#query(text, values) }
  readonly #pglite: PGlite
  readonly #deadline: number

  constructor(pglite: PGlite, deadline: number) {
    this.#pglite = pglite
    this.#deadline = deadline
  }

  /** The instance itself, for pg-boss' `fromPglite` and for its `listen`. Its session is the superuser's. */
  get pglite(): PGlite {
    return this.#pglite
  }

  async serviceTransaction<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    return this.#transaction('', work)
  }

  async ownerTransaction<T>(owner: string, work: (sql: Sql) => Promise<T>): Promise<T> {
    return this.#transaction(openUserRole(owner), work)
  }

  async check(): Promise<void> {
    await this.service.query('select 1')
  }

  async close(): Promise<void> {
    if (!this.#pglite.closed) await this.#pglite.close()
  }

  async #query(text: string, values?: readonly unknown[]): Promise<SqlResult> {
    return this.#answer(() => run(this.#pglite, text, values))
  }

  #transaction<T>(opening: string, work: (sql: Sql) => Promise<T>): Promise<T> {
    let late = false
    const inTurn = () =>
      this.#pglite.transaction(async (transaction) => {
        // Whoever asked has been told that it failed: do not do it behind their back.
        if (late) throw tookTooLong()
        let open = true
        const sql: Sql = {
          async query(text, values) {
            requireOpen(open)
            try {
              return await run(transaction, text, values)
            } catch (error) {
              throw databaseError(error)
            }
          },
        }
        try {
          if (opening !== '') await transaction.exec(opening)
          return await work(sql)
        } finally {
          open = false
        }
      })
    return this.#answer(inTurn, () => {
      late = true
    })
  }

  /** With a deadline. PGlite runs a statement to its end without a pause, so it is the waiting that is bounded. */
  async #answer<T>(work: () => Promise<T>, onLate?: () => void): Promise<T> {
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      onLate?.()
      reject(tookTooLong())
    }, this.#deadline * 1000)
    try {
      return await Promise.race([work(), late])
    } catch (error) {
      throw databaseError(error)
    } finally {
      clearTimeout(timer)
    }
  }
}

/**
 * Opens the embedded database and brings its schema up to date.
 *
 * @throws {KeepsakeError} `catalogue_unavailable`, `invalid_setting`
 */
export async function openPglite(options: PgliteOptions): Promise<PgliteDatabase> {
  let pglite: PGlite
  try {
    pglite = options.dir === 'memory' ? await PGlite.create('memory://') : await openFolder(options.dir)
  } catch (error) {
    throw databaseError(error)
  }
  try {
    const transaction: MigrationTransaction = (work, onWarning) =>
      pglite.transaction((session) => work({ query: (text, values) => run(session, text, values, onWarning) }))
    await migrate(transaction)
    await applySchemas(transaction, options)
    return new PgliteDatabase(pglite, options.deadline ?? 30)
  } catch (error) {
    await pglite.close()
    throw error
  }
}

/**
 * PGlite makes a cluster file by file, and one that was cut off between (kill -9, a full disk) can never be opened
 * again. So a new one is made beside, and gets its name when it is whole.
 */
async function openFolder(dir: string): Promise<PGlite> {
  const made = await access(join(dir, 'PG_VERSION')).then(
    () => true,
    () => false,
  )
  if (!made) {
    const unfinished = `${resolve(dir)}.unfinished`
    await rm(unfinished, { recursive: true, force: true })
    await mkdir(unfinished, { recursive: true, mode: 0o700 })
    const pglite = await PGlite.create(unfinished)
    await pglite.close()
    // Refused where a folder with other things in it has the name.
    await rmdir(dir).catch(() => {})
    await rename(unfinished, dir)
  }
  return PGlite.create(dir)
}

type Row = Readonly<Record<string, unknown>>

/** One statement with values, or a script of any number without; a script answers with its last statement's result. */
async function run(
  session: Pick<Transaction, 'query' | 'exec'>,
  text: string,
  values?: readonly unknown[],
  onWarning?: (message: string) => void,
): Promise<SqlResult> {
  const options: QueryOptions = {}
  if (onWarning !== undefined) {
    options.onNotice = ({ severity, message }) => {
      if (severity === 'WARNING') onWarning(message ?? '')
    }
  }
  const result =
    values === undefined
      ? (await session.exec(text, options)).at(-1)
      : await session.query<Row>(text, toParameters(values), options)
  const rows: readonly Row[] = result?.rows ?? []
  return { rows, rowCount: Math.max(rows.length, result?.affectedRows ?? 0) }
}

function tookTooLong(): KeepsakeError {
  return new KeepsakeError(
    'catalogue_unavailable',
    'The catalogue database did not get to this before the deadline. Read again, then retry.',
    { retryAfter: 1 },
  )
}
