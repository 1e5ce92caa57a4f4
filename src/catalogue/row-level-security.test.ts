import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { databases, type OpenedDatabase, reservation } from '../../test/support/databases.ts'
import { type FreshDatabase, freshDatabase } from '../../test/support/fresh-database.ts'
import { type AssetRecord, newAssetId } from '../media/index.ts'
import { type Actor, type Catalogue, createCatalogue, openPostgres, type PostgresDatabase, type Sql } from './index.ts'

const service: Actor = { role: 'service' }
const alice: Actor = { role: 'user', owner: 'alice' }
const bob: Actor = { role: 'user', owner: 'bob' }

async function stored(catalogue: Catalogue, owner: string): Promise<AssetRecord> {
  const { id } = reservation()
  await catalogue.reserve(
    reservation({ id, owner, idempotency: { key: id, fingerprint: 'f' }, reservedBytes: 5 }),
    service,
  )
  const content = { kind: 'image', contentType: 'image/png', store: 'primary', lease: 30, quota: null } as const
  await catalogue.assignKey(id, 1, { ...content, key: `${owner}/${id}` })
  const facts = { size: 5, sha256: 'ab'.repeat(32), width: null, height: null, duration: null, keep: null }
  const asset = await catalogue.confirm(id, 1, facts, service)
  if (asset === undefined) throw new Error('not stored')
  return asset
}

/** Who a session says it is, and for whom. */
const identity = "select current_user::text as role, coalesce(current_setting('keepsake.owner', true), '') as owner"

