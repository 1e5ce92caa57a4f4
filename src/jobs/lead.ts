import pg from 'pg'

/** The right to some work (to sweep, or to run what is scheduled), which one process at a time has. */
export interface Lead {
  /** Takes or keeps the right; false where another process has it. */
  hold(): Promise<boolean>
  /** Aborted when the right that was held last is lost. */
  readonly signal: AbortSignal
  release(): Promise<void>
}

/** PGlite: the lock of the data folder has already made this the only process. */
export class SoleLead implements Lead {
  readonly signal: AbortSignal = new AbortController().signal

  async hold(): Promise<boolean> {
    return true
  }

  async release(): Promise<void> {}
}

/**
 * PostgreSQL: a session advisory lock on a connection of its own, so that the server lets go of it when the process
 * dies. It is kept between sweeps: then all processes together sweep once an interval, not once each.
 *
 * Like LISTEN it needs a session, so it does not work through a pooler in transaction mode.
 */
export class PostgresLead implements Lead {
  readonly #connectionString: string
  readonly #work: string
  #client: pg.Client | undefined
  #lost = new AbortController()

  /** @param work What the right is to; each has a lock of its own. */
  constructor(connectionString: string, work: string) {
    this.#connectionString = connectionString
    this.#work = work
  }

  get signal(): AbortSignal {
    return this.#lost.signal
  }

  async hold(): Promise<boolean> {
    if (this.#client) {
      await this.#client.query('select 1').catch(() => this.release())
      if (this.#client) return true
    }
    const client = new pg.Client({
      connectionString: this.#connectionString,
      application_name: `keepsake ${this.#work}`,
      connectionTimeoutMillis: 5000,
      query_timeout: 10_000,
      keepAlive: true,
    })
    client.on('error', () => this.#drop(client))
    client.on('end', () => this.#drop(client))
    try {
      await client.connect()
      // A machine that vanishes must not keep the lock until TCP's own two hours are over.
      await client.query('set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3')
      const { rows } = await client.query('select pg_try_advisory_lock(hashtextextended($1, 0)) as held', [
        `keepsake ${this.#work}`,
      ])
      if (rows[0]?.held === true) {
        this.#lost = new AbortController()
        this.#client = client
        return true
      }
    } catch (error) {
      await client.end().catch(() => {})
      throw error
    }
    await client.end().catch(() => {})
    return false
  }

  async release(): Promise<void> {
    const client = this.#client
    this.#client = undefined
    await client?.end().catch(() => {})
  }

  #drop(client: pg.Client): void {
    if (this.#client !== client) return
    this.#client = undefined
    this.#lost.abort()
    client.end().catch(() => {})
  }
}
