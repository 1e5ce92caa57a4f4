import { createRoute, z } from '@hono/zod-openapi'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gif } from '../../test/support/http.ts'
import { openTestKeepsake } from '../../test/support/keepsake.ts'
import { silentLogger } from '../logger.ts'
import { KeepsakeError } from '../media/index.ts'
import type { Keepsake } from '../verbs.ts'
import { createHandler, createHttpApp, type HttpExtension, parseHttpExtension } from './index.ts'

let keepsake: Keepsake
beforeAll(async () => {
  keepsake = await openTestKeepsake()
})
afterAll(() => keepsake?.close())

const key = 'an-api-key'
const auth = { apiKeys: [key] }

const notes: HttpExtension = {
  path: '/api/notes',
  routes(app) {
    const noteRoute = createRoute({
      method: 'get',
      path: '/{id}',
      operationId: 'note',
      request: { params: z.object({ id: z.coerce.number().openapi({ param: { name: 'id', in: 'path' } }) }) },
      responses: { 200: { description: 'A note.', content: { 'application/json': { schema: z.object({}) } } } },
    })
    app.get('/', (c) => c.json({ actor: c.get('actor').role }))
    app.openapi(noteRoute, (c) => c.json({ id: c.req.valid('param').id }, 200))
    app.post('/keep', async (c) => {
      const asset = await c.get('verbs').import('generations', { source: { bytes: gif } })
      return c.redirect(`/api/notes/${asset.owner}`, 303)
    })
    app.post('/defect', () => {
      throw new Error('secret-in-an-error')
    })
    app.post('/refuse', () => {
      throw new KeepsakeError('quota_exceeded', 'No more notes.')
    })
    app.all('/any/*', (c) => c.text(c.req.path))
  },
  publicRoutes(app) {
    app.get('/front', (c) => c.text(`hello ${c.get('requestId').length > 0}`))
    app.get('/maybe/:who', (c, next) => (c.req.param('who') === 'all' ? c.text('all') : next()))
  },
}

function appWith(...extensions: readonly HttpExtension[]) {
  return createHttpApp({ keepsake, auth, logger: silentLogger, version: '1', extensions })
}

const call = async (path: string, init: RequestInit & { as?: string | null } = {}, app = appWith(notes)) => {
  const { as = key, ...rest } = init
  const headers = { ...(as === null ? {} : { authorization: `Bearer ${as}` }), ...Object(rest.headers) }
  const response = await app.fetch(new Request(`http://keepsake${path}`, { ...rest, headers }))
  return { status: response.status, headers: response.headers, body: await response.text() }
}

describe('routes beside Keepsake’s own', () => {
  it('stand behind the same credentials, all of them', async () => {
    expect(await call('/api/notes')).toMatchObject({ status: 200, body: '{"actor":"service"}' })
    for (const path of [
      '/api/notes',
      '/api/notes/7',
      '/api/notes/any/x',
      '/api/notes/maybe/me',
      '/api/notes/nowhere',
    ]) {
      expect([path, (await call(path, { as: null })).status]).toEqual([path, 401])
      expect([path, (await call(path, { as: 'wrong' })).status]).toEqual([path, 401])
    }
    expect((await call('/api/notes/any/x', { method: 'DELETE', as: null })).status).toBe(401)
  })

  it('are open where they say so, and nowhere else', async () => {
    expect(await call('/api/notes/front', { as: null })).toMatchObject({ status: 200, body: 'hello true' })
    expect(await call('/api/notes/maybe/all', { as: null })).toMatchObject({ status: 200, body: 'all' })
    expect((await call('/api/notes/front', { method: 'POST', as: null })).status).toBe(401)
    expect((await call('/api/notes/front', { method: 'POST' })).status).toBe(405)
  })

  it('answer problems as Keepsake does, and tell nothing of a defect', async () => {
    const refused = await call('/api/notes/refuse', { method: 'POST' })
    expect([refused.status, JSON.parse(refused.body).code]).toEqual([403, 'quota_exceeded'])
    const defect = await call('/api/notes/defect', { method: 'POST' })
    expect([defect.status, JSON.parse(defect.body).code]).toEqual([500, 'internal'])
    expect(defect.body).not.toContain('secret')
    const invalid = await call('/api/notes/seven')
    expect(JSON.parse(invalid.body)).toMatchObject({ code: 'invalid_request', errors: [{ path: 'id' }] })
    expect(JSON.parse((await call('/api/other')).body).code).toBe('route_not_found')
    expect(refused.headers.get('x-content-type-options')).toBe('nosniff')
    expect(refused.headers.get('cache-control')).toBe('no-store')
  })

  it('act for the user of a token, and for nobody by a token of somebody else’s', async () => {
    const sign = (secret: string) =>
      new SignJWT()
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject('ada')
        .setAudience('authenticated')
        .setExpirationTime('1h')
        .sign(new TextEncoder().encode(secret))
    const secret = 'a-secret-of-the-tests-that-is-long-enough'
    const jwt = { apiKeys: [], jwt: { keys: { secret } } }
    const app = createHttpApp({ keepsake, auth: jwt, logger: silentLogger, version: '1', extensions: [notes] })
    expect(await call('/api/notes', { as: await sign(secret) }, app)).toMatchObject({ body: '{"actor":"user"}' })
    const kept = await call('/api/notes/keep', { method: 'POST', as: await sign(secret) }, app)
    expect(kept.headers.get('location')).toBe('/api/notes/ada')
    const forged = await sign('another-secret-that-is-long-enough-too')
    expect((await call('/api/notes', { as: forged }, app)).status).toBe(401)
  })

  it('answer the preflight of a page that may call', async () => {
    const corsOrigins = ['https://app.example']
    const app = createHttpApp({ keepsake, auth, logger: silentLogger, version: '1', extensions: [notes], corsOrigins })
    const ask = (origin: string) => {
      const headers = {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization',
      }
      return call('/api/notes/keep', { method: 'OPTIONS', as: null, headers }, app)
    }
    const allowed = await ask('https://app.example')
    expect([allowed.status, allowed.headers.get('access-control-allow-origin')]).toEqual([204, 'https://app.example'])
    expect((await ask('https://evil.example')).headers.get('access-control-allow-origin')).toBeNull()
  })

  it('say which methods they take', async () => {
    const wrong = await call('/api/notes/7', { method: 'PUT' })
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
    expect((await call('/api/notes/7', { method: 'OPTIONS' })).status).toBe(405)
    expect((await call('/api/notes/7', { method: 'HEAD' })).status).toBe(200)
  })

  it('are in the documentation', async () => {
    const { body } = await call('/openapi.json', { as: null })
    expect(Object.keys(JSON.parse(body).paths)).toContain('/api/notes/{id}')
    expect((await call('/docs', { as: null })).body).toContain('/api/notes/{id}')
  })

  it('take nothing away from Keepsake’s own', async () => {
    const greedy = {
      path: '/v2',
      routes: (app: Parameters<HttpExtension['routes']>[0]) => void app.all('*', (c) => c.text('mine')),
    }
    const app = appWith(greedy)
    expect((await call('/v2/x', {}, app)).body).toBe('mine')
    expect((await call('/healthz', { as: null }, app)).status).toBe(200)
    expect(JSON.parse((await call('/v1/collections', {}, app)).body)).toHaveProperty('collections')
  })
})

