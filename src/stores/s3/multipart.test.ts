import { createHash, hash } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { putRequest, text, withCode } from '../conformance.ts'
import type { ObjectBody, ObjectStore } from '../object-store.ts'
import { createS3Store, type S3StoreOptions } from './s3-store.ts'
import {
  answer,
  resetConnection,
  type ScriptedServer,
  type Step,
  s3Error,
  startScriptedServer,
} from './scripted-server.ts'

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'the-secret-of-this-test' }
const mebibyte = 1024 * 1024
const partSize = 5 * mebibyte
const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

type Call = 'head' | 'headBucket' | 'create' | 'part' | 'complete' | 'abort' | 'copy' | 'put' | 'get'
type Calls = readonly {
  readonly call: Call
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: Buffer
}[]

function callOf(method: string | undefined, path: string, headers: Readonly<Record<string, unknown>>): Call {
  const { searchParams, pathname } = new URL(path, 'http://host')
  if (method === 'HEAD') return pathname === '/bucket' ? 'headBucket' : 'head'
  if (method === 'POST') return searchParams.has('uploads') ? 'create' : 'complete'
  if (method === 'DELETE') return 'abort'
  if (method === 'GET') return 'get'
  if (searchParams.has('partNumber')) return 'part'
  return 'x-amz-copy-source' in headers ? 'copy' : 'put'
}

const md5 = (body: string | Uint8Array) => `"${hash('md5', body, 'hex')}"`
const created = answer(200, '<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>')
const completed = answer(
  200,
  '<CompleteMultipartUploadResult><ETag>&quot;e-2&quot;</ETag></CompleteMultipartUploadResult>',
)
const copied = answer(200, '<CopyObjectResult><ETag>&quot;c&quot;</ETag></CopyObjectResult>')
const partCopied = answer(200, '<CopyPartResult><ETag>&quot;p&quot;</ETag></CopyPartResult>')
const missing = answer(404)
const found = (size: number, etag: string, more = {}) =>
  answer(200, '', { 'content-length': String(size), etag, 'last-modified': 'Fri, 20 Nov 2026 12:00:00 GMT', ...more })
const storedPart: Step = (_, response, body) => response.writeHead(200, { etag: md5(body) }).end()

/** A store on a server that answers each kind of call by its own steps, the last one for all that follow. */
async function storeOn(plan: Partial<Record<Call, Step | Step[]>>, options: Partial<S3StoreOptions> = {}) {
  const steps: Record<Call, Step[]> = {
    head: [missing],
    headBucket: [answer(200)],
    create: [created],
    part: [storedPart],
    complete: [completed],
    abort: [answer(204)],
    copy: [copied],
    put: [answer(200, '', { etag: '"e"' })],
    get: [answer(200)],
  }
  for (const [call, given] of Object.entries(plan)) Object.assign(steps, { [call]: [given].flat() })
  const server = await startScriptedServer((request, response, body) => {
    const queue = steps[callOf(request.method, request.url ?? '', request.headers)]
    const step = queue.length > 1 ? queue.shift() : queue[0]
    step?.(request, response, body)
  })
  const store = createS3Store({
    bucket: 'bucket',
    region: 'us-east-1',
    endpoint: server.url,
    credentials,
    random: () => 0,
    multipart: { threshold: partSize, partSize, parallel: 2 },
    ...options,
  })
  closers.push(() => store.close(), server.close)
  return { store, server, calls: () => callsOf(server) }
}

function callsOf({ requests }: ScriptedServer): Calls {
  return requests.map(({ method, path, headers, body }) => ({ call: callOf(method, path, headers), headers, body }))
}

const content = Buffer.alloc(2 * partSize + 100, 'keepsake')
const put = (store: ObjectStore, body: ObjectBody = content, more = {}) =>
  store.put({ ...putRequest('key', content), body, ...more })
const names = (calls: Calls) => calls.map(({ call }) => call)
const count = (calls: Calls, call: Call) => names(calls).filter((name) => name === call).length

