import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { KeepsakeError } from '../../src/media/index.ts'
import type { Verbs } from '../../src/verbs.ts'
import { gif, startTestServer, type TestServer } from '../support/http.ts'

const imports = '/v1/collections/generations/imports'
let server: TestServer
let broken: Verbs['get'] | undefined
beforeAll(async () => {
  server = await startTestServer({
    wrap: (keepsake) => ({ ...keepsake, as: (actor) => failing(keepsake.as(actor)) }),
  })
})
afterAll(() => server.stop())

/** The verbs, of which `get` may be broken. */
function failing(verbs: Verbs): Verbs {
  return new Proxy(verbs, {
    get: (target, name) => {
      if (name === 'get' && broken) return broken
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

it('a cursor that was tampered with is a 400, whatever time it names', async () => {
  const id = '01a1f92a-c91c-7906-b211-0d2205d9c3ac'
  for (const time of ['999999999999999', '-999999999999999', '-1', '253402300800000', '9'.repeat(16)]) {
    const cursor = Buffer.from(`${time}.${id}`).toString('base64url')
    const response = await server.call(`/v1/collections/generations/assets?cursor=${cursor}`)
    expect([time, response.status]).toEqual([time, 400])
  }
})

it('a long filename is cut between characters', async () => {
  const filename = `${'a'.repeat(254)}😀.png`
  const response = await server.call(imports, { body: { source: { base64: gif.toString('base64') }, filename } })
  expect(response.status).toBe(201)
  expect(await response.json()).toMatchObject({ filename: 'a'.repeat(254) })
})

it('a failing part says when to come again, also where it does not know, and a refusal does not', async () => {
  const response = await server.call(imports, { body: { source: { base64: gif.toString('base64') } } })
  const asset = z.object({ id: z.string() }).parse(await response.json())
  const answer = async (error: KeepsakeError) => {
    broken = () => Promise.reject(error)
    const { status, headers } = await server.call(`/v1/assets/${asset.id}`)
    broken = undefined
    return [status, headers.get('retry-after')]
  }
  expect(await answer(new KeepsakeError('store_unavailable', 'It is down.'))).toEqual([503, '5'])
  expect(await answer(new KeepsakeError('store_unavailable', 'It is down.', { retryAfter: 30 }))).toEqual([503, '30'])
  expect(await answer(new KeepsakeError('store_denied', 'It refuses.', { retryable: false }))).toEqual([502, null])
  expect(await answer(new KeepsakeError('asset_not_found', 'There is none.'))).toEqual([404, null])
})
