/** The handler in other people's servers, each with its own way to know its users. */
import { createServer, type RequestListener } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import express from 'express'
import Fastify from 'fastify'
import type { NextRequest } from 'next/server.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createHandler, type Handler, toNodeListener } from '../../src/http/index.ts'
import { gif } from '../support/http.ts'
import { openTestParts } from '../support/keepsake.ts'

type Parts = Awaited<ReturnType<typeof openTestParts>>
type Mounted = { call(path: string, init?: RequestInit): Promise<Response>; close(): Promise<void> }

let parts: Parts
let handler: Handler
beforeAll(async () => {
  parts = await openTestParts({ collections: { media: { accept: ['image'] } } })
  handler = createHandler(parts.keepsake, {
    basePath: '/api/media',
    // As an app does it: by its own cookie.
    authorize: (request) => {
      const user = /session=(\w+)/.exec(request.headers.get('cookie') ?? '')?.[1]
      if (user === 'admin') return { service: true }
      return user ? { owner: user } : null
    },
  })
})
afterAll(() => parts?.keepsake.close())

async function serve(listener: RequestListener): Promise<Mounted> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    call: (path, init) => fetch(`http://127.0.0.1:${port}${path}`, init),
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

type AppRoute = { handle(request: NextRequest, context: object): Promise<Response> }
type Next = {
  readonly AppRouteRouteModule: new (options: object) => AppRoute
  readonly NextRequest: new (url: string, init: object) => NextRequest
}

/** In this order: Next looks for what its environment has to give when it is loaded. */
function loadNext(): Next {
  const require = createRequire(import.meta.url)
  require('next/dist/server/node-environment.js')
  return { ...require('next/dist/server/route-modules/app-route/module.js'), ...require('next/server.js') }
}

/** Next's own module around a route file, as its server and its build run it. */
function nextRoute(
  { AppRouteRouteModule }: Next,
  userland: Record<string, Handler>,
): (request: NextRequest) => Promise<Response> {
  const page = '/api/media/[...path]'
  const module = new AppRouteRouteModule({
    definition: { kind: 'APP_ROUTE', page: `${page}/route`, pathname: page, filename: 'route', bundlePath: '' },
    resolvedPagePath: 'route.ts',
    distDir: '.next',
    relativeProjectDir: '',
    userland: () => ({ ...userland, dynamic: 'force-dynamic' }),
  })
  return (request) =>
    module.handle(request, {
      params: { path: request.nextUrl.pathname.split('/').slice(3) },
      prerenderManifest: { preview: {}, routes: {}, dynamicRoutes: {} },
      renderOpts: { experimental: {}, supportsDynamicResponse: true, onClose() {}, onAfterTaskError() {} },
      sharedContext: { buildId: 'test' },
    })
}

const mounts: readonly { readonly name: string; mount(): Promise<Mounted> }[] = [
  {
    name: 'Express',
    async mount() {
      const app = express()
      app.use('/api/media', toNodeListener(handler))
      app.use(express.json())
      app.post('/other', (request, response) => void response.json({ got: request.body }))
      return serve(app)
    },
  },
  {
    name: 'Fastify',
    async mount() {
      const app = Fastify()
      const listener = toNodeListener(handler)
      await app.register(async (media) => {
        media.removeAllContentTypeParsers()
        media.addContentTypeParser('*', (_request, _body, done) => done(null))
        media.all('/api/media/*', async (request, reply) => {
          reply.hijack()
          await listener(request.raw, reply.raw)
        })
      })
      app.post('/other', async (request) => ({ got: request.body }))
      const url = await app.listen({ host: '127.0.0.1', port: 0 })
      return { call: (path, init) => fetch(url + path, init), close: () => app.close() }
    },
  },
  {
    name: 'a Next route handler',
    async mount() {
      // app/api/media/[...path]/route.ts: export { handle as GET, handle as POST, handle as DELETE }
      const next = loadNext()
      const route = nextRoute(next, { GET: handler, POST: handler, DELETE: handler })
      return {
        async call(path, init = {}) {
          const { signal, ...rest } = init
          return route(new next.NextRequest(`http://app.example${path}`, { ...rest, ...(signal ? { signal } : {}) }))
        },
        close: async () => {},
      }
    },
  },
]

const ticket = z.looseObject({
  asset: z.looseObject({ id: z.string() }),
  upload: z.looseObject({ url: z.string(), headers: z.record(z.string(), z.string()) }),
})

