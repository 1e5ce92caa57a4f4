/** Where an asset lies in the bucket: the layout that the default collection promises. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { apiKey } from '../support/http.ts'
import { type ApiClient, type AssetAnswer, backends, open, type Service } from '../support/service.ts'

const wallet = '0xABCD1234567890123456789012345678901234ABCD'
const bare = 'abcd1234567890123456789012345678901234abcd'

describe.each(backends)('the key of a generation on $name', ({ start }) => {
  let service: Service
  let api: ApiClient
  beforeAll(async () => {
    service = await start()
    api = service.as(apiKey)
  })
  afterAll(() => service.stop())

  /** `{date}/{time}_{id8}` in UTC, as the asset itself says. */
  function place({ createdAt, id }: AssetAnswer): string {
    const [date = '', time = ''] = createdAt.split('T')
    return `${date}/${time.slice(0, 8).replaceAll(':', '')}_${id.replaceAll('-', '').slice(-8)}`
  }

  it.each([
    ['/picture.png', 'image/png', 'images', 'png'],
    ['/film.mp4', 'video/mp4', 'videos', 'mp4'],
    ['/film.webm', 'video/webm', 'videos', 'webm'],
  ])('of %s (%s) has wallet, agent, kind, model, day, time and id', async (path, contentType, folder, extension) => {
    const attributes = { wallet, agent: 'memes-001', model: 'dall-e-3' }
    const asset = await api.keep({ url: service.source.url(path) }, { attributes })
    expect(asset).toMatchObject({ contentType, attributes: { ...attributes, wallet: bare } })
    expect(asset.key).toBe(`ai-generated/${bare}/memes-001/${folder}/dall-e-3/${place(asset)}.${extension}`)
    expect(await service.objects(`ai-generated/${bare}/memes-001/${folder}/`)).toContain(asset.key)
    expect((await open(asset.url)).type).toBe(contentType)
  })

  it('of a film has its length and size in the asset', async () => {
    const asset = await api.keep({ url: service.source.url('/film.mp4') })
    expect(asset).toMatchObject({ kind: 'video', width: 320, height: 180, duration: expect.closeTo(1, 1) })
    expect((await open(asset.url)).bytes).toEqual(service.source.mp4)
  })

  it('says unknown where an attribute is missing', async () => {
    const asset = await api.keep({ url: service.source.url('/picture.png') })
    expect(asset.attributes).toEqual({})
    expect(asset.key).toBe(`ai-generated/unknown/unknown/images/unknown/${place(asset)}.png`)
    const partly = await api.keep(
      { url: service.source.url('/picture.png') },
      { attributes: { agent: '', model: 'flux' } },
    )
    expect(partly.key).toBe(`ai-generated/unknown/unknown/images/flux/${place(partly)}.png`)
  })

  it('has nothing in it that leaves its place', async () => {
    const attributes = { wallet: '../../etc', agent: 'a/b\\c', model: 'Flux 1.1 [pro] é' }
    const asset = await api.keep({ url: service.source.url('/picture.png') }, { attributes })
    expect(asset.key).toMatch(/^ai-generated(\/[A-Za-z0-9._-]+){6}\.png$/)
    expect(asset.key?.split('/').filter((part) => /^\.+$/.test(part))).toEqual([])
    expect((await open(asset.url)).bytes).toEqual(service.source.png)
  })

  it('is another one for each asset, in the same second too', async () => {
    const attributes = { wallet, agent: 'twins', model: 'flux' }
    const assets = await Promise.all(
      Array.from({ length: 10 }, () => api.keep({ url: service.source.url('/picture.png') }, { attributes })),
    )
    expect(new Set(assets.map(({ key }) => key)).size).toBe(10)
    expect(await service.objects(`ai-generated/${bare}/twins/`)).toHaveLength(10)
  })

  it('is found by the wallet in any spelling', async () => {
    const attributes = { wallet, agent: 'spelling' }
    const { id } = await api.keep({ url: service.source.url('/picture.png') }, { attributes })
    for (const spelling of [wallet, bare, bare.toUpperCase(), `0X${bare.toUpperCase()}`]) {
      const { assets } = await api.list(`?attributes.agent=spelling&attributes.wallet=${spelling}`)
      expect(assets.map((asset) => asset.id)).toEqual([id])
    }
  })
})

describe.each(backends)('an asset by its key on $name', ({ start }) => {
  let service: Service
  let api: ApiClient
  beforeAll(async () => {
    service = await start()
    api = service.as(apiKey)
  })
  afterAll(() => service.stop())

  const keep = (owner: string) => api.keep({ url: service.source.url('/picture.png') }, { owner })
  const notFound = expect.objectContaining({ code: 'asset_not_found' })

  it('is any owner’s for the service, and for a user its own alone', async () => {
    const { keepsake } = service.server
    const { id, key } = await keep('ada')
    expect(await keepsake.getByKey(key ?? '')).toMatchObject({ id, key, owner: 'ada', state: 'stored' })
    expect(await keepsake.as({ role: 'user', owner: 'ada' }).getByKey(key ?? '')).toMatchObject({ id })
    await expect(keepsake.as({ role: 'user', owner: 'bob' }).getByKey(key ?? '')).rejects.toEqual(notFound)
  })

  it('is there while its upload is to come, and gone with the asset', async () => {
    const { keepsake } = service.server
    const { asset } = await keepsake.upload('generations', { contentType: 'image/png', size: 5 })
    expect(await keepsake.getByKey(asset.key ?? '')).toMatchObject({ id: asset.id, state: 'pending' })
    await keepsake.abortUpload(asset.id)
    await expect(keepsake.getByKey(asset.key ?? '')).rejects.toEqual(notFound)
    const kept = await keep('ada')
    await keepsake.delete(kept.id)
    await expect(keepsake.getByKey(kept.key ?? '')).rejects.toEqual(notFound)
  })

  it.each([
    ['nothing', ''],
    ['a NUL', 'ai-generated/\0.png'],
    ['half a character', 'ai-generated/\ud800.png'],
    ['more bytes than a key has', 'é'.repeat(513)],
    ['a neighbour’s', '../ai-generated/x.png'],
  ])('is not found by %s', async (_, key) => {
    await expect(service.server.keepsake.getByKey(key)).rejects.toEqual(notFound)
  })

  it('lies where the keepsake says', async () => {
    const { place } = service.server.keepsake
    const { url, key } = await keep('ada')
    expect(place).toMatchObject({ bucket: 'test-bucket', region: 'us-east-1', embedded: true })
    expect(url?.startsWith(`${place.endpoint}/${place.bucket}/${key}?`)).toBe(true)
  })
})
