import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startEmbeddedS3 } from '../../embedded-s3/index.ts'
import { describeObjectStore, putRequest, text, withCode } from '../conformance.ts'
import { createS3Store } from './s3-store.ts'

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret-of-the-test' }

async function startServer() {
  const dir = await mkdtemp(join(tmpdir(), 'keepsake-s3-store-'))
  const server = await startEmbeddedS3({ dir, credentials, buckets: ['media'], fsync: false })
  const close = async () => {
    await server.close()
    await rm(dir, { recursive: true })
  }
  return { place: { bucket: 'media', endpoint: server.url, region: server.region, credentials }, close }
}

describeObjectStore('the S3 store on the embedded S3', async () => {
  const { place, close } = await startServer()
  const store = createS3Store(place)
  return {
    store,
    close: async () => {
      await store.close()
      await close()
    },
  }
})

describe('settings that do not fit', () => {
  let server: Awaited<ReturnType<typeof startServer>>
  beforeAll(async () => {
    server = await startServer()
  })
  afterAll(() => server.close())

  it.each<[string, object, RegExp]>([
    ['a bucket that is not there', { bucket: 'nowhere' }, /^There is no bucket 'nowhere'.*S3_BUCKET_NAME/],
    [
      'an access key that is not known',
      { credentials: { ...credentials, accessKeyId: 'NOBODY' } },
      /AWS_ACCESS_KEY_ID/,
    ],
    ['a wrong secret', { credentials: { ...credentials, secretAccessKey: 'x' } }, /AWS_SECRET_ACCESS_KEY/],
    ['a wrong region', { region: 'eu-west-3' }, /AWS_REGION/],
  ])('%s is told by check and by every verb', async (_, wrong, message) => {
    const store = createS3Store({ ...server.place, ...wrong })
    const denied = expect.objectContaining({ code: 'store_denied', message: expect.stringMatching(message) })
    await expect(store.check()).rejects.toEqual(denied)
    await expect(store.put(putRequest('key', text('x')))).rejects.toEqual(denied)
    await expect(store.get('key')).rejects.toEqual(denied)
    await expect(store.delete(['a', 'b'])).rejects.toEqual(denied)
    await expect(store.head('key')).rejects.toEqual(withCode('store_denied'))
    await store.close()
  })

  it('signed URLs point to the public endpoint', async () => {
    const publicEndpoint = server.place.endpoint.replace('127.0.0.1', 'localhost')
    const store = createS3Store({ ...server.place, endpoint: 'http://127.0.0.1:1', publicEndpoint })
    const inside = createS3Store(server.place)
    await inside.put(putRequest('key', text('seen from outside')))
    const { url } = store.signGet('key', { expiresIn: 60 })
    expect(new URL(url).host).toBe(new URL(publicEndpoint).host)
    expect(await (await fetch(url)).text()).toBe('seen from outside')
    await Promise.all([store.close(), inside.close()])
  })
})
