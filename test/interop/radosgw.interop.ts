/**
 * The S3 store against radosgw (Ceph), an S3 that we did not write. It is started and stopped here, from Debian's
 * packages; KEEPSAKE_TEST_RADOSGW=http://127.0.0.1:7480 names a running one instead (`testkey`, `testsecret`).
 */
import { createHash, randomBytes } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { CreateBucketCommand, HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, describe, expect, it } from 'vitest'
import { collectAll, describeObjectStore, putRequest, readAll, text, withCode } from '../../src/stores/conformance.ts'
import { createS3Store } from '../../src/stores/index.ts'
import { startRadosgw } from './radosgw.ts'

const gateway = await startRadosgw()
afterAll(() => gateway.stop())
const { credentials, endpoint } = gateway
const place = { endpoint, region: 'us-east-1', credentials, forcePathStyle: true }

async function makeBucket(): Promise<string> {
  const bucket = `keepsake-${crypto.randomUUID()}`
  const client = new S3Client(place)
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  client.destroy()
  return bucket
}

describeObjectStore(
  'the S3 store on radosgw',
  async () => {
    const store = createS3Store({ ...place, bucket: await makeBucket() })
    return { store, close: () => store.close() }
  },
  // radosgw 16 replaces what is there by a copy or a completion, so the store looks first.
  { exact: false },
)

describe('large objects on radosgw', () => {
  const mebibyte = 1024 * 1024
  const partSize = 5 * mebibyte

  it('are put by parallel parts, and copied by ranges', async () => {
    const multipart = { threshold: partSize, partSize, parallel: 3, copy: { threshold: partSize, partSize } }
    const store = createS3Store({ ...place, bucket: await makeBucket(), multipart })
    const piece = randomBytes(mebibyte)
    const pieces = 33
    const sha256 = createHash('sha256')
    for (let index = 0; index < pieces; index += 1) sha256.update(piece)
    async function* body() {
      for (let index = 0; index < pieces; index += 1) yield piece
    }
    const request = { ...putRequest('film', piece), body, size: pieces * mebibyte, sha256: sha256.digest('hex') }
    const { etag } = await store.put({ ...request, metadata: { owner: 'zoë 🦊' } })
    expect(etag).toMatch(/-7"$/)
    await expect(store.put(request)).rejects.toEqual(withCode('object_exists'))
    await store.copy({ source: 'film', key: 'second film' })
    for (const key of ['film', 'second film']) {
      const { body, ...head } = await store.get(key)
      expect(head).toMatchObject({ size: request.size, contentType: 'text/plain', metadata: { owner: 'zoë 🦊' } })
      const hash = createHash('sha256')
      for await (const got of body) hash.update(got)
      expect(hash.digest('hex')).toBe(request.sha256)
    }
    expect(await collectAll(store.listMultipart())).toEqual([])
    await store.close()
  })

  it('copied by ranges keep the encoding that somebody else gave them', async () => {
    const bucket = await makeBucket()
    const client = new S3Client(place)
    const Body = Buffer.alloc(6 * mebibyte)
    const put = { Bucket: bucket, Key: 'packed', Body, ContentEncoding: 'gzip', ContentLanguage: 'de' }
    await client.send(new PutObjectCommand(put))
    const store = createS3Store({ ...place, bucket, multipart: { copy: { threshold: 0, partSize } } })
    await store.copy({ source: 'packed', key: 'copy' })
    const { ContentEncoding, ContentLanguage, ContentLength } = await client.send(
      new HeadObjectCommand({ Bucket: bucket, Key: 'copy' }),
    )
    expect([ContentEncoding, ContentLanguage, ContentLength]).toEqual(['gzip', 'de', Body.length])
    client.destroy()
    await store.close()
  })

  it('whose put is stopped on the way leave no part', async () => {
    const multipart = { threshold: partSize, partSize, parallel: 2 }
    const store = createS3Store({ ...place, bucket: await makeBucket(), multipart })
    const stop = new AbortController()
    const piece = Buffer.alloc(mebibyte)
    let atStop = 0
    async function* body() {
      for (let sent = 0; sent < 40; sent += 1) {
        if (sent === 17) {
          for await (const upload of store.listMultipart()) {
            for await (const _ of store.listParts(upload)) atStop += 1
          }
          stop.abort()
        }
        yield piece
      }
    }
    const request = { ...putRequest('film', piece), body, size: 40 * mebibyte, signal: stop.signal }
    await expect(store.put(request)).rejects.toEqual(withCode('timeout'))
    expect(atStop).toBeGreaterThan(0)
    expect(await collectAll(store.listMultipart())).toEqual([])
    expect(await store.head('film')).toBeUndefined()
    await store.close()
  })

  it('that turn out to be others than announced leave nothing', async () => {
    const store = createS3Store({ ...place, bucket: await makeBucket(), multipart: { threshold: partSize, partSize } })
    const bytes = Buffer.alloc(2 * partSize)
    const wrong = store.put(putRequest('key', bytes, { sha256: '0'.repeat(64) }))
    await expect(wrong).rejects.toEqual(withCode('content_mismatch'))
    expect(await store.head('key')).toBeUndefined()
    expect(await collectAll(store.listMultipart())).toEqual([])
    await store.put(putRequest('key', bytes))
    expect((await readAll((await store.get('key')).body)).equals(bytes)).toBe(true)
    await store.close()
  })
})

describe('the bucket in the host name, on radosgw', () => {
  /** By the address itself: not every machine resolves names under localhost. */
  function send(given: string, method: string, headers: Readonly<Record<string, string>> = {}, body = '') {
    const url = new URL(given)
    return new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
      const path = url.pathname + url.search
      const options = { host: '127.0.0.1', port: url.port, method, path, headers: { ...headers, host: url.host } }
      const sent = httpRequest(options, (response) => {
        readAll(response).then((bytes) => resolve({ status: response.statusCode, text: bytes.toString() }), reject)
      })
      sent.on('error', reject)
      sent.end(body)
    })
  }

  it('signed URLs are taken, and only for their own bucket', async () => {
    const bucket = await makeBucket()
    const endpoint = place.endpoint.replace('127.0.0.1', 'localhost')
    const store = createS3Store({ ...place, endpoint, bucket, forcePathStyle: false })
    const inside = createS3Store({ ...place, bucket })
    const key = 'a b+ü/🦊.txt'
    const { url, headers } = store.signPut(key, { expiresIn: 60, headers: { 'content-type': 'text/plain' } })
    expect(new URL(url).hostname).toBe(`${bucket}.localhost`)
    expect(await send(url, 'PUT', { ...headers, 'content-length': '5' }, 'hello')).toMatchObject({ status: 200 })
    expect(await inside.head(key)).toMatchObject({ size: 5, contentType: 'text/plain' })
    const read = store.signGet(key, { expiresIn: 60 }).url
    expect(await send(read, 'GET')).toEqual({ status: 200, text: 'hello' })
    expect(await send(read.replace(bucket, await makeBucket()), 'GET')).toMatchObject({ status: 403 })
    await store.close()
    await inside.close()
  })
})

