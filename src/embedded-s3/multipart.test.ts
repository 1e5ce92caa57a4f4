import { createHash, randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandInput,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  DeleteObjectCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
  type UploadPartCommandInput,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EmbeddedS3 } from './index.ts'
import { Bench, BUCKET, call, failure, sdk } from './testing/test-kit.ts'

const bench = new Bench()
let dir: string
let server: EmbeddedS3
let s3: S3Client

beforeAll(async () => {
  dir = await bench.folder()
  server = await bench.start({ dir })
  s3 = sdk(server)
})
afterAll(() => bench.stop())

const MIB = 1024 ** 2
const five = randomBytes(5 * MIB)
const tail = Buffer.from('the last part may be small')
const md5 = (bytes: Buffer) => createHash('md5').update(bytes).digest()

const begin = async (Key: string, more: Partial<CreateMultipartUploadCommandInput> = {}) => {
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key, ...more }))
  return { Bucket: BUCKET, Key, UploadId }
}
type Begun = Awaited<ReturnType<typeof begin>>
const part = async (upload: Begun, PartNumber: number, Body: Buffer, more: Partial<UploadPartCommandInput> = {}) => {
  const { $metadata, ...answer } = await s3.send(new UploadPartCommand({ ...upload, PartNumber, Body, ...more }))
  return { ...answer, PartNumber }
}
const complete = (
  upload: Begun,
  Parts: { PartNumber: number; ETag?: string | undefined }[],
  more: Partial<CompleteMultipartUploadCommandInput> = {},
) => s3.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts }, ...more }))
const get = async (Key: string, more = {}) => {
  const answer = await s3.send(new GetObjectCommand({ Bucket: BUCKET, Key, ...more }))
  return Buffer.from((await answer.Body?.transformToByteArray()) ?? [])
}

