import pg from 'pg'
import { KeepsakeError } from '../media/index.ts'
import { databaseError, leavesConnectionUsable } from './database-error.ts'
import { applySchemas, type SchemaOptions } from './extension-schemas.ts'
import { type MigrationTransaction, migrate } from './migrate.ts'
import { toParameters } from './parameters.ts'
import { openUserRole, requireOpen, serviceRole } from './roles.ts'
import type { Database, Sql, SqlResult } from './sql.ts'

export type PostgresOptions = {
  /**
   * `postgres://user:password@host:5432/database?sslmode=verify-full`. The server itself, or a pooler in session mode:
   * a connection keeps its role and its prepared statements.
   */
  readonly connectionString: string
  /** Connections. Default: 10. */
  readonly max?: number
  /** Seconds that a statement may run. Default: 15. */
  readonly statementTimeout?: number
  /** Told of connections that broke while idle, and of what extensions' schemas warn of. */
  readonly logger?: { warn(facts: object, message: string): void }
} & SchemaOptions

/** Seconds to wait for a connection, be it new or one in use by others. */
const connectDeadline = 10
/** Seconds that the server gets to report its own timeout before the connection is given up. */
const grace = 3
/** Seconds that a migration, or the wait for another process' migration, may take. */
const migrationDeadline = 600
/** Statements a connection keeps prepared. The catalogue has some 40; a list has a text for each set of filters. */
const maxPrepared = 300

/** A PostgreSQL server. An interface, so that the package's types do not ask for those of `pg`. */
export interface PostgresDatabase extends Database {
  readonly kind: 'postgres'
  /** For pg-boss, which keeps connections of its own. A secret: never log it. */
  readonly connectionString: string
  /** For metrics: how many connections there are, and how many calls wait for one. */
  readonly connections: { readonly total: number; readonly idle: number; readonly waiting: number }
}

/**
 * A pool on a PostgreSQL server. Every connection becomes the service role before its first use; a user's transaction
 * becomes the user role locally. A connection goes back to the pool only when it is known to be out of any transaction.
 */
class PooledPostgres implements PostgresDatabase {
  readonly kind = 'postgres'
  readonly service: Sql = { query: (text, values) => this.#service(text, values) }
  readonly #pool: pg.Pool
  readonly #connectionString: string
  readonly #ask: Ask
  /** Names by role and text. The two roles never share a plan, because row-level security is part of it. */
  readonly #names = new Map<string, string>()
  #closing: Promise<void> | undefined

  constructor(pool: pg.Pool, connectionString: string, ask: Ask) {
    this.#pool = pool
    this.#connectionString = connectionString
    this.#ask = ask
  }

  get connectionString(): string {
    return this.#connectionString
  }

  get connections() {
    return { total: this.#pool.totalCount, idle: this.#pool.idleCount, waiting: this.#pool.waitingCount }
  }

  async serviceTransaction<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    return this.#transaction('begin', 'service', work)
  }

  async ownerTransaction<T>(owner: string, work: (sql: Sql) => Promise<T>): Promise<T> {
    return this.#transaction(`begin; ${openUserRole(owner)}`, 'user', work)
  }

  async check(): Promise<void> {
    await this.service.query('select 1')
  }

  async close(): Promise<void> {
    this.#closing ??= this.#pool.end()
    await this.#closing
  }

  async #service(text: string, values?: readonly unknown[]): Promise<SqlResult> {
    const query = this.#prepared('service', text, values)
    const client = await this.#connect()
    try {
      const result = toResult(await this.#ask(client, query))
      client.release()
      return result
    } catch (error) {
      client.release(!leavesConnectionUsable(error))
      throw databaseError(error)
    }
  }

  async #transaction<T>(opening: string, role: 'service' | 'user', work: (sql: Sql) => Promise<T>): Promise<T> {
    const client = await this.#connect()
    let open = true
    let broken = false
    const run = async (query: pg.QueryConfig): Promise<pg.QueryResult> => {
      try {
        return await this.#ask(client, query)
      } catch (error) {
        broken ||= !leavesConnectionUsable(error)
        throw databaseError(error)
      }
    }
    const sql: Sql = {
      query: async (text, values) => {
        requireOpen(open)
        return toResult(await run(this.#prepared(role, text, values)))
      },
    }
    try {
      // Awaited before anything else: were it to fail unnoticed, what follows would run as the service.
      await run({ text: opening })
      const result = await work(sql)
      open = false
      // Where a statement failed and `work` went on all the same, COMMIT rolls back and only its tag says so.
      const { command } = await run({ text: 'commit' })
      if (command !== 'COMMIT') {
        throw new KeepsakeError('internal', 'A transaction went on after one of its statements had failed.')
      }
      client.release()
      return result
    } catch (error) {
      open = false
      client.release(broken || !(await rolledBack((query) => this.#ask(client, query))))
      throw error
    }
  }

  async #connect(): Promise<pg.PoolClient> {
    try {
      return await this.#pool.connect()
    } catch (error) {
      throw databaseError(error)
    }
  }

  #prepared(role: 'service' | 'user', text: string, values?: readonly unknown[]): pg.QueryConfig {
    // Without values it may be a script of several statements, which only the simple protocol takes.
    if (values === undefined) return { text }
    const parameters = toParameters(values)
    const id = `${role} ${text}`
    let name = this.#names.get(id)
    if (name === undefined) {
      if (this.#names.size >= maxPrepared) return { text, values: parameters }
      name = `keepsake_${this.#names.size + 1}`
      this.#names.set(id, name)
    }
    return { name, text, values: parameters }
  }
}

/**
 * Connects, brings the schema up to date, and gives the pool.
 *
 * @throws {KeepsakeError} `invalid_setting` where the connection string is none, or the login may not do what is
 * needed; `catalogue_unavailable`.
 */
export async function openPostgres(options: PostgresOptions): Promise<PostgresDatabase> {
  requireUrl(options.connectionString)
  const statementTimeout = options.statementTimeout ?? 15
  const settings = {
    connectionString: options.connectionString,
    connectionTimeoutMillis: connectDeadline * 1000,
    application_name: 'keepsake',
    keepAlive: true,
  }
  await migrateServer({ ...settings, query_timeout: (migrationDeadline + grace) * 1000 }, options)
  const ask = within((statementTimeout + grace) * 1000)
  const pool = new pg.Pool({
    ...settings,
    max: options.max ?? 10,
    // By statement, not by start-up parameters: poolers in front of the server refuse those.
    onConnect: async (client) => {
      await ask(client, {
        text:
          `set role ${serviceRole}; set statement_timeout = ${Math.ceil(statementTimeout * 1000)}; ` +
          `set idle_in_transaction_session_timeout = '60s'; set client_min_messages = 'warning'; ` +
          // Fences look at what was committed by the time that a lock is held, which an older snapshot would hide.
          `set default_transaction_isolation = 'read committed'`,
      })
    },
  })
  // Without a listener, a connection that breaks between two statements would end the process.
  pool.on('connect', (client) => client.on('error', () => {}))
  pool.on('error', (error) => {
    options.logger?.warn(
      { err: databaseError(error) },
      'A catalogue connection broke while idle; the next call makes a new one',
    )
  })
  const database = new PooledPostgres(pool, options.connectionString, ask)
  try {
    await database.check()
    return database
  } catch (error) {
    await database.close()
    throw error
  }
}

type Ask = (client: pg.ClientBase, query: pg.QueryConfig) => Promise<Result>

/**
 * Asks by callback, and keeps the deadline here. For its promises, and for a `query_timeout`, `pg` assigns a function to
 * a property of each query, and V8 makes functions that are written in such an assignment in the old generation: with
 * them every answer outlives the scavenger, and waits for a full collection. Over a million rows that was 100 MB.
 *
 * Whoever gets an error that is not the server's gives the connection up.
 */
function within(millis: number): Ask {
  return (client, query) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('Query read timeout')), millis)
      client.query(query, (error: Error | null, result: Result) => {
        clearTimeout(timer)
        if (error) reject(error)
        else resolve(result)
      })
    })
}

