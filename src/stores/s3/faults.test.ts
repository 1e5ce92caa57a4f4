import { createHash, hash } from 'node:crypto'
import { createServer } from 'node:http'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { KeepsakeError } from '../../media/index.ts'
import { collectAll, putRequest, readAll, text, withCode } from '../conformance.ts'
import type { ObjectStore } from '../object-store.ts'
import { createS3Store, openS3Store, type S3StoreOptions } from './s3-store.ts'
import {
  answer,
  hang,
  listen,
  resetConnection,
  type ScriptedServer,
  type Step,
  s3Error,
  startScriptedServer,
  stop,
} from './scripted-server.ts'

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'the-secret-of-this-test' }
const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

/** A store on a server that does what the steps say. Its retries do not wait. */
async function storeOn(steps: [Step, ...Step[]], options: Partial<S3StoreOptions> = {}) {
  const server = await startScriptedServer(...steps)
  const store = createS3Store({ ...placeOf(server), credentials, ...options })
  closers.push(() => store.close(), server.close)
  return { store, server }
}

function placeOf(server: Pick<ScriptedServer, 'url'>) {
  // In one piece, however large: parts have a test file of their own.
  const multipart = { threshold: 5 * 1024 ** 3 }
  return { bucket: 'bucket', region: 'us-east-1', endpoint: server.url, random: () => 0, multipart }
}

async function failureOf(work: Promise<unknown>): Promise<KeepsakeError> {
  const error = await work.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!KeepsakeError.is(error)) throw new Error('It did not fail with a KeepsakeError.', { cause: error })
  return error
}

const written = answer(200, '', { etag: '"e"' })
const object = (body: string, headers: Readonly<Record<string, string>> = {}) =>
  answer(200, body, {
    'last-modified': 'Fri, 20 Nov 2026 12:00:00 GMT',
    'content-length': String(body.length),
    ...headers,
  })
const put = (store: ObjectStore, more = {}) => store.put(putRequest('key', text('content'), more))

describe('failures that pass', () => {
  it.each<[string, Step]>([
    ['503 SlowDown', s3Error(503, 'SlowDown')],
    ['500 InternalError', s3Error(500, 'InternalError')],
    ['429', answer(429)],
    ["a proxy's 502", answer(502, '<html><p>Bad gateway')],
    ['400 RequestTimeout', s3Error(400, 'RequestTimeout')],
    ['409 ConditionalRequestConflict', s3Error(409, 'ConditionalRequestConflict')],
    ['a reset connection', resetConnection],
  ])('%s: the same request is sent again', async (_, step) => {
    const { store, server } = await storeOn([step, written])
    expect(await put(store)).toEqual({ etag: '"e"' })
    expect(server.requests.map(({ body }) => body.toString())).toEqual(['content', 'content'])
    expect(server.requests[1]?.headers['if-none-match']).toBe('*')
  })

  it('a stream is read again from its start', async () => {
    const { store, server } = await storeOn([s3Error(503, 'SlowDown'), resetConnection, written])
    let opened = 0
    async function* body() {
      opened += 1
      yield text('con')
      yield text('tent')
    }
    await put(store, { body })
    expect(opened).toBe(3)
    expect(server.requests.map(({ body }) => body.toString())).toEqual(['content', 'content', 'content'])
  })

  it('a list that breaks off is asked for again', async () => {
    const list = '<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>'
    const breaksOff: Step = (request, response) => {
      response.writeHead(200, { 'content-length': String(list.length) })
      response.write(list.slice(0, 20), () => request.socket.resetAndDestroy())
    }
    const { store, server } = await storeOn([breaksOff, answer(200, list.slice(0, 40)), answer(200, list)])
    expect(await collectAll(store.list())).toEqual([])
    expect(server.requests).toHaveLength(3)
  })

  it('end as store_unavailable after three attempts', async () => {
    const { store, server } = await storeOn([s3Error(503, 'SlowDown')])
    const error = await failureOf(put(store))
    expect(error).toMatchObject({ code: 'store_unavailable', retryable: true, details: { s3Code: 'SlowDown' } })
    expect(server.requests).toHaveLength(3)
  })

  it('do not multiply the load of an outage', async () => {
    const { store, server } = await storeOn([s3Error(503, 'ServiceUnavailable')])
    const calls = 60
    for (let call = 0; call < calls; call += 1) await failureOf(store.head('key'))
    expect(server.requests.length).toBeLessThan(calls * 1.5)
  })

  it('are retried again once the store is back', async () => {
    const plan: number[] = []
    const planned: Step = (...all) => answer(plan.shift() ?? 503, '', { date: new Date().toUTCString() })(...all)
    const { store, server } = await storeOn([planned])
    const requestsOf = async (work: () => Promise<unknown>) => {
      const before = server.requests.length
      await work().catch(() => undefined)
      return server.requests.length - before
    }
    let calls = 0
    while ((await requestsOf(() => store.delete(['key']))) > 1) {
      calls += 1
      expect(calls).toBeLessThan(20)
    }
    plan.push(...Array.from({ length: 10 }, () => 204), 503, 204)
    for (let call = 0; call < 10; call += 1) await store.delete(['key'])
    expect(await requestsOf(() => store.delete(['key']))).toBe(2)
  })
})

