import { createHash } from 'node:crypto'
import { z } from 'zod'
import { KeepsakeError } from '../media/index.ts'
import { databaseError, sqlState } from './database-error.ts'
import { type Migration, migrations } from './migrations/index.ts'
import { parseRows } from './row.ts'
import type { Sql } from './sql.ts'

/** One transaction as the login itself, rolled back when `work` throws. `onWarning` gets what statements warn of. */
export type MigrationTransaction = <T>(
  work: (session: Sql) => Promise<T>,
  onWarning?: (message: string) => void,
) => Promise<T>

/** Any number, the same in every process: who holds it migrates. */
const lock = 5_240_617_382_911

const appliedRow = z.object({ id: z.coerce.number().int(), name: z.string(), checksum: z.string() })
type Applied = z.infer<typeof appliedRow>

/**
 * Brings the schema up to date. Safe to be called by many processes at once: each step is one transaction under an
 * advisory lock, and looks again once it holds the lock.
 *
 * @throws {KeepsakeError} `invalid_setting` where the database was migrated by a newer or a changed Keepsake, or where
 * the login may not do what is needed; `catalogue_unavailable`.
 */
export async function migrate(
  transaction: MigrationTransaction,
  known: readonly Migration[] = migrations,
): Promise<void> {
  try {
    if (await transaction((session) => isUpToDate(session, known))) return
    await transaction(async (session) => {
      await takeLock(session)
      await session.query(roles)
      await session.query(ground)
    })
    for (const migration of known) await transaction((session) => apply(session, migration, known))
  } catch (error) {
    throw explain(error)
  }
}

async function isUpToDate(session: Sql, known: readonly Migration[]): Promise<boolean> {
  const found = await session.query(
    `select to_regclass('keepsake.migrations') is not null as migrated,
      (select count(*) = 2 from pg_roles where rolname in ('keepsake_service', 'keepsake_user')) as roles`,
  )
  if (found.rows[0]?.migrated !== true || found.rows[0].roles !== true) return false
  if (!(await mayBecomeBoth(session))) return false
  return (await readApplied(session, known)).length === known.length
}

async function apply(session: Sql, migration: Migration, known: readonly Migration[]): Promise<void> {
  await takeLock(session)
  const applied = await readApplied(session, known)
  if (applied.some((row) => row.id === migration.id)) return
  await session.query(migration.sql)
  await session.query('insert into keepsake.migrations (id, name, checksum) values ($1, $2, $3)', [
    migration.id,
    migration.name,
    checksum(migration),
  ])
}

async function readApplied(session: Sql, known: readonly Migration[]): Promise<readonly Applied[]> {
  const { rows } = await session.query('select id, name, checksum from keepsake.migrations order by id')
  const applied = parseRows(appliedRow, rows)
  for (const row of applied) {
    const expected = known.find((migration) => migration.id === row.id)
    if (expected === undefined) {
      throw new KeepsakeError(
        'invalid_setting',
        `The catalogue was migrated by a newer Keepsake: found migration ${row.id} '${row.name}', and this version ` +
          `knows up to ${known.at(-1)?.id ?? 0}. Run the newer version; there is no way back.`,
      )
    }
    if (expected.name !== row.name || checksum(expected) !== row.checksum) {
      throw new KeepsakeError(
        'invalid_setting',
        `The catalogue's migration ${row.id} '${row.name}' is not the one that this version has. ` +
          'A released migration never changes: run the version that made this database, or report this.',
      )
    }
  }
  return applied
}

function checksum(migration: Migration): string {
  return createHash('sha256').update(migration.sql).digest('hex')
}

export async function takeLock(session: Sql): Promise<void> {
  await session.query('select pg_advisory_xact_lock($1::bigint)', [lock])
}

/** PostgreSQL 16 tells apart being a member and being allowed to SET ROLE (release notes, "Privileges"). */
async function mayBecomeBoth(session: Sql): Promise<boolean> {
  const { rows } = await session.query(mayBecome)
  return rows[0]?.both === true
}

const setPrivilege = `case when current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end`

const mayBecome = `select pg_has_role(current_user, 'keepsake_service', ${setPrivilege})
  and pg_has_role(current_user, 'keepsake_user', ${setPrivilege}) as both`

/**
 * Roles belong to the whole cluster, so another database's Keepsake may make them at the same moment, and advisory
 * locks do not reach across databases: whoever loses the race looks at what the winner made.
 */
const roles = /* sql */ `
do $$
declare
  wanted text;
begin
  foreach wanted in array array['keepsake_service', 'keepsake_user'] loop
    if not exists (select from pg_catalog.pg_roles where rolname = wanted) then
      begin
        execute format('create role %I nologin', wanted);
      exception when duplicate_object or unique_violation then
        null;
      end;
    end if;
    if not pg_has_role(current_user, wanted, ${setPrivilege}) then
      begin
        execute format('grant %I to %I', wanted, current_user);
      exception when unique_violation or internal_error then
        null;
      end;
    end if;
    if not pg_has_role(current_user, wanted, ${setPrivilege}) then
      raise exception 'may not become %', wanted using errcode = 'insufficient_privilege';
    end if;
  end loop;
end
$$;
`

const ground = /* sql */ `
create schema if not exists keepsake;
create table if not exists keepsake.migrations (
  id integer primary key,
  name text not null,
  checksum text not null,
  applied_at timestamptz not null default now()
);
`

function explain(error: unknown): KeepsakeError {
  if (sqlState(error) !== '42501') return databaseError(error)
  return new KeepsakeError(
    'invalid_setting',
    "The database login may not set up Keepsake's catalogue. Connect as a login that may create roles and schemas, or let " +
      'an administrator run: create role keepsake_service nologin; create role keepsake_user nologin; ' +
      'grant keepsake_service, keepsake_user to <login>; grant create on database <database> to <login>.',
    { details: { sqlState: '42501' } },
  )
}
