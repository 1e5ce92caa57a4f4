import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { databases, moveClock, type OpenedDatabase } from '../../../test/support/databases.ts'
import { type Actor, type Catalogue, createCatalogue } from '../../catalogue/index.ts'
import type { Clock } from '../../clock.ts'
import { silentLogger } from '../../logger.ts'
import { KeepsakeError } from '../../media/index.ts'
import {
  type ChaosCall,
  type ChaosDecision,
  type ChaosStore,
  createChaosStore,
  createMemoryStore,
  createStores,
  type ObjectStore,
} from '../../stores/index.ts'
import { auditOf, overwrite, storedAsset } from '../testing/stored-asset.ts'
import { type VerifyProgress, type VerifyRequest, verify } from './index.ts'

const service: Actor = { role: 'service' }
const down = new KeepsakeError('store_unavailable', 'The store is down.')
const denied = new KeepsakeError('store_denied', 'AccessDenied')

describe.each(databases)('verify on $name', ({ open }) => {
  let opened: OpenedDatabase
  let catalogue: Catalogue
  let memory: ObjectStore
  let store: ChaosStore
  let decide: (call: ChaosCall) => ChaosDecision
  /** Told of every pause; what it does happens between the first look and the second. */
  let onSleep: (seconds: number) => Promise<void>
  let time: number
  const clock: Clock = { now: () => new Date(time), sleep: (seconds) => onSleep(seconds) }
  beforeAll(async () => {
    opened = await open()
    catalogue = createCatalogue(opened.single)
  })
  afterAll(() => opened?.close())
  beforeEach(async () => {
    // Each test has the catalogue to itself: verify looks at all there is.
    await opened.single.service.query('delete from keepsake.assets')
    await moveClock(opened.single, 0)
    time = 1e12
    onSleep = async () => {}
    decide = () => 'ok'
    memory = createMemoryStore()
    store = createChaosStore(memory, { decide: (call) => decide(call) })
  })

  const keep = (given: Parameters<typeof storedAsset>[2] = {}) => storedAsset(catalogue, memory, given)
  const run = (request: VerifyRequest = {}, onProgress?: (progress: VerifyProgress) => void) =>
    verify(
      { catalogue, stores: createStores({ primary: store, clock }), clock, logger: silentLogger },
      request,
      service,
      onProgress ? { onProgress } : {},
    )
  const healthOf = async (id: string) => (await catalogue.get(id, service))?.health
  const heads = () => store.calls.filter(({ verb }) => verb === 'head' || verb === 'get').flatMap(({ keys }) => keys)
  /** Every run looks only at what was looked at before it began. */
  const later = (seconds: number) => moveClock(opened.single, seconds)

  it('finds everything well, at every level, and writes down when', async () => {
    const assets = [await keep(), await keep(), await keep({ owner: 'ada' })]
    for (const [n, level] of (['exists', 'checksum', 'full'] as const).entries()) {
      await later(60 * (n + 1))
      expect(await run({ level })).toEqual({
        level,
        checked: 3,
        ok: 3,
        missing: 0,
        corrupt: 0,
        marked: 0,
        recovered: 0,
        unknown: 0,
        unproven: 0,
        bytesRead: level === 'full' ? assets.reduce((sum, { size }) => sum + (size ?? 0), 0) : 0,
        complete: true,
      })
    }
    const [asset] = assets
    expect(Number((await catalogue.get(asset?.id ?? '', service))?.checkedAt) - Date.now()).toBeGreaterThan(150_000)
    const runs = await catalogue.lastRuns()
    expect(runs.map(({ name }) => name)).toEqual(['verify.checksum', 'verify.exists', 'verify.full'])
    expect(runs[0]?.detail).toMatchObject({ checked: 3 })
    await later(600)
    expect(await run({ owner: 'ada' })).toMatchObject({ checked: 1 })
    expect(await auditOf(catalogue, asset?.id ?? '')).toEqual(['asset.reserved', 'asset.stored'])
  })

  it('marks what is missing after a second look, tells it, and takes it back when it is there again', async () => {
    const [gone, well] = [await keep({ content: 'kept' }), await keep()]
    await memory.delete([gone.key])
    await later(60)
    const found: unknown[] = []
    const result = await run({}, (progress) => progress.found && found.push(progress.found))
    expect(result).toMatchObject({ checked: 2, ok: 1, missing: 1, marked: 1 })
    expect(found).toEqual([{ asset: gone.id, owner: gone.owner, key: gone.key, health: 'missing' }])
    expect(heads().filter((key) => key === gone.key)).toHaveLength(2)
    expect([await healthOf(gone.id), await healthOf(well.id)]).toEqual(['missing', 'ok'])
    expect(await catalogue.healthFacts()).toMatchObject({ missing: 1, corrupt: 0 })

    await later(120)
    expect(await run()).toMatchObject({ missing: 1, marked: 0 })
    await overwrite(memory, gone.key, 'kept')
    await later(180)
    expect(await run()).toMatchObject({ ok: 2, missing: 0, recovered: 1 })
    expect(await healthOf(gone.id)).toBe('ok')
    expect((await auditOf(catalogue, gone.id)).slice(2)).toEqual(['asset.missing', 'asset.recovered'])
  })

  it('believes no single look: what comes back, and what is deleted in between, is not marked', async () => {
    const [back, deleted] = [await keep({ content: 'here' }), await keep()]
    await memory.delete([back.key, deleted.key])
    onSleep = async () => {
      await overwrite(memory, back.key, 'here')
      await catalogue.beginDelete(deleted.id, 30, service)
    }
    await later(60)
    expect(await run()).toMatchObject({ missing: 0, marked: 0 })
    expect(await healthOf(back.id)).toBe('ok')
    expect(await auditOf(catalogue, deleted.id)).not.toContain('asset.missing')
    expect(await auditOf(catalogue, back.id)).not.toContain('asset.missing')
  })

  it.each([
    ['is down', down],
    ['refuses', denied],
  ])('marks nothing where the store %s', async (_, error) => {
    const assets: { readonly id: string; readonly key: string }[] = []
    for (let n = 0; n < 25; n += 1) assets.push(await keep())
    decide = ({ verb }) => (verb === 'head' || verb === 'get' ? { outcome: 'fail', error } : 'ok')
    for (const [n, level] of (['exists', 'checksum', 'full'] as const).entries()) {
      await later(60 * (n + 1))
      await expect(run({ level })).rejects.toMatchObject({ code: error.code })
    }
    for (const { id } of assets) expect(await healthOf(id)).toBe('ok')
    expect((await catalogue.lastRuns()).find(({ name }) => name === 'verify.exists')?.detail).toMatchObject({
      problem: error.code,
    })
  })

  it('knows nothing of an object that may not be read, and goes on with the others', async () => {
    const secret = await keep()
    const others = [await keep(), await keep()]
    decide = ({ keys }) => (keys.includes(secret.key) ? { outcome: 'fail', error: denied } : 'ok')
    await later(60)
    expect(await run()).toMatchObject({ checked: 2, ok: 2, unknown: 1, complete: true })
    expect(await healthOf(secret.id)).toBe('ok')
    expect((await catalogue.get(secret.id, service))?.checkedAt).toBeNull()
    expect((await catalogue.get(others[0]?.id ?? '', service))?.checkedAt).not.toBeNull()
  })

  it('a store that goes down between the two looks marks nothing', async () => {
    const gone = await keep()
    await memory.delete([gone.key])
    onSleep = async () => {
      decide = () => ({ outcome: 'fail', error: down })
    }
    await later(60)
    expect(await run()).toMatchObject({ unknown: 1, missing: 0, marked: 0 })
    expect(await healthOf(gone.id)).toBe('ok')
  })

  it('tells other bytes by size, by the store’s hash, or by reading, each level what it can', async () => {
    const [shorter, swapped] = [await keep({ content: 'twelve bytes' }), await keep({ content: 'twelve bytes' })]
    await overwrite(memory, shorter.key, 'short')
    await overwrite(memory, swapped.key, 'other bytes!')
    await later(60)
    expect(await run({ level: 'exists' })).toMatchObject({ corrupt: 1, ok: 1, marked: 1 })
    expect([await healthOf(shorter.id), await healthOf(swapped.id)]).toEqual(['corrupt', 'ok'])
    await later(120)
    expect(await run({ level: 'checksum' })).toMatchObject({ corrupt: 2, ok: 0, marked: 1 })
    expect(await healthOf(swapped.id)).toBe('corrupt')
    // The right size is no proof that it is well again; the right bytes are.
    await overwrite(memory, shorter.key, 'twelve_bytes')
    await later(180)
    expect(await run({ level: 'exists' })).toMatchObject({ corrupt: 2, recovered: 0 })
    await overwrite(memory, swapped.key, 'twelve bytes')
    await later(240)
    expect(await run({ level: 'full' })).toMatchObject({ corrupt: 1, ok: 1, recovered: 1 })
    expect([await healthOf(shorter.id), await healthOf(swapped.id)]).toEqual(['corrupt', 'ok'])
    expect((await auditOf(catalogue, swapped.id)).slice(2)).toEqual(['asset.corrupt', 'asset.recovered'])
  })

  it('a store that keeps no hash leaves the metadata to compare, and says so', async () => {
    const asset = await keep({ content: 'twelve bytes' })
    const blind: ObjectStore = { ...memory, head: (key, { signal } = {}) => memory.head(key, signal ? { signal } : {}) }
    const look = (request: VerifyRequest) =>
      verify(
        { catalogue, stores: createStores({ primary: blind, clock }), clock, logger: silentLogger },
        request,
        service,
      )
    await later(60)
    expect(await look({ level: 'checksum' })).toMatchObject({ ok: 1, unproven: 1 })
    await overwrite(memory, asset.key, 'twelve_bytes', asset.sha256 ?? '')
    await later(120)
    expect(await look({ level: 'checksum' })).toMatchObject({ ok: 1, unproven: 1 })
    await later(180)
    expect(await look({ level: 'full' })).toMatchObject({ ok: 0, corrupt: 1, marked: 1 })
  })

  it('goes round: with a budget, what was looked at longest ago comes first', async () => {
    const assets: { readonly id: string; readonly key: string }[] = []
    for (let n = 0; n < 30; n += 1) {
      await later(n)
      assets.push(await keep())
    }
    // Each look takes a second, and there are ten for a run.
    decide = () => {
      time += 1000
      return 'ok'
    }
    const looked: string[] = []
    for (let round = 1; round <= 3; round += 1) {
      await later(1000 * round)
      const before = store.calls.length
      const result = await run({ budget: '10s' })
      expect(result.complete).toBe(false)
      const keys = store.calls.slice(before).flatMap(({ keys }) => keys)
      expect(keys.length).toBeGreaterThanOrEqual(10)
      looked.push(...keys)
      if (new Set(looked).size === assets.length) break
    }
    const firstRound = looked.slice(0, assets.length)
    expect(new Set(firstRound).size).toBe(assets.length)
    expect(firstRound.slice(0, 5).every((key) => assets.slice(0, 16).some((asset) => asset.key === key))).toBe(true)
  })

  it('a budget smaller than one object still goes on', async () => {
    const assets = [await keep(), await keep(), await keep()]
    decide = () => {
      time += 3_600_000
      return 'ok'
    }
    for (let round = 1; round <= assets.length; round += 1) {
      await later(1000 * round)
      await run({ level: 'full', budget: 1 })
    }
    expect(new Set(heads()).size).toBe(assets.length)
  })

  it('keeps to a bandwidth', async () => {
    await keep({ content: 'x'.repeat(300_000) })
    await keep({ content: 'y'.repeat(300_000) })
    let slept = 0
    onSleep = async (seconds) => {
      slept += seconds
      time += seconds * 1000
    }
    await later(60)
    expect(await run({ level: 'full', bandwidth: '100 KB' })).toMatchObject({ ok: 2, bytesRead: 600_000 })
    // Six seconds' worth of bytes, less what may be read ahead.
    expect(slept).toBeGreaterThan(5.4)
    expect(slept).toBeLessThan(12.1)
  })

  it('refuses to believe a bucket where most is missing, unless told to', async () => {
    const assets: { readonly id: string; readonly key: string }[] = []
    for (let n = 0; n < 30; n += 1) assets.push(await keep())
    await memory.delete(assets.slice(0, 25).map(({ key }) => key))
    await later(60)
    await expect(run()).rejects.toMatchObject({
      code: 'upkeep_refused',
      message: expect.stringContaining('25 of 30'),
    })
    expect(await catalogue.healthFacts()).toMatchObject({ missing: 0 })
    await later(120)
    expect(await run({ force: true })).toMatchObject({ missing: 25, marked: 25 })
  })

  it('stops when it is told to, and has written down what it saw', async () => {
    for (let n = 0; n < 5; n += 1) await keep()
    const stop = new AbortController()
    await later(60)
    let looks = 0
    decide = () => {
      looks += 1
      if (looks === 3) stop.abort(new KeepsakeError('stopping', 'Stop.'))
      return 'ok'
    }
    const parts = { catalogue, stores: createStores({ primary: store, clock }), clock, logger: silentLogger }
    await expect(verify(parts, {}, service, { signal: stop.signal })).rejects.toMatchObject({ code: 'stopping' })
  })

  it.each([
    [{ level: 'most' as 'full' }, 'level'],
    [{ budget: 'short' }, 'budget'],
    [{ budget: 0 }, 'budget'],
    [{ bandwidth: 'fast' }, 'bandwidth'],
  ])('refuses %j', async (request, name) => {
    await expect(run({ ...request, owner: randomUUID() })).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining(name),
    })
  })
})
