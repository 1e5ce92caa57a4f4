import { createHash } from 'node:crypto'
import { z } from 'zod'
import { KeepsakeError } from '../media/index.ts'
import { databaseError, sqlState } from './database-error.ts'
import { type MigrationTransaction, takeLock } from './migrate.ts'
import { migrations } from './migrations/index.ts'
import { parseRows } from './row.ts'
import type { Sql } from './sql.ts'

/** The SQL of an extension, which makes its relations and is harmless when repeated. */
export type ExtensionSchema = { readonly name: string; readonly sql: string }

export type SchemaOptions = {
  /** Applied after the catalogue's own migrations, in this order. */
  readonly schemas?: readonly ExtensionSchema[]
  readonly logger?: { warn(facts: object, message: string): void }
}

const appliedRow = z.object({ name: z.string(), checksum: z.string() })

/**
 * Applies the schemas of extensions that are new or changed, each in a transaction of its own, as the login that owns
 * the catalogue, under the lock of the migrations. One read tells that nothing changed. A schema is applied anew after
 * the catalogue itself changed, so that what stands on it can follow.
 *
 * @throws {KeepsakeError} `invalid_setting` with the extension's name and what PostgreSQL said; `catalogue_unavailable`.
 */
export async function applySchemas(transaction: MigrationTransaction, options: SchemaOptions): Promise<void> {
  const { schemas = [], logger } = options
  if (schemas.length === 0) return
  const before = await transaction(readApplied).catch((error: unknown) => {
    throw databaseError(error)
  })
  for (const schema of schemas) {
    if (before.get(schema.name) === checksum(schema)) continue
    const onWarning = (message: string) => logger?.warn({ extension: schema.name }, message)
    await transaction((session) => apply(session, schema), onWarning).catch((error: unknown) => {
      throw explain(schema.name, error)
    })
  }
}

async function apply(session: Sql, schema: ExtensionSchema): Promise<void> {
  await takeLock(session)
  // Another process may have been faster.
  if ((await readApplied(session)).get(schema.name) === checksum(schema)) return
  await session.query(schema.sql)
  // The embedded database has one session for everything: nothing that a script sets may outlive it.
  await session.query('reset role; reset search_path')
  await session.query(
    `insert into keepsake.extensions (name, checksum) values ($1, $2)
    on conflict (name) do update set checksum = excluded.checksum, applied_at = excluded.applied_at`,
    [schema.name, checksum(schema)],
  )
}

async function readApplied(session: Sql): Promise<ReadonlyMap<string, string>> {
  const { rows } = await session.query('select name, checksum from keepsake.extensions')
  return new Map(parseRows(appliedRow, rows).map((row) => [row.name, row.checksum]))
}

function checksum({ sql }: ExtensionSchema): string {
  return createHash('sha256')
    .update(JSON.stringify([sql, migrations.at(-1)?.id ?? 0]))
    .digest('hex')
}

function explain(name: string, error: unknown): KeepsakeError {
  const refusal = databaseError(error)
  // What the database does not get to now may work at the next start; everything else is the script's, or the login's.
  if (refusal.code === 'catalogue_unavailable') return refusal
  const state = sqlState(error)
  const said = error instanceof Error ? error.message : String(error)
  return new KeepsakeError(
    'invalid_setting',
    `The schema of the extension '${name}' was refused by the database: ${said}${/[.!?]$/.test(said) ? '' : '.'} ` +
      'Nothing of it was kept. Mend the schema, or give the login the rights that it needs.',
    { details: { extension: name, ...(state === undefined ? {} : { sqlState: state }) } },
  )
}
