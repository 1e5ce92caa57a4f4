import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Catalogue, createCatalogue, openPglite } from '../catalogue/index.ts'
import { systemClock } from '../clock.ts'
import { type AssetRecord, type LocalPlace, parseCollection } from '../media/index.ts'
import { createMemoryStore, createStores } from '../stores/index.ts'
import { CloudFrontSigner } from './cloudfront/index.ts'
import { Delivery } from './delivery.ts'

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const cdnUrl = 'https://cdn.example'
const cdn = new CloudFrontSigner({ url: cdnUrl, keyPairId: 'K2JCJMDEHXQW5F', privateKey })
const place: LocalPlace = `local:${randomUUID()}`
const collections = new Map(
  [parseCollection('avatars', { access: 'public' }), parseCollection('private', {})].map((one) => [one.name, one]),
)

const stored: AssetRecord = {
  ...{ id: '018d0d8e-7ce0-7abc-8def-0123a1b2c3d4', collection: 'private', owner: 'ada', state: 'stored', health: 'ok' },
  ...{ kind: 'image', key: 'private/ada/fox.png', store: 'primary', contentType: 'image/png', size: 3 },
  ...{ sha256: 'a'.repeat(64), width: null, height: null, duration: null, attributes: {}, provenance: {} },
  ...{ filename: null, sourceUrl: null, sourceExpiresAt: null, upload: null, attempt: 1, failures: 0, until: null },
  ...{ problem: null, createdAt: new Date(), storedAt: new Date(), expiresAt: null, pinned: false, checkedAt: null },
}
const publicAsset = { collection: 'avatars', key: 'avatars/ada/fox.png' }

let catalogue: Catalogue
let release: () => Promise<void>
beforeAll(async () => {
  const database = await openPglite({ dir: 'memory' })
  catalogue = createCatalogue(database)
  release = () => database.close()
})
afterAll(() => release())

async function present(changes: Partial<AssetRecord>) {
  const local = { place, store: createMemoryStore({ name: 'disk' }), requireRoom: async () => {} }
  const stores = createStores({ primary: createMemoryStore({ name: 'bucket' }), local, clock: systemClock })
  const parts = { catalogue, stores, collections, clock: systemClock, expiresIn: 3600, baseUrl: cdnUrl, cdn }
  const [asset] = await new Delivery(parts).present([{ ...stored, ...changes }], { role: 'service' })
  return { url: asset?.url ?? '', source: asset?.urlSource }
}

describe('which link an asset has', () => {
  it('a signed one to the CDN, a plain one where it is public', async () => {
    expect(await present({})).toEqual({
      url: expect.stringContaining(`${cdnUrl}/private/ada/fox.png?Expires=`),
      source: 'store',
    })
    expect(await present(publicAsset)).toEqual({ url: `${cdnUrl}/avatars/ada/fox.png`, source: 'public' })
  })

  it.each([{}, publicAsset])('none to the CDN for what is not in the bucket: %o', async (changes) => {
    const { url, source } = await present({ ...changes, store: place })
    expect(source).toBe('store')
    expect(url).not.toContain(cdnUrl)
  })

  it('a signed one for a key that a public collection did not make', async () => {
    const { url, source } = await present({ ...publicAsset, key: 'static/fox.png' })
    expect(source).toBe('store')
    expect(url).toContain(`${cdnUrl}/static/fox.png?Expires=`)
  })

  it('a download that a browser might run as a page, always', async () => {
    expect((await present({ contentType: 'application/pdf' })).url).toContain(
      '?response-content-disposition=attachment',
    )
  })
})
