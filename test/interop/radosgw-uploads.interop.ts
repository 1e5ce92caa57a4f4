/** Direct uploads to an S3 that we did not write: what a ticket binds its client to, and what completion makes of it. */
import { createHash } from 'node:crypto'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { UploadTicket } from '../../src/index.ts'
import { createS3Store, type ObjectStore } from '../../src/stores/index.ts'
import { openTestParts } from '../support/keepsake.ts'
import { pictureBytes } from '../support/picture.ts'
import { type Radosgw, startRadosgw } from './radosgw.ts'

const mebibyte = 1024 * 1024
let gateway: Radosgw
let bucket: ObjectStore
let keepsake: Awaited<ReturnType<typeof openTestParts>>['keepsake']

beforeAll(async () => {
  gateway = await startRadosgw()
  const { credentials, endpoint } = gateway
  const place = { endpoint, region: 'us-east-1', credentials, forcePathStyle: true }
  const name = `keepsake-${crypto.randomUUID()}`
  const client = new S3Client(place)
  await client.send(new CreateBucketCommand({ Bucket: name }))
  client.destroy()
  bucket = createS3Store({ ...place, bucket: name })
  const parts = await openTestParts({
    collections: { media: { accept: ['image'], maxSize: '60 MB' } },
    uploads: { partThreshold: 6 * mebibyte, partSize: 5 * mebibyte },
    wrapStore: () => bucket,
  })
  keepsake = parts.keepsake
}, 300_000)
afterAll(async () => {
  await keepsake?.close()
  await bucket?.close()
  await gateway?.stop()
}, 60_000)

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

async function send(upload: UploadTicket | null, body: Uint8Array<ArrayBuffer>): Promise<number[]> {
  if (upload === null) throw new Error('There is no ticket.')
  const requests =
    upload.strategy === 'put'
      ? [{ ...upload, body }]
      : upload.parts.map((part) => {
          const start = (part.partNumber - 1) * upload.partSize
          return { ...part, body: body.subarray(start, start + upload.partSize) }
        })
  const statuses: number[] = []
  for (const { url, method, headers, body } of requests)
    statuses.push((await fetch(url, { method, headers, body })).status)
  return statuses
}

describe('a direct upload to radosgw', () => {
  it.each([
    ['in one request', 50_000, [200]],
    ['in parts', 12 * mebibyte, [200, 200, 200]],
  ])('goes %s, and is stored and served as what it is', async (_, size, statuses) => {
    const bytes = new Uint8Array(pictureBytes({ id: `${size}`, size }))
    // Announced wrongly: the object itself is given its true type.
    const { asset, upload } = await keepsake.upload('media', { contentType: 'image/gif', size, sha256: sha256(bytes) })
    expect(await send(upload, bytes)).toEqual(statuses)
    const stored = await keepsake.completeUpload(asset.id)
    expect(stored).toMatchObject({ state: 'stored', contentType: 'image/png', size, sha256: sha256(bytes) })
    expect((await keepsake.completeUpload(asset.id)).state).toBe('stored')
    const opened = await fetch(stored.url ?? '')
    expect([opened.status, opened.headers.get('content-type')]).toEqual([200, 'image/png'])
    expect(sha256(new Uint8Array(await opened.arrayBuffer()))).toBe(sha256(bytes))
  })

  it('is written once, of the length that was announced', async () => {
    const bytes = new Uint8Array(pictureBytes({ id: 'once', size: 5000 }))
    const { asset, upload } = await keepsake.upload('media', { contentType: 'image/png', size: bytes.length })
    expect(await send(upload, bytes.slice(1))).toEqual([403])
    expect(await send(upload, bytes)).toEqual([200])
    expect(await send(upload, bytes.slice().fill(1))).toEqual([412])
    expect((await keepsake.completeUpload(asset.id)).sha256).toBe(sha256(bytes))
  })

  it.each([
    ['in one request', 5000],
    ['in parts', 7 * mebibyte],
  ])('leaves nothing of what is no picture, %s', async (_, size) => {
    const bytes = new Uint8Array(size).fill(32)
    bytes.set(new TextEncoder().encode('<!doctype html><title>no picture</title>'))
    const { asset, upload } = await keepsake.upload('media', { contentType: 'image/png', size })
    await send(upload, bytes)
    await expect(keepsake.completeUpload(asset.id)).rejects.toMatchObject({ code: 'content_type_refused' })
    expect(await bucket.head(asset.key ?? '')).toBeUndefined()
  })

  it('that is given up leaves no parts', async () => {
    const { asset, upload } = await keepsake.upload('media', { contentType: 'image/png', size: 7 * mebibyte })
    await send(upload, new Uint8Array(7 * mebibyte))
    await keepsake.abortUpload(asset.id)
    const open: string[] = []
    for await (const { key } of bucket.listMultipart({})) open.push(key)
    expect(open).toEqual([])
  })
})