describe.each(databases)('row-level security on $name', ({ open }) => {
  let opened: OpenedDatabase
  let catalogue: Catalogue
  let hers: AssetRecord
  let his: AssetRecord

  beforeAll(async () => {
    opened = await open()
    catalogue = createCatalogue(opened.database)
    hers = await stored(catalogue, 'alice')
    his = await stored(catalogue, 'bob')
    await catalogue.beginDelete((await stored(catalogue, 'bob')).id, 30, bob)
  })
  afterAll(() => opened?.close())

  const as = <T>(owner: string, work: (sql: Sql) => Promise<T>) => opened.single.ownerTransaction(owner, work)
  const raw = (owner: string, text: string, values: readonly unknown[] = []) =>
    as(owner, (sql) => sql.query(text, values))

  it('shows a user its own assets and nothing of others, by every read', async () => {
    expect(await catalogue.get(hers.id, alice)).toEqual(hers)
    expect(await catalogue.get(his.id, alice)).toBeUndefined()
    expect(await catalogue.getByKey(his.key ?? '', alice)).toBeUndefined()
    expect(await catalogue.getMany([hers.id, his.id], alice)).toEqual([hers])
    expect((await catalogue.list({ limit: 100 }, alice)).assets).toEqual([hers])
    expect((await catalogue.list({ limit: 100, owner: 'bob' }, alice)).assets).toEqual([])
    const { entries } = await catalogue.listAudit({ limit: 100 }, alice)
    expect(new Set(entries.map(({ owner }) => owner))).toEqual(new Set(['alice']))
    expect((await catalogue.listAudit({ limit: 100, asset: his.id }, alice)).entries).toEqual([])
    expect((await catalogue.list({ limit: 100 }, service)).assets).toEqual([his, hers])
  })

  it("does not let a user delete, reserve as, or write the audit of another's", async () => {
    const audit = await catalogue.listAudit({ asset: his.id, limit: 100 }, service)
    expect(await catalogue.beginDelete(his.id, 30, alice)).toBeUndefined()
    await catalogue.recordIssuedUrls([{ asset: his.id, expiresAt: new Date() }], alice)
    await expect(catalogue.reserve(reservation({ owner: 'bob' }), alice)).rejects.toMatchObject({ code: 'forbidden' })
    expect(await catalogue.get(his.id, service)).toEqual(his)
    expect(await catalogue.listAudit({ asset: his.id, limit: 100 }, service)).toEqual(audit)
  })

  it.each(['assets', 'audit', 'idempotency_keys', 'usage'])('holds for raw SQL on %s', async (table) => {
    const owners = `select distinct owner from keepsake.${table}`
    expect((await raw('alice', owners)).rows).toEqual([{ owner: 'alice' }])
    expect((await raw('alice', `${owners} where owner = 'bob' or true`)).rows).toEqual([{ owner: 'alice' }])
    expect((await raw('nobody', owners)).rows).toEqual([])
    expect((await opened.database.service.query(owners, [])).rows).toHaveLength(2)
  })

  it('is closed where the claim is missing or empty', async () => {
    expect((await raw('', 'select id from keepsake.assets')).rows).toEqual([])
    expect((await raw('', 'select id from keepsake.audit')).rows).toEqual([])
    const unclaimed = await opened.single.serviceTransaction(async (sql) => {
      await sql.query('set local role keepsake_user', undefined)
      return sql.query('select id from keepsake.assets', [])
    })
    expect(unclaimed.rows).toEqual([])
    await expect(catalogue.reserve(reservation({ owner: 'x' }), { role: 'user', owner: '' })).rejects.toMatchObject({
      code: 'forbidden',
    })
  })

  it.each([
    ['change assets of others', `update keepsake.assets set state = 'deleting', until = now() where owner = 'bob'`, 0],
    ['take an asset over', `update keepsake.assets set owner = 'alice' where owner = 'bob'`, 'refused'],
    ['store without storing', `update keepsake.assets set state = 'stored', until = null`, 'refused'],
    ['delete rows', 'delete from keepsake.assets', 'refused'],
    [
      'write a row of another',
      `insert into keepsake.assets (id, collection, owner, until) values
      (gen_random_uuid(), 'c', 'bob', now())`,
      'refused',
    ],
    [
      'write a row that is stored',
      `insert into keepsake.assets (id, collection, owner, state) values
      (gen_random_uuid(), 'c', 'alice', 'stored')`,
      'refused',
    ],
    [
      'write an audit row of another',
      `insert into keepsake.audit (action, asset, owner, collection, actor) values
      ('url.issued', gen_random_uuid(), 'bob', 'c', 'user:alice')`,
      'refused',
    ],
    [
      'write an audit row as another',
      `insert into keepsake.audit (action, asset, owner, collection, actor) values
      ('url.issued', gen_random_uuid(), 'alice', 'c', 'service')`,
      'refused',
    ],
    ['rewrite the audit', `update keepsake.audit set actor = 'user:bob'`, 'refused'],
    ['free its quota', 'update keepsake.usage set bytes = 0', 'refused'],
    ['free an idempotency key', 'delete from keepsake.idempotency_keys', 'refused'],
    ['see retired keys', 'select * from keepsake.retired_keys', 'refused'],
    ['see the installation', 'select * from keepsake.installation', 'refused'],
    ['make a table', 'create table keepsake.mine (x int)', 'refused'],
  ])('does not let raw SQL of a user %s', async (_, text, outcome) => {
    const before = await catalogue.list({ limit: 100 }, service)
    const done = raw('alice', text).then(
      ({ rowCount }) => rowCount,
      (error) => (error.cause?.code === '42501' ? 'refused' : error),
    )
    expect(await done).toBe(outcome)
    expect(await catalogue.list({ limit: 100 }, service)).toEqual(before)
  })

  it("does not let even the service rewrite the audit, or anybody change an asset's owner or go back in its life", async () => {
    if (opened.database.kind === 'postgres') {
      await expect(opened.database.service.query('delete from keepsake.audit', [])).rejects.toMatchObject({
        cause: { code: '42501' },
      })
    }
    for (const change of [
      `owner = 'eve'`,
      `state = 'pending', until = now()`,
      'attempt = 0',
      'id = gen_random_uuid()',
    ]) {
      const text = `update keepsake.assets set ${change} where id = $1`
      await expect(opened.database.service.query(text, [his.id])).rejects.toMatchObject({ code: 'internal' })
    }
    expect(await catalogue.get(his.id, service)).toEqual(his)
  })

  it('leaves neither role nor claim behind: after success, failure, and a failed statement', async () => {
    const before = (await opened.single.service.query(identity, [])).rows
    const inside = await raw('alice', identity)
    expect(inside.rows).toEqual([{ role: 'keepsake_user', owner: 'alice' }])
    const attempts = [
      () => raw('alice', 'select 1'),
      () => raw('alice', 'select 1/0'),
      () => raw('alice', 'select * from keepsake.retired_keys'),
      () => as('alice', () => Promise.reject(new Error('ours'))),
      () => raw('a\0', 'select 1'),
    ]
    for (const attempt of attempts) {
      await attempt().catch(() => {})
      const [found] = (await opened.single.service.query(identity, [])).rows
      expect(found).toEqual(before[0])
      expect((await raw('bob', identity)).rows).toEqual([{ role: 'keepsake_user', owner: 'bob' }])
      expect((await opened.single.service.query('select id from keepsake.assets', [])).rows).toHaveLength(3)
    }
  })

  it('does not serve a transaction that ended', async () => {
    const kept = await as('alice', async (sql) => sql)
    await expect(kept.query('select * from keepsake.assets', [])).rejects.toMatchObject({ code: 'internal' })
  })

  it('rolls back and says so where a failed statement was passed over', async () => {
    const id = newAssetId()
    const work = as('alice', async (sql) => {
      await sql.query(`insert into keepsake.assets (id, collection, owner, until) values ($1, 'c', 'alice', now())`, [
        id,
      ])
      await sql.query('select 1/0', []).catch(() => {})
    })
    await expect(work).rejects.toThrow()
    expect(await catalogue.get(id, service)).toBeUndefined()
  })

  it('is forced on every table that has something of owners in it', async () => {
    const { rows } = await opened.database.service.query(
      `select relname::text as name from pg_class where relnamespace = 'keepsake'::regnamespace and relkind = 'r'
      and not (relrowsecurity and relforcerowsecurity) order by 1`,
      [],
    )
    expect(rows.map(({ name }) => name)).toEqual(['extensions', 'installation', 'migrations'])
  })
})

