import { expect, it } from 'vitest'
import type { Keepsake } from '../verbs.ts'
import { createHandler } from './index.ts'

it.each([
  ['cross-site', 'https://evil.example', 403],
  ['same-site', 'https://blog.app.example', 403],
  ['same-origin', 'https://app.example', 404],
  ['same-site', 'https://www.app.example', 404],
])('a form sent %s from %s is answered %i', async (site, origin, status) => {
  const keepsake = {
    collections: new Map(),
    as: () => ({ import: () => Promise.reject(new Error('reached')) }),
  } as unknown as Keepsake
  const authorize = () => ({ owner: 'victim' })
  const handle = createHandler(keepsake, { authorize, corsOrigins: ['https://www.app.example'] })
  const headers = { origin, 'sec-fetch-site': site, 'content-type': 'text/plain' }
  const request = new Request('https://app.example/v1/none', { method: 'POST', body: 'GIF89a', headers })
  expect((await handle(request)).status).toBe(status)
})
