import { afterAll, beforeAll, expect, it } from 'vitest'
import { KeepsakeError } from '../../src/index.ts'
import { gif } from '../support/http.ts'
import { openTestParts } from '../support/keepsake.ts'

const mebibyte = 1024 * 1024
let failing = 0
let parts: Awaited<ReturnType<typeof openTestParts>>
const gate = Promise.withResolvers<void>()
const put = Promise.withResolvers<void>()
beforeAll(async () => {
  parts = await openTestParts({
    collections: { media: { accept: ['image', 'video'], maxSize: '60 MB' } },
    uploads: { partThreshold: 6 * mebibyte, partSize: 5 * mebibyte },
    wrapStore: (store) =>
      new Proxy(store, {
        get(target, name) {
          if (name === 'createMultipart') {
            return async (...args: Parameters<typeof store.createMultipart>) => {
              failing += 1
              if (failing === 2) {
                await gate.promise
                throw new KeepsakeError('store_unavailable', 'The store is failing.')
              }
              return target.createMultipart(...args)
            }
          }
          if (name === 'put') {
            return async (...args: Parameters<typeof store.put>) => {
              await put.promise
              return target.put(...args)
            }
          }
          const value: unknown = Reflect.get(target, name, target)
          return typeof value === 'function' ? value.bind(target) : value
        },
      }),
  })
})
afterAll(() => parts.keepsake.close())

it('an abort that is acknowledged is not followed by the asset being stored', async () => {
  const verbs = parts.keepsake.as({ role: 'user', owner: 'ada' })
  const importing = verbs.import('media', { source: { bytes: gif } })
  let id: string | undefined
  for (let i = 0; i < 100 && id === undefined; i += 1) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    id = (await verbs.list('media', { state: 'pending' })).assets[0]?.id
  }
  if (id === undefined) {
    put.resolve()
    throw new Error(`no pending row: ${JSON.stringify(await importing.catch((error: unknown) => String(error)))}`)
  }
  const aborted = await verbs.abortUpload(id).catch((error: unknown) => KeepsakeError.from(error).code)
  put.resolve()
  expect([(await importing).state, aborted]).toEqual(['stored', 'upload_closed'])
})

it('a replay that the store fails does not end the upload that its twin has links for', async () => {
  const verbs = parts.keepsake.as({ role: 'user', owner: 'ada' })
  const request = { contentType: 'image/gif', size: 11 * mebibyte, idempotencyKey: 'twin' }
  // The first waits in front of its own begin until the second is there, as two processes would.
  failing = 0
  const [first, second] = await Promise.allSettled([
    verbs.upload('media', request).then(async (made) => {
      gate.resolve()
      return made
    }),
    verbs.upload('media', request),
  ])
  expect([first.status, second.status].sort()).toEqual(['fulfilled', 'rejected'])
  const id = [first, second].flatMap((it) => (it.status === 'fulfilled' ? [it.value.asset.id] : []))[0] ?? ''
  expect((await verbs.get(id)).state).toBe('pending')
})