describe('row-level security on a pooled connection', () => {
  let fresh: FreshDatabase
  let database: PostgresDatabase

  beforeAll(async () => {
    fresh = await freshDatabase()
    database = await openPostgres({ connectionString: fresh.url, max: 1 })
  })
  afterAll(async () => {
    await database?.close()
    await fresh?.drop()
  })

  const backend = async () => (await database.service.query('select pg_backend_pid() as pid', [])).rows[0]?.pid

  it('holds after a cancel, on the same connection', async () => {
    const pid = await backend()
    const asleep = database.ownerTransaction('alice', (sql) => sql.query('select pg_sleep(60)', []))
    const refused = expect(asleep).rejects.toMatchObject({ code: 'catalogue_unavailable' })
    await until(
      async () =>
        (
          await fresh.admin(`select pg_cancel_backend(${pid}) from pg_stat_activity
      where pid = ${pid} and query like '%pg_sleep%'`)
        ).length > 0,
    )
    await refused
    expect(await backend()).toBe(pid)
    expect((await database.service.query(identity, [])).rows).toEqual([{ role: 'keepsake_service', owner: '' }])
    const mine = await database.ownerTransaction('bob', (sql) => sql.query(identity, []))
    expect(mine.rows).toEqual([{ role: 'keepsake_user', owner: 'bob' }])
  })

  it('holds on the connection that follows one that broke', async () => {
    const pid = await backend()
    const asleep = database.ownerTransaction('alice', (sql) => sql.query('select pg_sleep(60)', []))
    const refused = expect(asleep).rejects.toMatchObject({ code: 'catalogue_unavailable' })
    await until(
      async () =>
        (
          await fresh.admin(`select pg_terminate_backend(${pid}) from pg_stat_activity
      where pid = ${pid} and query like '%pg_sleep%'`)
        ).length > 0,
    )
    await refused
    expect(await backend()).not.toBe(pid)
    expect((await database.service.query(identity, [])).rows).toEqual([{ role: 'keepsake_service', owner: '' }])
  })

  async function until(condition: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 20_000
    while (!(await condition())) {
      if (Date.now() > deadline) throw new Error('It did not come to that.')
      await sleep(20)
    }
  }
})
