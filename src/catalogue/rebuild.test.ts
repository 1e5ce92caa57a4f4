import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { databases, type OpenedDatabase, reservation } from '../../test/support/databases.ts'
import { newAssetId } from '../media/index.ts'
import type { Actor, Catalogue } from './catalogue.ts'
import { createCatalogue } from './create-catalogue.ts'
import type { FoundObject, ListedForRebuild, ObjectClaim } from './rebuild.ts'

const service: Actor = { role: 'service' }
const none = { keep: {}, grace: 0 }
const all = { after: '', through: '\u{10ffff}' }
const madeAt = new Date('2026-01-02T03:04:05.678Z')

function claim(given: Partial<ObjectClaim> = {}): ObjectClaim {
  return {
    asset: newAssetId(),
    attempt: 1,
    owner: 'ada',
    collection: 'generations',
    kind: 'image',
    contentType: 'image/png',
    sha256: 'ab'.repeat(32),
    width: 64,
    height: 48,
    duration: null,
    attributes: { model: 'flux' },
    createdAt: madeAt,
    ...given,
  }
}

const listed = (key: string, given: Partial<ListedForRebuild> = {}): ListedForRebuild => ({
  ...{ key, etag: '"1"', size: 100, lastModified: madeAt },
  ...given,
})

