import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { databases, moveClock, type OpenedDatabase, reservation } from '../../test/support/databases.ts'
import { type AssetRecord, newAssetId } from '../media/index.ts'
import type { Actor, Catalogue, KeyedContent, StoredContent } from './index.ts'
import { createCatalogue } from './index.ts'

const service: Actor = { role: 'service', requestId: 'req-1' }
const system: Actor = { role: 'system' }
const problem = { code: 'source_unavailable', message: 'The source failed.' }
const user = (owner: string): Actor => ({ role: 'user', owner })

const sha256 = 'ab'.repeat(32)
const stored: StoredContent = { size: 20, sha256, width: 4, height: 3, duration: 1.5, keep: null }
const keyed = (given: Partial<KeyedContent> = {}): KeyedContent => ({
  key: `k/${randomUUID()}.png`,
  store: 'primary',
  kind: 'image',
  contentType: 'image/png',
  lease: 30,
  quota: null,
  ...given,
})

describe.each(databases)('the catalogue on $name', ({ open }) => {
  let opened: OpenedDatabase
  let catalogue: Catalogue
  /** The same catalogue through one session, whose clock the test moves. */
  let clocked: Catalogue

  beforeAll(async () => {
    opened = await open()
    catalogue = createCatalogue(opened.database)
    clocked = createCatalogue(opened.single)
  })
  afterAll(() => opened?.close())
  beforeEach(() => moveClock(opened.single, 0))

  async function pending(given: Parameters<typeof reservation>[0] = {}, through = catalogue): Promise<AssetRecord> {
    return (await through.reserve(reservation(given), service)).asset
  }

  async function keep(asset: AssetRecord, content: Partial<StoredContent> = {}, key?: string): Promise<AssetRecord> {
    await catalogue.assignKey(asset.id, asset.attempt, keyed(key === undefined ? {} : { key }))
    const record = await catalogue.confirm(asset.id, asset.attempt, { ...stored, ...content }, service)
    if (record === undefined) throw new Error('not confirmed')
    return record
  }

  async function remove(asset: AssetRecord): Promise<void> {
    const deleting = await catalogue.beginDelete(asset.id, 30, service)
    expect(await catalogue.purge(asset.id, deleting?.attempt ?? 0, service)).toBe(true)
  }

  const actions = async (id: string) =>
    (await catalogue.listAudit({ asset: id, limit: 100 }, service)).entries.map((entry) => entry.action).reverse()

  const usage = async (owner: string) => {
    const { rows } = await opened.database.service.query(
      'select bytes::float8 as bytes from keepsake.usage where owner = $1',
      [owner],
    )
    return rows[0]?.bytes ?? 0
  }

  const retired = async (asset: string) => {
    const { rows } = await opened.database.service.query('select key from keepsake.retired_keys where asset = $1', [
      asset,
    ])
    return rows.map((row) => row.key)
  }

  describe('a life', () => {
    it('gives back what was reserved, kept and found out', async () => {
      const wanted = reservation({
        attributes: { wallet: 'abc', agent: 'ünï-🎨' },
        provenance: { provider: 'x', model: 'm', prompt: "it's 5 o'clock\n\\", seed: 7, settings: { steps: [1, 2] } },
        filename: 'naïve "file".png',
        sourceExpiresAt: new Date('2031-02-03T04:05:06.789Z'),
        reservedBytes: 10,
      })
      const before = Date.now()
      const { asset, replayed } = await catalogue.reserve(wanted, service)
      expect(replayed).toBe(false)
      expect(asset).toMatchObject({
        id: wanted.id,
        collection: 'generations',
        owner: wanted.owner,
        state: 'pending',
        health: 'ok',
        kind: null,
        key: null,
        store: 'primary',
        attributes: wanted.attributes,
        provenance: wanted.provenance,
        filename: wanted.filename,
        sourceUrl: wanted.sourceUrl,
        sourceExpiresAt: wanted.sourceExpiresAt,
        attempt: 1,
        failures: 0,
        problem: null,
        storedAt: null,
      })
      expect(asset.until?.getTime()).toBe(asset.createdAt.getTime() + 30_000)
      expect(Math.abs(asset.createdAt.getTime() - before)).toBeLessThan(10_000)

      const place = `local:${randomUUID()}` as const
      const content = keyed({ store: place, kind: 'video', contentType: 'video/mp4' })
      const withKey = await catalogue.assignKey(asset.id, 1, content)
      expect(withKey).toMatchObject({ state: 'pending', key: content.key, store: place, kind: 'video' })

      const kept = await catalogue.confirm(asset.id, 1, { ...stored, size: 2 ** 40, keep: 3600 }, service)
      expect(kept).toMatchObject({ ...withKey, ...kept })
      expect(kept).toMatchObject({ state: 'stored', size: 2 ** 40, sha256, width: 4, height: 3, duration: 1.5 })
      expect(kept).toMatchObject({ sourceUrl: null, until: null, problem: null })
      expect(Number(kept?.expiresAt) - Number(kept?.storedAt)).toBe(3_600_000)
      expect(await catalogue.get(asset.id, service)).toEqual(kept)
      expect(await catalogue.getByKey(content.key, service)).toEqual(kept)
    })

    it('is told by the audit, step by step, with actor and request and without a URL', async () => {
      const { asset } = await catalogue.reserve(reservation(), service)
      const { id, owner } = asset
      await catalogue.postpone(id, 1, problem, { retryIn: 0, giveUpAfter: 3600 }, system)
      const again = await catalogue.claim(id, 1, 30, system)
      expect(again).toMatchObject({ attempt: 2, failures: 1, state: 'pending' })
      await catalogue.assignKey(id, 2, keyed())
      await catalogue.confirm(id, 2, stored, service)
      await catalogue.recordIssuedUrls([{ asset: id, expiresAt: new Date(1e12), variant: 'thumb' }], user(owner))
      const deleting = await catalogue.beginDelete(id, 30, user(owner))
      await catalogue.purge(id, deleting?.attempt ?? 0, system)

      const { entries } = await catalogue.listAudit({ asset: id, limit: 100 }, service)
      expect(entries.map(({ action, actor, detail }) => [action, actor, detail]).reverse()).toEqual([
        ['asset.reserved', 'service', { attempt: 1 }],
        ['asset.postponed', 'system', { attempt: 1, code: problem.code, failures: 1, retryIn: 0 }],
        ['asset.retried', 'system', { attempt: 2, failures: 1 }],
        ['asset.stored', 'service', { attempt: 2, size: 20, sha256 }],
        ['url.issued', `user:${owner}`, { expiresAt: '2001-09-09T01:46:40.000Z', variant: 'thumb' }],
        ['asset.deleting', `user:${owner}`, { attempt: 3, from: 'stored', size: 20 }],
        ['asset.purged', 'system', { attempt: 3 }],
      ])
      expect(entries.at(-1)).toMatchObject({ requestId: 'req-1', owner, collection: 'generations', asset: id })
      expect(JSON.stringify(entries)).not.toContain('https:')
    })

    it('has an audit row for each of many URLs', async () => {
      const [one, two] = [await pending(), await pending()]
      const expiresAt = new Date(Date.now() + 60_000)
      const urls = [
        { asset: one.id, expiresAt },
        { asset: two.id, expiresAt, variant: 'thumb' },
        { asset: one.id, expiresAt },
      ]
      await catalogue.recordIssuedUrls(urls, service)
      const told = async (asset: string) =>
        (await catalogue.listAudit({ asset, limit: 10 }, service)).entries.filter(
          ({ action }) => action === 'url.issued',
        )
      expect((await told(one.id)).map(({ detail }) => detail)).toEqual(
        Array(2).fill({ expiresAt: expiresAt.toISOString() }),
      )
      expect((await told(two.id)).map(({ detail }) => detail.variant)).toEqual(['thumb'])
    })

    it('counts assets by state', async () => {
      const before = await catalogue.countByState()
      await keep(await pending())
      await pending()
      const after = await catalogue.countByState()
      expect(after.stored - before.stored).toBe(1)
      expect(after.pending - before.pending).toBe(1)
      expect(Object.keys(after).sort()).toEqual(['deleting', 'failed', 'pending', 'stored'])
    })
  })

  describe('fences', () => {
    it('leave everything as it is for a stale attempt', async () => {
      const { id } = await pending()
      await catalogue.assignKey(id, 1, keyed({ lease: 0 }))
      const current = await catalogue.claim(id, 1, 0, system)
      expect(current?.attempt).toBe(2)
      const audit = await actions(id)

      expect(await catalogue.assignKey(id, 1, keyed())).toBeUndefined()
      expect(await catalogue.confirm(id, 1, stored, service)).toBeUndefined()
      expect(await catalogue.fail(id, 1, problem, service)).toBeUndefined()
      expect(await catalogue.postpone(id, 1, problem, { retryIn: 5, giveUpAfter: 60 }, service)).toBeUndefined()
      expect(await catalogue.claim(id, 1, 30, service)).toBeUndefined()
      expect(await catalogue.purge(id, 1, service)).toBe(false)
      await catalogue.renew([{ id, attempt: 1 }], 3600)

      expect(await catalogue.get(id, service)).toEqual(current)
      expect(await actions(id)).toEqual(audit)
    })

    it('do not confirm without a key, nor what is stored, failed or deleting', async () => {
      const bare = await pending()
      expect(await catalogue.confirm(bare.id, 1, stored, service)).toBeUndefined()
      const kept = await keep(await pending())
      expect(await catalogue.confirm(kept.id, 1, stored, service)).toBeUndefined()
      expect(await catalogue.fail(kept.id, 1, problem, service)).toBeUndefined()
      await catalogue.fail(bare.id, 1, problem, service)
      expect(await catalogue.confirm(bare.id, 1, stored, service)).toBeUndefined()
      await catalogue.beginDelete(kept.id, 30, service)
      expect(await catalogue.confirm(kept.id, 2, stored, service)).toBeUndefined()
    })

    it('let exactly one of many claims through', async () => {
      const { id } = await pending({ lease: 0 })
      const claims = await Promise.all(Array.from({ length: 20 }, () => catalogue.claim(id, 1, 30, system)))
      expect(claims.filter((claim) => claim !== undefined)).toHaveLength(1)
      expect(await actions(id)).toEqual(['asset.reserved', 'asset.retried'])
    })

    it('let a confirm or a delete win, never half of each', async () => {
      for (let round = 0; round < 10; round += 1) {
        const { id } = await pending()
        await catalogue.assignKey(id, 1, keyed())
        const [confirmed, deleting] = await Promise.all([
          catalogue.confirm(id, 1, stored, service),
          catalogue.beginDelete(id, 30, service),
        ])
        expect(deleting).toMatchObject({ state: 'deleting', attempt: 2, sourceUrl: null })
        expect(await actions(id)).toEqual([
          'asset.reserved',
          ...(confirmed === undefined ? [] : ['asset.stored']),
          'asset.deleting',
        ])
      }
    })

    it('hold a claim until the lease has run out, and a renewed lease longer', async () => {
      const { id } = await pending({ lease: 30 }, clocked)
      expect(await clocked.claim(id, 1, 30, system)).toBeUndefined()
      await moveClock(opened.single, 29)
      await clocked.renew([{ id, attempt: 1 }], 30)
      await moveClock(opened.single, 45)
      expect(await clocked.claim(id, 1, 30, system)).toBeUndefined()
      await moveClock(opened.single, 60)
      expect(await clocked.claim(id, 1, 30, system)).toMatchObject({ attempt: 2 })
    })

    it('never bring a retry forward by renewing', async () => {
      const { id } = await pending()
      const put = await catalogue.postpone(id, 1, problem, { retryIn: 500, giveUpAfter: 3600 }, system)
      await catalogue.renew([{ id, attempt: 1 }], 10)
      expect((await catalogue.get(id, system))?.until).toEqual(put?.until)
      expect(await actions(id)).toEqual(['asset.reserved', 'asset.postponed'])
    })
  })

  describe('postponing', () => {
    it('comes back at half of the time that the source has left', async () => {
      const soon = await pending({ sourceExpiresAt: new Date(Date.now() + 60_000) })
      const put = await catalogue.postpone(soon.id, 1, problem, { retryIn: 600, giveUpAfter: 1 }, system)
      expect(put).toMatchObject({ state: 'pending', failures: 1, problem, sourceUrl: soon.sourceUrl })
      const pause = (Number(put?.until) - Date.now()) / 1000
      expect(pause).toBeGreaterThan(20)
      expect(pause).toBeLessThan(31)
    })

    it('keeps the key, whose object may still arrive', async () => {
      const { id } = await pending()
      const content = keyed()
      await catalogue.assignKey(id, 1, content)
      const put = await catalogue.postpone(id, 1, problem, { retryIn: 1, giveUpAfter: 60 }, system)
      expect(put?.key).toBe(content.key)
      expect(await catalogue.confirm(id, 1, stored, system)).toMatchObject({ state: 'stored', problem: null })
    })

    it.each([
      ['five minutes after the source died', new Date(Date.now() - 301_000), 86_400],
      ['after giveUpAfter where nobody knows when it dies', null, 0],
    ])('gives up %s', async (_, sourceExpiresAt, giveUpAfter) => {
      const { id, owner } = await pending({ sourceExpiresAt, reservedBytes: 50 })
      const content = keyed()
      await catalogue.assignKey(id, 1, content)
      const failed = await catalogue.postpone(id, 1, problem, { retryIn: 5, giveUpAfter }, system)
      expect(failed).toMatchObject({ state: 'failed', problem, key: null, sourceUrl: null, until: null, failures: 0 })
      expect(await retired(id)).toEqual([content.key])
      expect(await usage(owner)).toBe(0)
      expect(await actions(id)).toEqual(['asset.reserved', 'asset.failed'])
    })

    it('goes on in the minutes of grace, without a hurry', async () => {
      const { id } = await pending({ sourceExpiresAt: new Date(Date.now() - 60_000) })
      const put = await catalogue.postpone(id, 1, problem, { retryIn: 100, giveUpAfter: 0 }, system)
      expect(put?.state).toBe('pending')
      expect(Number(put?.until) - Date.now()).toBeGreaterThan(50_000)
    })
  })

  describe('idempotency', () => {
    const idempotency = { key: 'key-1', fingerprint: 'f1' }

    it('makes one asset of fifty requests at once', async () => {
      const { owner } = reservation()
      const answers = await Promise.all(
        Array.from({ length: 50 }, () => catalogue.reserve(reservation({ owner, idempotency }), service)),
      )
      expect(new Set(answers.map(({ asset }) => asset.id)).size).toBe(1)
      expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1)
      expect((await catalogue.list({ owner, limit: 10 }, service)).assets).toHaveLength(1)
    })

    it('makes one asset of the requests of a user too, and keeps owners apart', async () => {
      const [first, second] = [reservation().owner, reservation().owner]
      const ask = (owner: string) => catalogue.reserve(reservation({ owner, idempotency }), user(owner))
      const answers = await Promise.all([ask(first), ask(first), ask(second), ask(second)])
      expect(new Set(answers.map(({ asset }) => asset.id)).size).toBe(2)
    })

    it('refuses another request under the key', async () => {
      const { owner } = await pending({ idempotency, owner: 'conflicting' })
      const other = reservation({ owner, idempotency: { ...idempotency, fingerprint: 'f2' } })
      await expect(catalogue.reserve(other, service)).rejects.toMatchObject({ code: 'idempotency_conflict' })
      expect(await catalogue.get(other.id, service)).toBeUndefined()
    })

    it('says that the asset is gone while it is deleted and after', async () => {
      const { owner } = reservation()
      const asset = await pending({ owner, idempotency })
      const again = () => catalogue.reserve(reservation({ owner, idempotency }), user(owner))
      expect((await again()).asset).toEqual(asset)
      const deleting = await catalogue.beginDelete(asset.id, 30, service)
      await expect(again()).rejects.toMatchObject({ code: 'asset_gone' })
      await catalogue.purge(asset.id, deleting?.attempt ?? 0, service)
      await expect(again()).rejects.toMatchObject({ code: 'asset_gone' })
    })

    it('does not spend the key on a request that was refused', async () => {
      const { owner } = reservation()
      const wanted = { owner, idempotency, reservedBytes: 10, quota: 5 }
      await expect(pending(wanted)).rejects.toMatchObject({ code: 'quota_exceeded' })
      expect((await catalogue.reserve(reservation({ ...wanted, quota: 10 }), service)).replayed).toBe(false)
    })

    it('stays with a failed asset, which the same request may reopen only where the failure was not its own', async () => {
      const { owner } = reservation()
      const problem = { code: 'store_unavailable', message: 'x' }
      const room = { lease: 30, reservedBytes: 10, quota: 100 }
      const asset = await pending({ owner, idempotency })
      await catalogue.fail(asset.id, 1, problem, system, { reopenable: true })
      const { asset: again, replayed } = await catalogue.reserve(reservation({ owner, idempotency }), service)
      expect([again.id, again.state, replayed]).toEqual([asset.id, 'failed', true])
      const opened = await Promise.all([1, 2].map(() => catalogue.reopen(asset.id, 1, room, user(owner))))
      expect(opened.filter((one) => one !== undefined)).toMatchObject([{ state: 'pending', attempt: 2, problem: null }])
      await catalogue.fail(asset.id, 2, problem, system)
      expect(await catalogue.reopen(asset.id, 2, room, service)).toBeUndefined()
      expect(await catalogue.get(asset.id, service)).toMatchObject({ state: 'failed', problem })
    })

    it('remembers a key for a day at least, and not for ever', async () => {
      const { owner } = reservation()
      const asset = await pending({ owner, idempotency }, clocked)
      await moveClock(opened.single, 25 * 3600)
      await clocked.dueRetiredKeys(1)
      expect((await clocked.reserve(reservation({ owner, idempotency }), service)).asset.id).toBe(asset.id)
      await moveClock(opened.single, 49 * 3600)
      await clocked.dueRetiredKeys(1)
      expect((await clocked.reserve(reservation({ owner, idempotency }), service)).replayed).toBe(false)
    })
  })

  describe('the quota', () => {
    it('is exact under 300 reservations at once, by the service and by the user', async () => {
      const { owner } = reservation()
      const answers = await Promise.allSettled(
        Array.from({ length: 300 }, (_, n) =>
          catalogue.reserve(
            reservation({ owner, reservedBytes: 10, quota: 1005 }),
            n % 2 === 0 ? service : user(owner),
          ),
        ),
      )
      expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(100)
      const refused = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason.code] : []))
      expect(new Set(refused)).toEqual(new Set(['quota_exceeded']))
      expect(await usage(owner)).toBe(1000)
    })

    it('counts reserved bytes, then true ones, and frees them on failure and purge', async () => {
      const asset = await pending({ reservedBytes: 100, quota: 1000 })
      const { owner } = asset
      expect(await usage(owner)).toBe(100)
      await catalogue.assignKey(asset.id, 1, keyed({ reservedBytes: 60, quota: 1000 }))
      expect(await usage(owner)).toBe(60)
      await catalogue.confirm(asset.id, 1, stored, service)
      expect(await usage(owner)).toBe(20)
      const other = await pending({ owner, reservedBytes: 500 })
      await catalogue.fail(other.id, 1, problem, service)
      expect(await usage(owner)).toBe(20)
      await remove(asset)
      expect(await usage(owner)).toBe(0)
    })

    it('refuses a key whose bytes do not fit, and changes nothing', async () => {
      const asset = await pending({ reservedBytes: 1, quota: 50 })
      const tooMuch = keyed({ reservedBytes: 51, quota: 50 })
      await expect(catalogue.assignKey(asset.id, 1, tooMuch)).rejects.toMatchObject({ code: 'quota_exceeded' })
      expect(await catalogue.get(asset.id, service)).toEqual(asset)
      expect(await catalogue.assignKey(asset.id, 1, { ...tooMuch, reservedBytes: 50 })).toBeDefined()
    })
  })

  describe('keys', () => {
    it('belong to one row, ever', async () => {
      const kept = await keep(await pending())
      const other = await pending()
      const same = keyed({ key: kept.key ?? '' })
      await expect(catalogue.assignKey(other.id, 1, same)).rejects.toMatchObject({ code: 'object_exists' })
      await remove(kept)
      await expect(catalogue.assignKey(other.id, 1, same)).rejects.toMatchObject({ code: 'object_exists' })
    })

    it('may be written twice by one attempt', async () => {
      const { id } = await pending()
      const content = keyed()
      const first = await catalogue.assignKey(id, 1, content)
      expect(await catalogue.assignKey(id, 1, content)).toMatchObject({ key: first?.key })
      expect(await retired(id)).toEqual([])
    })

    it('are retired by whatever takes them off their row', async () => {
      const { id } = await pending({ lease: 0 })
      const keys = [keyed(), keyed({ lease: 0 }), keyed()]
      const [replaced, claimed, purged] = keys.map(({ key }) => key)
      for (const content of keys.slice(0, 2)) await catalogue.assignKey(id, 1, content)
      expect(await retired(id)).toEqual([replaced])
      expect(await catalogue.claim(id, 1, 30, system)).toMatchObject({ key: null })
      for (const content of keys.slice(2)) await catalogue.assignKey(id, 2, content)
      const deleting = await catalogue.beginDelete(id, 30, service)
      expect(deleting?.key).toBe(purged)
      await catalogue.purge(id, deleting?.attempt ?? 0, service)
      expect((await retired(id)).sort()).toEqual([replaced, claimed, purged].sort())
    })

    it('are looked at again and again after they were retired, and then forgotten', async () => {
      const asset = await pending({}, clocked)
      const { key } = keyed()
      await clocked.assignKey(asset.id, 1, keyed({ key }))
      await clocked.fail(asset.id, 1, problem, system)
      const isDue = async () => (await clocked.dueRetiredKeys(1000)).some((due) => due.key === key)
      const looks: number[] = []
      for (const second of [0, 30, 61, 120, 601, 900, 3601, 7200, 21_601, 90_000]) {
        await moveClock(opened.single, second)
        if (!(await isDue())) continue
        looks.push(second)
        await clocked.sweptRetiredKeys([key])
        expect(await isDue()).toBe(false)
      }
      expect(looks).toEqual([0, 61, 601, 3601, 21_601])
      expect(await retired(asset.id)).toEqual([])
    })

    it('are forgotten at once where the first look comes after the watch', async () => {
      const kept = await keep(await pending())
      await remove(kept)
      await moveClock(opened.single, 30_000)
      expect(await clocked.dueRetiredKeys(1000)).toContainEqual({ key: kept.key, store: 'primary', asset: kept.id })
      await clocked.sweptRetiredKeys([kept.key ?? ''])
      expect(await retired(kept.id)).toEqual([])
    })

    it('are never swept while a row holds them', async () => {
      const kept = await keep(await pending())
      await opened.database.service.query('insert into keepsake.retired_keys (key, store, asset) values ($1, $2, $3)', [
        kept.key,
        'primary',
        kept.id,
      ])
      const due = await catalogue.dueRetiredKeys(1000)
      expect(due.map(({ key }) => key)).not.toContain(kept.key)
    })
  })

  describe('what is due', () => {
    it('comes with the source that dies first in front, then the unhurried, then what retention ends', async () => {
      const owner = reservation().owner
      const minute = (n: number) => new Date(Date.now() + n * 60_000)
      const late = await pending({ owner, lease: 0, sourceExpiresAt: minute(20) })
      const unknown = await pending({ owner, lease: 0 })
      const soon = await pending({ owner, lease: 0, sourceExpiresAt: minute(5) })
      const expired = await keep(await pending({ owner, sourceExpiresAt: minute(1) }), { keep: 0 })
      const deleted = await keep(await pending({ owner }))
      await catalogue.beginDelete(deleted.id, 0, service)
      await pending({ owner, lease: 3600 })
      await keep(await pending({ owner }), { keep: 3600 })
      const due = (await catalogue.due(1000)).filter((asset) => asset.owner === owner)
      expect(due.map(({ id }) => id)).toEqual([soon.id, late.id, unknown.id, deleted.id, expired.id])
    })
  })

  describe('a delete', () => {
    it('makes the asset unreadable at once, but for Keepsake itself', async () => {
      const kept = await keep(await pending())
      const deleting = await catalogue.beginDelete(kept.id, 30, service)
      expect(deleting).toMatchObject({ state: 'deleting', attempt: 2, key: kept.key })
      for (const actor of [service, user(kept.owner)]) {
        expect(await catalogue.get(kept.id, actor)).toBeUndefined()
        expect(await catalogue.getMany([kept.id], actor)).toEqual([])
        expect(await catalogue.getByKey(kept.key ?? '', actor)).toBeUndefined()
        expect((await catalogue.list({ owner: kept.owner, limit: 10 }, actor)).assets).toEqual([])
      }
      expect(await catalogue.get(kept.id, system)).toEqual(deleting)
    })

    it('begun twice is one delete', async () => {
      const { id, owner } = await pending()
      const begun = await Promise.all(Array.from({ length: 5 }, () => catalogue.beginDelete(id, 30, user(owner))))
      expect(new Set(begun.map((asset) => JSON.stringify(asset))).size).toBe(1)
      expect(await actions(id)).toEqual(['asset.reserved', 'asset.deleting'])
    })

    it('of what is not there is undefined', async () => {
      expect(await catalogue.beginDelete(newAssetId(), 30, service)).toBeUndefined()
      expect(await catalogue.beginDelete('no-id', 30, service)).toBeUndefined()
    })
  })

  describe('lists', () => {
    it('page through assets of the same instant without a gap or a repeat', async () => {
      const { owner } = reservation()
      await opened.database.service.query(
        `insert into keepsake.assets (id, collection, owner, until, created_at)
        select gen_random_uuid(), 'c', $1, now(), timestamptz '2026-01-01T00:00:00.123Z' + (n / 10) * interval '1 ms'
        from generate_series(1, 47) n`,
        [owner],
      )
      const seen: AssetRecord[] = []
      let cursor: string | undefined
      do {
        const page = await catalogue.list({ owner, limit: 7, ...(cursor && { cursor }) }, user(owner))
        seen.push(...page.assets)
        cursor = page.nextCursor ?? undefined
      } while (cursor !== undefined)
      expect(new Set(seen.map(({ id }) => id)).size).toBe(47)
      expect(seen).toHaveLength(47)
      const order = seen.map((asset) => `${asset.createdAt.toISOString()} ${asset.id}`)
      expect(order).toEqual([...order].sort().reverse())
    })

    it('filter by everything that can be asked', async () => {
      const { owner } = reservation()
      const one = await keep(await pending({ owner, collection: 'a', attributes: { wallet: 'x', agent: 'y' } }))
      const two = await pending({ owner, collection: 'b', attributes: { wallet: 'x' } })
      const ids = async (filter: object) =>
        (await catalogue.list({ owner, limit: 10, ...filter }, service)).assets.map(({ id }) => id)
      expect(await ids({})).toEqual([two.id, one.id])
      expect(await ids({ collection: 'a' })).toEqual([one.id])
      expect(await ids({ kind: 'image' })).toEqual([one.id])
      expect(await ids({ state: 'pending' })).toEqual([two.id])
      expect(await ids({ attributes: { wallet: 'x' } })).toEqual([two.id, one.id])
      expect(await ids({ attributes: { wallet: 'x', agent: 'y' } })).toEqual([one.id])
      expect(await ids({ attributes: { wallet: "' or true --" } })).toEqual([])
      expect(await ids({ from: one.createdAt, to: new Date(two.createdAt.getTime() + 1) })).toEqual([two.id, one.id])
      expect(await ids({ to: one.createdAt })).toEqual([])
    })

    it('tell what came of an asset, and of that only what the actor may see', async () => {
      const { owner } = reservation()
      const original = await pending({ owner })
      const mask = await pending({ owner, provenance: { parents: [original.id] } })
      const other = await pending({ owner, provenance: { parents: [mask.id] } })
      const composite = await pending({ owner, provenance: { prompt: 'x', parents: [mask.id, original.id] } })
      const strangers = await pending({ provenance: { parents: [original.id] } })
      const children = async (parent: string, actor: Actor, filter: object = {}) =>
        (await catalogue.list({ parent, limit: 10, ...filter }, actor)).assets.map(({ id }) => id)
      expect(await children(original.id, user(owner))).toEqual([composite.id, mask.id])
      expect(await children(original.id, service)).toEqual([strangers.id, composite.id, mask.id])
      expect(await children(mask.id, service)).toEqual([composite.id, other.id])
      expect(await children(composite.id, service)).toEqual([])
      expect(await children(original.id, service, { owner, limit: 1 })).toEqual([composite.id])
      expect(await children("' or true --", service)).toEqual([])
    })

    it('page through the audit of an owner', async () => {
      const { owner } = reservation()
      for (let n = 0; n < 5; n += 1) await pending({ owner })
      const first = await catalogue.listAudit({ owner, limit: 3 }, user(owner))
      const rest = await catalogue.listAudit({ owner, limit: 3, cursor: first.nextCursor ?? '' }, user(owner))
      expect(first.entries).toHaveLength(3)
      expect(rest.entries).toHaveLength(2)
      expect(rest.nextCursor).toBeNull()
      expect(new Set([...first.entries, ...rest.entries].map(({ asset }) => asset)).size).toBe(5)
      expect((await catalogue.listAudit({ owner, limit: 9, to: new Date(0) }, service)).entries).toEqual([])
    })

    it.each(['', 'x', 'bm90LWEtY3Vyc29y', '../../etc', Buffer.from('1.2.3').toString('base64url')])(
      'refuse %j as a cursor',
      async (cursor) => {
        const refused = { code: 'invalid_request' }
        await expect(catalogue.list({ limit: 1, cursor }, service)).rejects.toMatchObject(refused)
        await expect(catalogue.listAudit({ limit: 1, cursor }, service)).rejects.toMatchObject(refused)
      },
    )

    it.each([0, -1, 1001, 1.5, Number.NaN])('refuse %d as a limit', async (limit) => {
      await expect(catalogue.list({ limit }, service)).rejects.toMatchObject({ code: 'invalid_request' })
    })

    it('take a thousand ids at once, with strangers and nonsense among them', async () => {
      const asset = await pending()
      const ids = [...Array.from({ length: 999 }, () => newAssetId()), asset.id, asset.id, 'nonsense', "'"]
      expect(await catalogue.getMany(ids, service)).toEqual([asset])
      expect(await catalogue.get('nonsense', service)).toBeUndefined()
    })
  })

  describe('odd strings', () => {
    it.each([
      ['NUL', 'a\0b'],
      ['a lone surrogate', 'a\ud800'],
      ['1,025 bytes', `${'é'.repeat(512)}x`],
    ])('with %s are refused, as owner and elsewhere', async (_, text) => {
      const refused = { code: 'invalid_request' }
      await expect(pending({ owner: text })).rejects.toMatchObject(refused)
      await expect(pending({ idempotency: { key: text, fingerprint: 'f' } })).rejects.toMatchObject(refused)
      const { id } = await pending()
      await expect(catalogue.assignKey(id, 1, keyed({ key: text }))).rejects.toMatchObject(refused)
    })

    it('with NUL are refused in jsonb, in filters and as a user', async () => {
      const refused = { code: 'invalid_request' }
      await expect(pending({ attributes: { a: '\0' } })).rejects.toMatchObject(refused)
      await expect(pending({ provenance: { prompt: 'x\0' } })).rejects.toMatchObject(refused)
      await expect(catalogue.list({ limit: 1, owner: '\0' }, service)).rejects.toMatchObject(refused)
      await expect(catalogue.list({ limit: 1 }, user('\0'))).rejects.toMatchObject(refused)
      await expect(catalogue.getByKey('\0', service)).rejects.toMatchObject(refused)
      await expect(pending({ sourceExpiresAt: new Date(Number.NaN) })).rejects.toMatchObject(refused)
    })

    it('of any other kind come back as they went in', async () => {
      for (const owner of ["'; drop table x; --", '\\', '$1', '%', '🦊', 'e\u0301', '\u00e9', ' ', '"', '\n']) {
        const asset = await pending({ owner, filename: owner, attributes: { a: owner } })
        expect(asset).toMatchObject({ owner, filename: owner, attributes: { a: owner } })
        expect(await catalogue.get(asset.id, user(owner))).toEqual(asset)
        expect(await catalogue.get(asset.id, user(`${owner}x`))).toBeUndefined()
      }
    })
  })
})
