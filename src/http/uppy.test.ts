import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { gif, startTestServer, type TestServer } from '../../test/support/http.ts'
import { createHandler } from './index.ts'

const mebibyte = 1024 * 1024

let server: TestServer
beforeAll(async () => {
  server = await startTestServer({
    collections: { photos: { accept: ['image'], maxSize: '20 MB', attributes: { model: {} } } },
  })
})
afterAll(() => server?.stop())

const begun = z.strictObject({ key: z.string(), uploadId: z.uuid(), bucket: z.string() })
const path = '/uppy/photos/s3'

async function begin(size: unknown, metadata: object = {}) {
  const body = {
    filename: 'a.gif',
    type: 'image/gif',
    metadata: { ...metadata, size, name: 'a.gif', relativePath: null },
  }
  return server.call(`${path}/multipart`, { body })
}

describe('what Uppy asks of its companion', () => {
  it('is known for the version that is installed', () => {
    // The shapes below are those of its source, CompanionS3.ts; a new major version needs a new look.
    const found: unknown = createRequire(import.meta.url)('@uppy/aws-s3/package.json')
    expect(z.object({ version: z.string() }).parse(found).version).toMatch(/^6\./)
  })

  it('takes a file in parts: create, sign, list, complete', async () => {
    const bytes = Buffer.concat([gif, Buffer.alloc(6 * mebibyte, 3)])
    const { key, uploadId } = begun.parse(await (await begin(bytes.length, { model: 'flux', colour: 'red' })).json())
    const query = `?${new URLSearchParams({ key })}`
    for (const partNumber of [1, 2]) {
      const signed = await server.call(`${path}/multipart/${uploadId}/${partNumber}${query}`)
      const { url } = z.object({ url: z.url(), expires: z.int().positive() }).parse(await signed.json())
      const body = bytes.subarray((partNumber - 1) * 5 * mebibyte, partNumber * 5 * mebibyte)
      expect((await fetch(url, { method: 'PUT', body: new Uint8Array(body) })).status).toBe(200)
    }
    const listed = await (await server.call(`${path}/multipart/${uploadId}${query}`)).json()
    const parts = z.array(z.strictObject({ PartNumber: z.int(), ETag: z.string(), Size: z.int() })).parse(listed)
    expect(parts.map(({ Size }) => Size)).toEqual([5 * mebibyte, mebibyte + gif.length])
    const done = await server.call(`${path}/multipart/${uploadId}/complete${query}`, {
      body: { parts: parts.map(({ PartNumber, ETag }) => ({ PartNumber, ETag: ETag.replaceAll('"', '') })) },
    })
    expect([done.status, await done.json()]).toMatchObject([
      200,
      { key, location: `${server.url}/v1/assets/${uploadId}/content`, asset: { state: 'stored' } },
    ])
    const asset = await server.keepsake.get(uploadId)
    expect(asset).toMatchObject({ attributes: { model: 'flux' }, filename: 'a.gif', size: bytes.length })
    expect(asset.sha256).toBe(createHash('sha256').update(bytes).digest('hex'))
  })

  it('signs a batch, and aborts', async () => {
    const { uploadId } = begun.parse(await (await begin(6 * mebibyte)).json())
    const batch = await server.call(`${path}/multipart/${uploadId}/batch?key=x&partNumbers=1,2`)
    expect(z.object({ presignedUrls: z.record(z.string(), z.url()) }).parse(await batch.json())).toBeTruthy()
    const aborted = await server.call(`${path}/multipart/${uploadId}?key=x`, { method: 'DELETE' })
    expect([aborted.status, await aborted.json()]).toEqual([200, {}])
    expect((await server.call(`${path}/multipart/${uploadId}?key=x`)).status).toBe(404)
  })

  it('takes a small file by a form, through the server', async () => {
    const query = new URLSearchParams({ filename: 'dot.gif', type: 'image/gif', 'metadata[model]': 'flux' })
    const params = await (await server.call(`${path}/params?${query}`)).json()
    const { url, fields } = z.object({ url: z.url(), fields: z.record(z.string(), z.string()) }).parse(params)
    const form = new FormData()
    for (const [name, value] of Object.entries(fields)) form.append(name, value)
    form.append('file', new File([new Uint8Array(gif)], 'dot.gif'))
    const { headers } = new Request(server.url, { headers: { authorization: 'Bearer test-api-key-0123456789' } })
    const sent = await fetch(url, { method: 'POST', headers, body: form })
    expect(sent.status).toBe(201)
    const { id } = z.object({ id: z.string() }).parse(await sent.json())
    expect(await server.keepsake.get(id)).toMatchObject({ filename: 'dot.gif', attributes: { model: 'flux' } })
  })

  it.each([
    ['the address it was called by', {}, 'http://localhost:3000'],
    [
      'the host that was asked for, where a framework knows its own address alone',
      { host: 'app.example' },
      'http://app.example',
    ],
    [
      'what a proxy says of itself',
      { host: '10.0.0.7:3000', 'x-forwarded-host': 'app.example, 10.0.0.7', 'x-forwarded-proto': 'https' },
      'https://app.example',
    ],
    ['the address it was called by, where a host is none', { host: 'app example' }, 'http://localhost:3000'],
  ])('is sent to %s', async (_, headers, origin) => {
    const handle = createHandler(server.keepsake, { basePath: '/api/media', authorize: () => ({ owner: 'ada' }) })
    const asked = new Request(`http://localhost:3000/api/media${path}/params?filename=dot.gif`, { headers })
    const { url } = z.object({ url: z.url() }).parse(await (await handle(asked)).json())
    expect(url).toBe(`${origin}/api/media${path}/form`)
  })

  it.each([
    ['a file without a size', undefined, 400],
    ['one that is too large', 21_000_000, 413],
  ])('refuses %s', async (_, size, status) => {
    expect((await begin(size)).status).toBe(status)
  })

  it('refuses nobody, and other types and collections', async () => {
    const unknown = await server.call('/uppy/nothing/s3/multipart', {
      body: { filename: 'a', type: 'image/gif', metadata: { size: 1 } },
    })
    expect(unknown.status).toBe(404)
    const page = await server.call(`${path}/multipart`, {
      body: { filename: 'a', type: 'text/html', metadata: { size: 1 } },
    })
    expect(page.status).toBe(422)
    for (const [method, address] of [
      ['GET', '/params?filename=a'],
      ['POST', '/form'],
      ['POST', '/multipart'],
      ['GET', '/multipart/0198c0de-7a11-7b52-8c3d-0123456789ab'],
    ]) {
      expect((await fetch(`${server.url}${path}${address}`, { ...(method ? { method } : {}) })).status).toBe(401)
    }
  })
})