describe('a large put', () => {
  it('goes in parts with a hash each, and is completed create-only with its size', async () => {
    const { store, calls } = await storeOn({})
    expect(await put(store)).toEqual({ etag: '"e-2"' })
    const all = calls()
    expect(names(all).filter((name) => name !== 'part')).toEqual(['head', 'headBucket', 'create', 'complete'])
    expect(all.find(({ call }) => call === 'create')?.headers).toMatchObject({
      'x-amz-checksum-algorithm': 'SHA256',
      'content-type': 'text/plain',
    })
    const parts = all.filter(({ call }) => call === 'part')
    expect(parts).toHaveLength(3)
    for (const { headers, body } of parts) {
      expect(headers).toMatchObject({
        'content-length': String(body.length),
        'x-amz-content-sha256': hash('sha256', body, 'hex'),
        'x-amz-checksum-sha256': hash('sha256', body, 'base64'),
      })
    }
    const complete = all.at(-1)
    expect(complete?.headers).toMatchObject({ 'if-none-match': '*', 'x-amz-mp-object-size': String(content.length) })
    const listed = [...String(complete?.body).matchAll(/<ChecksumSHA256>(.*?)<.*?<PartNumber>(\d+)</g)]
    expect(listed.map(([, sha256, number]) => [number, sha256])).toEqual(
      [0, 1, 2].map((index) => {
        const part = content.subarray(index * partSize, (index + 1) * partSize)
        return [String(index + 1), hash('sha256', part, 'base64')]
      }),
    )
  })

  it('sends only a part again that failed, from its own range', async () => {
    const { store, calls } = await storeOn({ part: [s3Error(503, 'SlowDown'), resetConnection, storedPart] })
    const ranges: string[] = []
    const body: ObjectBody = {
      async *read(start, end) {
        ranges.push(`${start}-${end}`)
        yield content.subarray(start, end)
      },
    }
    await put(store, body)
    expect(count(calls(), 'part')).toBe(5)
    expect(count(calls(), 'create')).toBe(1)
    expect([...new Set(ranges)].sort()).toEqual([
      `0-${partSize}`,
      `${2 * partSize}-${content.length}`,
      `${partSize}-${2 * partSize}`,
    ])
    // Each to be hashed and to be sent, and two to be sent once more.
    expect(ranges).toHaveLength(8)
  })

  it('is aborted where a part fails for good, and never completed', async () => {
    const { store, calls } = await storeOn({ part: [storedPart, s3Error(403, 'AccessDenied')] })
    await expect(put(store)).rejects.toEqual(withCode('store_denied'))
    expect(names(calls()).at(-1)).toBe('abort')
    expect(count(calls(), 'complete')).toBe(0)
  })

  it('tells its own error where the abort fails too', async () => {
    const { store, calls } = await storeOn({ part: s3Error(403, 'AccessDenied'), abort: s3Error(503, 'SlowDown') })
    await expect(put(store)).rejects.toEqual(withCode('store_denied'))
    expect(count(calls(), 'abort')).toBeGreaterThan(1)
  })

  it('whose hash turns out to be another is aborted', async () => {
    const { store, calls } = await storeOn({})
    await expect(put(store, content, { sha256: 'f'.repeat(64) })).rejects.toEqual(withCode('content_mismatch'))
    expect(names(calls()).at(-1)).toBe('abort')
    expect(count(calls(), 'complete')).toBe(0)
  })

  it('to a key that is taken sends no byte', async () => {
    const { store, calls } = await storeOn({ head: found(1, '"other"') })
    await expect(put(store)).rejects.toEqual(withCode('object_exists'))
    expect(names(calls())).toEqual(['head'])
  })

  it('to a key that was taken meanwhile is object_exists, and is taken back', async () => {
    const { store, calls } = await storeOn({ complete: s3Error(412, 'PreconditionFailed') })
    await expect(put(store)).rejects.toEqual(withCode('object_exists'))
    expect(names(calls()).at(-1)).toBe('abort')
  })

  it('whose parts were swept meanwhile may be tried again', async () => {
    const { store } = await storeOn({ part: s3Error(404, 'NoSuchUpload') })
    await expect(put(store)).rejects.toMatchObject({ code: 'store_unavailable', retryable: true })
  })
})

