import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { databases, moveClock, type OpenedDatabase } from '../../test/support/databases.ts'
import { type CatalogueInspection, inspectCatalogue } from './index.ts'

describe.each(databases)('an inspection of the catalogue on $name', ({ open }) => {
  let opened: OpenedDatabase
  let inspection: CatalogueInspection
  beforeAll(async () => {
    opened = await open()
    inspection = inspectCatalogue(opened.single)
  })
  afterAll(() => opened?.close())

  /** As the login itself, which owns the schema; the service may not change it. */
  const admin = (text: string) =>
    opened.single.serviceTransaction(async (sql) => {
      await sql.query('set local role none')
      return sql.query(text)
    })

  it('finds the database, its time and its schema', async () => {
    expect(await inspection.ping()).toMatchObject({
      milliseconds: expect.any(Number),
      version: expect.stringMatching(/PostgreSQL \d+/),
    })
    expect(Math.abs((await inspection.now()).getTime() - Date.now())).toBeLessThan(30_000)
    await moveClock(opened.single, 3600)
    expect((await inspection.now()).getTime() - Date.now()).toBeGreaterThan(3_500_000)
    await moveClock(opened.single, 0)
    const { applied, known } = await inspection.migrations()
    expect(applied).toEqual(known)
    expect(applied[0]).toBe('0001 catalogue')
  })

  it('finds that owners are kept apart, and leaves nothing behind', async () => {
    expect(await inspection.tryRowSecurity()).toEqual([])
    expect(await inspection.unforced()).toEqual([])
    for (const table of ['assets', 'audit', 'idempotency_keys', 'usage']) {
      const { rows } = await opened.single.service.query(`select * from keepsake.${table}`, [])
      expect(rows).toEqual([])
    }
    const { rows } = await opened.single.service.query('select current_user::text as role', [])
    expect((await opened.database.service.query('select current_user::text as role', [])).rows).toEqual(rows)
  })

  it.each<[string, string, string, RegExp]>([
    [
      'a policy that was dropped',
      'drop policy own on keepsake.assets',
      `create policy own on keepsake.assets as restrictive to keepsake_user
        using (owner = keepsake.claimed_owner()) with check (owner = keepsake.claimed_owner())`,
      /another owner reads keepsake\.assets.*deletes the asset.*makes an asset.*a user without a claim/s,
    ],
    [
      'row-level security switched off',
      'alter table keepsake.usage disable row level security',
      'alter table keepsake.usage enable row level security',
      /another owner reads keepsake\.usage/,
    ],
    [
      'a policy that lets anybody write the audit',
      'drop policy own on keepsake.audit; drop policy user_acts on keepsake.audit; create policy anybody on keepsake.audit for insert to keepsake_user with check (true)',
      `drop policy anybody on keepsake.audit;
        create policy user_acts on keepsake.audit for insert to keepsake_user with check (actor = 'user:' || keepsake.claimed_owner());
        create policy own on keepsake.audit as restrictive to keepsake_user
        using (owner = keepsake.claimed_owner()) with check (owner = keepsake.claimed_owner())`,
      /writes an audit row in the other’s name/,
    ],
    [
      'an owner that no longer sees its own',
      'create policy shut on keepsake.assets as restrictive for select to keepsake_user using (false)',
      'drop policy shut on keepsake.assets',
      /an owner does not see its own asset/,
    ],
  ])('finds %s', async (_, breaking, mending, found) => {
    await admin(breaking)
    try {
      expect((await inspection.tryRowSecurity()).join('\n')).toMatch(found)
    } finally {
      await admin(mending)
    }
    expect(await inspection.tryRowSecurity()).toEqual([])
  })

  it('finds tables that do not force it, and roles that pass by it', async () => {
    // Roles are the whole cluster's, and other tests run on the same PostgreSQL.
    const roles = opened.database.kind === 'pglite' ? ['bypassrls', 'nobypassrls'] : undefined
    const alter = (to: string | undefined) => (to ? `; alter role keepsake_user ${to}` : '')
    await admin(`alter table keepsake.audit no force row level security${alter(roles?.[0])}`)
    try {
      expect(await inspection.unforced()).toEqual([
        'the table keepsake.audit does not force it',
        ...(roles ? ['the role keepsake_user passes by it'] : []),
      ])
    } finally {
      await admin(`alter table keepsake.audit force row level security${alter(roles?.[1])}`)
    }
    expect(await inspection.unforced()).toEqual([])
  })

  it('finds a migration that is not applied', async () => {
    await admin(`update keepsake.migrations set id = 9999 where id = (select max(id) from keepsake.migrations)`)
    const { applied, known } = await inspection.migrations()
    await admin(`update keepsake.migrations set id = ${Number(known.at(-1)?.slice(0, 4))} where id = 9999`)
    expect(applied).not.toEqual(known)
  })
})