describe('deadlines', () => {
  it('a server that does not answer is a timeout, and may have written', async () => {
    const { store } = await storeOn([hang], { requestTimeout: 0.2, attempts: 2 })
    expect(await failureOf(put(store))).toMatchObject({ code: 'timeout', retryable: true })
  })

  it('a body that stops coming is a timeout', async () => {
    const stops: Step = (_, response) => {
      response.writeHead(200, { 'content-length': '10', 'last-modified': new Date().toUTCString() })
      response.write('01234')
    }
    const { store } = await storeOn([stops], { requestTimeout: 1 })
    const { body } = await store.get('key')
    expect(await failureOf(readAll(body))).toMatchObject({ code: 'timeout' })
  })

  it('an answer that begins and never ends is a timeout', async () => {
    const blanks: Step = (_, response) => {
      response.writeHead(200)
      const timer = setInterval(() => response.write(' '), 20)
      response.on('close', () => clearInterval(timer))
    }
    const { store } = await storeOn([blanks], { requestTimeout: 0.5, attempts: 1 })
    expect(await failureOf(collectAll(store.list()))).toMatchObject({ code: 'timeout' })
  })

  it('waiting for other requests is not on the clock of a request', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const { store, server } = await storeOn([written, object('x')], { connections: 1, attempts: 1 })
      const pieces = [0, 1, 2, 3, 4].map(() => Promise.withResolvers<void>())
      const opened = Promise.withResolvers<void>()
      async function* body() {
        opened.resolve()
        for (const { promise } of pieces) {
          await promise
          yield text('x')
        }
      }
      const putting = put(store, { body, size: pieces.length })
      await opened.promise
      const head = store.head('key')
      for (const piece of pieces) {
        await vi.advanceTimersByTimeAsync(20_000)
        piece.resolve()
        // The piece goes out, which is progress.
        for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      }
      await putting
      expect(await head).toMatchObject({ size: 1 })
      expect(server.requests.map(({ method }) => method)).toEqual(['PUT', 'HEAD'])
    } finally {
      vi.useRealTimers()
    }
  })

  it("the caller's own is kept, without a retry", async () => {
    const { store, server } = await storeOn([hang])
    const error = await failureOf(put(store, { signal: AbortSignal.timeout(100) }))
    expect(error).toMatchObject({ code: 'timeout', retryable: false })
    expect(error.message).toMatch(/took longer than its caller allows/)
    expect(server.requests.length).toBeLessThan(2)
  })

  it('a call is stopped also while it waits to try again', async () => {
    const stop = new AbortController()
    const reason = new KeepsakeError('stopping', 'The server is stopping.')
    const { store, server } = await storeOn([s3Error(503, 'SlowDown')], {
      // Asked for the length of the wait, the caller gives up.
      random: () => {
        setImmediate(() => stop.abort(reason))
        return 1
      },
    })
    await expect(put(store, { signal: stop.signal })).rejects.toBe(reason)
    expect(server.requests).toHaveLength(1)
  })
})

