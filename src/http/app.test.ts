import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { gif, startSource, startTestServer, type TestServer } from '../../test/support/http.ts'
import { plainVerbs } from '../../test/support/verbs.ts'
import { KeepsakeError, newAssetId } from '../media/index.ts'
import type { Keepsake } from '../verbs.ts'
import {
  assetOutput,
  assetPageOutput,
  auditPageOutput,
  collectionsOutput,
  problemOutput,
  urlsOutput,
} from './schema.ts'

const base64 = gif.toString('base64')
const imports = '/v1/collections/generations/imports'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.stop())

async function importGif(body: object = {}, headers: Record<string, string> = {}) {
  const response = await server.call(imports, { body: { source: { base64 }, ...body }, headers })
  expect(response.status).toBe(201)
  return assetOutput.parse(await response.json())
}

async function problemOf(response: Response) {
  expect(response.headers.get('content-type')).toBe('application/problem+json')
  const problem = problemOutput.parse(await response.json())
  expect(problem.status).toBe(response.status)
  expect(problem.requestId).toBe(response.headers.get('x-request-id'))
  return problem
}

describe('import', () => {
  it('answers 201 with the stored asset and its address', async () => {
    const body = {
      source: { dataUri: `data:image/gif;base64,${base64}` },
      owner: 'ada',
      attributes: { wallet: '0xABC', model: 'flux' },
      provenance: { provider: 'replicate', prompt: 'a dot', settings: { steps: 4 }, seed: 7 },
      filename: 'dot.gif',
    }
    const response = await server.call(imports, { body })
    expect(response.status).toBe(201)
    const asset = assetOutput.parse(await response.json())
    expect(asset).toMatchObject({
      collection: 'generations',
      owner: 'ada',
      state: 'stored',
      contentType: 'image/gif',
      size: gif.length,
      filename: 'dot.gif',
      urlSource: 'store',
      attributes: { wallet: 'abc', model: 'flux' },
      provenance: body.provenance,
    })
    expect(response.headers.get('location')).toBe(`/v1/assets/${asset.id}`)
    expect(response.headers.get('cache-control')).toBe('no-store')
    // What does not apply is left out, not null.
    expect(asset).not.toHaveProperty('duration')
    expect(asset).not.toHaveProperty('expiresAt')
    expect(asset).not.toHaveProperty('problem')
  })

  it('answers 202 with the original URL while the source is failing', async () => {
    await using source = await startSource((_, response) => response.writeHead(503).end())
    const failing = await startTestServer({ allowHosts: [source.host] })
    try {
      const response = await failing.call(imports, { body: { source: { url: `${source.url}/a.gif` } } })
      expect(response.status).toBe(202)
      expect(response.headers.get('retry-after')).toMatch(/^\d+$/)
      const asset = assetOutput.parse(await response.json())
      expect(response.headers.get('location')).toBe(`/v1/assets/${asset.id}`)
      expect(asset).toMatchObject({ state: 'pending', url: `${source.url}/a.gif`, urlSource: 'origin' })
      expect(asset.problem?.code).toBe('source_unavailable')
    } finally {
      await failing.stop()
    }
  })

  it('gives the same asset for the same request under one idempotency key, and 409 for another', async () => {
    const first = await importGif({}, { 'idempotency-key': 'job-1' })
    const second = await importGif({}, { 'Idempotency-Key': 'job-1' })
    expect(second.id).toBe(first.id)
    const other = await server.call(imports, {
      body: { source: { base64 }, attributes: { model: 'other' } },
      headers: { 'idempotency-key': 'job-1' },
    })
    expect(await problemOf(other)).toMatchObject({ status: 409, code: 'idempotency_conflict' })
  })

  it('loses nothing to a provenance or a filename that is empty', async () => {
    const asset = await importGif({ provenance: { prompt: '', model: '', settings: {} }, filename: '' })
    expect(asset.state).toBe('stored')
    expect(asset).not.toHaveProperty('filename')
  })

  it.each([
    ['no source', {}, 'source'],
    ['two sources', { source: { base64, url: 'https://a.example/x' } }, 'url and base64 were given'],
    ['an empty source', { source: {} }, 'exactly one'],
    ['an unknown field', { source: { base64 }, colour: 'red' }, "'colour' is not known"],
    ['an unknown field inside', { source: { base64, hash: 'x' } }, "'hash' is not known"],
    ['an expiry without a URL', { source: { base64, expiresAt: '2030-01-01T00:00:00Z' } }, 'only goes with url'],
    ['a time that is none', { source: { url: 'https://a.example', expiresAt: 'tomorrow' } }, 'RFC 3339'],
    ['an owner that is empty', { source: { base64 }, owner: '' }, 'must not be empty'],
    ['an owner that cannot be stored', { source: { base64 }, owner: 'a\0b' }, 'cannot be stored'],
    ['an attribute that is no text', { source: { base64 }, attributes: { model: 3 } }, 'attributes.model'],
    ['an undeclared attribute', { source: { base64 }, attributes: { mood: 'x' } }, "'mood'"],
    ['half of a surrogate pair', { source: { base64 }, provenance: { prompt: '\ud800' } }, 'cannot be stored'],
    ['a NUL deep inside', { source: { base64 }, provenance: { settings: { a: ['\0'] } } }, 'cannot be stored'],
    ['a filename with a line break', { source: { base64 }, filename: 'a\r\nb' }, 'control characters'],
    ['a list', [], 'body is not valid'],
  ])('refuses %s and says so', async (_, body, words) => {
    const problem = await problemOf(await server.call(imports, { body }))
    expect(problem).toMatchObject({ status: 400, code: 'invalid_request' })
    expect(problem.detail).toContain(words)
  })

  it('names every field that is wrong', async () => {
    const body = { source: { base64: 3 }, owner: '', filename: 4 }
    const { errors } = await problemOf(await server.call(imports, { body }))
    expect(errors?.map(({ path }) => path).sort()).toEqual(['filename', 'owner', 'source.base64'])
  })

  it.each<[string, string, number, string, Record<string, string>, string?]>([
    ['malformed JSON', '{"source":', 400, 'invalid_request', {}],
    ['no body', '', 400, 'invalid_request', {}],
    ['another type', 'a=b', 415, 'unsupported_media_type', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['an unknown query parameter', '{}', 400, 'invalid_request', {}, '?dry=1'],
    ['a malformed idempotency key', '{}', 400, 'invalid_request', { 'idempotency-key': 'a b' }],
  ])('refuses %s', async (_, body, status, code, headers, query = '') => {
    const response = await server.call(imports + query, { method: 'POST', body, headers })
    expect(await problemOf(response)).toMatchObject({ status, code })
  })

  it('refuses JSON that is nested without end', async () => {
    const settings = `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`
    const body = `{"source":{"base64":"${base64}"},"provenance":{"settings":${settings}}}`
    expect(await problemOf(await server.call(imports, { body }))).toMatchObject({ code: 'invalid_request' })
  })

  it('refuses bytes that are not UTF-8', async () => {
    const response = await fetch(server.url + imports, {
      method: 'POST',
      headers: { authorization: 'Bearer test-api-key-0123456789', 'content-type': 'application/json' },
      body: Buffer.from('7b226f776e6572223a22ff227d', 'hex'),
    })
    expect((await problemOf(response)).detail).toContain('UTF-8')
  })

  it('refuses a body above the limit, announced or not', async () => {
    const chunk = Buffer.alloc(1024 ** 2, 'x')
    const endless = new ReadableStream({ pull: (controller) => controller.enqueue(chunk) })
    const request = new Request(`http://keepsake/v1/urls`, {
      method: 'POST',
      headers: { authorization: 'Bearer test-api-key-0123456789', 'content-type': 'application/json' },
      body: endless,
      duplex: 'half',
    })
    expect(await problemOf(await server.app.fetch(request))).toMatchObject({ status: 413, code: 'request_too_large' })
    const announced = await server.call('/v1/urls', { body: { assets: [{ id: 'x'.repeat(600_000) }] } })
    expect(announced.status).toBe(413)
  })

  it('hands on what the media turned out to be', async () => {
    const html = Buffer.from('<html><script>alert(1)</script></html>').toString('base64')
    const refused = await server.call(imports, { body: { source: { base64: html } } })
    expect(await problemOf(refused)).toMatchObject({ status: 422, code: 'content_type_refused' })
    const malformed = await server.call(imports, { body: { source: { base64: '§§' } } })
    expect(await problemOf(malformed)).toMatchObject({ status: 400, code: 'invalid_source' })
    const unknown = await server.call('/v1/collections/nope/imports', { body: { source: { base64 } } })
    expect(await problemOf(unknown)).toMatchObject({ status: 404, code: 'collection_not_found' })
  })
})

describe('reading', () => {
  it('lists a collection newest first, page by page', async () => {
    const made = [
      await importGif({ owner: 'pages' }),
      await importGif({ owner: 'pages' }),
      await importGif({ owner: 'pages' }),
    ]
    const seen: string[] = []
    let cursor: string | null = ''
    for (let pages = 0; cursor !== null && pages < 5; pages += 1) {
      const query: string = `owner=pages&limit=2${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`
      const response = await server.call(`/v1/collections/generations/assets?${query}`)
      expect(response.status).toBe(200)
      const page = assetPageOutput.parse(await response.json())
      seen.push(...page.assets.map(({ id }) => id))
      cursor = page.nextCursor
    }
    expect(seen).toEqual(made.map(({ id }) => id).reverse())
  })

  it('filters by attribute, kind, state and time', async () => {
    const { id, createdAt } = await importGif({ owner: 'filter', attributes: { model: 'm1' } })
    await importGif({ owner: 'filter', attributes: { model: 'm2' } })
    const day = encodeURIComponent(new Date(Date.parse(createdAt) - 86_400_000).toISOString().replace('Z', '+00:00'))
    const query = `owner=filter&attributes.model=m1&kind=image&state=stored&from=${day}`
    const { assets } = assetPageOutput.parse(
      await (await server.call(`/v1/collections/generations/assets?${query}`)).json(),
    )
    expect(assets.map((asset) => asset.id)).toEqual([id])
    const past = await server.call(`/v1/collections/generations/assets?owner=filter&to=${day}`)
    expect(await past.json()).toEqual({ assets: [], nextCursor: null })
  })

  it('tells what came of an asset', async () => {
    const original = await importGif({ owner: 'parent' })
    const made = await importGif({ owner: 'parent', provenance: { parents: [original.id] } })
    const list = async (parent: string) => {
      const response = await server.call(`/v1/collections/generations/assets?parent=${parent}`)
      return assetPageOutput.parse(await response.json()).assets.map(({ id }) => id)
    }
    expect(await list(original.id)).toEqual([made.id])
    expect(await list(made.id)).toEqual([])
  })

  it.each([
    ['parent=x', 'parent: must be an asset id'],
    ['color=red', "'color' is not known here. Known: owner, kind"],
    ['attributes.mood=x', "'attributes.mood'"],
    ['limit=0', 'limit: must be an integer from 1 to 1000'],
    ['limit=1001', 'limit: must be an integer'],
    ['limit=ten', 'limit: must be an integer'],
    ['limit=1&limit=2', 'limit'],
    ['kind=song', 'kind'],
    ['state=lost', 'state'],
    ['from=yesterday', 'from: must be an RFC 3339 date-time'],
    ['from=2026-02-30T00:00:00Z', 'from'],
    ['to=0000-01-01T00:00:00Z', 'to: must be in 1970 to 9999'],
    ['owner=%00', 'owner'],
    ['owner=', 'owner: must not be empty'],
    ['__proto__=1', '__proto__'],
  ])('refuses the query %s', async (query, words) => {
    const problem = await problemOf(await server.call(`/v1/collections/generations/assets?${query}`))
    expect(problem).toMatchObject({ status: 400, code: 'invalid_request' })
    expect(problem.detail).toContain(words)
  })

  it('shows one asset, to HEAD too', async () => {
    const made = await importGif()
    const response = await server.call(`/v1/assets/${made.id}`)
    expect(assetOutput.parse(await response.json()).id).toBe(made.id)
    const head = await server.call(`/v1/assets/${made.id}`, { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
  })

  it.each([
    'nonsense',
    '1',
    '%00',
    '%',
    '%zz',
    '%ff%fe',
    "'%20or%201=1",
    'a'.repeat(5000),
    '0198C0DE-7A11-7B52-8C3D-0123456789AB',
  ])('has no asset %s, whatever is asked of it', async (id) => {
    for (const [path, method] of [
      [`/v1/assets/${id}`, 'GET'],
      [`/v1/assets/${id}`, 'DELETE'],
      [`/v1/assets/${id}/content`, 'GET'],
    ] as const) {
      const response = await server.call(path, { method })
      expect(await problemOf(response)).toMatchObject({ status: 404, code: 'asset_not_found' })
    }
  })

  it('lists the collections and what they accept', async () => {
    const { collections } = collectionsOutput.parse(await (await server.call('/v1/collections')).json())
    expect(collections[0]).toMatchObject({
      name: 'generations',
      accept: ['image', 'video'],
      maxSize: 100_000_000,
      attributes: { wallet: { required: false, maxLength: 256, normalize: 'hex-address' } },
    })
  })
})

describe('links', () => {
  it('redirects to a signed link, for no longer than the link lives', async () => {
    const { id } = await importGif()
    for (const method of ['GET', 'HEAD']) {
      const response = await server.call(`/v1/assets/${id}/content?download`, { method })
      expect(response.status).toBe(302)
      expect(response.headers.get('location')).toMatch(/X-Amz-Signature=/)
      expect(response.headers.get('location')).toMatch(/response-content-disposition=/)
      expect(response.headers.get('cache-control')).toMatch(/^private, max-age=\d+$/)
      expect(response.headers.get('vary')).toContain('Authorization')
    }
    const short = await server.call(`/v1/assets/${id}/content?expiresIn=60`)
    expect(short.headers.get('cache-control')).toBe('private, max-age=0')
  })

  it('gives many links at once, in the order asked, with a code where there is none', async () => {
    const [a, b] = [await importGif(), await importGif()]
    const missing = newAssetId()
    const asked = [b.id, missing, a.id, 'nonsense', b.id]
    const response = await server.call('/v1/urls', { body: { assets: asked.map((id) => ({ id })), expiresIn: 60 } })
    expect(response.status).toBe(200)
    const { urls } = urlsOutput.parse(await response.json())
    expect(urls.map(({ id }) => id)).toEqual(asked)
    expect(urls.map((entry) => ('code' in entry ? entry.code : 'url'))).toEqual([
      'url',
      'asset_not_found',
      'url',
      'asset_not_found',
      'url',
    ])
  })

  it.each([0, -1, 3601, 1.5, '60', null])('refuses to make links that live %s seconds', async (expiresIn) => {
    const problem = await problemOf(
      await server.call('/v1/urls', { body: { assets: [{ id: newAssetId() }], expiresIn } }),
    )
    expect(problem).toMatchObject({ status: 400, code: 'invalid_request' })
    expect(problem.detail).toContain('expiresIn')
  })

  it('refuses none and more than 1000', async () => {
    const many = Array.from({ length: 1001 }, () => ({ id: newAssetId() }))
    expect((await problemOf(await server.call('/v1/urls', { body: { assets: many } }))).detail).toContain('1000')
    expect((await problemOf(await server.call('/v1/urls', { body: { assets: [] } }))).detail).toContain('at least one')
  })
})

describe('delete', () => {
  it('answers 204, and 404 from then on', async () => {
    const { id } = await importGif()
    const response = await server.call(`/v1/assets/${id}`, { method: 'DELETE' })
    expect([response.status, await response.text()]).toEqual([204, ''])
    expect((await server.call(`/v1/assets/${id}`)).status).toBe(404)
    expect((await server.call(`/v1/assets/${id}`, { method: 'DELETE' })).status).toBe(404)
  })

  it('answers 202 while the store is failing', async () => {
    const stuck = await startTestServer({
      wrap: (keepsake) => ({
        ...keepsake,
        as: (actor) => ({ ...bound(keepsake, actor), delete: async () => ({ done: false }) }),
      }),
    })
    try {
      const id = newAssetId()
      const response = await stuck.call(`/v1/assets/${id}`, { method: 'DELETE' })
      expect(response.status).toBe(202)
      expect(await response.json()).toEqual({ id, state: 'deleting' })
    } finally {
      await stuck.stop()
    }
  })
})

function bound(keepsake: Keepsake, actor: Parameters<Keepsake['as']>[0]) {
  return plainVerbs(keepsake.as(actor))
}

describe('audit', () => {
  it('tells who did what, by request id', async () => {
    const { id } = await importGif({ owner: 'audited' }, { 'x-request-id': 'my-request.1' })
    await server.call(`/v1/assets/${id}/content`)
    const response = await server.call(`/v1/audit?asset=${id}&owner=audited&limit=10`)
    const { entries } = auditPageOutput.parse(await response.json())
    expect(entries[0]).toMatchObject({ action: 'url.issued', asset: id, owner: 'audited', actor: 'service' })
    expect(entries.map(({ requestId }) => requestId)).toContain('my-request.1')
    expect(JSON.stringify(entries)).not.toContain('Signature')
  })

  it('refuses an asset that cannot be one', async () => {
    expect(await problemOf(await server.call('/v1/audit?asset=5'))).toMatchObject({ code: 'invalid_request' })
  })
})

describe('addresses', () => {
  it('answers 404 for a path that is not there and 405 with Allow for a wrong method', async () => {
    expect(await problemOf(await server.call('/v2/assets'))).toMatchObject({ status: 404, code: 'route_not_found' })
    expect(await problemOf(await server.call('/v1/nothing'))).toMatchObject({ status: 404, code: 'route_not_found' })
    const wrong = await server.call(`/v1/assets/${newAssetId()}`, { method: 'PUT' })
    expect(wrong.headers.get('allow')?.split(', ').sort()).toEqual(['DELETE', 'GET', 'HEAD', 'PATCH'])
    expect(await problemOf(wrong)).toMatchObject({ status: 405, code: 'method_not_allowed' })
  })

  it('takes a sane request id and replaces any other', async () => {
    const sane = await server.call('/healthz', { headers: { 'x-request-id': 'Trace_1.a-b' } })
    expect(sane.headers.get('x-request-id')).toBe('Trace_1.a-b')
    for (const odd of ['a b', 'x'.repeat(129), '"quoted"']) {
      const response = await server.call('/healthz', { headers: { 'x-request-id': odd } })
      expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
    }
  })

  it('sends security headers with every answer', async () => {
    for (const path of ['/healthz', '/docs', '/v1/nothing', '/openapi.json']) {
      const { headers } = await server.call(path)
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
      expect(headers.get('access-control-allow-origin')).toBeNull()
    }
  })

  it('lets pages of the named origins call, refusals included', async () => {
    const open = await startTestServer({ corsOrigins: ['https://app.example'] })
    try {
      const preflight = await open.call('/v1/urls', {
        method: 'OPTIONS',
        headers: { origin: 'https://app.example', 'access-control-request-method': 'POST' },
      })
      expect(preflight.status).toBe(204)
      expect(preflight.headers.get('access-control-allow-headers')).toContain('Authorization')
      const refused = await open.call('/v1/collections', {
        headers: { origin: 'https://app.example', authorization: 'x' },
      })
      expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, 'https://app.example'])
      const other = await open.call('/v1/collections', { headers: { origin: 'https://evil.example' } })
      expect(other.headers.get('access-control-allow-origin')).toBeNull()
    } finally {
      await open.stop()
    }
  })
})

describe('operation', () => {
  it('is alive and ready without credentials', async () => {
    const health = await fetch(`${server.url}/healthz`)
    expect(await health.json()).toEqual({ ok: true, version: '1.2.3' })
    const ready = await fetch(`${server.url}/readyz`)
    expect(ready.status).toBe(200)
    expect(await ready.json()).toMatchObject({
      ready: true,
      parts: [
        { name: 'catalogue', ok: true },
        { name: 'primary', ok: true },
      ],
    })
  })

  it('is not ready while a part is failing, and tells strangers the code alone', async () => {
    const down = await startTestServer({
      wrap: (keepsake) => ({
        ...keepsake,
        check: async () => [
          { name: 'catalogue', ok: true },
          { name: 'primary', ok: false, code: 'store_unavailable', message: 'host secret-bucket.example refused' },
        ],
      }),
    })
    try {
      const response = await fetch(`${down.url}/readyz`)
      expect(response.status).toBe(503)
      const text = await response.text()
      expect(JSON.parse(text)).toMatchObject({
        ready: false,
        parts: [{ ok: true }, { ok: false, code: 'store_unavailable' }],
      })
      expect(text).not.toContain('secret-bucket')
    } finally {
      await down.stop()
    }
  })

  it('counts requests by route, imports by outcome and assets by state, for an API key only', async () => {
    await importGif()
    expect((await fetch(`${server.url}/metrics`)).status).toBe(401)
    const response = await server.call('/metrics')
    expect(response.headers.get('content-type')).toContain('text/plain')
    const text = await response.text()
    expect(text).toMatch(
      /keepsake_http_request_duration_seconds_count\{method="POST",route="\/v1\/collections\/:collection\/imports",status="201"\} \d+/,
    )
    expect(text).toMatch(/keepsake_imports_total\{outcome="stored"\} \d+/)
    expect(text).toMatch(/keepsake_imports_total\{outcome="content_type_refused"\} \d+/)
    expect(text).toMatch(/keepsake_assets\{state="stored"\} [1-9]/)
    expect(text).toContain('process_cpu_seconds_total')
  })

  it('still shows the other metrics while the catalogue is failing', async () => {
    const down = await startTestServer({
      publicMetrics: true,
      wrap: (keepsake) => ({
        ...keepsake,
        countByState: () => Promise.reject(new KeepsakeError('catalogue_unavailable', 'down')),
      }),
    })
    try {
      const response = await fetch(`${down.url}/metrics`)
      expect(response.status).toBe(200)
      const text = await response.text()
      expect(text).toMatch(/keepsake_catalogue_up 0/)
      expect(text).toContain('keepsake_http_request_duration_seconds')
    } finally {
      await down.stop()
    }
  })
})

describe('defects', () => {
  it('are logged with stack and cause, and never shown', async () => {
    const broken = await startTestServer({
      wrap: (keepsake) => ({
        ...keepsake,
        as: (actor) => ({
          ...bound(keepsake, actor),
          get: () => Promise.reject(new Error('row 7 of secret_table', { cause: new Error('deep cause') })),
        }),
      }),
    })
    try {
      const response = await broken.call(`/v1/assets/${newAssetId()}`, { headers: { 'x-request-id': 'find-me' } })
      const text = await response.clone().text()
      expect(await problemOf(response)).toMatchObject({ status: 500, code: 'internal', requestId: 'find-me' })
      expect(text).not.toContain('secret_table')
      const line = logLines(broken).find((entry) => entry.msg === 'defect')
      expect(JSON.stringify(line)).toMatch(/find-me.*secret_table.*app\.test\.ts.*deep cause/)
    } finally {
      await broken.stop()
    }
  })

  it('hand on when a retry makes sense', async () => {
    const busy = await startTestServer({
      wrap: (keepsake) => ({
        ...keepsake,
        as: (actor) => ({
          ...bound(keepsake, actor),
          get: () =>
            Promise.reject(new KeepsakeError('catalogue_unavailable', 'The database is away.', { retryAfter: 2.5 })),
        }),
      }),
    })
    try {
      const response = await busy.call(`/v1/assets/${newAssetId()}`)
      expect([response.status, response.headers.get('retry-after')]).toEqual([503, '3'])
    } finally {
      await busy.stop()
    }
  })
})

describe('the log', () => {
  it('has one line a request, by route, without paths, queries, keys or signatures', async () => {
    await server.call('/v1/collections/generations/assets?owner=private-hint', {
      headers: { 'x-request-id': 'line-1' },
    })
    await server.call('/v1/collections', {
      headers: { authorization: 'Bearer wrong-but-secret', 'x-request-id': 'line-2' },
    })
    const lines = logLines(server).filter((entry) => entry.msg === 'request')
    expect(lines.filter(({ requestId }) => requestId === 'line-1')).toHaveLength(1)
    expect(lines.find(({ requestId }) => requestId === 'line-2')).toMatchObject({
      method: 'GET',
      route: '/v1/collections',
      status: 401,
      code: 'unauthenticated',
    })
    expect(lines.find(({ requestId }) => requestId === 'line-1')).toMatchObject({
      route: '/v1/collections/:collection/assets',
      role: 'service',
      ms: expect.any(Number),
    })
    for (const secret of ['test-api-key', 'wrong-but-secret', 'private-hint', 'X-Amz-Signature=']) {
      expect(server.log()).not.toContain(secret)
    }
  })
})

function logLines(from: { log(): string }) {
  const line = z.looseObject({ msg: z.string() })
  return from
    .log()
    .split('\n')
    .filter((text) => text !== '')
    .map((text) => line.parse(JSON.parse(text)))
}