describe('an error inside of a 200', () => {
  const inside = (code: string) =>
    answer(200, `<?xml version="1.0"?>\n<Error><Code>${code}</Code><Message>m</Message></Error>`)
  const upload = { key: 'key', uploadId: 'u1' }
  const parts = [{ partNumber: 1, etag: '"a"' }]

  it('of a completion is tried again where it may pass', async () => {
    const { store, calls } = await storeOn({ complete: [inside('InternalError'), inside('SlowDown'), completed] })
    expect(await store.completeMultipart(upload, parts)).toEqual({ etag: '"e-2"' })
    expect(count(calls(), 'complete')).toBe(3)
  })

  it('of a completion is told where it will not', async () => {
    const { store, calls } = await storeOn({ complete: inside('AccessDenied') })
    await expect(store.completeMultipart(upload, parts)).rejects.toMatchObject({
      code: 'store_denied',
      details: { s3Code: 'AccessDenied' },
    })
    expect(count(calls(), 'complete')).toBe(1)
  })

  it('of a copy is an error too', async () => {
    const { store, calls } = await storeOn({ copy: [inside('InternalError'), copied] })
    expect(await store.copy({ source: 'a', key: 'b', size: 1 })).toEqual({ etag: '"c"' })
    expect(count(calls(), 'copy')).toBe(2)
    const denied = await storeOn({ copy: inside('AccessDenied') })
    await expect(denied.store.copy({ source: 'a', key: 'b', size: 1 })).rejects.toEqual(withCode('store_denied'))
  })

  it.each<[string, Step]>([
    ['nothing', answer(200)],
    ['an answer cut off', answer(200, '<CompleteMultipartUploadResult><ETag>')],
    ['another answer', answer(200, '<ListPartsResult/>')],
  ])('is not needed: %s is no success either', async (_, step) => {
    const { store } = await storeOn({ complete: step })
    await expect(store.completeMultipart(upload, parts)).rejects.toEqual(withCode('store_unavailable'))
  })

  it('may come after blanks that say that the store is still at work', async () => {
    const slow: Step = async (_, response) => {
      response.writeHead(200)
      response.write(' \n ')
      response.end(
        '<?xml version="1.0"?><CompleteMultipartUploadResult><ETag>"x-1"</ETag></CompleteMultipartUploadResult>',
      )
    }
    const { store } = await storeOn({ complete: slow })
    expect(await store.completeMultipart(upload, parts)).toEqual({ etag: '"x-1"' })
  })

  it('a completion whose answer was lost is found in the object', async () => {
    const etag = md5('part')
    const expected = `"${createHash('md5')
      .update(hash('md5', 'part', 'buffer'))
      .digest('hex')}-1"`
    const lost = { complete: [resetConnection, s3Error(404, 'NoSuchUpload')] }
    const done = await storeOn({ ...lost, head: found(4, expected) })
    expect(await done.store.completeMultipart(upload, [{ partNumber: 1, etag }])).toEqual({ etag: expected })
    const other = await storeOn({ ...lost, head: found(4, '"another"') })
    await expect(other.store.completeMultipart(upload, [{ partNumber: 1, etag }])).rejects.toEqual(
      withCode('object_missing'),
    )
  })
})

describe('a copy', () => {
  const size = 2 * partSize + 1
  const multipart = { copy: { threshold: partSize, partSize, parallel: 2 } }

  it('of a large object goes by ranges, pinned to the state that was seen, with the settings of the source', async () => {
    const head = found(size, '"source"', {
      'content-type': 'video/mp4',
      'x-amz-meta-a': 'b',
      'cache-control': 'private',
      'content-encoding': 'gzip',
      'content-language': 'de',
    })
    const { store, server, calls } = await storeOn({ head: [head, missing], part: partCopied }, { multipart })
    await store.copy({ source: 'ü a', key: 'key' })
    expect(calls().find(({ call }) => call === 'create')?.headers).toMatchObject({
      'content-type': 'video/mp4',
      'x-amz-meta-a': 'b',
      'cache-control': 'private',
      'content-encoding': 'gzip',
      'content-language': 'de',
    })
    const parts = server.requests.filter(({ path }) => path.includes('partNumber'))
    expect(parts.map(({ headers }) => headers['x-amz-copy-source-range']).sort()).toEqual([
      `bytes=0-${partSize - 1}`,
      `bytes=${2 * partSize}-${size - 1}`,
      `bytes=${partSize}-${2 * partSize - 1}`,
    ])
    for (const { headers } of parts) {
      expect(headers).toMatchObject({
        'x-amz-copy-source': '/bucket/%C3%BC%20a',
        'x-amz-copy-source-if-match': '"source"',
      })
    }
    expect(calls().at(-1)?.headers).toMatchObject({ 'if-none-match': '*' })
  })

  it('is aborted where the source changes on the way', async () => {
    const head = [found(size, '"source"'), missing, found(size, '"changed"')]
    const { store, calls } = await storeOn({ head, part: s3Error(412, 'PreconditionFailed') }, { multipart })
    await expect(store.copy({ source: 'a', key: 'b' })).rejects.toEqual(withCode('object_missing'))
    expect(names(calls()).at(-1)).toBe('abort')
  })

  it('of known size is one request, create-only', async () => {
    const { store, calls } = await storeOn({})
    await store.copy({ source: 'a', key: 'b', size: 1 })
    await store.copy({ source: 'a', key: 'c', size: 1 })
    // The first request of all tells what make of store it is.
    expect(names(calls())).toEqual(['headBucket', 'copy', 'copy'])
    expect(calls().at(-1)?.headers).toMatchObject({ 'if-none-match': '*', 'x-amz-copy-source': '/bucket/a' })
  })
})