describe('a put', () => {
  it('whose first attempt may have been written is object_exists when the second finds an object', async () => {
    const { store } = await storeOn([resetConnection, s3Error(412, 'PreconditionFailed')])
    await expect(put(store)).rejects.toEqual(withCode('object_exists'))
  })

  it('sends the checks that make it whole or nothing, and no checksum of another body', async () => {
    const { store, server } = await storeOn([written])
    await put(store)
    const { headers } = server.requests[0] ?? { headers: {} }
    expect(headers).toMatchObject({
      'content-length': '7',
      'content-type': 'text/plain',
      'if-none-match': '*',
      'x-amz-checksum-sha256': hash('sha256', 'content', 'base64'),
      'x-amz-content-sha256': hash('sha256', 'content', 'hex'),
    })
    expect(Object.keys(headers).filter((name) => /crc|trailer/.test(name))).toEqual([])
  })

  it('does not try again when its source fails', async () => {
    const { store, server } = await storeOn([written])
    let opened = 0
    // A broken disk looks much like a broken connection.
    const disk = Object.assign(new Error('i/o error'), { code: 'EIO' })
    async function* body() {
      opened += 1
      yield text('con')
      throw disk
    }
    expect(await failureOf(put(store, { body }))).toMatchObject({ code: 'internal', cause: disk })
    expect(opened).toBe(1)
    expect(server.requests).toHaveLength(0)
  })

  it('larger than an object can be is refused before it is read', async () => {
    const { store, server } = await storeOn([written])
    const body = () => {
      throw new Error('It was read.')
    }
    await expect(put(store, { body, size: 5 * 1024 ** 4 + 1 })).rejects.toEqual(withCode('content_too_large'))
    expect(server.requests).toHaveLength(0)
  })

  it('whose connection breaks half way is sent again, from the start of its source', async () => {
    let requests = 0
    const received: number[] = []
    const server = createServer((request, response) => {
      requests += 1
      const isFirst = requests === 1
      let size = 0
      request.on('error', () => undefined)
      request.on('data', (piece: Buffer) => {
        size += piece.length
        if (isFirst && size > 1_000_000) request.socket.resetAndDestroy()
      })
      request.on('end', () => {
        received.push(size)
        response.writeHead(200, { etag: '"e"' }).end()
      })
    })
    const store = createS3Store({ ...placeOf({ url: await listen(server) }), credentials })
    closers.push(
      () => store.close(),
      () => stop(server),
    )
    const piece = Buffer.alloc(256 * 1024)
    const size = 100 * piece.length
    async function* body() {
      for (let sent = 0; sent < 100; sent += 1) yield piece
    }
    await put(store, { body, size })
    await put(store, { key: 'in memory', body: Buffer.alloc(size), size })
    expect(requests).toBe(3)
    expect(received).toEqual([size, size])
  })

  it('of ranges arrives as it is, though its source uses one buffer again and again, and the store is slow', async () => {
    const hashes: string[] = []
    const server = createServer(async (request, response) => {
      const sha256 = createHash('sha256')
      for await (const piece of request) {
        sha256.update(piece)
        // The socket is full more often than not.
        await new Promise((resolve) => setImmediate(resolve))
      }
      hashes.push(sha256.digest('hex'))
      response.writeHead(200, { etag: '"e"' }).end()
    })
    const store = createS3Store({ ...placeOf({ url: await listen(server) }), credentials })
    closers.push(
      () => store.close(),
      () => stop(server),
    )
    const bytes = Buffer.alloc(30_000_001)
    for (let at = 0; at < bytes.length - 4; at += 4) bytes.writeUInt32LE(at, at)
    for (const blockSize of [1_000, 100_000, 256 * 1024, 3_000_000]) {
      const block = Buffer.alloc(blockSize)
      async function* read(start: number, end: number) {
        for (let at = start; at < end; at += blockSize) {
          const length = bytes.copy(block, 0, at, Math.min(end, at + blockSize))
          yield block.subarray(0, length)
          block.fill(0xee)
        }
      }
      const sha256 = hash('sha256', bytes, 'hex')
      await store.put({ ...putRequest('key', bytes), body: { read }, sha256 })
      expect(hashes.at(-1)).toBe(sha256)
    }
  })

  it('that is refused before its body has gone out is told why', async () => {
    const server = createServer((_, response) => {
      response.writeHead(403, { 'content-type': 'application/xml' })
      response.end('<Error><Code>AccessDenied</Code></Error>')
    })
    const store = createS3Store({ ...placeOf({ url: await listen(server) }), credentials })
    closers.push(
      () => store.close(),
      () => stop(server),
    )
    const piece = Buffer.alloc(256 * 1024)
    let closed = 0
    async function* body() {
      try {
        for (let sent = 0; sent < 400; sent += 1) yield piece
      } finally {
        closed += 1
      }
    }
    await expect(put(store, { body, size: 400 * piece.length })).rejects.toEqual(withCode('store_denied'))
    // The source is let go of, too.
    await expect.poll(() => closed).toBe(1)
  })

  it('of a large stream never runs far ahead of the store', async () => {
    let received = 0
    const server = createServer((request, response) => {
      request.on('data', (piece: Buffer) => {
        received += piece.length
      })
      request.on('end', () => response.writeHead(200, { etag: '"e"' }).end())
    })
    const store = createS3Store({ ...placeOf({ url: await listen(server) }), credentials })
    closers.push(
      () => store.close(),
      () => stop(server),
    )
    const piece = Buffer.alloc(1024 * 1024, 'x')
    const pieces = 200
    const sha256 = createHash('sha256')
    for (let index = 0; index < pieces; index += 1) sha256.update(piece)
    let ahead = 0
    async function* body() {
      for (let sent = 0; sent < pieces; sent += 1) {
        ahead = Math.max(ahead, sent * piece.length - received)
        yield piece
      }
    }
    const size = pieces * piece.length
    await store.put({ key: 'key', body, size, sha256: sha256.digest('hex'), contentType: 'video/mp4' })
    expect(received).toBe(size)
    // What the kernel keeps in flight on loopback, and a few pieces.
    expect(ahead).toBeLessThan(24 * piece.length)
  })
})

