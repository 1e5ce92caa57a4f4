import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  type S3Client,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EmbeddedS3, RequestInfo } from './index.ts'
import { Bench, BUCKET, call, credentials, failure, sdk } from './testing/test-kit.ts'

const bench = new Bench()
const seen: RequestInfo[] = []
let server: EmbeddedS3
let s3: S3Client

beforeAll(async () => {
  server = await bench.start({ onRequest: (info) => seen.push(info) })
  s3 = sdk(server)
})
afterAll(() => bench.stop())

const put = (Key: string, Body: PutObjectCommandInput['Body'], more: Partial<PutObjectCommandInput> = {}) =>
  s3.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body, ...more }))
const get = (Key: string, more = {}) => s3.send(new GetObjectCommand({ Bucket: BUCKET, Key, ...more }))
const text = async (Key: string, more = {}) => (await get(Key, more)).Body?.transformToString()
describe('objects by the AWS SDK', () => {
  test('what was put is what is got, with its headers and metadata', async () => {
    const stored = await put('a/picture.png', 'bytes', {
      ContentType: 'image/png',
      CacheControl: 'max-age=60',
      ContentDisposition: 'inline; filename="p.png"',
      ContentEncoding: 'identity',
      ContentLanguage: 'de',
      Metadata: { owner: 'someone', Asset: '42' },
    })
    expect(stored.ETag).toBe('"4b3a6218bb3e3a7303e8a171a60fcf92"')
    const object = await get('a/picture.png')
    expect(await object.Body?.transformToString()).toBe('bytes')
    expect(object).toMatchObject({
      ETag: stored.ETag,
      ContentLength: 5,
      ContentType: 'image/png',
      CacheControl: 'max-age=60',
      ContentDisposition: 'inline; filename="p.png"',
      ContentEncoding: 'identity',
      ContentLanguage: 'de',
      AcceptRanges: 'bytes',
      Metadata: { owner: 'someone', asset: '42' },
    })
    const head = await s3.send(new HeadObjectCommand({ Bucket: BUCKET, Key: 'a/picture.png' }))
    expect(head).toMatchObject({ ETag: stored.ETag, ContentLength: 5, ContentType: 'image/png' })
    expect(head.LastModified?.getTime()).toBeGreaterThan(Date.now() - 60_000)
  })

  test.each(['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const)(
    '%s goes in and comes out',
    async (ChecksumAlgorithm) => {
      const body = Buffer.from('123456789')
      const given = {
        CRC32: { ChecksumCRC32: 'y/Q5Jg==' },
        CRC32C: { ChecksumCRC32C: '4waSgw==' },
        CRC64NVME: { ChecksumCRC64NVME: 'rosUhgp5mIg=' },
        SHA1: { ChecksumSHA1: '98O8HYCOBHMq32eZZczDTKeuNEE=' },
        SHA256: { ChecksumSHA256: 'FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=' },
      }[ChecksumAlgorithm]
      await put('sum', body, given)
      expect(await get('sum', { ChecksumMode: 'ENABLED' })).toMatchObject({ ...given, ChecksumType: 'FULL_OBJECT' })
      const [[name, value = ''] = ['', '']] = Object.entries(given)
      const wrong = { [name]: value.startsWith('A') ? `B${value.slice(1)}` : `A${value.slice(1)}` }
      expect(await failure(put('never', body, wrong))).toBe('400 BadDigest')
      expect(await failure(get('never'))).toBe('404 NoSuchKey')
      // The SDK's own arithmetic, over lengths that are no multiple of anything.
      for (const size of [1, 7, 8, 9, 1021, 100_003]) await put('sum', randomBytes(size), { ChecksumAlgorithm })
    },
  )

  test('a stream goes up aws-chunked with a trailing checksum, and is stored as it was', async () => {
    const body = Buffer.alloc(3_000_000, 'stream ')
    await put('streamed', Readable.from([body.subarray(0, 1_000_000), body.subarray(1_000_000)]), {
      ContentLength: body.length,
    })
    const object = await get('streamed', { ChecksumMode: 'ENABLED' })
    expect(object.ChecksumCRC32).toBeDefined()
    expect(object.ContentEncoding).toBeUndefined()
    expect(body.equals((await object.Body?.transformToByteArray()) ?? Buffer.of())).toBe(true)
  })

  test('a create-only put meets what is there', async () => {
    await put('once', 'first', { IfNoneMatch: '*' })
    expect(await failure(put('once', 'second', { IfNoneMatch: '*' }))).toBe('412 PreconditionFailed')
    expect(await text('once')).toBe('first')
    const { ETag } = await put('once', 'third')
    expect(await failure(put('once', 'fourth', { IfMatch: '"0123"' }))).toBe('412 PreconditionFailed')
    await put('once', 'fourth', { IfMatch: ETag })
    expect(await text('once')).toBe('fourth')
  })

  test('of twenty create-only puts at once exactly one wins', async () => {
    const bodies = Array.from({ length: 20 }, (_, i) => `body ${i}`)
    const results = await Promise.allSettled(bodies.map((body) => put('race', body, { IfNoneMatch: '*' })))
    const winners = bodies.filter((_, i) => results[i]?.status === 'fulfilled')
    expect(winners).toHaveLength(1)
    expect(await text('race')).toBe(winners[0])
  })

  test.each([
    ['bytes=0-3', '0123', 'bytes 0-3/10'],
    ['bytes=7-', '789', 'bytes 7-9/10'],
    ['bytes=-2', '89', 'bytes 8-9/10'],
    ['bytes=-50', '0123456789', 'bytes 0-9/10'],
    ['bytes=5-500', '56789', 'bytes 5-9/10'],
  ])('range %s', async (Range, expected, ContentRange) => {
    await put('ten', '0123456789')
    const part = await get('ten', { Range })
    expect(await part.Body?.transformToString()).toBe(expected)
    expect(part).toMatchObject({ ContentRange, ContentLength: expected.length })
    expect(part.$metadata.httpStatusCode).toBe(206)
  })

  test.each(['bytes=3-1', 'bytes=x', 'bytes=0-1,3-4', 'bytes=-', 'lines=1-2'])(
    '%s is no range and is ignored',
    async (Range) => {
      await put('ten', '0123456789')
      expect(await text('ten', { Range })).toBe('0123456789')
    },
  )

  test('a range outside the object is 416', async () => {
    await put('ten', '0123456789')
    expect(await failure(get('ten', { Range: 'bytes=10-' }))).toBe('416 InvalidRange')
    expect(await failure(get('ten', { Range: 'bytes=-0' }))).toBe('416 InvalidRange')
    const raw = await call(server, { path: `/${BUCKET}/ten`, headers: { range: 'bytes=99-' } })
    expect(raw.headers['content-range']).toBe('bytes */10')
  })

  test('ranges of an object too large for memory', async () => {
    const body = Buffer.from(Array.from({ length: 400_000 }, (_, i) => i % 251))
    await put('large', body)
    const part = await get('large', { Range: 'bytes=199999-300000' })
    expect(Buffer.from((await part.Body?.transformToByteArray()) ?? []).equals(body.subarray(199_999, 300_001))).toBe(
      true,
    )
  })

  test('an empty object', async () => {
    await put('empty', '')
    expect(await text('empty')).toBe('')
    expect(await failure(get('empty', { Range: 'bytes=0-' }))).toBe('416 InvalidRange')
  })

  test('conditional reads', async () => {
    const { ETag = '' } = await put('conditional', 'x')
    const past = new Date(Date.now() - 3_600_000)
    const future = new Date(Date.now() + 3_600_000)
    expect(await text('conditional', { IfMatch: ETag })).toBe('x')
    expect(await failure(get('conditional', { IfMatch: '"no"' }))).toBe('412 PreconditionFailed')
    expect(await failure(get('conditional', { IfNoneMatch: ETag }))).toMatch(/^304/)
    expect(await text('conditional', { IfNoneMatch: '"no"' })).toBe('x')
    expect(await failure(get('conditional', { IfModifiedSince: future }))).toMatch(/^304/)
    expect(await text('conditional', { IfModifiedSince: past })).toBe('x')
    expect(await failure(get('conditional', { IfUnmodifiedSince: past }))).toBe('412 PreconditionFailed')
    expect(await text('conditional', { IfUnmodifiedSince: future })).toBe('x')
    // RFC 9110, 13.2.2: the entity tags decide where both are given.
    expect(await text('conditional', { IfMatch: ETag, IfUnmodifiedSince: past })).toBe('x')
    expect(await text('conditional', { IfNoneMatch: '"no"', IfModifiedSince: future })).toBe('x')
  })

  test('a presigned link overrides response headers', async () => {
    await put('link', 'linked')
    const command = new GetObjectCommand({
      Bucket: BUCKET,
      Key: 'link',
      ResponseContentType: 'image/webp',
      ResponseContentDisposition: `attachment; filename*=UTF-8''b%C3%A4r.webp`,
      ResponseCacheControl: 'private',
    })
    const response = await fetch(await getSignedUrl(s3, command, { expiresIn: 60 }))
    expect(await response.text()).toBe('linked')
    expect(response.headers.get('content-type')).toBe('image/webp')
    expect(response.headers.get('content-disposition')).toBe(`attachment; filename*=UTF-8''b%C3%A4r.webp`)
    expect(response.headers.get('cache-control')).toBe('private')
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  })

  test('a presigned put stores a body, with what the link says about it', async () => {
    const client = sdk(server, { requestChecksumCalculation: 'WHEN_REQUIRED' })
    const command = new PutObjectCommand({ Bucket: BUCKET, Key: 'up', ContentType: 'text/plain', Metadata: { a: 'b' } })
    const url = await getSignedUrl(client, command, { expiresIn: 60, signableHeaders: new Set(['content-type']) })
    const send = (type: string) => fetch(url, { method: 'PUT', body: 'up!', headers: { 'content-type': type } })
    expect((await send('text/html')).status).toBe(403)
    expect((await send('text/plain')).status).toBe(200)
    expect(await get('up')).toMatchObject({ ContentType: 'text/plain', Metadata: { a: 'b' } })
    expect(await text('up')).toBe('up!')
  })

  test('delete, also of what is not there', async () => {
    await put('gone', 'x')
    for (let i = 0; i < 2; i++) {
      const { $metadata } = await s3.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'gone' }))
      expect($metadata.httpStatusCode).toBe(204)
    }
    expect(await failure(get('gone'))).toBe('404 NoSuchKey')
    expect(await failure(s3.send(new HeadObjectCommand({ Bucket: BUCKET, Key: 'gone' })))).toBe('404 NotFound')
  })

  test('delete many, with a word about each or only about failures', async () => {
    const keys = ['m/1', 'm/2 & <3>', 'm/ä']
    for (const key of keys) await put(key, key)
    const Objects = [...keys, 'm/none'].map((Key) => ({ Key }))
    const loud = await s3.send(new DeleteObjectsCommand({ Bucket: BUCKET, Delete: { Objects } }))
    expect(loud.Deleted?.map(({ Key }) => Key)).toEqual([...keys, 'm/none'])
    for (const key of keys) expect(await failure(get(key))).toBe('404 NoSuchKey')
    const versioned = {
      Objects: [
        { Key: 'm/1', VersionId: 'v1' },
        { Key: 'm/2', VersionId: 'null' },
      ],
      Quiet: true,
    }
    const quiet = await s3.send(new DeleteObjectsCommand({ Bucket: BUCKET, Delete: versioned }))
    expect(quiet.Deleted).toBeUndefined()
    expect(quiet.Errors).toMatchObject([{ Key: 'm/1', Code: 'NoSuchVersion' }])
  })

  test('a get that has begun is not torn by what comes after it', async () => {
    const body = Buffer.alloc(8_000_000, 'before')
    await put('steady', body)
    const open = await get('steady')
    await put('steady', 'after')
    await s3.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'steady' }))
    expect(body.equals((await open.Body?.transformToByteArray()) ?? Buffer.of())).toBe(true)
  })
})