describe('inside another app', () => {
  const inside = createHandlerWith(() => ({ owner: 'ada' }))
  function createHandlerWith(authorize: () => { owner: string }) {
    return (path: string, init?: RequestInit) =>
      createHandler(keepsake, { basePath: '/app', authorize, extensions: [notes] })(
        new Request(`http://app.example${path}`, init),
      )
  }

  it('they act for its users, and addresses in answers have its path', async () => {
    expect(await (await inside('/app/api/notes')).json()).toEqual({ actor: 'user' })
    const kept = await inside('/app/api/notes/keep', { method: 'POST' })
    expect([kept.status, kept.headers.get('location')]).toEqual([303, '/app/api/notes/ada'])
  })

  it('a page of another origin cannot use a user’s cookies on them', async () => {
    const headers = { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }
    const forged = await inside('/app/api/notes/keep', { method: 'POST', headers })
    expect(forged.status).toBe(403)
  })
})

describe('refused at the start', () => {
  const at = (path: string, routes: unknown = () => {}) => parseHttpExtension('notes', { path, routes })

  it.each([
    ...['/v1', '/v1/notes', '/uppy/x', '/docs', '/docs/x', '/openapi.json', '/healthz', '/readyz', '/metrics'],
    ...['', '/', 'api', '/api/', '//api', '/api/:id', '/api/*', '/api?x', '/..', '/api/../v1', '/.', '/a b'],
  ])('the path %j', (path) => {
    expect(() => at(path)).toThrow(/extension 'notes'.*\/api\/generations/)
    expect(() => appWith({ path, routes: () => {} })).toThrow(KeepsakeError)
  })

  it('what is no function, and what nobody knows', () => {
    expect(() => at('/api', 'routes')).toThrow(KeepsakeError)
    expect(() => parseHttpExtension('notes', { path: '/api', routes: () => {}, public: () => {} })).toThrow(
      KeepsakeError,
    )
    expect(at('/.well-known/notes').path).toBe('/.well-known/notes')
  })

  it.each([
    ['/api', '/api'],
    ['/api/notes', '/api'],
    ['/api', '/api/notes'],
  ])('two under one path: %s and %s', (one, other) => {
    const routes = () => {}
    expect(() => appWith({ path: one, routes }, { path: other, routes })).toThrow(/Each needs a path of its own/)
    expect(() => appWith({ path: one, routes }, { path: `${one}-more`, routes })).not.toThrow()
  })

  it('two routes of one operationId, which no client could be generated from', () => {
    const described = (path: string, operationId: string): HttpExtension => ({
      path,
      routes(app) {
        const route = createRoute({
          method: 'get',
          path: '/',
          operationId,
          responses: { 204: { description: 'Well.' } },
        })
        app.openapi(route, (c) => c.body(null, 204))
      },
    })
    expect(() => appWith(described('/a', 'importMedia'), described('/b', 'importMore'))).not.toThrow()
    expect(() => appWith(described('/a', 'look'), described('/b', 'look'))).toThrow(/GET \/a and GET \/b.*'look'/)
    expect(() => appWith(described('/a', 'import'))).toThrow(
      /POST \/v1\/collections\/\{collection\}\/imports and GET \/a/,
    )
  })

  it('routes that cannot be added, or come too late', () => {
    const broken = () => {
      throw new TypeError('x is not a function')
    }
    expect(() => appWith({ path: '/api', routes: broken })).toThrow(
      /at \/api cannot add its routes: x is not a function/,
    )
    const late = async () => {
      throw new TypeError('too late')
    }
    expect(() => appWith({ path: '/api', routes: late })).toThrow(/asynchronously/)
  })
})