describe('a get', () => {
  it('of a body that was cut off never looks complete', async () => {
    const cut: Step = (request, response) => {
      response.writeHead(200, { 'content-length': '100', 'last-modified': new Date().toUTCString() })
      response.write('only this', () => request.socket.end())
    }
    const { store } = await storeOn([cut])
    const { body } = await store.get('key')
    expect(await failureOf(readAll(body))).toMatchObject({ code: 'store_unavailable' })
  })

  it('of a range does not take the whole object for it', async () => {
    const { store } = await storeOn([object('0123456789')])
    expect(await failureOf(store.get('key', { range: { start: 2, end: 3 } }))).toMatchObject({
      code: 'store_unavailable',
    })
  })

  it('without a length is refused, since its end would not be known', async () => {
    const { store } = await storeOn([
      answer(200, 'x', { 'last-modified': new Date().toUTCString(), 'transfer-encoding': 'chunked' }),
    ])
    expect(await failureOf(store.get('key'))).toMatchObject({ code: 'store_unavailable' })
  })
})

describe('what S3 refuses', () => {
  it('is told with its own code, without a retry', async () => {
    const { store, server } = await storeOn([s3Error(403, 'AccessDenied', '<Message>Access Denied</Message>')])
    const error = await failureOf(put(store))
    expect(error).toMatchObject({
      code: 'store_denied',
      retryable: false,
      details: { s3Code: 'AccessDenied', httpStatus: 403 },
    })
    expect(error.message).toMatch(/^The credentials may not do s3:PutObject on 'key' in bucket 'bucket' at http/)
    expect(server.requests).toHaveLength(1)
  })

  it.each<[string, Step]>([
    ['301', s3Error(301, 'PermanentRedirect', '', { 'x-amz-bucket-region': 'eu-west-3' })],
    ['301 to HEAD', answer(301, '', { 'x-amz-bucket-region': 'eu-west-3' })],
    ['400', s3Error(400, 'AuthorizationHeaderMalformed', '<Region>eu-west-3</Region>')],
  ])('a wrong region is named with the right one (%s)', async (_, step) => {
    const { store } = await storeOn([step])
    for (const error of [await failureOf(store.check()), await failureOf(put(store))]) {
      expect(error.code).toBe('store_denied')
      expect(error.message).toBe(
        "The bucket 'bucket' is in the region eu-west-3, not in us-east-1. Set AWS_REGION=eu-west-3. " +
          `(${error.details.s3Code})`,
      )
    }
  })

  it('head never takes 403 for missing', async () => {
    const { store } = await storeOn([answer(403)])
    expect(await failureOf(store.head('key'))).toMatchObject({ code: 'store_denied' })
  })

  it('head does not take a missing bucket for a missing object, and asks at most once a minute', async () => {
    const { store } = await storeOn([answer(404)])
    expect(await failureOf(store.head('key'))).toMatchObject({ code: 'store_denied' })
    const bucketThere: Step = (request, response) => response.writeHead(request.url === '/bucket' ? 200 : 404).end()
    const other = await storeOn([bucketThere])
    expect(await other.store.head('key')).toBeUndefined()
    expect(await other.store.head('key')).toBeUndefined()
    expect(other.server.requests.map(({ path }) => path)).toEqual(['/bucket/key', '/bucket', '/bucket/key'])
  })

  it.each<[string, Step, string]>([
    ['garbage with 403', answer(403, '<Error><Code>Acc'), 'store_denied'],
    ['garbage with 400', answer(400, '\u0000\u0001<<<>>>'), 'store_denied'],
    ['a code that is none', s3Error(400, 'No such\ncode <b>'), 'store_denied'],
    ['another code', s3Error(418, 'ImATeapot', '<Message>Short and stout.</Message>'), 'store_denied'],
    ['a redirect', answer(302, '', { location: 'http://127.0.0.1:1/elsewhere' }), 'store_denied'],
    ['501', s3Error(501, 'NotImplemented'), 'store_denied'],
    ['BadDigest', s3Error(400, 'BadDigest'), 'content_mismatch'],
    ['EntityTooLarge', s3Error(400, 'EntityTooLarge'), 'content_too_large'],
  ])('%s is told, too', async (_, step, code) => {
    const { store, server } = await storeOn([step])
    expect(await failureOf(put(store))).toMatchObject({ code, retryable: false })
    expect(server.requests).toHaveLength(1)
  })

  it('never puts secrets into an error, even where S3 repeats them', async () => {
    const { secretAccessKey } = credentials
    const message =
      '<Message>GET https://x/?X-Amz-Signature=5ec3e7 is wrong</Message><StringToSign>5ec3e7</StringToSign>'
    for (const code of ['SignatureDoesNotMatch', 'Whatever', 'InvalidAccessKeyId']) {
      const { store } = await storeOn([s3Error(403, code, message)])
      const error = await failureOf(put(store))
      const shown = `${error.message} ${JSON.stringify(error.details)} ${String(error.cause)}`
      expect(shown).not.toContain('5ec3e7')
      expect(shown).not.toContain(secretAccessKey)
    }
  })

  it('a server that is not there is told with its address', async () => {
    const { store, server } = await storeOn([written])
    await server.close()
    const error = await failureOf(store.check())
    expect(error).toMatchObject({ code: 'store_unavailable', details: { reason: 'ECONNREFUSED' } })
    expect(error.message).toContain(`${server.url} refuses connections`)
  })
})

