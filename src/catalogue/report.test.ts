import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { databases, moveClock, type OpenedDatabase, reservation } from '../../test/support/databases.ts'
import type { Actor, Catalogue } from './catalogue.ts'
import { createCatalogue } from './create-catalogue.ts'
import type { ReportPage, ReportQuery } from './report.ts'

const service: Actor = { role: 'service' }
const day = 86_400

describe.each(databases)('reports on $name', ({ open }) => {
  let opened: OpenedDatabase
  let catalogue: Catalogue
  let keys = 0

  beforeAll(async () => {
    opened = await open()
    catalogue = createCatalogue(opened.single)
    await setClock('2026-01-15T12:00:00Z')
    await store('ada', 'generations', 'image', 1000, { model: 'flux' })
    await remove(await store('ada', 'generations', 'image', 500, { model: 'flux' }))
    await setClock('2026-02-20T12:00:00Z')
    await store('ada', 'avatars', 'image', 200_000)
    await setClock('2026-05-10T12:00:00Z')
    const watched = await store('grace', 'generations', 'video', 1_000_000, { model: 'kling' })
    await store('bob', 'generations', 'video', 1_000_000, { model: '=cmd()' })
    await catalogue.reserve(reservation({ owner: 'grace', attributes: { model: 'flux' } }), service)
    const { asset } = await catalogue.reserve(reservation({ owner: 'grace' }), service)
    await catalogue.fail(asset.id, 1, { code: 'source_gone', message: 'x' }, service)
    await catalogue.recordIssuedUrls(
      [1, 2, 3].map(() => ({ asset: watched, expiresAt: new Date() })),
      service,
    )
    await opened.single.service.query("update keepsake.assets set health = 'missing' where owner = 'bob'")
  }, 120_000)
  afterAll(() => opened?.close())

  /** The time goes on from there. */
  function setClock(at: string) {
    return moveClock(opened.single, Math.round((Date.parse(at) - Date.now()) / 1000))
  }

  async function store(owner: string, collection: string, kind: 'image' | 'video', size: number, attributes = {}) {
    const { asset } = await catalogue.reserve(reservation({ owner, collection, attributes }), service)
    keys += 1
    const contentType = kind === 'image' ? 'image/png' : 'video/mp4'
    const key = `key-${keys}`
    await catalogue.assignKey(asset.id, 1, { key, store: 'primary', kind, contentType, lease: 30, quota: null })
    const facts = { size, sha256: 'ab'.repeat(32), width: null, height: null, duration: null, keep: null }
    await catalogue.confirm(asset.id, 1, facts, service)
    return asset.id
  }

  async function remove(id: string) {
    const deleting = await catalogue.beginDelete(id, 30, service)
    await catalogue.purge(id, deleting?.attempt ?? 0, service)
  }

  const report = (query: Partial<ReportQuery>, actor: Actor = service) =>
    catalogue.report({ by: null, limit: 100, ...query }, actor)

  const brief = ({ rows }: ReportPage) => rows.map(({ name, objects, bytes }) => [name, objects, bytes])

  it('count what is stored, pending, failed and missing, in all', async () => {
    const { total, rows, groups } = await report({})
    expect(total).toMatchObject({ objects: 4, bytes: 2_201_000, pending: 1, failed: 1, missing: 1, corrupt: 0 })
    expect(total).toMatchObject({ bytesOf128KiB: 2_200_000 + 131_072, objectsOf128KiB: 3, reads: 0, added: 0 })
    expect([rows, groups]).toEqual([[], 1])
  })

  it.each([
    [
      'owner',
      [
        ['bob', 1, 1_000_000],
        ['grace', 1, 1_000_000],
        ['ada', 2, 201_000],
      ],
    ],
    [
      'collection',
      [
        ['generations', 3, 2_001_000],
        ['avatars', 1, 200_000],
      ],
    ],
    [
      'kind',
      [
        ['video', 2, 2_000_000],
        ['image', 2, 201_000],
        [null, 0, 0],
      ],
    ],
  ] as const)('by %s, the most bytes first', async (by, expected) => {
    expect(brief(await report({ by }))).toEqual(expected)
  })

  it('by an attribute, with those that lack it in a row of their own', async () => {
    const page = await report({ by: { attribute: 'model' } })
    expect(brief(page)).toEqual([
      ['=cmd()', 1, 1_000_000],
      ['kling', 1, 1_000_000],
      [null, 1, 200_000],
      ['flux', 1, 1000],
    ])
    expect(page.rows.at(-1)).toMatchObject({ pending: 1 })
  })

  it('by month and day, with what was stored and deleted then, whatever is left of it', async () => {
    const months = await report({ by: 'month' })
    expect(brief(months)).toEqual([
      ['2026-05', 2, 2_000_000],
      ['2026-02', 1, 200_000],
      ['2026-01', 1, 1000],
    ])
    expect(months.rows.at(-1)).toMatchObject({ added: 2, addedBytes: 1500, removed: 1, removedBytes: 500 })
    expect(months.total).toMatchObject({ objects: 4, added: 5, addedBytes: 2_201_500, removed: 1, removedBytes: 500 })
    const days = await report({ by: 'day', owner: 'ada', collection: 'generations' })
    expect(days.rows).toMatchObject([{ name: '2026-01-15', objects: 1, added: 2, removed: 1 }])
  })

  it('hold to owner, collection, kind and the time of making', async () => {
    expect((await report({ owner: 'ada', kind: 'image' })).total).toMatchObject({ objects: 2 })
    expect((await report({ collection: 'avatars' })).total).toMatchObject({ objects: 1, bytes: 200_000 })
    const old = new Date('2026-04-01T00:00:00Z')
    expect((await report({ from: old })).total).toMatchObject({ objects: 2, pending: 1 })
    expect((await report({ to: old })).total).toMatchObject({ objects: 2, pending: 0 })
  })

  it('count a month’s links with what lies behind them, and writes, where asked', async () => {
    const { rows, total } = await report({ by: 'owner', requests: 30 * day })
    expect(total).toMatchObject({ reads: 3, readBytes: 3_000_000, writes: 2 })
    expect(rows.map(({ name, reads, writes }) => [name, reads, writes])).toEqual([
      ['bob', 0, 1],
      ['grace', 3, 1],
      ['ada', 0, 0],
    ])
    expect((await report({ requests: 30 * day, owner: 'bob' })).total).toMatchObject({ reads: 0, writes: 1 })
    expect((await report({ requests: 30 * day, kind: 'image' })).total).toMatchObject({ reads: 0, writes: 0 })
    expect((await report({ requests: 365 * day })).total).toMatchObject({ writes: 5 })
  })

  it.each(['owner', 'kind', 'month', { attribute: 'model' }] as const)(
    'come in pages by %o, with nothing twice',
    async (by) => {
      const whole = await report({ by })
      const names: (string | null)[] = []
      let cursor: string | undefined
      do {
        const page: ReportPage = await report({ by, limit: 1, ...(cursor ? { cursor } : {}) })
        expect([page.total, page.groups]).toEqual([whole.total, whole.groups])
        names.push(...page.rows.map(({ name }) => name))
        cursor = page.nextCursor ?? undefined
      } while (cursor !== undefined)
      expect(names).toEqual(whole.rows.map(({ name }) => name))
      await expect(report({ by, cursor: 'nonsense' })).rejects.toMatchObject({ code: 'invalid_request' })
    },
  )

  it('show a user its own and nothing else', async () => {
    const grace: Actor = { role: 'user', owner: 'grace' }
    const { rows, total, groups } = await report({ by: 'owner', requests: 30 * day }, grace)
    expect([rows.map(({ name }) => name), groups]).toEqual([['grace'], 1])
    expect(total).toMatchObject({ objects: 1, reads: 3, pending: 1, failed: 1 })
    expect((await report({ by: 'month' }, grace)).total).toMatchObject({ added: 1, removed: 0 })
    expect((await report({ owner: 'ada' }, grace)).total).toMatchObject({ objects: 0, bytes: 0 })
  })

  it('of nothing at all are zero', async () => {
    const nobody: Actor = { role: 'user', owner: 'nobody' }
    expect(await report({ by: 'owner' }, nobody)).toMatchObject({
      rows: [],
      groups: 0,
      nextCursor: null,
      total: { objects: 0 },
    })
  })
})