describe.each(mounts)('mounted in $name', ({ mount }) => {
  let mounted: Mounted
  const call = (path: string, user: string | null, init: RequestInit = {}) =>
    mounted.call(`/api/media${path}`, {
      ...init,
      headers: { ...(user ? { cookie: `session=${user}` } : {}), ...(init.headers as Record<string, string>) },
    })
  const post = (path: string, user: string, body: object) =>
    call(path, user, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  beforeAll(async () => {
    mounted = await mount()
  })
  afterAll(() => mounted?.close())

  it('uploads, opens and deletes as the app’s user', async () => {
    const announced = await post('/v1/collections/media/uploads', 'ada', { contentType: 'image/gif', size: gif.length })
    expect(announced.status).toBe(201)
    const { asset, upload } = ticket.parse(await announced.json())
    expect(announced.headers.get('location')).toBe(`/api/media/v1/uploads/${asset.id}`)
    expect(
      (await fetch(upload.url, { method: 'PUT', headers: upload.headers, body: new Uint8Array(gif) })).status,
    ).toBe(200)
    const done = await call(`/v1/uploads/${asset.id}/complete`, 'ada', { method: 'POST' })
    expect([done.status, await done.json()]).toMatchObject([200, { state: 'stored', owner: 'ada' }])
    expect((await call(`/v1/assets/${asset.id}`, 'bob')).status).toBe(404)
    expect((await call(`/v1/assets/${asset.id}`, 'admin')).status).toBe(200)
    const content = await call(`/v1/assets/${asset.id}/content`, 'ada', { redirect: 'manual' })
    expect([content.status, content.headers.get('location')]).toEqual([302, expect.stringMatching(/^http.*X-Amz/)])
    expect((await call(`/v1/assets/${asset.id}`, 'ada', { method: 'DELETE' })).status).toBe(204)
  })

  it('streams a body through', async () => {
    const base64 = Buffer.concat([gif, Buffer.alloc(2_000_000, 7)]).toString('base64')
    const kept = await post('/v1/collections/media/imports', 'ada', { source: { base64 } })
    expect([kept.status, await kept.json()]).toMatchObject([201, { size: gif.length + 2_000_000 }])
  })

  it('refuses who is nobody, and who names another', async () => {
    const nobody = await call('/v1/collections', null)
    expect([nobody.status, await nobody.json()]).toMatchObject([401, { code: 'unauthenticated' }])
    const other = await post('/v1/collections/media/uploads', 'ada', {
      ...{ contentType: 'image/gif', size: gif.length, owner: 'bob' },
    })
    expect(other.status).toBe(403)
    const missing = await call('/v1/nothing', 'ada')
    expect([missing.status, await missing.json()]).toMatchObject([404, { code: 'route_not_found' }])
  })
})

describe('the handler', () => {
  it('answers nothing outside of its path', async () => {
    for (const path of ['/v1/collections', '/api/mediaX/v1/collections', '/api/media/../../v1/collections']) {
      const response = await handler(new Request(`http://app.example${path}`, { headers: { cookie: 'session=ada' } }))
      expect(response.status).toBe(404)
    }
  })

  it('says that an owner which can be none is refused', async () => {
    for (const owner of ['', 'default', 'x'.repeat(257), 'a\0b']) {
      const odd = createHandler(parts.keepsake, { authorize: () => ({ owner }) })
      expect([401, 403]).toContain((await odd(new Request('http://app.example/v1/collections'))).status)
    }
  })
})

describe.each(mounts.slice(0, 2))('beside the handler in $name', ({ mount }) => {
  it('the rest of the app goes on as before', async () => {
    const mounted = await mount()
    const response = await mounted.call('/other', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ n: 1 }),
    })
    expect(await response.json()).toEqual({ got: { n: 1 } })
    await mounted.close()
  })
})

describe('behind a body parser', () => {
  const mistakes: readonly { readonly name: string; mount(): Promise<Mounted> }[] = [
    {
      name: 'Express',
      mount: () => serve(express().use(express.json()).use('/api/media', toNodeListener(handler))),
    },
    {
      name: 'Fastify',
      async mount() {
        const app = Fastify()
        const listener = toNodeListener(handler)
        app.all('/api/media/*', async (request, reply) => {
          reply.hijack()
          await listener(request.raw, reply.raw)
        })
        const url = await app.listen({ host: '127.0.0.1', port: 0 })
        return { call: (path, init) => fetch(url + path, init), close: () => app.close() }
      },
    },
  ]

  it.each(mistakes)('of $name, the handler says what is wrong with the mount', async ({ mount }) => {
    const mounted = await mount()
    const headers = { cookie: 'session=ada', 'content-type': 'application/json' }
    const body = JSON.stringify({ contentType: 'image/gif', size: gif.length })
    const answer = await mounted.call('/api/media/v1/collections/media/uploads', { method: 'POST', headers, body })
    expect([answer.status, await answer.json()]).toMatchObject([
      500,
      { code: 'invalid_setting', detail: expect.stringContaining('ahead of body parsers') },
    ])
    // What has no body is not concerned.
    expect((await mounted.call('/api/media/v1/collections', { headers: { cookie: 'session=ada' } })).status).toBe(200)
    await mounted.close()
  })
})
