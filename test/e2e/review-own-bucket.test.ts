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
  const moved = await server.call('/v1/moves', { body: { source: 's3://test-bucket/', collection: 'other' } })
  const lines = (await moved.text())
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  const move = lines.at(-1).move.id
  const retired = await server.call(`/v1/moves/${move}/retire`, { method: 'POST' })
  expect(await retired.text()).toContain('"removed":0')
  const content = await server.call(`/v1/assets/${id}/content`)
  const got = await fetch(content.headers.get('location') ?? '')
  await got.arrayBuffer()
  expect(got.status).toBe(200)
}, 60_000)

it('an API key does not retire a move of a folder, however old', async () => {
  const { database } = server.parts
  const id = '0198c0de-7a11-7b52-8c3d-0123456789ab'
  const text = `insert into keepsake.moves (id, source, collection, options, stage, created_at)
    values ($1, $2, 'other', '{"match":null,"map":null,"keepKeys":false,"owner":null,"attributes":{}}', 'done', $3)`
  await database.service.query(text, [id, '/srv/avatars', new Date(0)])
  await database.service.query(
    `insert into keepsake.moves (id, source, collection, options, stage)
    select gen_random_uuid(), 's3://else/' || n, 'other', options, 'done' from keepsake.moves, generate_series(1, 1000) n
    where id = $1`,
    [id],
  )
  const retired = await server.call(`/v1/moves/${id}/retire`, { method: 'POST' })
  expect(retired.status).toBe(403)
})
