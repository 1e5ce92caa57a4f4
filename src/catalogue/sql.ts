/**
 * The port to the database, satisfied by a `pg` pool and by PGlite alike. Text is plain Postgres SQL with `$1`
 * placeholders; rows come back as unknown and are parsed by whoever asked. Without `values` the text may be a script of
 * several statements, which answers with the last one's result.
 */
export interface Sql {
  query(text: string, values?: readonly unknown[]): Promise<SqlResult>
}

export type SqlResult = { readonly rows: readonly Readonly<Record<string, unknown>>[]; readonly rowCount: number }

/** A database with its two roles. Service work says so in its name; a user's work is bound to one owner by row-level security. */
export interface Database {
  readonly kind: 'pglite' | 'postgres'

  /** One statement as the service role, which sees every owner. Autocommitted. */
  readonly service: Sql

  /** Several statements in one transaction as the service role. Rolled back when `work` throws. */
  serviceTransaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>

  /** Several statements in one transaction as one owner: the user role, with the owner claim set locally. */
  ownerTransaction<T>(owner: string, work: (sql: Sql) => Promise<T>): Promise<T>

  /** Answers when the database does, or throws `catalogue_unavailable`. */
  check(): Promise<void>

  close(): Promise<void>
}