describe('a delete', () => {
  const keys = ['a', 'b', 'c']
  const result = (inside: string) => answer(200, `<DeleteResult>${inside}</DeleteResult>`)
  const failed = (key: string, code: string) =>
    `<Error><Key>${key}</Key><Code>${code}</Code><Message>m</Message></Error>`

  it('reports the keys that failed inside of a 200, and asks again for those that may pass', async () => {
    const { store, server } = await storeOn([
      result(failed('a', 'AccessDenied') + failed('b', 'InternalError')),
      result(''),
    ])
    const { deleted, failed: missed } = await store.delete(keys)
    expect(deleted).toEqual(['b', 'c'])
    expect(missed).toEqual([{ key: 'a', code: 'store_denied', message: expect.stringContaining('(AccessDenied)') }])
    expect(server.requests[1]?.body.toString()).not.toContain('<Key>a</Key>')
  })

  it('asks again only after a pause, and not for ever', async () => {
    const waits: number[] = []
    const random = () => {
      waits.push(waits.length)
      return 0
    }
    const { store, server } = await storeOn([result(failed('a', 'SlowDown'))], { random })
    const { failed: missed } = await store.delete(keys)
    expect(missed).toMatchObject([{ key: 'a', code: 'store_unavailable' }])
    expect([server.requests.length, waits.length]).toEqual([3, 2])
  })

  it('sends keys that XML cannot carry alone', async () => {
    const either: Step = (request, response, body) =>
      (request.method === 'POST' ? result('') : answer(204))(request, response, body)
    const { store, server } = await storeOn([either])
    expect(await store.delete(['a', 'b\u0001', 'c', '\uffff'])).toMatchObject({ failed: [] })
    const batch = server.requests.find(({ method }) => method === 'POST')?.body.toString()
    expect(batch).toContain('<Key>a</Key></Object><Object><Key>c</Key></Object></Delete>')
    const alone = server.requests.flatMap(({ method, path }) => (method === 'DELETE' ? [path] : []))
    expect(alone.sort()).toEqual(['/bucket/%EF%BF%BF', '/bucket/b%01'])
  })

  it('keeps to what it knows when one of its batches fails', async () => {
    const half: Step = (request, response, body) =>
      (body.includes('<Key>1500</Key>') ? s3Error(403, 'AccessDenied') : result(''))(request, response, body)
    const { store } = await storeOn([half])
    const { deleted, failed: missed } = await store.delete(Array.from({ length: 1501 }, (_, index) => String(index)))
    expect(deleted).toHaveLength(1000)
    expect(missed).toHaveLength(501)
    expect(missed[0]).toMatchObject({ key: '1000', code: 'store_denied' })
  })

  it.each<[string, Step]>([
    ['an error', answer(200, '<Error><Code>InternalError</Code></Error>')],
    ['garbage', answer(200, 'ok')],
    ['nothing', answer(200)],
  ])('does not take %s for success', async (_, step) => {
    const { store } = await storeOn([step])
    expect(await failureOf(store.delete(keys))).toMatchObject({ code: 'store_unavailable' })
  })
})

