import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { gif, startTestServer, type TestServer } from '../../test/support/http.ts'

const mebibyte = 1024 * 1024

const part = z.strictObject({
  partNumber: z.int(),
  method: z.literal('PUT'),
  url: z.url(),
  headers: z.record(z.string(), z.string()).optional(),
  expiresAt: z.iso.datetime(),
})
const asset = z.looseObject({ id: z.uuid(), state: z.string(), key: z.string().nullable(), url: z.string().nullable() })
const putTicket = z.strictObject({
  asset,
  upload: z.strictObject({
    strategy: z.literal('put'),
    method: z.literal('PUT'),
    url: z.url(),
    headers: z.record(z.string(), z.string()),
    expiresAt: z.iso.datetime(),
  }),
})
const partsTicket = z.strictObject({
  asset,
  upload: z.strictObject({
    strategy: z.literal('multipart'),
    partSize: z.int(),
    partCount: z.int(),
    parts: z.array(part),
    expiresAt: z.iso.datetime(),
  }),
})

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

let server: TestServer
beforeAll(async () => {
  server = await startTestServer({
    collections: { media: { accept: ['image', 'video'], maxSize: '40 MB', attributes: { model: {} } } },
    uploads: { partThreshold: 6 * mebibyte, partSize: 5 * mebibyte },
  })
})
afterAll(() => server?.stop())

const announce = (body: object, headers?: Record<string, string>) =>
  server.call('/v1/collections/media/uploads', { body, ...(headers ? { headers } : {}) })

async function take<T>(schema: z.ZodType<T>, body: object, headers?: Record<string, string>): Promise<T> {
  const response = await announce(body, headers)
  const answer: unknown = await response.json()
  expect(response.status, JSON.stringify(answer)).toBe(201)
  return schema.parse(answer)
}

/** A file of so many bytes that begins as a GIF. */
function file(size: number): Buffer {
  const bytes = Buffer.alloc(size, 'keepsake')
  gif.copy(bytes)
  return bytes
}

describe('a small upload', () => {
  it('goes to the bucket by one PUT, and is stored once it was read', async () => {
    const { asset, upload } = await take(putTicket, {
      contentType: 'image/gif',
      size: gif.length,
      sha256: sha256(gif),
      filename: 'dot.gif',
      owner: 'ada',
      attributes: { model: 'flux' },
    })
    expect(asset).toMatchObject({ state: 'pending', contentType: 'image/gif', url: null, owner: 'ada' })
    const sent = await fetch(upload.url, { method: upload.method, headers: upload.headers, body: gif })
    expect(sent.status).toBe(200)
    const done = await server.call(`/v1/uploads/${asset.id}/complete`, { method: 'POST' })
    const stored = z.looseObject({ url: z.string() }).parse(await done.json())
    expect([done.status, stored]).toMatchObject([
      200,
      {
        id: asset.id,
        state: 'stored',
        size: gif.length,
        sha256: sha256(gif),
        width: 1,
        height: 1,
        filename: 'dot.gif',
      },
    ])
    expect(Buffer.from(await (await fetch(stored.url)).arrayBuffer())).toEqual(gif)
    const again = await server.call(`/v1/uploads/${asset.id}/complete`, { body: {} })
    expect([again.status, await again.json()]).toMatchObject([200, { id: asset.id, state: 'stored' }])
  })
})

describe('a large upload', () => {
  it('goes in parts, tells which have arrived, and takes the rest', async () => {
    const bytes = file(12 * mebibyte)
    const { asset, upload } = await take(partsTicket, { contentType: 'image/gif', size: bytes.length })
    expect(upload).toMatchObject({ partSize: 5 * mebibyte, partCount: 3 })
    expect(upload.parts.map(({ partNumber }) => partNumber)).toEqual([1, 2, 3])
    const send = (link: z.infer<typeof part>) => {
      const start = (link.partNumber - 1) * upload.partSize
      const body = bytes.subarray(start, start + upload.partSize)
      return fetch(link.url, { method: link.method, headers: link.headers ?? {}, body })
    }
    for (const link of upload.parts.slice(0, 2)) expect((await send(link)).status).toBe(200)

    const early = await server.call(`/v1/uploads/${asset.id}/complete`, { method: 'POST' })
    expect([early.status, await early.json()]).toMatchObject([409, { code: 'upload_incomplete', missingParts: '3' }])

    const status = await server.call(`/v1/uploads/${asset.id}`)
    expect([status.status, await status.json()]).toMatchObject([
      200,
      { upload: { strategy: 'multipart' }, uploadedParts: [{ partNumber: 1, size: 5 * mebibyte }, { partNumber: 2 }] },
    ])
    const more = await server.call(`/v1/uploads/${asset.id}/parts`, { body: { partNumbers: [3] } })
    expect(more.status).toBe(200)
    const [third] = z.strictObject({ parts: z.tuple([part]) }).parse(await more.json()).parts
    const sent = await send(third)
    const etag = sent.headers.get('etag') ?? ''
    const done = await server.call(`/v1/uploads/${asset.id}/complete`, { body: { parts: [{ partNumber: 3, etag }] } })
    expect([done.status, await done.json()]).toMatchObject([
      200,
      { state: 'stored', size: bytes.length, sha256: sha256(bytes), contentType: 'image/gif' },
    ])
  })
})

