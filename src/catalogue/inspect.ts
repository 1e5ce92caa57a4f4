import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { KeepsakeError, newAssetId } from '../media/index.ts'
import { refusedByRights } from './database-error.ts'
import { migrations } from './migrations/index.ts'
import { parseRows, safeInteger } from './row.ts'
import type { Database, Sql } from './sql.ts'

/** A catalogue looked at from the outside of its queries: for a doctor. Each throws `catalogue_unavailable`. */
export interface CatalogueInspection {
  /** Milliseconds of one statement, and the database in words. */
  ping(): Promise<{ readonly milliseconds: number; readonly version: string }>
  /** The database's time. */
  now(): Promise<Date>
  /** Names of migrations, `0001 catalogue`: those that are applied and those that this version has. */
  migrations(): Promise<{ readonly applied: readonly string[]; readonly known: readonly string[] }>
  /**
   * Tries to get at another owner's rows, in a transaction that is rolled back.
   *
   * @returns What got through: nothing, where row-level security holds.
   */
  tryRowSecurity(): Promise<readonly string[]>
  /** What row-level security does not hold: tables of a user's that do not force it, roles that pass by it. */
  unforced(): Promise<readonly string[]>
}

export function inspectCatalogue(database: Database): CatalogueInspection {
  return {
    ping: () => ping(database),
    now: () => now(database),
    migrations: () => listMigrations(database),
    tryRowSecurity: () => tryRowSecurity(database),
    unforced: () => unforced(database),
  }
}

async function one<T>(sql: Sql, schema: z.ZodType<T>, text: string, values: readonly unknown[] = []): Promise<T> {
  const [row] = parseRows(schema, (await sql.query(text, values)).rows)
  if (row === undefined) throw new KeepsakeError('internal', 'A statement that always has a row had none.')
  return row
}

async function ping({ service, kind }: Database): Promise<{ milliseconds: number; version: string }> {
  const started = performance.now()
  const { version } = await one(
    service,
    z.object({ version: z.string() }),
    `select current_setting('server_version') as version`,
  )
  const milliseconds = Math.round(performance.now() - started)
  return { milliseconds, version: `${kind === 'pglite' ? 'PGlite, PostgreSQL' : 'PostgreSQL'} ${version}` }
}

async function now({ service }: Database): Promise<Date> {
  return (await one(service, z.object({ now: z.date() }), 'select keepsake.now() as now')).now
}

async function listMigrations({ service }: Database): Promise<{ applied: string[]; known: string[] }> {
  const { rows } = await service.query('select id, name from keepsake.migrations order by id', [])
  const named = ({ id, name }: { id: number; name: string }) => `${String(id).padStart(4, '0')} ${name}`
  const applied = parseRows(z.object({ id: safeInteger, name: z.string() }), rows)
  return { applied: applied.map(named), known: migrations.map(named) }
}

const ownedTables = ['assets', 'audit', 'idempotency_keys', 'usage'] as const

async function tryRowSecurity(database: Database): Promise<readonly string[]> {
  const leaks: string[] = []
  // Thrown to roll back; both databases hand an error of ours on as it is.
  const undone = new KeepsakeError('internal', 'The trial is over, and was rolled back.')
  try {
    await database.serviceTransaction(async (sql) => {
      const victim = `keepsake-doctor-${randomUUID()}`
      const id = newAssetId()
      await layOut(sql, id, victim)
      await become(sql, `keepsake-doctor-${randomUUID()}`)
      for (const table of ownedTables) {
        if ((await countOf(sql, table, victim)) > 0) leaks.push(`another owner reads keepsake.${table}`)
      }
      for (const [what, text, values] of attempts(id, victim)) {
        if (await getsThrough(sql, text, values)) leaks.push(`another owner ${what}`)
      }
      // Nor without any claim.
      await sql.query(`select set_config('keepsake.owner', '', true)`, [])
      if ((await countOf(sql, 'assets', victim)) > 0) leaks.push('a user without a claim reads keepsake.assets')
      // And the trial itself is a true one: the owner sees its own.
      await sql.query(`select set_config('keepsake.owner', $1, true)`, [victim])
      if ((await countOf(sql, 'assets', victim)) !== 1) leaks.push('an owner does not see its own asset')
      throw undone
    })
  } catch (error) {
    if (error !== undone) throw error
  }
  return leaks
}

/** One row of another owner's in every table. The trigger of keepsake.assets writes keepsake.usage. */
async function layOut(sql: Sql, id: string, owner: string): Promise<void> {
  await sql.query(
    `insert into keepsake.assets (id, collection, owner, until, counted) values ($1, 'doctor', $2, keepsake.now(), 1)`,
    [id, owner],
  )
  await sql.query(
    `insert into keepsake.idempotency_keys (owner, key, fingerprint, asset) values ($1, 'doctor', 'doctor', $2)`,
    [owner, id],
  )
  await sql.query(
    `insert into keepsake.audit (action, asset, owner, collection, actor)
      values ('asset.reserved', $1, $2, 'doctor', 'system')`,
    [id, owner],
  )
}

async function become(sql: Sql, owner: string): Promise<void> {
  await sql.query('set local role keepsake_user')
  await sql.query(`select set_config('keepsake.owner', $1, true)`, [owner])
}

async function countOf(sql: Sql, table: (typeof ownedTables)[number], owner: string): Promise<number> {
  const text = `select count(*) as count from keepsake.${table} where owner = $1`
  return (await one(sql, z.object({ count: safeInteger }), text, [owner])).count
}

function attempts(id: string, victim: string): [what: string, text: string, values: readonly unknown[]][] {
  return [
    ['deletes the asset', `update keepsake.assets set state = 'deleting', until = keepsake.now() where id = $1`, [id]],
    ['removes the row', 'delete from keepsake.assets where id = $1', [id]],
    [
      'makes an asset in the other’s name',
      `insert into keepsake.assets (id, collection, owner, until) values ($1, 'doctor', $2, keepsake.now())`,
      [newAssetId(), victim],
    ],
    [
      'writes an audit row in the other’s name',
      `insert into keepsake.audit (action, asset, owner, collection, actor) values ('url.issued', $1, $2, 'doctor', $3)`,
      [id, victim, `user:${victim}`],
    ],
  ]
}

/** Whether a statement changed anything. A refusal breaks a transaction, so each has a savepoint. */
async function getsThrough(sql: Sql, text: string, values: readonly unknown[]): Promise<boolean> {
  await sql.query('savepoint attempt')
  try {
    const { rowCount } = await sql.query(text, values)
    return rowCount > 0
  } catch (error) {
    if (!refusedByRights(error)) throw error
    return false
  } finally {
    await sql.query('rollback to savepoint attempt')
  }
}

async function unforced({ service }: Database): Promise<readonly string[]> {
  const named = z.object({ name: z.string() })
  const { rows: tables } = await service.query(
    `select c.relname::text as name from pg_class c
      where c.relnamespace = 'keepsake'::regnamespace and c.relkind in ('r', 'p')
        and has_table_privilege('keepsake_user', c.oid, 'select, insert, update, delete')
        and not (c.relrowsecurity and c.relforcerowsecurity)
      order by 1`,
    [],
  )
  const { rows: roles } = await service.query(
    `select rolname::text as name from pg_roles
      where rolname in ('keepsake_user', 'keepsake_service') and (rolsuper or rolbypassrls) order by 1`,
    [],
  )
  return [
    ...parseRows(named, tables).map(({ name }) => `the table keepsake.${name} does not force it`),
    ...parseRows(named, roles).map(({ name }) => `the role ${name} passes by it`),
  ]
}