describe('a list', () => {
  const entry = (key: string) =>
    `<Contents><Key>${key}</Key><LastModified>2026-11-20T12:00:00Z</LastModified><Size>1</Size></Contents>`
  const page = (inside: string, token?: string) =>
    answer(
      200,
      `<ListBucketResult>${inside}<IsTruncated>${token !== undefined}</IsTruncated>${token ? `<NextContinuationToken>${token}</NextContinuationToken>` : ''}</ListBucketResult>`,
    )

  it('goes on over empty pages, and asks for pages only as they are consumed', async () => {
    const { store, server } = await storeOn([page(entry('a'), 't1'), page('', 't2'), page(entry('b'))])
    const keys: string[] = []
    for await (const { key } of store.list({ startAfter: 'A' })) {
      expect(server.requests).toHaveLength(key === 'a' ? 1 : 3)
      keys.push(key)
    }
    expect(keys).toEqual(['a', 'b'])
    const queries = server.requests.map(({ path }) => new URL(path, server.url).searchParams)
    expect(queries.map((query) => query.get('continuation-token'))).toEqual([null, 't1', 't2'])
    expect(queries.map((query) => query.get('start-after'))).toEqual(['A', null, null])
  })

  it('that goes on without an object, by ever new tokens, is given up', async () => {
    let token = 0
    const endless: Step = (request, response, body) => {
      token += 1
      page('', `t${token}`)(request, response, body)
    }
    const { store } = await storeOn([endless], { attempts: 1 })
    expect(await failureOf(collectAll(store.list()))).toMatchObject({ code: 'store_unavailable' })
  })

  it('of uploads that goes in circles is given up', async () => {
    let turn = 0
    const circle: Step = (request, response, body) => {
      turn += 1
      const marker = `<NextKeyMarker>k${turn % 3}</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>`
      const list = `<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>${marker}</ListMultipartUploadsResult>`
      answer(200, list)(request, response, body)
    }
    const { store } = await storeOn([circle], { attempts: 1 })
    expect(await failureOf(collectAll(store.listMultipart()))).toMatchObject({ code: 'store_unavailable' })
  })

  it.each<[string, [Step, ...Step[]]]>([
    ['out of order', [page(entry('b') + entry('a'))]],
    ['out of order over pages', [page(entry('b'), 't1'), page(entry('b'))]],
    ['for ever', [page('', 'same')]],
  ])('that is %s is refused', async (_, steps) => {
    const { store } = await storeOn(steps)
    expect(await failureOf(collectAll(store.list()))).toMatchObject({ code: 'store_unavailable' })
  })
})