describe('providers', () => {
  it('B2 gets no condition and no checksum, and is asked whether the key is taken', async () => {
    const { store, calls } = await storeOn({ head: [missing, found(1, '"x"')] }, { provider: 'b2' })
    await store.put(putRequest('key', text('x')))
    await expect(store.put(putRequest('key', text('x')))).rejects.toEqual(withCode('object_exists'))
    expect(names(calls())).toEqual(['head', 'headBucket', 'put', 'head'])
    const sent = calls().find(({ call }) => call === 'put')?.headers ?? {}
    expect(Object.keys(sent).filter((name) => /checksum|if-none-match/.test(name))).toEqual([])
    const signed = store.signPut('key', {
      expiresIn: 60,
      headers: { 'content-type': 'image/png', 'if-none-match': '*', 'x-amz-checksum-sha256': 'x' },
    })
    expect(signed.headers).toEqual({ 'content-type': 'image/png' })
  })

  it('AWS is never weakened: conditions and checksums go along, and nothing is asked first', async () => {
    const { store, calls } = await storeOn({}, { provider: 'aws' })
    await store.put(putRequest('key', text('x')))
    await store.copy({ source: 'key', key: 'other', size: 1 })
    expect(names(calls())).toEqual(['put', 'copy'])
    for (const { headers } of calls()) expect(headers).toMatchObject({ 'if-none-match': '*' })
    const headers = { 'if-none-match': '*', 'x-amz-checksum-sha256': 'x' }
    expect(store.signPut('key', { expiresIn: 60, headers }).headers).toEqual(headers)
  })

  it('MinIO is known by its answers, and copies create-only by a completion, which is exact there', async () => {
    const minio = answer(200, '', { server: 'MinIO' })
    const head = [found(9, '"source"'), missing]
    const listed = answer(
      200,
      '<ListPartsResult><Part><PartNumber>1</PartNumber><ETag>"p"</ETag><Size>9</Size>' +
        '<LastModified>2026-11-20T12:00:00Z</LastModified></Part></ListPartsResult>',
    )
    const { store, calls } = await storeOn({ headBucket: minio, head, part: partCopied, get: listed })
    await store.copy({ source: 'a', key: 'b' })
    expect(names(calls())).toEqual(['headBucket', 'head', 'head', 'create', 'part', 'get', 'complete'])
    expect(calls().at(-1)?.headers).toMatchObject({ 'if-none-match': '*' })
    expect(calls().at(-1)?.headers).not.toHaveProperty('x-amz-mp-object-size')
  })

  it('Ceph is known by its request ids: one looks before a completion, which would replace what is there', async () => {
    const ceph = answer(200, '', { 'x-amz-request-id': 'tx0000095144d0efb4f57cb-006b004e60-1015-default' })
    const { store, calls } = await storeOn({ headBucket: ceph, head: found(1, '"x"') })
    const upload = { key: 'key', uploadId: 'u1' }
    await expect(store.completeMultipart(upload, [{ partNumber: 1, etag: '"a"' }])).rejects.toEqual(
      withCode('object_exists'),
    )
    expect(names(calls())).toEqual(['headBucket', 'head'])
  })
})