describe.each(databases)('a rebuild on $name', ({ open }) => {
  let opened: OpenedDatabase
  let catalogue: Catalogue
  beforeAll(async () => {
    opened = await open()
    catalogue = createCatalogue(opened.database)
  }, 120_000)
  afterAll(() => opened?.close())
  beforeEach(() => catalogue.endRebuild())

  /** Notes objects, with what they turned out to be. */
  async function note(objects: Readonly<Record<string, ObjectClaim | 'foreign'>>, at = madeAt) {
    const keys = Object.keys(objects)
    await catalogue.noteListed(keys.map((key) => listed(key, { lastModified: at })))
    await catalogue.noteFound(
      Object.entries(objects).map(([key, it]): FoundObject => {
        return it === 'foreign' ? { key, found: it } : { key, found: 'claim', ...it }
      }),
    )
  }

  async function verdicts() {
    const judged = await catalogue.judgeFound('', 1000)
    return Object.fromEntries(judged.map(({ key, verdict }) => [key, verdict]))
  }

  async function stored(key: string) {
    const { asset } = await catalogue.reserve(reservation({ owner: 'ada' }), service)
    const content = { key, store: 'primary', kind: 'image', contentType: 'image/png', lease: 30, quota: null } as const
    await catalogue.assignKey(asset.id, 1, content)
    const facts = { size: 100, sha256: 'ab'.repeat(32), width: null, height: null, duration: null, keep: null }
    await catalogue.confirm(asset.id, 1, facts, service)
    return asset.id
  }

  it('begins on an empty catalogue, goes on with its own, and knows one that is in use', async () => {
    const fresh = await open()
    const its = createCatalogue(fresh.database)
    try {
      expect(await its.rebuildGround()).toBe('empty')
      await its.noteListed([listed('a')])
      await its.noteFound([{ key: 'a', found: 'claim', ...claim() }])
      expect(await its.insertRebuilt(all, none, service)).toBe(1)
      expect(await its.rebuildGround()).toBe('empty')
      await its.reserve(reservation(), service)
      expect(await its.rebuildGround()).toBe('used')
    } finally {
      await fresh.close()
    }
  })

  it('makes a row of all that an object says, with its audit row and its bytes counted, once', async () => {
    const one = claim({ owner: 'counted', attempt: 3 })
    await note({ 'made/a.png': one, 'other.txt': 'foreign' })
    expect(await verdicts()).toEqual({ 'made/a.png': 'add', 'other.txt': 'foreign' })
    expect(await catalogue.insertRebuilt(all, none, service)).toBe(1)
    expect(await catalogue.insertRebuilt(all, none, service)).toBe(0)
    expect(await verdicts()).toEqual({ 'made/a.png': 'present', 'other.txt': 'foreign' })
    const { asset: id, contentType, createdAt, ...rest } = one
    expect(await catalogue.get(id, service)).toMatchObject({
      ...rest,
      ...{ id, contentType, createdAt, state: 'stored', health: 'ok', key: 'made/a.png', size: 100 },
      ...{ storedAt: madeAt, expiresAt: null, filename: null, provenance: {} },
    })
    const { entries } = await catalogue.listAudit({ asset: id, limit: 10 }, service)
    expect(entries).toMatchObject([
      { action: 'asset.rebuilt', owner: 'counted', actor: 'service', detail: { size: 100 } },
    ])
    const { rows } = await opened.database.service.query("select bytes from keepsake.usage where owner = 'counted'")
    expect(Number(rows[0]?.bytes)).toBe(100)
  })

  it('lets nothing expire before somebody could say that it is to be kept', async () => {
    const [old, young] = [claim(), claim()]
    await note({ 'expiring/old.png': old })
    await catalogue.insertRebuilt(all, { keep: { generations: 60 }, grace: 3600 }, service)
    const now = await catalogue.beginRebuild()
    await note({ 'expiring/young.png': young }, now)
    await catalogue.insertRebuilt(all, { keep: { generations: 7200 }, grace: 3600 }, service)
    const expires = async (id: string) =>
      ((await catalogue.get(id, service))?.expiresAt?.getTime() ?? 0) - now.getTime()
    expect(Math.abs((await expires(old.asset)) - 3_600_000)).toBeLessThan(60_000)
    expect(await expires(young.asset)).toBe(7_200_000)
  })

  it('never changes a row, nor brings back what was deleted or given up', async () => {
    const [here, other, taken, gone] = await Promise.all(['h', 'o', 't', 'g'].map((name) => stored(`kept/${name}`)))
    if (!here || !other || !taken || !gone) throw new Error('Four were stored.')
    const deleting = await catalogue.beginDelete(gone, 30, service)
    await catalogue.purge(gone, deleting?.attempt ?? 0, service)
    const before = await catalogue.getMany([here, other, taken], service)
    await note({
      'kept/h': claim({ asset: here, sha256: 'cd'.repeat(32) }),
      'moved/o': claim({ asset: other }),
      'kept/t': claim(),
      'kept/g': claim({ asset: gone }),
      'elsewhere/g': claim({ asset: gone }),
    })
    expect(await verdicts()).toEqual({
      'kept/h': 'differs',
      'moved/o': 'other-object',
      'kept/t': 'key-taken',
      'kept/g': 'retired',
      'elsewhere/g': 'deleted',
    })
    expect(await catalogue.insertRebuilt(all, none, service)).toBe(0)
    expect(await catalogue.getMany([here, other, taken], service)).toEqual(before)
    expect(await catalogue.get(gone, service)).toBeUndefined()
  })

  it('takes the later attempt of two objects, and of two with one attempt the older', async () => {
    const [retried, copied] = [claim(), claim()]
    await note({ 'two/copy': copied, 'two/1st': retried, 'two/2nd': { ...retried, attempt: 2 } })
    await note({ 'two/original': copied }, new Date(madeAt.getTime() - 1000))
    const judged = await catalogue.judgeFound('', 10)
    expect(judged.map(({ key, verdict, otherKey }) => [key, verdict, otherKey])).toEqual([
      ['two/1st', 'duplicate', 'two/2nd'],
      ['two/2nd', 'add', null],
      ['two/copy', 'duplicate', 'two/original'],
      ['two/original', 'add', null],
    ])
    // Page by page it ends the same, whichever of two comes first.
    let after = ''
    let inserted = 0
    for (const { key } of judged) {
      inserted += await catalogue.insertRebuilt({ after, through: key }, none, service)
      after = key
    }
    expect(inserted).toBe(2)
    expect((await catalogue.get(retried.asset, service))?.key).toBe('two/2nd')
  })

  it('looks again only at what changed or is not listed any more', async () => {
    await catalogue.noteListed(['a', 'b', 'c', 'd'].map((key) => listed(key)))
    await catalogue.noteFound([
      { key: 'a', found: 'claim', ...claim() },
      { key: 'b', found: 'foreign' },
      { key: 'c', found: 'unhashed' },
      { key: 'd', found: 'gone' },
    ])
    expect(await catalogue.countNoted(false)).toEqual({ listed: 3, toLook: 0 })
    expect(await catalogue.toLook('', 10, true)).toEqual([{ key: 'c', size: 100 }])
    const begun = await catalogue.beginRebuild()
    await catalogue.noteListed([listed('a'), listed('b', { etag: '"2"' }), listed('new')])
    await catalogue.forgetUnlisted(begun)
    expect((await catalogue.toLook('', 10, false)).map(({ key }) => key)).toEqual(['b', 'new'])
    expect(await catalogue.toLook('b', 1, false)).toEqual([{ key: 'new', size: 100 }])
    await catalogue.endRebuild()
    expect(await catalogue.countNoted(true)).toEqual({ listed: 0, toLook: 0 })
  })

  it('takes over an id, and is nothing for users to see', async () => {
    const id = '0198c0de-7a11-4b52-8c3d-0123456789ab'
    await catalogue.adoptInstallation(id)
    expect(await catalogue.installationId()).toBe(id)
    await expect(
      opened.database.ownerTransaction('ada', (sql) => sql.query('select * from keepsake.rebuild_objects')),
    ).rejects.toMatchObject({ code: 'internal' })
  })
})