describe('multipart uploads', () => {
  test('parts become one object, under the ETag of their MD5s', async () => {
    const upload = await begin('whole', { ContentType: 'video/mp4', Metadata: { a: 'b' }, Tagging: 'x=1' })
    const second = await part(upload, 2, tail)
    const first = await part(upload, 1, five)
    const done = await complete(upload, [first, second])
    const etag = createHash('md5')
      .update(Buffer.concat([md5(five), md5(tail)]))
      .digest('hex')
    expect(done.ETag).toBe(`"${etag}-2"`)
    const head = await s3.send(new HeadObjectCommand({ Bucket: BUCKET, Key: 'whole' }))
    expect(head).toMatchObject({ ETag: done.ETag, ContentType: 'video/mp4', Metadata: { a: 'b' }, TagCount: 1 })
    expect((await get('whole')).equals(Buffer.concat([five, tail]))).toBe(true)
    expect((await get('whole', { PartNumber: 2 })).equals(tail)).toBe(true)
    const { PartsCount } = await s3.send(new HeadObjectCommand({ Bucket: BUCKET, Key: 'whole', PartNumber: 1 }))
    expect(PartsCount).toBe(2)
    expect(await failure(get('whole', { PartNumber: 3 }))).toBe('416 InvalidPartNumber')
    // Asked again, by a client that never got the answer.
    expect((await complete(upload, [first, second])).ETag).toBe(done.ETag)
    expect(await failure(part(upload, 3, tail))).toBe('404 NoSuchUpload')
  })

  test('a part sent again takes the place of the first', async () => {
    const upload = await begin('again')
    const old = await part(upload, 1, Buffer.from('old'))
    const fresh = await part(upload, 1, Buffer.from('new'))
    expect(await failure(complete(upload, [old]))).toBe('400 InvalidPart')
    await complete(upload, [fresh])
    expect((await get('again')).toString()).toBe('new')
  })

  test('what cannot be completed is refused, and can be completed afterwards', async () => {
    const upload = await begin('refused')
    const [small, last] = [await part(upload, 1, tail), await part(upload, 2, tail)]
    expect(await failure(complete(upload, [small, last]))).toBe('400 EntityTooSmall')
    expect(await failure(complete(upload, [last, small]))).toBe('400 InvalidPartOrder')
    expect(await failure(complete(upload, [small, small]))).toBe('400 InvalidPartOrder')
    expect(await failure(complete(upload, [{ PartNumber: 7, ETag: small.ETag }]))).toBe('400 InvalidPart')
    expect(await failure(complete(upload, []))).toBe('400 MalformedXML')
    expect(await failure(complete(upload, [last], { MpuObjectSize: 1 }))).toBe('400 InvalidRequest')
    expect(await failure(part(upload, 10_001, tail))).toBe('400 InvalidArgument')
    expect(await failure(get('refused'))).toBe('404 NoSuchKey')
    await complete(upload, [last], { MpuObjectSize: tail.length })
    expect((await get('refused')).equals(tail)).toBe(true)
    expect(await failure(complete({ ...upload, Key: 'other' }, [last]))).toBe('404 NoSuchUpload')
    expect(await failure(complete({ ...upload, UploadId: '../../x' }, [last]))).toBe('404 NoSuchUpload')
  })

  test('of many create-only completions of one key exactly one wins', async () => {
    const uploads = await Promise.all(Array.from({ length: 6 }, () => begin('contested')))
    const results = await Promise.allSettled(
      uploads.map(async (upload, i) =>
        complete(upload, [await part(upload, 1, Buffer.from(`body ${i}`))], { IfNoneMatch: '*' }),
      ),
    )
    const winners = results.flatMap(({ status }, i) => (status === 'fulfilled' ? [`body ${i}`] : []))
    expect(winners).toEqual([(await get('contested')).toString()])
    for (const upload of uploads) await failure(s3.send(new AbortMultipartUploadCommand(upload)))
  })

  test.each([
    ['CRC32', 'COMPOSITE'],
    ['CRC32C', 'FULL_OBJECT'],
    ['CRC64NVME', 'FULL_OBJECT'],
    ['SHA256', 'COMPOSITE'],
  ] as const)('%s, %s', async (ChecksumAlgorithm, ChecksumType) => {
    const upload = await begin('summed', { ChecksumAlgorithm, ChecksumType })
    const parts = [
      await part(upload, 1, five, { ChecksumAlgorithm }),
      await part(upload, 2, tail, { ChecksumAlgorithm }),
    ]
    const name = `Checksum${ChecksumAlgorithm}` as const
    const wrong = parts.map((one) => ({ ...one, [name]: parts[0]?.[name] }))
    expect(await failure(complete(upload, wrong))).toBe('400 InvalidPart')
    const done = await complete(upload, parts)
    expect(done.ChecksumType).toBe(ChecksumType)
    const whole = await s3.send(
      new PutObjectCommand({ Bucket: BUCKET, Key: 'put', Body: Buffer.concat([five, tail]), ChecksumAlgorithm }),
    )
    if (ChecksumType === 'FULL_OBJECT') expect(done[name]).toBe(whole[name])
    else expect(done[name]).toMatch(/^[A-Za-z0-9+/]+=*-2$/)
    const head = await s3.send(new HeadObjectCommand({ Bucket: BUCKET, Key: 'summed', ChecksumMode: 'ENABLED' }))
    expect([head[name], head.ChecksumType]).toEqual([done[name], ChecksumType])
    const { ObjectParts, ObjectSize } = await s3.send(
      new GetObjectAttributesCommand({
        Bucket: BUCKET,
        Key: 'summed',
        ObjectAttributes: ['ObjectParts', 'ObjectSize', 'Checksum'],
      }),
    )
    expect(ObjectSize).toBe(five.length + tail.length)
    expect(ObjectParts?.Parts?.map((one) => one[name])).toEqual(parts.map((one) => one[name]))
  })

  test('a part of another checksum than the upload’s is refused, and so is a false one', async () => {
    const upload = await begin('strict', { ChecksumAlgorithm: 'CRC32' })
    expect(await failure(part(upload, 1, tail, { ChecksumAlgorithm: 'SHA1' }))).toBe('400 InvalidRequest')
    expect(await failure(part(upload, 1, tail, { ChecksumCRC32: 'AAAAAA==' }))).toBe('400 BadDigest')
    await s3.send(new AbortMultipartUploadCommand(upload))
  })

  test('uploads and parts are listed page by page, until they are aborted', async () => {
    const uploads = [await begin('list/a'), await begin('list/b/1'), await begin('list/b/2'), await begin('list/c')]
    const list = (more = {}) => s3.send(new ListMultipartUploadsCommand({ Bucket: BUCKET, Prefix: 'list/', ...more }))
    expect((await list()).Uploads?.map(({ Key }) => Key)).toEqual(['list/a', 'list/b/1', 'list/b/2', 'list/c'])
    const grouped = await list({ Delimiter: '/', MaxUploads: 2 })
    expect(grouped.Uploads?.map(({ Key }) => Key)).toEqual(['list/a'])
    expect(grouped.CommonPrefixes).toEqual([{ Prefix: 'list/b/' }])
    const rest = await list({
      Delimiter: '/',
      KeyMarker: grouped.NextKeyMarker,
      UploadIdMarker: grouped.NextUploadIdMarker,
    })
    expect(rest.Uploads?.map(({ Key }) => Key)).toEqual(['list/c'])

    const [upload] = uploads
    if (upload === undefined) throw new Error('no upload')
    for (const number of [3, 1, 2]) await part(upload, number, Buffer.from(`part ${number}`))
    const page = await s3.send(new ListPartsCommand({ ...upload, MaxParts: 2 }))
    expect(page.Parts?.map(({ PartNumber, Size }) => [PartNumber, Size])).toEqual([
      [1, 6],
      [2, 6],
    ])
    expect(page.IsTruncated).toBe(true)
    const next = await s3.send(new ListPartsCommand({ ...upload, PartNumberMarker: page.NextPartNumberMarker }))
    expect(next.Parts?.map(({ PartNumber }) => PartNumber)).toEqual([3])

    for (const one of uploads) await s3.send(new AbortMultipartUploadCommand(one))
    expect((await list()).Uploads).toBeUndefined()
    expect(await failure(s3.send(new AbortMultipartUploadCommand(upload)))).toBe('404 NoSuchUpload')
    expect(await readdir(path.join(dir, 'tmp'))).toEqual([])
  })

  test('uploads outlive a restart', async () => {
    const folder = await bench.folder()
    const before = await bench.start({ dir: folder })
    const client = sdk(before)
    const place = { Bucket: BUCKET, Key: 'resumed' }
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(place))
    const { ETag } = await client.send(new UploadPartCommand({ ...place, UploadId, PartNumber: 1, Body: 'kept' }))
    await before.close()
    const after = sdk(await bench.start({ dir: folder }))
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] }
    await after.send(new CompleteMultipartUploadCommand({ ...place, UploadId, MultipartUpload }))
    const { Body } = await after.send(new GetObjectCommand(place))
    expect(await Body?.transformToString()).toBe('kept')
  })
})