describe('what can be put right at once', () => {
  it('a clock that is off', async () => {
    const serverTime = Date.now() + 3_600_000
    const skewed = s3Error(403, 'RequestTimeTooSkewed', '', { date: new Date(serverTime).toUTCString() })
    const { store, server } = await storeOn([skewed, written])
    await put(store)
    const sent = server.requests.map(({ headers }) => String(headers['x-amz-date']))
    expect(sent[1]?.slice(0, 11)).toBe(amzDate(serverTime).slice(0, 11))
    expect(sent[0]?.slice(0, 11)).not.toBe(sent[1]?.slice(0, 11))
    // URLs are judged by the same clock, and expire by ours.
    const { url, expiresAt } = store.signGet('key', { expiresIn: 60 })
    expect(new URL(url).searchParams.get('X-Amz-Date')?.slice(0, 11)).toBe(amzDate(serverTime).slice(0, 11))
    expect(expiresAt.getTime()).toBeLessThan(Date.now() + 61_000)
  })

  it('a clock that is off, before which temporary credentials end sooner', async () => {
    const hour = 3_600_000
    const skewed = s3Error(403, 'RequestTimeTooSkewed', '', { date: new Date(Date.now() + hour).toUTCString() })
    const server = await startScriptedServer(skewed, written)
    const expiration = new Date(Date.now() + hour + 600_000)
    const store = createS3Store({ ...placeOf(server), credentials: { ...credentials, sessionToken: 't', expiration } })
    closers.push(() => store.close(), server.close)
    await put(store)
    const { url, expiresAt } = store.signGet('key', { expiresIn: 3600 })
    expect(Number(new URL(url).searchParams.get('X-Amz-Expires'))).toBeLessThanOrEqual(601)
    expect(expiresAt.getTime()).toBeLessThan(Date.now() + 602_000)
  })

  it('a clock that is off, where HEAD cannot say so', async () => {
    const skewed = answer(403, '', { date: new Date(Date.now() - 3_600_000).toUTCString() })
    const { store } = await storeOn([skewed, object('x')])
    expect(await store.head('key')).toMatchObject({ key: 'key' })
  })

  it('a clock that stays off is told', async () => {
    const skewed = s3Error(403, 'RequestTimeTooSkewed')
    const { store } = await storeOn([skewed])
    const error = await failureOf(put(store))
    expect(error).toMatchObject({ code: 'store_denied', details: { s3Code: 'RequestTimeTooSkewed' } })
    expect(error.message).toContain('Set the clock')
  })

  it('credentials that have expired, where HEAD cannot say so', async () => {
    const wordless = answer(400)
    const server = await startScriptedServer(wordless, s3Error(400, 'ExpiredToken'), object('x'), object('xyz'))
    let loaded = 0
    const provider = () => {
      loaded += 1
      return { ...credentials, accessKeyId: `KEY${loaded}` }
    }
    const store = await openS3Store({ ...placeOf(server), credentials: provider })
    closers.push(() => store.close(), server.close)
    expect(await store.head('key')).toMatchObject({ size: 3 })
    expect(server.requests.map(({ method }) => method)).toEqual(['HEAD', 'GET', 'GET', 'HEAD'])
    expect(loaded).toBe(2)
  })

  it('credentials that have expired', async () => {
    const server = await startScriptedServer(s3Error(400, 'ExpiredToken'), written)
    let loaded = 0
    const provider = () => {
      loaded += 1
      return { ...credentials, accessKeyId: `KEY${loaded}` }
    }
    const store = await openS3Store({ ...placeOf(server), credentials: provider })
    closers.push(() => store.close(), server.close)
    await put(store)
    expect(server.requests.map(({ headers }) => /Credential=(\w+)/.exec(String(headers.authorization))?.[1])).toEqual([
      'KEY1',
      'KEY2',
    ])
  })
})

function amzDate(time: number): string {
  return new Date(time).toISOString().replaceAll(/[-:]/g, '')
}
