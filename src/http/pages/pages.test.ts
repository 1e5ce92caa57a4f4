import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { startTestServer, type TestServer } from '../../../test/support/http.ts'
import { errorTable } from '../../media/index.ts'
import { errorsMarkdown } from './errors-markdown.ts'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.stop())

const documentSchema = z.looseObject({
  openapi: z.string(),
  paths: z.record(
    z.string(),
    z.record(z.string(), z.looseObject({ operationId: z.string(), responses: z.record(z.string(), z.unknown()) })),
  ),
  components: z.looseObject({ schemas: z.record(z.string(), z.unknown()) }),
})

async function text(path: string): Promise<string> {
  const response = await fetch(server.url + path)
  expect(response.status).toBe(200)
  return response.text()
}

describe('/openapi.json', () => {
  it('describes every call of the contract', async () => {
    const document = documentSchema.parse(JSON.parse(await text('/openapi.json')))
    expect(document.openapi).toBe('3.1.0')
    const calls = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    )
    expect(calls.sort()).toEqual([
      'DELETE /v1/assets/{id}',
      'DELETE /v1/uploads/{id}',
      'GET /healthz',
      'GET /metrics',
      'GET /readyz',
      'GET /v1/assets/{id}',
      'GET /v1/assets/{id}/content',
      'GET /v1/audit',
      'GET /v1/collections',
      'GET /v1/collections/{collection}/assets',
      'GET /v1/doctor',
      'GET /v1/moves',
      'GET /v1/moves/{id}/failures',
      'GET /v1/replica',
      'GET /v1/report',
      'GET /v1/uploads/{id}',
      'GET /v1/webhooks',
      'GET /v1/webhooks/deliveries',
      'PATCH /v1/assets/{id}',
      'POST /v1/cleanup',
      'POST /v1/collections/{collection}/assets',
      'POST /v1/collections/{collection}/imports',
      'POST /v1/collections/{collection}/uploads',
      'POST /v1/moves',
      'POST /v1/moves/{id}/retire',
      'POST /v1/promotions',
      'POST /v1/rebuild',
      'POST /v1/reconcile',
      'POST /v1/reconcile/apply',
      'POST /v1/reconcile/restore',
      'POST /v1/replica/restore',
      'POST /v1/uploads/{id}/complete',
      'POST /v1/uploads/{id}/parts',
      'POST /v1/urls',
      'POST /v1/verify',
      'POST /v1/webhooks/deliveries/{id}/replay',
      'POST /v1/webhooks/test',
    ])
  })

  it('has no reference that leads nowhere', async () => {
    const source = await text('/openapi.json')
    const document: unknown = JSON.parse(source)
    const references = [...source.matchAll(/"\$ref":"#\/([^"]+)"/g)].map((match) => String(match[1]))
    expect(references.length).toBeGreaterThan(10)
    for (const reference of references) {
      const target = reference.split('/').reduce<unknown>((at, name) => Object(at)[name], document)
      expect(target, reference).toBeDefined()
    }
  })

  it('describes attribute filters as the collections declare them', async () => {
    const source = await text('/openapi.json')
    for (const name of ['attributes.wallet', 'attributes.agent', 'attributes.model']) expect(source).toContain(name)
  })
})

describe('/docs', () => {
  it('shows every call, works without scripts and from no other origin', async () => {
    const page = await text('/docs')
    const { paths } = documentSchema.parse(JSON.parse(await text('/openapi.json')))
    for (const path of Object.keys(paths)) expect(page).toContain(path)
    expect(page).not.toMatch(/<script|https?:\/\/(?!localhost|provider\.example)[^"\s<]*\.(js|css|woff2?)/)
    expect(page).toContain('prefers-color-scheme: dark')
    expect(page).toContain('name="viewport"')
  })

  it('links only to places that are there', async () => {
    for (const path of ['/docs', '/docs/errors']) {
      const page = await text(path)
      const ids = new Set([...page.matchAll(/ id="([^"]+)"/g)].map((match) => match[1]))
      for (const [, target = ''] of page.matchAll(/href="([^"]+)"/g)) {
        if (target.startsWith('#')) expect(ids, `${path} ${target}`).toContain(target.slice(1))
        else expect((await fetch(server.url + target)).status, target).toBe(200)
      }
    }
  })

  it('is where the front page leads', async () => {
    const response = await fetch(server.url, { redirect: 'manual' })
    expect([response.status, response.headers.get('location')]).toEqual([302, '/docs'])
  })
})

describe('errors', () => {
  it('have a section for every code, where a problem’s type points', async () => {
    const page = await text('/docs/errors')
    for (const [code, { title, status }] of Object.entries(errorTable)) {
      expect(page).toContain(`id="${code}"`)
      expect(page).toContain(title)
      expect(page).toContain(String(status))
    }
    const problem = z.looseObject({ type: z.string() }).parse(await (await fetch(`${server.url}/v1/nothing`)).json())
    expect(problem.type).toBe('/docs/errors#unauthenticated')
  })

  it('are documented in docs/errors.md as the table has them', async () => {
    const markdown = errorsMarkdown()
    const sections = [...markdown.matchAll(/^## (\S+)$/gm)].map((match) => match[1])
    expect(sections).toEqual(Object.keys(errorTable))
    await expect(markdown).toMatchFileSnapshot('../../../docs/errors.md')
  })
})