describe('what radosgw refuses is told', () => {
  it('a bucket that is not there', async () => {
    const store = createS3Store({ ...place, bucket: 'keepsake-nowhere' })
    const missing = expect.objectContaining({
      code: 'store_denied',
      message: expect.stringMatching(/^There is no bucket 'keepsake-nowhere'/),
    })
    await expect(store.check()).rejects.toEqual(missing)
    await expect(store.put(putRequest('key', text('x')))).rejects.toEqual(missing)
    // Not undefined: nothing is known of an object in a bucket that is not there.
    await expect(store.head('key')).rejects.toEqual(withCode('store_denied'))
    await expect(store.get('key')).rejects.toEqual(missing)
    await expect(store.createMultipart({ key: 'key', contentType: 'text/plain' })).rejects.toEqual(missing)
    await store.close()
  })

  it.each([
    ['access key', { ...credentials, accessKeyId: 'nobody' }, 'InvalidAccessKeyId'],
    ['secret', { ...credentials, secretAccessKey: 'wrong' }, 'SignatureDoesNotMatch'],
  ])('a wrong %s', async (_, credentials, s3Code) => {
    const store = createS3Store({ ...place, credentials, bucket: await makeBucket() })
    const denied = expect.objectContaining({ code: 'store_denied', details: expect.objectContaining({ s3Code }) })
    await expect(store.check()).rejects.toEqual(denied)
    await expect(store.put(putRequest('key', text('x')))).rejects.toEqual(denied)
    await expect(store.head('key')).rejects.toEqual(withCode('store_denied'))
    await store.close()
  })
})
