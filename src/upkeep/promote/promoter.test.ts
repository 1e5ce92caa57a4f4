import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { databases, moveClock, type OpenedDatabase, reservation } from '../../../test/support/databases.ts'
import { type Actor, type Catalogue, createCatalogue } from '../../catalogue/index.ts'
import { systemClock } from '../../clock.ts'
import { silentLogger } from '../../logger.ts'
import type { AssetRecord, StorePlace } from '../../media/index.ts'
import {
  type ChaosCall,
  type ChaosDecision,
  type ChaosStore,
  createChaosStore,
  createMemoryStore,
  createStores,
  type ObjectStore,
  type Stores,
} from '../../stores/index.ts'
import { finishDelete } from '../settle.ts'
import { auditOf, overwrite, storedAsset } from '../testing/stored-asset.ts'
import { Promoter } from './promoter.ts'

const service: Actor = { role: 'service' }
const system: Actor = { role: 'system' }

describe.each(databases)('what fell back, on $name', ({ open }) => {
  let opened: OpenedDatabase
  let catalogue: Catalogue
  let bucket: ChaosStore
  let disk: ObjectStore
  let stores: Stores
  let promoter: Promoter
  let decide: (call: ChaosCall) => ChaosDecision
  const place = `local:${randomUUID()}` as const
  const elsewhere = `local:${randomUUID()}` as const

  beforeAll(async () => {
    opened = await open()
    catalogue = createCatalogue(opened.single)
  })
  afterAll(() => opened?.close())
  beforeEach(async () => {
    await opened.single.service.query('delete from keepsake.assets; delete from keepsake.retired_keys')
    await moveClock(opened.single, 0)
    decide = () => 'ok'
    bucket = createChaosStore(createMemoryStore(), { decide: (call) => decide(call) })
    disk = createMemoryStore()
    const local = { place, store: disk, requireRoom: async () => {} }
    stores = createStores({ primary: bucket, local, clock: systemClock })
    promoter = new Promoter({ catalogue, stores, collections: new Map(), clock: systemClock, logger: silentLogger })
  })

  const keep = (content?: string) => storedAsset(catalogue, disk, { place, ...(content ? { content } : {}) })
  const placeOf = async ({ id }: AssetRecord) => (await catalogue.get(id, service))?.store
  const textOf = async (store: ObjectStore, key: string) => {
    const pieces: Uint8Array[] = []
    for await (const piece of (await store.get(key)).body) pieces.push(piece)
    return Buffer.concat(pieces).toString()
  }
  const dueKeys = async (...places: StorePlace[]) =>
    (await catalogue.dueRetiredKeys(100, places)).map(({ key, store }) => `${store} ${key}`)
  const failing = (verb: ChaosCall['verb'], outcome: 'fail' | 'applied-but-errored' = 'fail') => {
    decide = (call) => (call.verb === verb ? outcome : 'ok')
  }

  it('moves with its bytes, its key and its measures, and is checked by its hash', async () => {
    const assets = await Promise.all(Array.from({ length: 30 }, (_, n) => keep(`content ${n}`)))
    expect(await promoter.run()).toMatchObject({ promoted: 30, gone: 0, failed: 0 })
    for (const [n, asset] of assets.entries()) {
      expect(await placeOf(asset)).toBe('primary')
      expect(await textOf(bucket, asset.key)).toBe(`content ${n}`)
      expect((await bucket.head(asset.key))?.metadata).toMatchObject({ asset: asset.id, sha256: asset.sha256 })
      expect(await auditOf(catalogue, asset.id)).toEqual(['asset.reserved', 'asset.stored', 'asset.promoted'])
    }
    expect(await promoter.run()).toMatchObject({ promoted: 0 })
    // The bucket's keys are watched no more, the disk's are, once no link lives.
    expect(await dueKeys('primary', place)).toEqual([])
    await moveClock(opened.single, 3 * 3600)
    expect(await dueKeys('primary')).toEqual([])
    expect(await dueKeys(place)).toHaveLength(30)
  })

  it.each(['fail', 'applied-but-errored'] as const)(
    'stays where it is while the bucket fails (%s), and no sweep takes its copy',
    async (outcome) => {
      const asset = await keep()
      failing('put', outcome)
      await expect(promoter.run()).rejects.toMatchObject({ code: 'store_unavailable' })
      expect(await placeOf(asset)).toBe(place)
      // The sweep may not touch what a promotion may be about to make live.
      await moveClock(opened.single, 8 * 3600)
      expect(await dueKeys('primary')).toEqual([])
      decide = () => 'ok'
      expect(await promoter.run()).toMatchObject({ promoted: 1 })
      expect(await textOf(bucket, asset.key)).toBe(await textOf(disk, asset.key))
    },
  )

  it('goes on after a lost connection, and leaves a bucket that is down alone', async () => {
    const assets = await Promise.all(Array.from({ length: 40 }, (_, n) => keep(`content ${n}`)))
    let puts = 0
    decide = ({ verb }) => (verb === 'put' && ++puts % 5 === 0 ? 'fail' : 'ok')
    // Told of, since not everything was moved.
    await expect(promoter.run()).rejects.toMatchObject({ code: 'store_unavailable' })
    const places = await Promise.all(assets.map(placeOf))
    expect(places.filter((it) => it === 'primary')).toHaveLength(32)
    expect(await promoter.run().catch(() => promoter.run())).toMatchObject({ failed: 0 })
    const asked = bucket.calls.length
    await Promise.all(Array.from({ length: 40 }, (_, n) => keep(`more ${n}`)))
    failing('put')
    await expect(promoter.run()).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(bucket.calls.slice(asked).filter(({ verb }) => verb === 'put').length).toBeLessThanOrEqual(8)
  })

  it('that is deleted on its way leaves a copy that the sweep removes', async () => {
    const asset = await keep()
    expect([...(await catalogue.beginPromotion([asset]))]).toEqual([asset.id])
    await bucket.put({
      key: asset.key,
      body: Buffer.from('x'),
      size: 1,
      sha256: await hash('x'),
      contentType: 'image/png',
    })
    const deleting = await catalogue.beginDelete(asset.id, 30, service)
    expect((await catalogue.finishPromotion([asset], 3900, system)).size).toBe(0)
    expect(await dueKeys('primary')).toEqual([`primary ${asset.key}`])
    if (deleting) await finishDelete({ catalogue, stores }, deleting, service)
    expect(await disk.head(asset.key)).toBeUndefined()
    expect(await dueKeys('primary', place)).toEqual(
      expect.arrayContaining([`primary ${asset.key}`, `${place} ${asset.key}`]),
    )
  })

  it('is not watched again by a begin that comes late', async () => {
    const asset = await keep()
    await promoter.run()
    expect((await catalogue.beginPromotion([asset])).size).toBe(0)
    expect((await catalogue.finishPromotion([asset], 3900, system)).size).toBe(0)
    await moveClock(opened.single, 8 * 3600)
    expect(await dueKeys('primary')).toEqual([])
  })

  it('is not made live by an end without a begin', async () => {
    const asset = await keep()
    expect((await catalogue.finishPromotion([asset], 3900, system)).size).toBe(0)
    expect(await placeOf(asset)).toBe(place)
  })

  it('and is damaged or gone holds nobody up, and never reaches the bucket', async () => {
    const [damaged, gone, well] = [await keep('twelve bytes'), await keep(), await keep()]
    await overwrite(disk, damaged.key, 'twelve_bytes')
    await disk.delete([gone.key])
    expect(await promoter.run()).toMatchObject({ promoted: 1, failed: 2 })
    expect(await Promise.all([damaged, gone, well].map(placeOf))).toEqual([place, place, 'primary'])
    expect(await bucket.head(damaged.key)).toBeUndefined()
    // Not again at once.
    const puts = bucket.calls.length
    expect(await promoter.run()).toMatchObject({ promoted: 0, failed: 0 })
    expect(bucket.calls).toHaveLength(puts)
  })

  it('takes its local copy along when it is deleted after its promotion', async () => {
    const asset = await keep()
    await promoter.run()
    expect(await disk.head(asset.key)).toBeDefined()
    const deleting = await catalogue.beginDelete(asset.id, 30, service)
    if (deleting) await finishDelete({ catalogue, stores }, deleting, service)
    expect([await disk.head(asset.key), await bucket.head(asset.key)]).toEqual([undefined, undefined])
  })

  it('to the disk of another instance is that one’s: nobody else judges, sweeps or moves it', async () => {
    const far = await storedAsset(catalogue, createMemoryStore(), { place: elsewhere })
    const doomed = await storedAsset(catalogue, createMemoryStore(), { place: elsewhere })
    const deleting = await catalogue.beginDelete(doomed.id, 0, service)
    expect(await promoter.run()).toMatchObject({ promoted: 0, failed: 0 })
    expect(stores.has(far.store)).toBe(false)
    const scope = { depth: 'head', before: new Date('2100-01-01') } as const
    expect(await catalogue.dueChecks({ ...scope, stores: stores.places }, undefined, 10)).toEqual([])
    expect(await catalogue.dueChecks({ ...scope, stores: [elsewhere] }, undefined, 10)).toHaveLength(1)
    await moveClock(opened.single, 3600)
    expect(await catalogue.due(10, [], stores.places)).toEqual([])
    expect((await catalogue.due(10, [], [elsewhere])).map(({ id }) => id)).toEqual([doomed.id])
    if (deleting) {
      await expect(finishDelete({ catalogue, stores }, deleting, service)).rejects.toMatchObject({
        code: 'store_unavailable',
      })
    }
    expect(await catalogue.localFacts()).toEqual([
      { place: elsewhere, assets: 1, bytes: far.size, oldest: far.storedAt },
    ])
  })

  it('but an import that such an instance left is begun anew by anybody, after ten minutes', async () => {
    const { asset } = await catalogue.reserve(reservation({ lease: 30 }), service)
    const keyed = {
      key: `k/${asset.id}`,
      store: elsewhere,
      kind: 'image',
      contentType: 'image/png',
      quota: null,
    } as const
    await catalogue.assignKey(asset.id, 1, { ...keyed, lease: 30 })
    await moveClock(opened.single, 60)
    expect(await catalogue.due(10, [], stores.places)).toEqual([])
    await moveClock(opened.single, 700)
    expect((await catalogue.due(10, [], stores.places)).map(({ id }) => id)).toEqual([asset.id])
    expect(await catalogue.claim(asset.id, 1, 30, system)).toMatchObject({ attempt: 2, key: null, store: 'primary' })
    expect(await dueKeys('primary')).toEqual([])
    expect(await dueKeys(elsewhere)).toEqual([`${elsewhere} k/${asset.id}`])
  })

  it('keeps its key for good: no store takes that key again', async () => {
    const asset = await keep()
    await promoter.run()
    const deleting = await catalogue.beginDelete(asset.id, 30, service)
    if (deleting) await finishDelete({ catalogue, stores }, deleting, service)
    const upload = {
      key: asset.key,
      kind: 'image',
      contentType: 'image/png',
      terms: { size: 1, sha256: null, partSize: null, uploadId: null, atMost: false, sameType: false, inbox: null },
    } as const
    for (const store of ['primary', place, elsewhere] as const) {
      await expect(catalogue.reserve(reservation({ upload: { ...upload, store } }), service)).rejects.toMatchObject({
        code: 'object_exists',
      })
    }
  })

  it('an attempt is begun anew by who holds it, and by nobody else before its lease is over', async () => {
    const { asset } = await catalogue.reserve(reservation({ lease: 600 }), service)
    expect(await catalogue.claim(asset.id, 1, 30, system)).toBeUndefined()
    expect(await catalogue.claim(asset.id, 1, 30, system, { held: true })).toMatchObject({ attempt: 2 })
    expect(await catalogue.claim(asset.id, 1, 30, system, { held: true })).toBeUndefined()
  })

  it('a ticket is moved under another key, once, and never that of an upload that is over', async () => {
    const terms = {
      size: 10,
      sha256: null,
      partSize: null,
      uploadId: null,
      atMost: true,
      sameType: false,
      inbox: 'in-1',
    }
    const upload = { key: `k/${randomUUID()}`, kind: 'image', contentType: 'image/png', terms } as const
    const { asset } = await catalogue.reserve(reservation({ upload, sourceUrl: null }), service)
    const to = { key: `${upload.key}-2`, inbox: `${upload.key}-in-2`, store: place, lease: 3900 } as const
    const moved = await catalogue.moveUpload(asset.id, 1, to, service)
    expect(moved).toMatchObject({
      attempt: 2,
      key: to.key,
      store: place,
      state: 'pending',
      upload: { inbox: to.inbox },
    })
    expect((await dueKeys('primary')).sort()).toEqual(['primary in-1', `primary ${upload.key}`])
    expect(await catalogue.moveUpload(asset.id, 1, { ...to, key: `${upload.key}-3` }, service)).toBeUndefined()
    // Back under the key that was given up: refused.
    expect(await catalogue.moveUpload(asset.id, 2, { ...to, key: upload.key }, service)).toBeUndefined()
    expect(await auditOf(catalogue, asset.id)).toEqual(['asset.reserved', 'asset.retried'])
  })
})

async function hash(content: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(content))
  return Buffer.from(digest).toString('hex')
}