describe('listing and buckets', () => {
  test('pages, prefixes and encoding', async () => {
    await s3.send(new CreateBucketCommand({ Bucket: 'listing' }))
    const keys = ['a', 'b/1', 'b/2', 'b+c/&<x>', 'ä/1', 'z z']
    for (const Key of keys) await s3.send(new PutObjectCommand({ Bucket: 'listing', Key, Body: Key }))
    const list = (more = {}) => s3.send(new ListObjectsV2Command({ Bucket: 'listing', ...more }))
    const all = await list({ FetchOwner: true })
    expect(all.Contents?.map(({ Key }) => Key)).toEqual(['a', 'b+c/&<x>', 'b/1', 'b/2', 'z z', 'ä/1'])
    expect(all.Contents?.[0]).toMatchObject({ Size: 1, StorageClass: 'STANDARD', Owner: { ID: expect.any(String) } })
    expect(all).toMatchObject({ KeyCount: 6, MaxKeys: 1000, IsTruncated: false, Name: 'listing' })

    const seenKeys: string[] = []
    let token: string | undefined
    do {
      const page = await list({ MaxKeys: 1, Delimiter: '/', ContinuationToken: token, EncodingType: 'url' })
      seenKeys.push(...(page.Contents ?? []).map(({ Key = '' }) => Key))
      seenKeys.push(...(page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix))
      expect(page.KeyCount).toBe(1)
      token = page.NextContinuationToken
      expect(page.IsTruncated).toBe(token !== undefined)
    } while (token !== undefined)
    expect(seenKeys).toEqual(['a', 'b%2Bc/', 'b/', 'z%20z', '%C3%A4/'])

    expect((await list({ Prefix: 'b/' })).Contents?.map(({ Key }) => Key)).toEqual(['b/1', 'b/2'])
    expect((await list({ StartAfter: 'b/1' })).Contents?.map(({ Key }) => Key)).toEqual(['b/2', 'z z', 'ä/1'])
    expect(await list({ MaxKeys: 0 })).toMatchObject({ KeyCount: 0, IsTruncated: false })
    expect(await failure(list({ ContinuationToken: 'nonsense' }))).toBe('400 InvalidArgument')
    expect(await failure(list({ MaxKeys: -1 }))).toBe('400 InvalidArgument')
  })

  test('buckets', async () => {
    await s3.send(new CreateBucketCommand({ Bucket: 'another.one' }))
    await s3.send(new CreateBucketCommand({ Bucket: 'another.one' }))
    const { Buckets } = await s3.send(new ListBucketsCommand({}))
    expect(Buckets?.map(({ Name }) => Name)).toEqual(expect.arrayContaining(['another.one', BUCKET]))
    const head = await s3.send(new HeadBucketCommand({ Bucket: BUCKET }))
    expect(head.BucketRegion).toBe('us-east-1')
    expect(await failure(s3.send(new HeadBucketCommand({ Bucket: 'nowhere' })))).toBe('404 NotFound')
    const location = await s3.send(new GetBucketLocationCommand({ Bucket: BUCKET }))
    expect(location.LocationConstraint).toBeUndefined()
    expect(await failure(s3.send(new PutObjectCommand({ Bucket: 'nowhere', Key: 'k', Body: 'x' })))).toBe(
      '404 NoSuchBucket',
    )
    for (const Bucket of ['UPPER', 'xn--kept', 'sthree-kept', 'kept-s3alias', 'kept.mrap'])
      expect(await failure(s3.send(new CreateBucketCommand({ Bucket })))).toBe('400 InvalidBucketName')
  })

  test('another region', async () => {
    const abroad = await bench.start({ region: 'eu-central-1', buckets: [] })
    const client = sdk(abroad)
    await client.send(
      new CreateBucketCommand({ Bucket: 'here', CreateBucketConfiguration: { LocationConstraint: 'eu-central-1' } }),
    )
    const { LocationConstraint } = await client.send(new GetBucketLocationCommand({ Bucket: 'here' }))
    expect(LocationConstraint).toBe('eu-central-1')
    expect(await failure(client.send(new CreateBucketCommand({ Bucket: 'here' })))).toBe('409 BucketAlreadyOwnedByYou')
    const elsewhere = new CreateBucketCommand({
      Bucket: 'there',
      CreateBucketConfiguration: { LocationConstraint: 'eu-west-1' },
    })
    expect(await failure(client.send(elsewhere))).toBe('400 IllegalLocationConstraintException')
  })

  test('virtual-hosted style', async () => {
    await put('hosted key', 'hosted')
    const raw = await call(server, {
      path: '/hosted%20key',
      decodedPath: '/hosted key',
      headers: { host: `${BUCKET}.localhost:${server.port}` },
    })
    expect(raw.body.toString()).toBe('hosted')
  })

  test('what is not done is refused as such', async () => {
    await put('plain', 'x')
    const refused = async (promise: Promise<unknown>) => expect(await failure(promise)).toBe('501 NotImplemented')
    await refused(
      s3.send(new PutBucketVersioningCommand({ Bucket: BUCKET, VersioningConfiguration: { Status: 'Enabled' } })),
    )
    await refused(put('locked', 'x', { ObjectLockMode: 'GOVERNANCE' }))
    await refused(put('kms', 'x', { ServerSideEncryption: 'aws:kms' }))
    await refused(put('cold', 'x', { StorageClass: 'GLACIER' }))
    await refused(put('open', 'x', { ACL: 'public-read' }))
    await refused(put('conditional put', 'x', { IfNoneMatch: '"abc"' }))
    await put('aes', 'x', { ServerSideEncryption: 'AES256' })
    for (const name of ['logging', 'replication', 'website', 'neverheard']) {
      for (const query of [name, `${name}=`]) {
        const tamper = { path: `/${BUCKET}?${query}` }
        const raw = await call(server, { path: `/${BUCKET}`, query: { [name]: '' }, tamper })
        expect([raw.status, raw.code]).toEqual([501, 'NotImplemented'])
        expect(raw.body.toString()).toMatch(new RegExp(`<Message>[^<]*: ${name}</Message>`))
      }
    }
    for (const method of ['PUT', 'DELETE']) {
      const raw = await call(server, { method, path: `/${BUCKET}/plain`, query: { neverheard: '' } })
      expect([raw.status, raw.code]).toEqual([501, 'NotImplemented'])
    }
    expect(await text('plain')).toBe('x')
  })

  test('requests are told of, without keys or secrets', async () => {
    await put('told', 'x')
    await expect
      .poll(() => seen.at(-1))
      .toMatchObject({ method: 'PUT', bucket: BUCKET, operation: 'PutObject', status: 200 })
    expect(JSON.stringify(seen)).not.toContain(credentials.secretAccessKey)
    expect(JSON.stringify(seen)).not.toContain('told')
  })
})
