/** A move out of Keepsake's own bucket must never empty what other rows stand on. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { apiKey, gif, startTestServer, type TestServer } from '../support/http.ts'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer({
    collections: { generations: {}, other: {} },
    auth: { apiKeys: [apiKey] },
  })
})
afterAll(() => server.stop())

it('a retired move of the own bucket leaves the objects of stored assets', async () => {
  const made = await server.call('/v1/collections/generations/imports', {
    body: { source: { base64: gif.toString('base64') }, owner: 'ada' },
  })
  expect(made.status).toBe(201)
  const { id } = (await made.json()) as { id: string }
  const { moving } = server.keepsake
  const { move } = await moving.migrate('s3://test-bucket/', { collection: 'other' })
  expect(move.stage).toBe('done')
  expect((await moving.retire(move.id)).removed).toBe(0)
  const content = await server.call(`/v1/assets/${id}/content`)
  const got = await fetch(content.headers.get('location') ?? '')
  await got.arrayBuffer()
  expect(got.status).toBe(200)
}, 60_000)

it('an API key does not retire a move', async () => {
  const id = '0198c0de-7a11-7b52-8c3d-0123456789ab'
  const retired = await server.call(`/v1/moves/${id}/retire`, { method: 'POST' })
  expect(retired.status).toBe(403)
})