describe('copies', () => {
  const copy = (CopySource: string, Key: string, more = {}) =>
    s3.send(new CopyObjectCommand({ Bucket: BUCKET, Key, CopySource, ...more }))
  const head = (Key: string) => s3.send(new HeadObjectCommand({ Bucket: BUCKET, Key }))

  test('a copy has the bytes, headers and tags of its source, or those given with it', async () => {
    const source = { Bucket: BUCKET, Key: 'ä source', Body: 'copied', ContentType: 'image/gif', Metadata: { a: '1' } }
    await s3.send(new PutObjectCommand({ ...source, Tagging: 't=1' }))
    const from = `/${BUCKET}/${encodeURIComponent('ä source')}`
    await copy(from, 'copy')
    expect((await get('copy')).toString()).toBe('copied')
    expect(await head('copy')).toMatchObject({ ContentType: 'image/gif', Metadata: { a: '1' }, TagCount: 1 })
    const replaced = { MetadataDirective: 'REPLACE', ContentType: 'image/png', TaggingDirective: 'REPLACE' }
    await copy(from, 'other', replaced)
    const other = await head('other')
    expect(other).toMatchObject({ ContentType: 'image/png', Metadata: {} })
    expect(other.TagCount).toBeUndefined()
    expect(await failure(copy(`${BUCKET}/copy`, 'copy'))).toBe('400 InvalidRequest')
    await copy(`${BUCKET}/copy`, 'copy', { MetadataDirective: 'REPLACE', Metadata: { b: '2' } })
    expect(await head('copy')).toMatchObject({ Metadata: { b: '2' } })
    expect((await get('copy')).toString()).toBe('copied')
  })

  test('conditions on the source and on the target', async () => {
    const { ETag = '' } = await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'conditional', Body: 'x' }))
    const from = `${BUCKET}/conditional`
    await copy(from, 'made', { CopySourceIfMatch: ETag, CopySourceIfModifiedSince: new Date(0) })
    const failed = '412 PreconditionFailed'
    expect(await failure(copy(from, 'made', { CopySourceIfMatch: '"other"' }))).toBe(failed)
    expect(await failure(copy(from, 'made', { CopySourceIfNoneMatch: ETag }))).toBe(failed)
    expect(await failure(copy(from, 'made', { CopySourceIfUnmodifiedSince: new Date(0) }))).toBe(failed)
    expect(await failure(copy(from, 'made', { IfNoneMatch: '*' }))).toBe(failed)
    expect(await failure(copy(`${BUCKET}/nothing`, 'made'))).toBe('404 NoSuchKey')
    expect(await failure(copy('nowhere/x', 'made'))).toBe('404 NoSuchBucket')
    expect(await failure(copy('nothing', 'made'))).toBe('400 InvalidArgument')
    expect(await failure(copy(`${from}?versionId=x`, 'made'))).toBe('404 NoSuchVersion')
  })

  test('a part can be a range of another object', async () => {
    await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'ranged', Body: '0123456789' }))
    const upload = await begin('from parts')
    const from = { ...upload, PartNumber: 1, CopySource: `${BUCKET}/ranged` }
    const copied = await s3.send(new UploadPartCopyCommand({ ...from, CopySourceRange: 'bytes=2-5' }))
    const beyond = s3.send(new UploadPartCopyCommand({ ...from, CopySourceRange: 'bytes=0-10' }))
    expect(await failure(beyond)).toBe('416 InvalidRange')
    for (const CopySourceRange of ['bytes=5-2', 'bytes=3-', '0-3']) {
      expect(await failure(s3.send(new UploadPartCopyCommand({ ...from, CopySourceRange })))).toBe(
        '400 InvalidArgument',
      )
    }
    await complete(upload, [{ PartNumber: 1, ETag: copied.CopyPartResult?.ETag }])
    expect((await get('from parts')).toString()).toBe('2345')
  })

  test('that take longer than a connection may be idle are waited for, with blanks, as on AWS', async () => {
    const folder = await bench.folder()
    const before = await bench.start({ dir: folder })
    const body = Buffer.alloc(160_000_000, 'long')
    await call(before, { method: 'PUT', path: `/${BUCKET}/large`, body })
    await before.close()
    // A blank each 100 ms. Its MD5 alone takes longer.
    const impatient = await bench.start({ dir: folder, idleTimeoutMs: 300 })
    const headers = { 'x-amz-copy-source': `${BUCKET}/large` }
    const answer = await call(impatient, { method: 'PUT', path: `/${BUCKET}/copied`, headers })
    expect(answer.status).toBe(200)
    expect(answer.headers).toMatchObject({ 'content-type': 'application/xml', 'transfer-encoding': 'chunked' })
    expect(answer.body.toString()).toMatch(/^<\?xml [^>]*>\n *<CopyObjectResult [\s\S]*<\/CopyObjectResult>$/)
    const { headers: copied } = await call(impatient, { method: 'HEAD', path: `/${BUCKET}/copied` })
    expect([copied.etag, copied['content-length']]).toEqual([`"${md5(body).toString('hex')}"`, String(body.length)])
  })

  test('deleting on a condition', async () => {
    const place = { Bucket: BUCKET, Key: 'conditional delete' }
    const { ETag } = await s3.send(new PutObjectCommand({ ...place, Body: 'x' }))
    expect(await failure(s3.send(new DeleteObjectCommand({ ...place, IfMatch: '"other"' })))).toBe(
      '412 PreconditionFailed',
    )
    await s3.send(new DeleteObjectCommand({ ...place, IfMatch: ETag }))
    expect(await failure(get(place.Key))).toBe('404 NoSuchKey')
  })
})
