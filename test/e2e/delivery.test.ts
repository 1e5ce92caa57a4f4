/** Links as readers meet them: signed ones to a CDN, plain ones of public collections, on a laptop too. */
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { KeepsakeConfig } from '../../src/config/index.ts'
import { type EmbeddedS3, startEmbeddedS3 } from '../../src/embedded-s3/index.ts'
import { createKeepsake, type Keepsake } from '../../src/index.ts'
import { createS3Store, type ObjectStore } from '../../src/stores/index.ts'
import { startCdn } from '../support/cdn.ts'
import { gif } from '../support/http.ts'

const credentials = { accessKeyId: 'TESTKEY', secretAccessKey: 'test-secret' }
const keyPairId = 'K2JCJMDEHXQW5F'
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
const collections = {
  avatars: { accept: ['image'], access: 'public' as const },
  private: { accept: ['image'] },
  drawings: { accept: ['image', 'image/svg+xml'], access: 'public' as const, key: '{collection}/{kind}s/{id}.{ext}' },
  sketches: { accept: ['image/svg+xml'] },
}
const picture = { source: { bytes: gif }, owner: 'ada', filename: 'a fox.gif' }

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keepsake-delivery-'))
})
afterAll(() => rm(dir, { recursive: true }))

const open = (config: KeepsakeConfig, name: string) =>
  createKeepsake({ dataDir: join(dir, name), collections, ...config }, { env: {} })

/** The URL, which an asset or a link has to have. */
const urlOf = ({ url }: { readonly url: string | null }) => url ?? expect.fail('there is no link')

