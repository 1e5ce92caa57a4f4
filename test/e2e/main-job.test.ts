/** What Keepsake is for: a picture behind a link that dies is kept, and opens through fresh links from then on. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { newAssetId } from '../../src/media/index.ts'
import { apiKey } from '../support/http.ts'
import { type ApiClient, backends, open, readAsset, readProblem, type Service } from '../support/service.ts'

const quarter = 15 * 60_000

/** The time that links are signed by. It stands still, so that no quarter of an hour ends in the middle of a test. */
const signing = { now: new Date() }
const clock = { ...systemClock, now: () => signing.now }
/** When a link of so many seconds ends: they are counted from the last full quarter of its life. */
function endOf(seconds: number): Date {
  const step = seconds * 250
  return new Date(Math.floor(signing.now.getTime() / step) * step + seconds * 1000)
}

describe.each(backends)('a picture behind a dying link, on $name', ({ start }) => {
  let service: Service
  let api: ApiClient
  beforeAll(async () => {
    service = await start({ clock })
    api = service.as(apiKey)
  })
  afterAll(() => service.stop())

  /** A picture of its own for each test, whose link dies once it was used. */
  async function rescue(fields: object = {}) {
    const path = `/dies-after/1/${newAssetId()}.png`
    return { path, asset: await api.keep({ url: service.source.url(path) }, fields) }
  }

  async function issued(id: string): Promise<string[]> {
    const { entries } = await api.audit(`?asset=${id}&limit=1000`)
    return entries.filter(({ action }) => action === 'url.issued').map(({ detail }) => String(detail.expiresAt))
  }

  it('is kept, and opens after the link has died', async () => {
    const { path, asset } = await rescue({ owner: 'ada' })
    expect(asset).toMatchObject({
      state: 'stored',
      health: 'ok',
      owner: 'ada',
      kind: 'image',
      contentType: 'image/png',
      size: service.source.png.length,
      sha256: service.source.sha256,
      width: 64,
      height: 48,
      urlSource: 'store',
    })
    expect((await open(service.source.url(path))).status).toBe(403)
    const { url } = await api.asset(asset.id)
    expect(await open(url)).toEqual({ status: 200, type: 'image/png', bytes: service.source.png })
  })

  it('comes as it went in by data URI and by base64', async () => {
    const { png } = service.source
    const base64 = png.toString('base64')
    for (const source of [{ base64 }, { dataUri: `data:image/png;base64,${base64}` }]) {
      const { url, sha256 } = await api.keep(source)
      expect(sha256).toBe(service.source.sha256)
      expect((await open(url)).bytes).toEqual(png)
    }
  })

  it('opens at one stable address, in place or as a download', async () => {
    const { asset } = await rescue({ filename: 'Straße "1".png' })
    const shown = await api.call(`/v1/assets/${asset.id}/content`)
    expect(shown.status).toBe(302)
    expect(await open(shown.headers.get('location'))).toMatchObject({ status: 200, bytes: service.source.png })

    const saved = await api.call(`/v1/assets/${asset.id}/content?download`)
    const download = await fetch(saved.headers.get('location') ?? '')
    expect(download.headers.get('content-disposition')).toContain(`filename*=UTF-8''Stra%C3%9Fe%20%221%22.png`)
    expect(Buffer.from(await download.arrayBuffer())).toEqual(service.source.png)
  })

  it('has its link among many, in the order asked, with a code where there is none', async () => {
    const [first, second] = [await rescue(), await rescue()]
    const missing = newAssetId()
    const links = await api.urls([second.asset.id, missing, first.asset.id], { expiresIn: 600 })
    expect(links.map(({ id }) => id)).toEqual([second.asset.id, missing, first.asset.id])
    expect(links[1]).toEqual({ id: missing, code: 'asset_not_found' })
    for (const link of [links[0], links[2]]) {
      if (link === undefined || !('url' in link)) throw new Error('There is no link.')
      expect((await open(link.url)).bytes).toEqual(service.source.png)
      expect(link.expiresAt).toBe(endOf(600).toISOString())
    }
  })

  it('has the same link for a quarter of an hour, and never for longer than the hour', async () => {
    const { asset } = await rescue()
    const now = signing.now
    const start = Math.floor(now.getTime() / quarter) * quarter
    try {
      for (const moment of [start, start + quarter - 1]) {
        signing.now = new Date(moment)
        const again = await api.asset(asset.id)
        expect(again.url).toBe(asset.url)
        expect((await api.call(`/v1/assets/${asset.id}/content`)).headers.get('location')).toBe(asset.url)
        expect(Date.parse(again.urlExpiresAt ?? '')).toBe(start + 3_600_000)
      }
      signing.now = new Date(start + quarter)
      const next = await api.asset(asset.id)
      expect(next.url).not.toBe(asset.url)
      expect(Date.parse(next.urlExpiresAt ?? '')).toBe(start + quarter + 3_600_000)
    } finally {
      signing.now = now
    }
  })

  it('does not open by a link that has expired or was changed', async () => {
    const { asset } = await rescue()
    const now = signing.now
    signing.now = new Date(now.getTime() - 3_600_000 - quarter)
    try {
      const old = await api.asset(asset.id)
      const refused = await fetch(old.url ?? '')
      expect(refused.status).toBe(403)
      expect(await refused.text()).toContain('Request has expired')
    } finally {
      signing.now = now
    }
    const other = (await rescue()).asset
    const changed = new URL(asset.url ?? '')
    changed.pathname = new URL(other.url ?? '').pathname
    expect((await open(changed.href)).status).toBe(403)
    const longer = new URL(asset.url ?? '')
    longer.searchParams.set('X-Amz-Expires', '604800')
    expect((await open(longer.href)).status).toBe(403)
    expect((await open(`${changed.origin}${changed.pathname}`)).status).toBe(403)
  })

  it('leaves every link that was issued in the audit, and none of them can be read there', async () => {
    const { asset } = await rescue({ owner: 'grace', attributes: { agent: 'audited' } })
    const hour = endOf(3600).toISOString()
    expect(await issued(asset.id)).toEqual([hour])
    await api.asset(asset.id)
    await api.call(`/v1/assets/${asset.id}/content?expiresIn=60`)
    await api.urls([asset.id, asset.id])
    await api.list('?attributes.agent=audited')
    const minute = endOf(60).toISOString()
    const [times, { entries }] = [await issued(asset.id), await api.audit(`?asset=${asset.id}`)]
    expect(times.toSorted()).toEqual([minute, hour, hour, hour, hour].toSorted())
    expect(entries.every(({ owner }) => owner === 'grace')).toBe(true)
    expect(entries.map(({ action }) => action)).toContain('asset.stored')
    expect(JSON.stringify(entries)).not.toMatch(/X-Amz-|https?:/)
  })

  it('can be found again in the bucket alone, which knows nothing of the prompt', async () => {
    const { asset } = await rescue({
      owner: 'Zoë/42',
      attributes: { model: 'flux' },
      provenance: { prompt: 'a secret lighthouse', settings: { note: 'secret too' } },
      filename: 'secret name.png',
    })
    const head = await service.bucket.head(asset.key ?? '')
    expect(head?.metadata).toEqual({
      asset: asset.id,
      owner: 'Zoë/42',
      collection: 'generations',
      sha256: service.source.sha256,
      created: asset.createdAt,
      attributes: '{"model":"flux"}',
      width: '64',
      height: '48',
    })
    expect(JSON.stringify(head)).not.toContain('secret')
    expect(await api.asset(asset.id)).toMatchObject({ provenance: { prompt: 'a secret lighthouse' } })
  })

  it('is gone for everybody once it is deleted', async () => {
    const { asset } = await rescue({ owner: 'ada' })
    expect((await open(asset.url)).status).toBe(200)
    expect((await api.call(`/v1/assets/${asset.id}`, { method: 'DELETE' })).status).toBe(204)
    expect((await open(asset.url)).status).toBe(404)
    expect(await service.objects()).not.toContain(asset.key)
    expect(await readProblem(await api.call(`/v1/assets/${asset.id}`))).toMatchObject({ code: 'asset_not_found' })
    expect(await api.urls([asset.id])).toEqual([{ id: asset.id, code: 'asset_not_found' }])
    expect((await api.list('?owner=ada')).assets.map(({ id }) => id)).not.toContain(asset.id)
    expect((await api.audit(`?asset=${asset.id}`)).entries.slice(0, 2).map(({ action }) => action)).toEqual([
      'asset.purged',
      'asset.deleting',
    ])
  })

  it('is asked for once, however often it is shown', async () => {
    const { path, asset } = await rescue()
    for (let times = 0; times < 3; times += 1) await api.asset(asset.id)
    expect(service.source.asked(path)).toBe(1)
    expect(await readAsset(await api.call(`/v1/assets/${asset.id}`), 200)).toMatchObject({ id: asset.id })
  })
})
