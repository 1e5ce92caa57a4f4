import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { databases, moveClock, type OpenedDatabase, reservation } from '../../test/support/databases.ts'
import type { AssetRecord } from '../media/index.ts'
import { type Actor, type Catalogue, createCatalogue, type Reservation, type StoredContent } from './index.ts'

const service: Actor = { role: 'service', requestId: 'req-1' }
const content: StoredContent = { size: 20, sha256: 'ab'.repeat(32), width: 4, height: 3, duration: null, keep: null }

describe.each(databases)('one at a time, on $name', ({ open }) => {
  let opened: OpenedDatabase
  let catalogue: Catalogue
  let clocked: Catalogue
  let owner: string

  beforeAll(async () => {
    opened = await open()
    catalogue = createCatalogue(opened.database)
    clocked = createCatalogue(opened.single)
  })
  afterAll(() => opened?.close())
  beforeEach(async () => {
    owner = `owner-${randomUUID()}`
    await moveClock(opened.single, 0)
  })

  /** Reserved so many seconds from now, and ready to be confirmed. */
  async function keyed(given: Partial<Reservation> = {}, seconds = 0): Promise<AssetRecord> {
    await moveClock(opened.single, seconds)
    const wanted = { owner, collection: 'avatars', attributes: { role: 'avatar' }, ...given }
    const { asset } = await clocked.reserve(reservation(wanted), service)
    const key = `k/${randomUUID()}.png`
    const facts = { key, store: 'primary', kind: 'image', contentType: 'image/png', lease: 90, quota: null } as const
    const ready = await clocked.assignKey(asset.id, asset.attempt, facts)
    if (ready === undefined) throw new Error('no key')
    return ready
  }

  const confirm = ({ id, attempt }: AssetRecord, by: readonly string[] = ['role']) =>
    catalogue.confirmReplacing(id, attempt, content, by, service)

  const standing = async () =>
    (await catalogue.list({ collection: 'avatars', owner, state: 'stored', limit: 100 }, service)).assets.map(
      ({ id }) => id,
    )

  it('a new asset takes the place of the old one, whose delete is under way by the same step', async () => {
    const [old, next] = [await keyed(), await keyed({}, 1)]
    expect(await confirm(old)).toMatchObject({ asset: { state: 'stored' }, deleting: [] })
    expect(await confirm(next)).toMatchObject({ asset: { id: next.id, state: 'stored' }, deleting: [old.id] })
    expect(await standing()).toEqual([next.id])
    expect(await catalogue.get(old.id, service)).toBeUndefined()
    const leaving = await catalogue.get(old.id, { role: 'system' })
    expect(leaving).toMatchObject({ state: 'deleting', key: old.key, attempt: old.attempt + 1 })
    const { entries } = await catalogue.listAudit({ asset: old.id, limit: 10 }, service)
    expect(entries[0]).toMatchObject({
      action: 'asset.deleting',
      requestId: 'req-1',
      detail: { from: 'stored', reason: 'replaced', by: next.id, size: 20 },
    })
    expect(await catalogue.purge(old.id, leaving?.attempt ?? 0, service)).toBe(true)
  })

  it('the one that was asked for last stays, in whatever order they end', async () => {
    const [early, late] = [await keyed(), await keyed({}, 1)]
    await confirm(late)
    expect(await confirm(early)).toEqual({ asset: undefined, deleting: [early.id] })
    expect(await standing()).toEqual([late.id])
    expect(await catalogue.get(early.id, { role: 'system' })).toMatchObject({ state: 'deleting', key: early.key })
  })

  it('of many at once one stays, and it is the last', async () => {
    const all = []
    for (let turn = 0; turn < 12; turn += 1) all.push(await keyed({}, turn))
    const shuffled = all.map((asset) => ({ asset, at: randomUUID() })).sort((a, b) => (a.at < b.at ? -1 : 1))
    await Promise.all(shuffled.map(({ asset }) => confirm(asset)))
    expect(await standing()).toEqual([all.at(-1)?.id])
    const left = await Promise.all(all.slice(0, -1).map(({ id }) => catalogue.get(id, { role: 'system' })))
    expect(left.map((asset) => asset?.state)).toEqual(left.map(() => 'deleting'))
  })

  it('another owner, another collection and other values have places of their own', async () => {
    const other = `owner-${randomUUID()}`
    const first = await keyed()
    const others = [
      await keyed({ owner: other }, 1),
      await keyed({ collection: 'thumbnails' }, 1),
      await keyed({ attributes: { role: 'cover' } }, 1),
      await keyed({ attributes: {} }, 1),
      // Other attributes do not count.
      await keyed({ attributes: { role: 'avatar', app: 'a' } }, 1),
    ]
    await confirm(first)
    const results = []
    for (const asset of others) results.push(await confirm(asset))
    expect(results.map(({ deleting }) => deleting)).toEqual([[], [], [], [], [first.id]])
    expect(await confirm(await keyed({ attributes: {} }, 2))).toMatchObject({ deleting: [others[3]?.id] })
  })

  it('by no attribute, an owner has one in the collection', async () => {
    const [first, second] = [await keyed(), await keyed({ attributes: { role: 'cover' } }, 1)]
    await confirm(first, [])
    expect(await confirm(second, [])).toMatchObject({ deleting: [first.id] })
  })

  it('whoever lost its attempt replaces nothing', async () => {
    const [old, next] = [await keyed(), await keyed({}, 1)]
    await confirm(old)
    await catalogue.fail(next.id, next.attempt, { code: 'source_gone', message: 'Gone.' }, service)
    expect(await confirm(next)).toEqual({ asset: undefined, deleting: [] })
    expect(await standing()).toEqual([old.id])
    expect(await catalogue.confirmReplacing('no id', 1, content, [], service)).toEqual({
      asset: undefined,
      deleting: [],
    })
  })
})
