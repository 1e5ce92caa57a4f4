/**
 * The S3 store against radosgw (Ceph), an S3 that we did not write. Needs a running one:
 *
 *   KEEPSAKE_TEST_RADOSGW=http://127.0.0.1:7480 npx vitest run --config test/interop/vitest.config.ts
 *
 * with the access key `testkey` and the secret `testsecret`, or KEEPSAKE_TEST_RADOSGW_KEY and _SECRET.
 */
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { describe, expect, it } from 'vitest'
import { describeObjectStore, putRequest, text, withCode } from '../../src/stores/conformance.ts'
import { createS3Store } from '../../src/stores/index.ts'

const endpoint = process.env.KEEPSAKE_TEST_RADOSGW
if (!endpoint) throw new Error('Set KEEPSAKE_TEST_RADOSGW to the address of a radosgw: without one nothing is tested.')
const credentials = {
  accessKeyId: process.env.KEEPSAKE_TEST_RADOSGW_KEY ?? 'testkey',
  secretAccessKey: process.env.KEEPSAKE_TEST_RADOSGW_SECRET ?? 'testsecret',
}
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
