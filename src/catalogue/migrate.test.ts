import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, describe, expect, it } from 'vitest'
import { reservation } from '../../test/support/databases.ts'
import { type FreshDatabase, freshDatabase } from '../../test/support/fresh-database.ts'
import { createCatalogue, type Database, openPglite, openPostgres } from './index.ts'
import { type MigrationTransaction, migrate } from './migrate.ts'
import { type Migration, migrations } from './migrations/index.ts'

const cleanUps: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function fresh(): Promise<FreshDatabase> {
  const database = await freshDatabase()
  cleanUps.push(() => database.drop())
  return database
}

async function open(connectionString: string): Promise<Database> {
  const database = await openPostgres({ connectionString, max: 2 })
  cleanUps.push(() => database.close())
  return database
}

/** Migrates as openPostgres does, with migrations of the test's own. */
async function migrateWith(url: string, known: readonly Migration[]): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const transaction: MigrationTransaction = async (work) => {
    await client.query('begin')
    try {
      const result = await work({
        query: async (text, values) => {
          const { rows } = await client.query(text, values && [...values])
          return { rows: rows ?? [], rowCount: 0 }
        },
      })
      await client.query('commit')
      return result
    } catch (error) {
      await client.query('rollback')
      throw error
    }
  }
  try {
    await migrate(transaction, known)
  } finally {
    await client.end()
  }
}

/** One that this version does not know yet. */
const next: Migration = {
  id: Math.max(...migrations.map(({ id }) => id)) + 1,
  name: 'next',
  sql: 'create table keepsake.next (x int)',
}
const applied = 'select id, name from keepsake.migrations order by id'

describe('migrations', () => {
  it('are applied once by many processes that start at the same moment', async () => {
    const { url, admin } = await fresh()
    const opened = await Promise.all(Array.from({ length: 6 }, () => open(url)))
    await Promise.all(opened.map((database) => database.check()))
    expect(await admin(applied)).toEqual(migrations.map(({ id, name }) => ({ id, name })))
  })

  it('make one installation, and keep it and the data at the next start', async () => {
    const { url, admin } = await fresh()
    const [first] = [await open(url)]
    const { asset } = await createCatalogue(first).reserve(reservation(), { role: 'service' })
    const before = await admin('select id from keepsake.installation')
    const again = await open(url)
    expect(await createCatalogue(again).get(asset.id, { role: 'service' })).toEqual(asset)
    expect(before).toHaveLength(1)
    expect(await admin('select id from keepsake.installation')).toEqual(before)
  })

  it('are applied in order by a newer version, once', async () => {
    const { url, admin } = await fresh()
    await open(url)
    await Promise.all([migrateWith(url, [...migrations, next]), migrateWith(url, [...migrations, next])])
    expect(await admin(applied)).toEqual([...migrations, next].map(({ id, name }) => ({ id, name })))
  })

  it('leave nothing behind where one of them fails', async () => {
    const { url, admin } = await fresh()
    await open(url)
    const failing = { ...next, sql: `${next.sql}; select 1/0` }
    await expect(migrateWith(url, [...migrations, failing])).rejects.toThrow()
    expect(await admin(applied)).toHaveLength(migrations.length)
    expect(await admin("select to_regclass('keepsake.next') as found")).toEqual([{ found: null }])
  })

  it('refuse a database that a newer version migrated', async () => {
    const { url } = await fresh()
    await migrateWith(url, [...migrations, next])
    await expect(open(url)).rejects.toMatchObject({
      code: 'invalid_setting',
      message: expect.stringMatching(/newer Keepsake.* 'next'/),
    })
  })

  it('refuse a database whose migrations are not ours', async () => {
    const { url, admin } = await fresh()
    await open(url)
    await admin("update keepsake.migrations set checksum = 'x' where id = 1")
    await expect(open(url)).rejects.toMatchObject({
      code: 'invalid_setting',
      message: expect.stringMatching(/migration 1 'catalogue'/),
    })
  })

  it('keep an embedded database through a restart', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'keepsake-pglite-'))
    cleanUps.push(() => rm(dir, { recursive: true }))
    const first = await openPglite({ dir })
    const { asset } = await createCatalogue(first).reserve(reservation(), { role: 'service' })
    await first.close()
    const again = await openPglite({ dir })
    cleanUps.push(() => again.close())
    expect(await createCatalogue(again).get(asset.id, { role: 'user', owner: asset.owner })).toEqual(asset)
  })
})

describe('a login that is no superuser', () => {
  async function login(database: FreshDatabase, rights: string, grants: string): Promise<string> {
    const name = `login_${new URL(database.url).pathname.slice(-12)}`
    await database.admin(`create role ${name} login password 'secret' ${rights}; ${grants.replaceAll('LOGIN', name)}`)
    cleanUps.push(() => database.admin(`drop owned by ${name} cascade; drop role ${name}`))
    return database.as(name, 'secret')
  }
  const onDatabase = (database: FreshDatabase) =>
    `grant create on database ${new URL(database.url).pathname.slice(1)} to LOGIN;`
  /** The cluster is shared with the other tests, so the roles are there; who made them may grant them. */
  const mayGrant = 'grant keepsake_service, keepsake_user to LOGIN with admin option;'

  async function works(url: string): Promise<void> {
    const catalogue = createCatalogue(await open(url))
    const wanted = reservation({ reservedBytes: 5, quota: 5, idempotency: { key: 'k', fingerprint: 'f' } })
    const actor = { role: 'user', owner: wanted.owner } as const
    const { asset } = await catalogue.reserve(wanted, actor)
    const more = { ...wanted, id: reservation().id, idempotency: null }
    await expect(catalogue.reserve(more, actor)).rejects.toMatchObject({ code: 'quota_exceeded' })
    expect(await catalogue.get(asset.id, { role: 'user', owner: 'x' })).toBeUndefined()
    const deleting = await catalogue.beginDelete(asset.id, 30, actor)
    expect(await catalogue.purge(asset.id, deleting?.attempt ?? 0, { role: 'system' })).toBe(true)
  }

  it('runs Keepsake where an administrator gave it both roles', async () => {
    const database = await fresh()
    await open((await fresh()).url)
    await works(await login(database, '', `grant keepsake_service, keepsake_user to LOGIN; ${onDatabase(database)}`))
  })

  it('runs Keepsake where it may create roles', async () => {
    const database = await fresh()
    await open((await fresh()).url)
    await works(await login(database, 'createrole', `${onDatabase(database)} ${mayGrant}`))
  })

  it.each(['', 'createrole'])('and may not do what is needed (%s) is told what to do', async (rights) => {
    const database = await fresh()
    await open((await fresh()).url)
    const url = await login(database, rights, '')
    const refused = await open(url).catch((error: unknown) => error)
    expect(refused).toMatchObject({
      code: 'invalid_setting',
      message: expect.stringMatching(/grant keepsake_service, keepsake_user to/),
    })
    expect(String(refused)).not.toContain('secret')
  })
})