describe('a public collection on a laptop, without any setting', () => {
  let keepsake: Keepsake
  beforeAll(async () => {
    keepsake = await open({}, 'laptop')
  })
  afterAll(() => keepsake.close())

  it('has plain links that open for anybody and may be cached for good', async () => {
    const asset = await keepsake.import('avatars', picture)
    expect(asset).toMatchObject({ urlSource: 'public', urlExpiresAt: null })
    expect(new URL(urlOf(asset)).search).toBe('')
    const answer = await fetch(urlOf(asset))
    expect(answer.status).toBe(200)
    expect(Buffer.from(await answer.arrayBuffer())).toEqual(Buffer.from(gif))
    expect(answer.headers.get('content-type')).toBe('image/gif')
    expect(answer.headers.get('cache-control')).toBe('public, max-age=31536000, s-maxage=86400, immutable')
    expect((await keepsake.url(asset.id)).url).toBe(asset.url)
    await keepsake.delete(asset.id)
    expect((await fetch(urlOf(asset))).status).toBe(403)
  })

  it('has the same headers for what a browser sent to the bucket', async () => {
    const { asset, upload } = await keepsake.upload('avatars', { contentType: 'image/gif', size: gif.length })
    if (upload?.strategy !== 'put') throw new Error('not one PUT')
    expect((await fetch(upload.url, { method: 'PUT', headers: upload.headers, body: gif })).status).toBe(200)
    const stored = await keepsake.completeUpload(asset.id)
    const answer = await fetch(urlOf(stored))
    expect([stored.urlSource, answer.status]).toEqual(['public', 200])
    expect(answer.headers.get('cache-control')).toMatch(/^public, .*immutable$/)
  })

  describe('with SVG, which can run scripts', () => {
    const svg = Buffer.from(
      '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    )
    const drawing = { source: { bytes: svg }, filename: 'a fox.svg' }
    const headersAt = async (url: string) => {
      const answer = await fetch(url)
      expect([answer.status, Buffer.from(await answer.arrayBuffer())]).toEqual([200, svg])
      return { type: answer.headers.get('content-type'), disposition: answer.headers.get('content-disposition') }
    }
    const attached = { type: 'image/svg+xml', disposition: 'attachment' }

    it('gives it as a file to save, where a collection names it, also by a plain link', async () => {
      const asset = await keepsake.import('drawings', drawing)
      expect(asset).toMatchObject({ kind: 'other', urlSource: 'public', width: null })
      expect(asset.key).toMatch(/^drawings\/images\/.*\.svg$/)
      expect(await headersAt(urlOf(asset))).toEqual(attached)
    })

    it('and by a signed link, under its name', async () => {
      const asset = await keepsake.import('sketches', drawing)
      const named = `attachment; filename="a fox.svg"; filename*=UTF-8''a%20fox.svg`
      expect(await headersAt(urlOf(asset))).toEqual({ ...attached, disposition: named })
    })

    it.each([false, true])('and what a browser sent to the bucket; plain: %s', async (plain) => {
      const request = { contentType: 'image/svg+xml', size: svg.length, plain }
      const { asset, upload } = await keepsake.upload('drawings', request)
      if (upload?.strategy !== 'put') throw new Error('not one PUT')
      expect((await fetch(upload.url, { method: 'PUT', headers: upload.headers, body: svg })).status).toBe(200)
      expect(await headersAt(urlOf(await keepsake.completeUpload(asset.id)))).toEqual(attached)
    })

    it('and what came as a picture and turned out to be a drawing', async () => {
      const { asset, upload } = await keepsake.upload('drawings', { contentType: 'image/png', size: svg.length })
      if (upload?.strategy !== 'put') throw new Error('not one PUT')
      expect((await fetch(upload.url, { method: 'PUT', headers: upload.headers, body: svg })).status).toBe(200)
      expect(await headersAt(urlOf(await keepsake.completeUpload(asset.id)))).toEqual(attached)
    })

    it('and nowhere else', async () => {
      await expect(keepsake.import('avatars', drawing)).rejects.toMatchObject({ code: 'content_type_refused' })
    })
  })

  it('opens nothing else to anybody', async () => {
    const [open, closed] = await Promise.all([keepsake.import('avatars', picture), keepsake.import('private', picture)])
    expect(closed.urlSource).toBe('store')
    expect((await fetch(urlOf(closed))).headers.get('cache-control')).toMatch(/^private, /)
    const bare = new URL(urlOf(closed))
    bare.search = ''
    expect((await fetch(bare)).status).toBe(403)
    const plain = urlOf(open)
    const bucket = plain.slice(0, plain.indexOf('/avatars/'))
    expect((await fetch(`${bucket}?list-type=2&prefix=avatars/`)).status).toBe(403)
    expect((await fetch(plain, { method: 'DELETE' })).status).toBe(403)
    expect((await fetch(plain, { method: 'PUT', body: 'x' })).status).toBe(403)
    expect((await fetch(`${plain}?acl`)).status).toBe(403)
    // A link that anybody made must not have the picture read as a page.
    expect((await fetch(`${plain}?response-content-type=text/html`)).status).toBe(400)
    expect((await fetch(plain)).status).toBe(200)
  })

  it('gives a signed link for a download, since a plain one cannot say so', async () => {
    const { id } = await keepsake.import('avatars', picture)
    const answer = await fetch((await keepsake.url(id, { download: true })).url)
    expect(answer.headers.get('content-disposition')).toContain('a%20fox.gif')
  })

  it('is refused where its keys cannot be told from private ones', async () => {
    const mixed = { open: { access: 'public' as const, key: '{owner}/{id}.{ext}' } }
    await expect(open({ collections: mixed }, 'mixed')).rejects.toMatchObject({
      code: 'invalid_setting',
      message: expect.stringContaining("'open/'"),
    })
  })
})

describe('a CDN before the bucket', () => {
  let s3: EmbeddedS3
  let store: ObjectStore
  let cdn: Awaited<ReturnType<typeof startCdn>>
  let keepsake: Keepsake
  let bucketSettings: NonNullable<KeepsakeConfig['s3']>
  beforeAll(async () => {
    s3 = await startEmbeddedS3({ dir: join(dir, 'bucket'), credentials, buckets: ['media'], fsync: false })
    store = createS3Store({ bucket: 'media', region: s3.region, endpoint: s3.url, credentials })
    cdn = await startCdn({ store, publicKey, keyPairId, publicPrefixes: ['avatars/'] })
    bucketSettings = { bucket: 'media', endpoint: s3.url, credentials, baseUrl: cdn.url }
    const privateKeyFile = join(dir, 'cloudfront.pem')
    await writeFile(privateKeyFile, pem, { mode: 0o600 })
    const cloudfront = { domain: cdn.url, keyPairId, privateKeyFile }
    keepsake = await open({ s3: bucketSettings, delivery: { cloudfront } }, 'cdn')
  })
  afterAll(async () => {
    await keepsake.close()
    await cdn.close()
    await store.close()
    await s3.close()
  })

  it('gives links signed for the CDN, the same for a quarter of an hour, in the audit', async () => {
    const asset = await keepsake.import('private', picture)
    expect(asset.urlSource).toBe('store')
    const link = await keepsake.url(asset.id)
    expect(link.url).toBe(asset.url)
    expect(new URL(link.url).origin).toBe(cdn.url)
    const left = link.expiresAt.getTime() - Date.now()
    expect(left).toBeLessThanOrEqual(3_600_000)
    expect(left).toBeGreaterThan(2_690_000)
    const answer = await fetch(link.url)
    expect([answer.status, Buffer.from(await answer.arrayBuffer())]).toEqual([200, Buffer.from(gif)])
    const { entries } = await keepsake.audit({ asset: asset.id })
    expect(entries.filter(({ action }) => action === 'url.issued').length).toBeGreaterThan(0)
    expect(JSON.stringify(entries)).not.toContain('Signature')
  })

  it('opens to nobody without the signature, after its end, or for another key', async () => {
    const [one, other] = await Promise.all([keepsake.import('private', picture), keepsake.import('private', picture)])
    const { url } = await keepsake.url(one.id)
    expect((await fetch(url.slice(0, url.indexOf('?')))).status).toBe(403)
    expect((await fetch(url.replace(one.key ?? '', other.key ?? ''))).status).toBe(403)
    const expires = Number(new URL(url).searchParams.get('Expires'))
    expect((await fetch(url.replace(`Expires=${expires}`, `Expires=${expires + 60}`))).status).toBe(403)
    const short = await keepsake.url(one.id, { expiresIn: 1 })
    await new Promise((resolve) => setTimeout(resolve, short.expiresAt.getTime() - Date.now() + 5))
    expect((await fetch(short.url)).status).toBe(403)
  })

  it('hands a download’s name on to the bucket', async () => {
    const { id } = await keepsake.import('private', picture)
    const answer = await fetch((await keepsake.url(id, { download: true })).url)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-disposition')).toContain(`filename*=UTF-8''a%20fox.gif`)
  })

  it('gives public collections plain links to it', async () => {
    const asset = await keepsake.import('avatars', picture)
    expect(asset).toMatchObject({ urlSource: 'public', url: `${cdn.url}/${asset.key}` })
    expect((await fetch(urlOf(asset))).headers.get('cache-control')).toMatch(/^public, .*immutable$/)
  })

  it('redirects the permanent address to it, and signs many at once', async () => {
    const asset = await keepsake.import('private', picture)
    const handle = keepsake.handler({ authorize: () => ({ owner: 'ada' }) })
    const answer = await handle(new Request(`http://app.test/v1/assets/${asset.id}/content`))
    expect(answer.status).toBe(302)
    expect(await fetch(answer.headers.get('location') ?? '').then(({ status }) => status)).toBe(200)
    const [link] = await keepsake.urls([{ id: asset.id }])
    expect(link).toMatchObject({ url: answer.headers.get('location') })
  })

  it.each([
    ['no key', 'hunter2hunter2', 'no private key in PEM'],
    ['the public half', publicKey.export({ type: 'spki', format: 'pem' }).toString(), 'public half'],
  ])('does not start with %s in its place, and does not show it', async (_, key, why) => {
    const cloudfront = { domain: cdn.url, keyPairId, privateKey: key }
    const error = await open({ s3: bucketSettings, delivery: { cloudfront } }, 'wrong').catch(
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({ code: 'invalid_setting', message: expect.stringContaining(why) })
    expect(String(error)).not.toContain(key.slice(-50, -30) || key)
  })

  it('does not start without its key file', async () => {
    const cloudfront = { domain: cdn.url, keyPairId, privateKeyFile: join(dir, 'nowhere.pem') }
    await expect(open({ s3: bucketSettings, delivery: { cloudfront } }, 'missing')).rejects.toMatchObject({
      code: 'invalid_setting',
      message: expect.stringMatching(/nowhere\.pem \(ENOENT\)/),
    })
  })
})
