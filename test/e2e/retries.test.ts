/** Sources and stores that fail for a while, or for good. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newAssetId } from '../../src/media/index.ts'
import { type ChaosOutcome, createChaosStore } from '../../src/stores/index.ts'
import { apiKey } from '../support/http.ts'
import { type ApiClient, backends, open, pglite, readAsset, readProblem, type Service } from '../support/service.ts'

describe.each(backends)('on $name', ({ start }) => {
  let service: Service
  let api: ApiClient
  /** What becomes of every put from now on. */
  let puts: ChaosOutcome = 'ok'
  beforeAll(async () => {
    service = await start({
      wrapStore: (store) => createChaosStore(store, { decide: ({ verb }) => (verb === 'put' ? puts : 'ok') }),
    })
    api = service.as(apiKey)
  })
  afterAll(() => service.stop())

  /** An address at the source, and a wallet, that no other test has. */
  function fresh(behaviour: string) {
    const wallet = newAssetId()
    const path = `/${wallet}.png`
    service.source.behave(path, behaviour)
    return {
      url: service.source.url(path),
      fields: { attributes: { wallet } },
      become: (later: string) => service.source.behave(path, later),
      objects: () => service.objects(`ai-generated/${wallet}/`),
    }
  }

  async function expectPicture(id: string): Promise<void> {
    const asset = await api.settled(id)
    expect(asset).toMatchObject({ state: 'stored', sha256: service.source.sha256, urlSource: 'store' })
    expect(asset).not.toHaveProperty('problem')
    expect((await open(asset.url)).bytes).toEqual(service.source.png)
    expect(await service.objects()).toContain(asset.key)
  }

  async function actions(id: string): Promise<string[]> {
    const { entries } = await api.audit(`?asset=${id}`)
    return entries.map(({ action }) => action).filter((action) => action !== 'url.issued')
  }

  describe.concurrent('a source', () => {
    it('that fails twice is asked a third time while the caller waits', async () => {
      const asset = await api.keep({ url: service.source.url('/flaky/2') })
      expect(service.source.asked('/flaky/2')).toBe(3)
      await expectPicture(asset.id)
      expect(await actions(asset.id)).toEqual(['asset.stored', 'asset.reserved'])
    })

    it.each(['/status/500', '/status/429', '/status/408', '/hangup'])(
      'that goes on failing (%s) leaves a pending asset, which is stored when it is well again',
      async (behaviour) => {
        const { url, fields, become, objects } = fresh(behaviour)
        const response = await api.import({ url }, { owner: 'ada', ...fields })
        expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
        const pending = await readAsset(response, 202)
        expect(response.headers.get('location')).toBe(`/v1/assets/${pending.id}`)
        expect(pending).toMatchObject({ state: 'pending', url, urlSource: 'origin', owner: 'ada', urlExpiresAt: null })
        expect(pending.problem?.code).toBe('source_unavailable')
        const closed = await readProblem(await api.call(`/v1/assets/${pending.id}/content`))
        expect(closed).toMatchObject({ status: 409, code: 'asset_not_stored' })
        expect(await api.urls([pending.id])).toEqual([{ id: pending.id, code: 'asset_not_stored' }])

        become('/picture.png')
        await expectPicture(pending.id)
        expect(await objects()).toHaveLength(1)
        expect(await actions(pending.id)).toEqual(
          expect.arrayContaining(['asset.reserved', 'asset.postponed', 'asset.retried', 'asset.stored']),
        )
      },
    )

    const end = new Date(Math.floor(Date.now() / 1000) * 1000 + 3_600_000)
    const iso = end.toISOString().replace('.000Z', 'Z')
    const signed = new Date(end.getTime() - 7_200_000).toISOString().replace(/[-:]|\.000/g, '')
    it.each([
      ['AWS', `?X-Amz-Date=${signed}&X-Amz-Expires=7200&X-Amz-Signature=0`, {}],
      ['Google', `?X-Goog-Date=${signed}&X-Goog-Expires=7200&X-Goog-Signature=0`, {}],
      ['Azure', `?sv=2024-11-04&se=${encodeURIComponent(iso)}&sig=0`, {}],
      ['the caller', '', { expiresAt: iso }],
    ])('that says in the words of %s when it dies is believed', async (_, query, also) => {
      const { url, fields, become } = fresh('/status/503')
      const pending = await readAsset(await api.import({ url: url + query, ...also }, fields), 202)
      expect(pending).toMatchObject({ url: url + query, urlSource: 'origin', urlExpiresAt: end.toISOString() })
      become('/picture.png')
      await expectPicture(pending.id)
    })

    it('that dies while the asset is pending leaves it failed, with the reason', async () => {
      const { url, fields, become, objects } = fresh('/status/503')
      const { id } = await readAsset(await api.import({ url }, fields), 202)
      become('/status/403')
      const failed = await api.settled(id)
      expect(failed).toMatchObject({ state: 'failed', url: null, urlSource: null, key: null })
      expect(failed.problem?.code).toBe('source_gone')
      expect(await readProblem(await api.call(`/v1/assets/${id}/content`))).toMatchObject({ code: 'asset_not_stored' })
      expect((await actions(id))[0]).toBe('asset.failed')
      expect(await objects()).toEqual([])
    })

    it('whose link is past saving is not waited for', async () => {
      const { url } = fresh('/status/503')
      const response = await api.import({ url, expiresAt: '2026-01-01T00:00:00Z' })
      // It will not pass, so nobody is asked to come again.
      expect(response.headers.get('retry-after')).toBeNull()
      const problem = await readProblem(response)
      expect(problem).toMatchObject({ status: 502, code: 'source_unavailable' })
      expect(await api.asset(problem.asset ?? '')).toMatchObject({ state: 'failed', url: null })
    })

    it('that failed may be forgotten: a pending asset that was deleted does not come back', async () => {
      const { url, fields, become, objects } = fresh('/status/503')
      const { id } = await readAsset(await api.import({ url }, fields), 202)
      expect((await api.call(`/v1/assets/${id}`, { method: 'DELETE' })).status).toBe(204)
      become('/picture.png')
      // Another one that waits for as long, and comes after it.
      const later = fresh('/flaky/4')
      await expectPicture((await readAsset(await api.import({ url: later.url }, later.fields), 202)).id)
      expect((await api.call(`/v1/assets/${id}`)).status).toBe(404)
      expect(await objects()).toEqual([])
    })
  })

  describe('a store', () => {
    it('that fails leaves an import by URL pending, and takes it when it is well again', async () => {
      const { url, fields, objects } = fresh('/picture.png')
      puts = 'fail'
      try {
        const pending = await readAsset(await api.import({ url }, fields), 202)
        expect(pending).toMatchObject({ state: 'pending', url, urlSource: 'origin' })
        expect(pending.problem?.code).toBe('store_unavailable')
        expect(await objects()).toEqual([])
        puts = 'ok'
        await expectPicture(pending.id)
      } finally {
        puts = 'ok'
      }
      expect(await objects()).toHaveLength(1)
    })

    it('that fails for bytes answers 503 and keeps nothing: the caller still has them', async () => {
      const { fields, objects } = fresh('/picture.png')
      const source = { base64: service.source.png.toString('base64') }
      puts = 'fail'
      try {
        const response = await api.import(source, fields)
        expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
        const problem = await readProblem(response)
        expect(problem).toMatchObject({ status: 503, code: 'store_unavailable' })
        expect(await api.asset(problem.asset ?? '')).toMatchObject({ state: 'failed', key: null, url: null })
      } finally {
        puts = 'ok'
      }
      expect(await objects()).toEqual([])
      expect(await service.spooled()).toEqual([])
      await expectPicture((await api.keep(source, fields)).id)
      expect(await objects()).toHaveLength(1)
    })

    it('that failed for bytes takes them in the same row when they come again under the same key', async () => {
      const { fields, objects } = fresh('/picture.png')
      const source = { base64: service.source.png.toString('base64') }
      const key = { 'idempotency-key': newAssetId() }
      puts = 'fail'
      try {
        const [first, second] = [await api.import(source, fields, key), await api.import(source, fields, key)]
        const failed = await readProblem(first)
        expect(await readProblem(second)).toMatchObject({ status: 503, asset: failed.asset })
        // The key stays this request's, whatever became of it.
        const other = await api.import({ url: service.source.url('/picture.png') }, fields, key)
        expect(await readProblem(other)).toMatchObject({ status: 409, code: 'idempotency_conflict' })
        puts = 'ok'
        const kept = await api.keep(source, fields, key)
        expect(kept.id).toBe(failed.asset)
        await expectPicture(kept.id)
        expect(await actions(kept.id)).toEqual([
          ...['asset.stored', 'asset.reopened', 'asset.failed'],
          ...['asset.reopened', 'asset.failed', 'asset.reserved'],
        ])
        expect(await api.keep(source, fields, key)).toMatchObject({ id: kept.id })
        const wallet = String(fields.attributes.wallet)
        expect((await api.list(`?attributes.wallet=${wallet}`)).assets).toHaveLength(1)
      } finally {
        puts = 'ok'
      }
      expect(await objects()).toHaveLength(1)
    })

    it('that errs after it did its work has one object, and the caller its asset', async () => {
      const { url, fields, objects } = fresh('/picture.png')
      puts = 'applied-but-errored'
      try {
        await expectPicture((await api.keep({ base64: service.source.png.toString('base64') }, fields)).id)
        await expectPicture((await api.keep({ url }, fields)).id)
      } finally {
        puts = 'ok'
      }
      expect(await objects()).toHaveLength(2)
    })
  })
})

describe('a caller', () => {
  it('whose patience is over is told pending, and finds the picture later', async () => {
    const { source, as, stop } = await pglite.start({ patience: 0.05 })
    try {
      const api = as(apiKey)
      const url = source.url('/gated/slow')
      const pending = await readAsset(await api.import({ url }), 202)
      expect(pending).toMatchObject({ state: 'pending', url, urlSource: 'origin' })
      await source.halfWay('/gated/slow')
      source.open('/gated/slow')
      expect(await api.settled(pending.id)).toMatchObject({ state: 'stored', sha256: source.sha256 })
      expect(source.asked('/gated/slow')).toBe(1)
    } finally {
      await stop()
    }
  })
})