async function migrateServer(settings: pg.ClientConfig, options: SchemaOptions): Promise<void> {
  const client = new pg.Client(settings)
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query(`set statement_timeout = '${migrationDeadline}s'; set client_min_messages = 'warning'`)
    const transaction: MigrationTransaction = async (work, onWarning) => {
      const onNotice = ({ severity, message }: NoticeOrError) => {
        if (severity === 'WARNING') onWarning?.(message ?? '')
      }
      client.on('notice', onNotice)
      try {
        await client.query('begin')
        const result = await work({
          query: async (text, values) => toResult(await client.query(text, values && toParameters(values))),
        })
        await client.query('commit')
        return result
      } catch (error) {
        await rolledBack((query) => client.query(query))
        throw error
      } finally {
        client.off('notice', onNotice)
      }
    }
    await migrate(transaction)
    await applySchemas(transaction, options)
  } catch (error) {
    throw databaseError(error)
  } finally {
    await client.end().catch(() => {})
  }
}

async function rolledBack(ask: (query: pg.QueryConfig) => Promise<unknown>): Promise<boolean> {
  try {
    await ask({ text: 'rollback' })
    return true
  } catch {
    return false
  }
}

function requireUrl(connectionString: string): void {
  const protocol = URL.canParse(connectionString) ? new URL(connectionString).protocol : undefined
  if (protocol === 'postgres:' || protocol === 'postgresql:') return
  throw new KeepsakeError(
    'invalid_setting',
    'The connection string of the catalogue (DATABASE_URL) is not a URL that starts with postgres:// or postgresql://. ' +
      'Write postgres://user:password@host:5432/database, with special characters of the password percent-encoded.',
  )
}

type NoticeOrError = { readonly severity?: string | undefined; readonly message?: string | undefined }
type Result = pg.QueryResult<Readonly<Record<string, unknown>>>

/** A script answers with an array, of which the last counts. The types of `pg` do not tell. */
function toResult(answer: Result | readonly Result[]): SqlResult {
  const result = Array.isArray(answer) ? answer.at(-1) : answer
  return { rows: result?.rows ?? [], rowCount: result?.rowCount ?? result?.rows.length ?? 0 }
}
