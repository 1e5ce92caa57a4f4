import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../../test/support/fresh-database.ts'
import { type Database, type ExtensionSchema, openPglite, openPostgres } from './index.ts'

const cleanUps: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

/** A database that is opened again and again, as an installation is: each time with other schemas. */
const installations = [
  {
    name: 'PGlite',
    async make() {
      const dir = await mkdtemp(join(tmpdir(), 'keepsake-schemas-'))
      cleanUps.push(() => rm(dir, { recursive: true }))
      return (schemas: readonly ExtensionSchema[], warn: (facts: object, message: string) => void) =>
        openPglite({ dir, schemas, logger: { warn } })
    },
  },
  {
    name: 'PostgreSQL',
    async make() {
      const fresh: FreshDatabase = await freshDatabase()
      cleanUps.push(() => fresh.drop())
      return (schemas: readonly ExtensionSchema[], warn: (facts: object, message: string) => void) =>
        openPostgres({ connectionString: fresh.url, max: 2, schemas, logger: { warn } })
    },
  },
] as const

const notes = (version: number): ExtensionSchema => ({
  name: 'notes',
  sql: `create table if not exists public.notes (version int);
    insert into public.notes values (${version});
    grant select, insert on public.notes to keepsake_service;`,
})

describe.each(installations)('schemas of extensions on $name', ({ make }) => {
  async function opening() {
    const open = await make()
    const warnings: { facts: object; message: string }[] = []
    return {
      warnings,
      /** Opens with the schemas, does the work and closes. */
      async with<T>(schemas: readonly ExtensionSchema[], work: (database: Database) => Promise<T>): Promise<T> {
        const database = await open(schemas, (facts, message) => warnings.push({ facts, message }))
        try {
          return await work(database)
        } finally {
          await database.close()
        }
      },
    }
  }
  const versions = async (database: Database) =>
    (await database.service.query('select version from public.notes order by 1', [])).rows.map(({ version }) => version)

  it('are applied once, and again when they change', async () => {
    const installation = await opening()
    expect(await installation.with([notes(1)], versions)).toEqual([1])
    expect(await installation.with([notes(1)], versions)).toEqual([1])
    expect(await installation.with([notes(2)], versions)).toEqual([1, 2])
    // Who leaves an extension out keeps its relations.
    expect(await installation.with([], versions)).toEqual([1, 2])
  })

  it('stop the opening where one fails, with its name and what PostgreSQL said, and leave nothing of it', async () => {
    const installation = await opening()
    const failing = { name: 'broken', sql: 'create table public.half (x int); select * from public.nowhere' }
    const opened = installation.with([notes(1), failing], versions)
    await expect(opened).rejects.toMatchObject({
      code: 'invalid_setting',
      message: expect.stringMatching(/'broken' was refused .*relation "public\.nowhere" does not exist/),
      details: { extension: 'broken', sqlState: '42P01' },
    })
    const tables = await installation.with([notes(1)], async (database) => [
      ...(await versions(database)),
      (await database.service.query("select to_regclass('public.half') as half", [])).rows[0]?.half,
    ])
    expect(tables).toEqual([1, null])
  })

  it('warn by the logger, and leave neither a role nor a search path behind', async () => {
    const installation = await opening()
    const sql = `do $$ begin raise warning 'a table of that name is there'; raise notice 'idle talk'; end $$;
      set search_path = keepsake; set role keepsake_user;`
    const [path] = await installation.with(
      [{ name: 'loud', sql }],
      async (database) =>
        (await database.service.query("select current_setting('search_path') as path, current_user as who", [])).rows,
    )
    expect(installation.warnings).toEqual([{ facts: { extension: 'loud' }, message: 'a table of that name is there' }])
    expect(path?.path).not.toBe('keepsake')
    expect(path?.who).not.toBe('keepsake_user')
  })
})

it('schemas are applied once by many processes that start at the same moment', async () => {
  const fresh = await freshDatabase()
  cleanUps.push(() => fresh.drop())
  const opened = await Promise.all(
    Array.from({ length: 5 }, () => openPostgres({ connectionString: fresh.url, max: 1, schemas: [notes(1)] })),
  )
  cleanUps.push(() => Promise.all(opened.map((database) => database.close())))
  expect(await fresh.admin('select version from public.notes')).toEqual([{ version: 1 }])
})

it('a schema of a login without the right is refused with what is missing', async () => {
  const fresh = await freshDatabase()
  cleanUps.push(() => fresh.drop())
  const name = `login_${new URL(fresh.url).pathname.slice(-12)}`
  const database = new URL(fresh.url).pathname.slice(1)
  await (await openPostgres({ connectionString: (await another()).url, max: 1 })).close()
  await fresh.admin(`create role ${name} login password 'secret'; grant create on database ${database} to ${name};
    grant keepsake_service, keepsake_user to ${name}; revoke create on schema public from public`)
  cleanUps.push(() => fresh.admin(`drop owned by ${name} cascade; drop role ${name}`))
  const connectionString = fresh.as(name, 'secret')
  await expect(openPostgres({ connectionString, max: 1, schemas: [notes(1)] })).rejects.toMatchObject({
    code: 'invalid_setting',
    message: expect.stringMatching(/'notes' was refused .*permission denied for schema public/),
  })
})

/** The roles belong to the cluster: once one database made them, a login that may not make any gets along. */
async function another(): Promise<FreshDatabase> {
  const fresh = await freshDatabase()
  cleanUps.push(() => fresh.drop())
  return fresh
}
