import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { databases, moveClock, type OpenedDatabase } from '../../test/support/databases.ts'
import { type Actor, type Catalogue, createCatalogue } from '../catalogue/index.ts'
import { systemClock } from '../clock.ts'
import { silentLogger } from '../logger.ts'
import { KeepsakeError } from '../media/index.ts'
import {
  type ChaosOutcome,
  createChaosStore,
  createMemoryStore,
  createStores,
  type ObjectStore,
} from '../stores/index.ts'
import { type CleanupRequest, cleanUp } from './cleanup.ts'
import { changeRetention } from './retention.ts'
import { settle, type UpkeepParts } from './settle.ts'
import { auditOf, storedAsset } from './testing/stored-asset.ts'

const service: Actor = { role: 'service' }
const system: Actor = { role: 'system' }
const day = 86_400

describe.each(databases)('on $name', ({ open }) => {
  let opened: OpenedDatabase
  let catalogue: Catalogue
  let store: ObjectStore
  let outcome: ChaosOutcome
  beforeAll(async () => {
    opened = await open()
    catalogue = createCatalogue(opened.single)
  })
  afterAll(() => opened?.close())
  beforeEach(async () => {
    await moveClock(opened.single, 0)
    outcome = 'ok'
    store = createChaosStore(createMemoryStore(), { decide: () => outcome })
  })

  const keep = (given: Parameters<typeof storedAsset>[2] = {}) => storedAsset(catalogue, store, given)
  const change = (id: string, changes: Parameters<typeof changeRetention>[2], actor: Actor = service) => {
    const find = async () => {
      const found = await catalogue.get(id, actor)
      if (found === undefined) throw new KeepsakeError('asset_not_found', 'none')
      return found
    }
    return changeRetention(catalogue, find, changes, actor)
  }
  const stores = () => createStores({ primary: store, clock: systemClock })
  const parts = () => ({ catalogue, stores: stores(), logger: silentLogger })
  /** What the sweep does with an asset, or a nudge at any time. */
  const settled = async (id: string) => {
    const record = await catalogue.get(id, system)
    if (record === undefined) throw new Error('gone')
    const upkeep: Pick<UpkeepParts, 'catalogue' | 'stores'> = { catalogue, stores: stores() }
    await settle(upkeep as UpkeepParts, record)
    return catalogue.get(id, system)
  }
  const dueOf = async (owner: string) => (await catalogue.due(1000)).filter((asset) => asset.owner === owner)

  describe('retention', () => {
    it('of an asset goes before its collection’s', async () => {
      const own = await keep({ keep: 7 * day, collectionKeep: 365 * day })
      const forever = await keep({ keep: 0, collectionKeep: 365 * day })
      const collections = await keep({ collectionKeep: 365 * day })
      const end = ({ expiresAt, storedAt }: typeof own) => (Number(expiresAt) - Number(storedAt)) / 1000
      expect(end(own)).toBe(7 * day)
      expect(forever.expiresAt).toBeNull()
      expect(end(collections)).toBe(365 * day)
    })

    it('ends an asset when its time has come, and never because somebody looks early', async () => {
      const asset = await keep({ keep: 30 * day })
      expect(await settled(asset.id)).toMatchObject({ state: 'stored' })
      await moveClock(opened.single, 30 * day - 60)
      expect(await dueOf(asset.owner)).toEqual([])
      expect(await settled(asset.id)).toMatchObject({ state: 'stored' })
      await moveClock(opened.single, 30 * day + 1)
      expect(await dueOf(asset.owner)).toHaveLength(1)
      expect(await settled(asset.id)).toBeUndefined()
      expect(await store.head(asset.key)).toBeUndefined()
      expect(await auditOf(catalogue, asset.id)).toEqual([
        'asset.reserved',
        'asset.stored',
        'asset.deleting',
        'asset.purged',
      ])
    })

    it('leaves alone what is pinned, or was kept longer since it was read', async () => {
      const asset = await keep({ keep: day })
      await moveClock(opened.single, day + 60)
      const [read] = await dueOf(asset.owner)
      await change(asset.id, { pinned: true })
      expect(await dueOf(asset.owner)).toEqual([])
      if (read) await settle({ catalogue, stores: stores() } as UpkeepParts, read)
      expect(await catalogue.get(asset.id, service)).toMatchObject({ state: 'stored', pinned: true })
      await change(asset.id, { pinned: false, keep: '30d' })
      if (read) await settle({ catalogue, stores: stores() } as UpkeepParts, read)
      expect(await catalogue.get(asset.id, service)).toMatchObject({ state: 'stored', pinned: false })
      expect((await auditOf(catalogue, asset.id)).filter((action) => action === 'asset.retention')).toHaveLength(2)
    })

    it('may be changed at will by the service, for ever included', async () => {
      const asset = await keep()
      const changed = await change(asset.id, { keep: '1y' })
      expect((Number(changed.expiresAt) - Number(changed.storedAt)) / 1000).toBe(365 * day)
      expect((await change(asset.id, { keep: null })).expiresAt).toBeNull()
    })

    it('may only be brought forward by the owner, and pinning is not the owner’s', async () => {
      const asset = await keep({ keep: 30 * day })
      const owner: Actor = { role: 'user', owner: asset.owner }
      const forbidden = { code: 'forbidden' }
      await expect(change(asset.id, { keep: '31d' }, owner)).rejects.toMatchObject(forbidden)
      await expect(change(asset.id, { keep: null }, owner)).rejects.toMatchObject(forbidden)
      await expect(change(asset.id, { pinned: true }, owner)).rejects.toMatchObject(forbidden)
      await expect(change(asset.id, { pinned: false }, owner)).rejects.toMatchObject(forbidden)
      const shorter = await change(asset.id, { keep: '7d' }, owner)
      expect((Number(shorter.expiresAt) - Number(shorter.storedAt)) / 1000).toBe(7 * day)
      await expect(change(asset.id, { keep: '8d' }, owner)).rejects.toMatchObject(forbidden)
      const stranger: Actor = { role: 'user', owner: 'somebody else' }
      await expect(change(asset.id, { keep: '1d' }, stranger)).rejects.toMatchObject({ code: 'asset_not_found' })
    })

    it('is not a way to delete by mistake, nor to say nothing or nonsense', async () => {
      const asset = await keep()
      await moveClock(opened.single, 10 * day)
      await expect(change(asset.id, { keep: '7d' })).rejects.toMatchObject({
        code: 'invalid_request',
        message: expect.stringContaining('Delete it instead'),
      })
      for (const changes of [{}, { keep: '0s' }, { keep: 'soon' }, { keep: -1 }, { keep: 1e12 }]) {
        await expect(change(asset.id, changes)).rejects.toMatchObject({ code: 'invalid_request' })
      }
      expect((await catalogue.get(asset.id, service))?.expiresAt).toBeNull()
    })
  })

  describe('a clean-up', () => {
    const run = (request: CleanupRequest) => cleanUp(parts(), request, service)

    it('counts first, and deletes what was confirmed: old, of that owner, not pinned', async () => {
      const owner = `owner-${randomUUID()}`
      const old = [await keep({ owner }), await keep({ owner, collection: 'other' }), await keep({ owner })]
      const pinned = await keep({ owner })
      await change(pinned.id, { pinned: true })
      const others = await keep()
      await moveClock(opened.single, 100 * day)
      const fresh = await keep({ owner })
      const counted = await run({ olderThan: '90d', owner, dryRun: true })
      const bytes = old.reduce((sum, { size }) => sum + (size ?? 0), 0)
      expect(counted).toMatchObject({
        dryRun: true,
        assets: 3,
        bytes,
        pinned: 1,
        deleted: 0,
        oldest: old[0]?.createdAt,
      })
      expect(await catalogue.get(old[0]?.id ?? '', service)).toMatchObject({ state: 'stored' })

      const done = await run({ olderThan: '90d', owner, expect: 3 })
      expect(done).toMatchObject({ dryRun: false, assets: 3, deleted: 3, deletedBytes: bytes, unfinished: 0 })
      for (const { id, key } of old) {
        expect(await catalogue.get(id, system)).toBeUndefined()
        expect(await store.head(key)).toBeUndefined()
        expect(await auditOf(catalogue, id)).toContain('asset.purged')
      }
      for (const { id, key } of [pinned, others, fresh]) {
        expect(await catalogue.get(id, service)).toMatchObject({ state: 'stored' })
        expect(await store.head(key)).toBeDefined()
      }
      const [last] = await catalogue.lastRuns()
      expect(last).toMatchObject({ name: 'cleanup', detail: { deleted: 3 } })
      expect(await run({ olderThan: '90d', owner, expect: 3 })).toMatchObject({ assets: 0, deleted: 0 })
    })

    it('keeps to a collection, and goes through all of them without one', async () => {
      const name = `c${randomUUID()}`
      const [here, there] = [await keep({ collection: name }), await keep({ collection: `${name}x` })]
      await moveClock(opened.single, 100 * day)
      expect(await run({ olderThan: '90d', collection: name, expect: 1 })).toMatchObject({ deleted: 1 })
      expect(await catalogue.get(here.id, system)).toBeUndefined()
      expect(await catalogue.get(there.id, service)).toMatchObject({ state: 'stored' })
      const { assets } = await run({ olderThan: '90d', dryRun: true })
      expect(await run({ olderThan: '90d', expect: assets })).toMatchObject({ deleted: assets })
      expect(await catalogue.get(there.id, system)).toBeUndefined()
    })

    it('is refused unconfirmed, and where there are more than were confirmed', async () => {
      const owner = `owner-${randomUUID()}`
      const assets = [await keep({ owner }), await keep({ owner })]
      await moveClock(opened.single, 100 * day)
      for (const expected of [undefined, 0, 1]) {
        await expect(run({ olderThan: '90d', owner, expect: expected })).rejects.toMatchObject({
          code: 'upkeep_refused',
          message: expect.stringContaining('2 assets'),
          details: { assets: 2 },
        })
      }
      expect((await catalogue.lastRuns())[0]?.detail).toEqual({ problem: 'upkeep_refused' })
      for (const olderThan of ['1h', 0, 'old', 86_399]) {
        await expect(run({ olderThan, owner, expect: 9 })).rejects.toMatchObject({ code: 'invalid_request' })
      }
      for (const { id } of assets) expect(await catalogue.get(id, service)).toMatchObject({ state: 'stored' })
    })

    it('stops at a store that fails, and what it began is finished by itself', async () => {
      const owner = `owner-${randomUUID()}`
      const assets = [await keep({ owner }), await keep({ owner })]
      await moveClock(opened.single, 100 * day)
      outcome = 'fail'
      await expect(run({ olderThan: '90d', owner, expect: 2 })).rejects.toMatchObject({ code: 'store_unavailable' })
      outcome = 'ok'
      for (const { id } of assets) {
        expect(await catalogue.get(id, service)).toBeUndefined()
        expect(await settled(id)).toBeUndefined()
      }
    })

    it('goes on past a page', async () => {
      const owner = `owner-${randomUUID()}`
      const wanted = 230
      for (let n = 0; n < wanted; n += 1) await keep({ owner })
      await moveClock(opened.single, 100 * day)
      expect(await run({ olderThan: '90d', owner, expect: 1000 })).toMatchObject({ deleted: wanted })
    })
  })
})