describe('an upload that is given up', () => {
  it('is gone, and leaves nothing in the bucket', async () => {
    const { asset, upload } = await take(putTicket, { contentType: 'image/gif', size: gif.length })
    await fetch(upload.url, { method: upload.method, headers: upload.headers, body: gif })
    expect((await server.call(`/v1/uploads/${asset.id}`, { method: 'DELETE' })).status).toBe(204)
    expect(await server.parts.bucket.head(asset.key ?? '')).toBeUndefined()
    expect((await server.call(`/v1/uploads/${asset.id}/complete`, { method: 'POST' })).status).toBe(404)
    expect((await server.call(`/v1/uploads/${asset.id}`, { method: 'DELETE' })).status).toBe(404)
  })

  it('takes its parts along', async () => {
    const { asset, upload } = await take(partsTicket, { contentType: 'image/gif', size: 12 * mebibyte })
    const [first] = upload.parts
    await fetch(first?.url ?? '', { method: 'PUT', body: file(5 * mebibyte) })
    expect((await server.call(`/v1/uploads/${asset.id}`, { method: 'DELETE' })).status).toBe(204)
    for await (const found of server.parts.bucket.listMultipart()) expect(found.key).not.toBe(asset.key)
    const late = await fetch(first?.url ?? '', { method: 'PUT', body: file(5 * mebibyte) })
    expect(late.status).toBe(404)
  })

  it('is not what happens to a stored asset', async () => {
    const { asset, upload } = await take(putTicket, { contentType: 'image/gif', size: gif.length })
    await fetch(upload.url, { method: upload.method, headers: upload.headers, body: gif })
    await server.call(`/v1/uploads/${asset.id}/complete`, { method: 'POST' })
    const refused = await server.call(`/v1/uploads/${asset.id}`, { method: 'DELETE' })
    expect([refused.status, await refused.json()]).toMatchObject([409, { code: 'upload_closed' }])
    expect((await server.call(`/v1/assets/${asset.id}`)).status).toBe(200)
  })
})

describe('a page at another origin', () => {
  const allowed = 'https://app.example'
  let other: TestServer
  beforeAll(async () => {
    other = await startTestServer({ corsOrigins: [allowed] })
  })
  afterAll(() => other?.stop())

  /** What a browser asks before it sends: may this origin use this method with these headers? */
  async function preflight(url: string, method: string, origin: string, headers: string) {
    const response = await fetch(url, {
      method: 'OPTIONS',
      headers: {
        ...{ origin, 'access-control-request-method': method, 'access-control-request-headers': headers },
      },
    })
    const allows = response.headers.get('access-control-allow-origin')
    return response.ok && allows === origin
  }

  it('may announce, send and complete where it is allowed, and nowhere else', async () => {
    const body = { contentType: 'image/gif', size: gif.length }
    const ticket = await other.call('/v1/collections/generations/uploads', { body, headers: { origin: allowed } })
    expect(ticket.headers.get('access-control-allow-origin')).toBe(allowed)
    const { upload } = putTicket.parse(await ticket.json())
    const names = Object.keys(upload.headers).join(',')
    const api = `${other.url}/v1/collections/generations/uploads`
    for (const [origin, may] of [
      [allowed, true],
      ['https://evil.example', false],
      ['https://app.example.evil.example', false],
      ['http://app.example', false],
      ['null', false],
    ] as const) {
      expect([origin, await preflight(api, 'POST', origin, 'authorization,content-type')]).toEqual([origin, may])
      expect([origin, await preflight(upload.url, 'PUT', origin, names)]).toEqual([origin, may])
    }
    const sent = await fetch(upload.url, {
      method: 'PUT',
      headers: { ...upload.headers, origin: allowed },
      body: new Uint8Array(gif),
    })
    expect(sent.headers.get('access-control-allow-origin')).toBe(allowed)
    expect(sent.headers.get('access-control-expose-headers')).toMatch(/ETag/i)
    const again = await fetch(upload.url, {
      method: 'PUT',
      headers: { ...upload.headers, origin: allowed },
      body: new Uint8Array(gif),
    })
    expect([again.status, again.headers.get('access-control-allow-origin')]).toEqual([412, allowed])
  })
})
