import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EmbeddedS3 } from './index.ts'
import { sign } from './sigv4.ts'
import { Bench, BUCKET, call, presigned, type RawRequest, send, signed } from './testing/test-kit.ts'

const bench = new Bench()
let server: EmbeddedS3
let dir: string

beforeAll(async () => {
  dir = await bench.folder()
  server = await bench.start({ dir, idleTimeoutMs: 400 })
})
afterAll(() => bench.stop())

const object = (name: string) => `/${BUCKET}/${name}`
const put = (raw: RawRequest) => call(server, { method: 'PUT', ...raw })
const leftovers = () => readdir(path.join(dir, 'tmp'))

/** Writes to a socket by hand and gathers what comes until the server closes it. */
function converse(talk: (socket: net.Socket) => void): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(server.port, '127.0.0.1')
    let heard = ''
    socket.on('data', (bytes) => {
      heard += bytes.toString('latin1')
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(heard))
    talk(socket)
  })
}

function headText(request: { method: string; path: string; headers: Record<string, string> }): string {
  const lines = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${request.method} ${request.path} HTTP/1.1\r\n${lines.join('')}\r\n`
}

describe('keys are any text, and never a path', () => {
  test.each([
    ['../../etc/passwd', '../../etc/passwd'],
    ['a/../b', 'a/../b'],
    ['/leading', '/leading'],
    ['double//slash', 'double//slash'],
    ['trailing/', 'trailing/'],
    ['.', '.'],
    ['a%2Fb', 'a/b'],
    ['%2e%2e%2fx', '../x'],
    ['plus+plus', 'plus+plus'],
    ['%e4%bd%a0', '你'],
    ["it's(*)!", "it's(*)!"],
    ['percent%2525', 'percent%25'],
  ])('%s', async (wire, key) => {
    const raw = { path: object(wire), decodedPath: object(key), body: key }
    expect((await put(raw)).status).toBe(200)
    expect((await call(server, { ...raw, body: '' })).body.toString()).toBe(key)
    const list = await call(server, { query: { 'list-type': '2', prefix: key } })
    expect(list.body.toString()).toContain(`<Key>${key.replaceAll('&', '&amp;')}</Key>`)
  })

  test.each(['%00', 'a%00b', '%', '%zz', '%c3%28', '%ff', '%ed%a0%80'])('%s is no text', async (wire) => {
    expect(await call(server, { path: object(wire), decodedPath: object('x') })).toMatchObject({
      status: 400,
      code: 'InvalidURI',
    })
  })

  test('nothing was written outside the folders for it', async () => {
    expect(
      (await readdir(dir)).filter((name) => !/^(buckets|packs|tmp|held|lock|index\.sqlite(-wal|-shm)?)$/.test(name)),
    ).toEqual([])
    for (const folder of await readdir(path.join(dir, 'buckets', BUCKET, 'objects'))) {
      expect(folder).toMatch(/^[0-9a-f]{2}$/)
    }
    for (const pack of await readdir(path.join(dir, 'packs'))) expect(pack).toMatch(/^\d+$/)
  })

  test('1,024 bytes are enough, 1,025 too long', async () => {
    expect((await put({ path: object('k'.repeat(1024)) })).status).toBe(200)
    expect(await put({ path: object('k'.repeat(1025)) })).toMatchObject({ status: 400, code: 'KeyTooLongError' })
    expect(
      await call(server, { path: object('%C3%A4'.repeat(513)), decodedPath: object('ä'.repeat(513)) }),
    ).toMatchObject({
      code: 'KeyTooLongError',
    })
  })
})

describe('bodies', () => {
  test('without a length are refused', async () => {
    const request = signed(server, { method: 'PUT', path: object('unmeasured') })
    const heard = await converse((socket) =>
      socket.write(headText({ ...request, headers: { ...request.headers, connection: 'close' } })),
    )
    expect(heard).toMatch(/^HTTP\/1.1 411 [\s\S]*MissingContentLength/)
  })

  test('in HTTP chunks are taken', async () => {
    const request = signed(server, { method: 'PUT', path: object('chunks'), body: 'in pieces' })
    const headers = { ...request.headers, 'transfer-encoding': 'chunked', connection: 'close' }
    const heard = await converse((socket) => {
      socket.write(`${headText({ ...request, headers })}3\r\nin \r\n6\r\npieces\r\n0\r\n\r\n`)
    })
    expect(heard).toMatch(/^HTTP\/1.1 200/)
    expect((await call(server, { path: object('chunks') })).body.toString()).toBe('in pieces')
  })

  test('in another transfer coding are not', async () => {
    const request = signed(server, { method: 'PUT', path: object('gzip'), body: 'in pieces' })
    const headers = { ...request.headers, 'transfer-encoding': 'gzip, chunked', connection: 'close' }
    const heard = await converse((socket) => {
      socket.write(`${headText({ ...request, headers })}9\r\nin pieces\r\n0\r\n\r\n`)
    })
    expect(heard).toMatch(/^HTTP\/1.1 501 [\s\S]*NotImplemented/)
  })

  test('above 5 GiB are refused before a byte is sent', async () => {
    const length = String(5 * 1024 ** 3 + 1)
    const request = signed(server, {
      method: 'PUT',
      path: object('huge'),
      headers: { 'content-length': length },
      payloadHash: 'UNSIGNED-PAYLOAD',
    })
    const heard = await converse((socket) => {
      socket.write(headText({ ...request, headers: { ...request.headers, expect: '100-continue' } }))
      socket.on('data', () => socket.end())
    })
    expect(heard).toMatch(/^HTTP\/1.1 400 [\s\S]*EntityTooLarge/)
  })

  test('are asked for only once the request is found good', async () => {
    const good = signed(server, { method: 'PUT', path: object('continued'), body: 'go on' })
    const heard = await converse((socket) => {
      socket.write(headText({ ...good, headers: { ...good.headers, 'content-length': '5', expect: '100-continue' } }))
      socket.once('data', (bytes) => {
        expect(bytes.toString()).toMatch(/^HTTP\/1.1 100/)
        socket.write('go on')
        socket.on('data', () => socket.end())
      })
    })
    expect(heard).toContain('HTTP/1.1 200')
  })

  test('cut short leave nothing', async () => {
    for (const size of [100, 3_000_000]) {
      const body = Buffer.alloc(size, 'x')
      const request = signed(server, { method: 'PUT', path: object('cut'), body })
      await converse((socket) => {
        socket.write(headText({ ...request, headers: { ...request.headers, 'content-length': String(size) } }))
        socket.write(body.subarray(0, size - 10), () => socket.destroy())
      })
    }
    await expect.poll(leftovers).toEqual([])
    expect(await call(server, { path: object('cut') })).toMatchObject({ status: 404 })
  })

  test('that stop coming are given up', async () => {
    const request = signed(server, { method: 'PUT', path: object('slow'), payloadHash: 'UNSIGNED-PAYLOAD' })
    const heard = await converse((socket) => {
      socket.write(headText({ ...request, headers: { ...request.headers, 'content-length': '2000000' } }))
      socket.write(Buffer.alloc(1_000_000))
      const drip = setInterval(() => socket.write('.'), 50)
      socket.on('data', () => socket.end())
      socket.on('close', () => clearInterval(drip))
    })
    expect(heard).toMatch(/^HTTP\/1.1 400 [\s\S]*RequestTimeout/)
    await expect.poll(leftovers).toEqual([])
  })

  test('an answer to a refused upload arrives though the client is still sending', async () => {
    const body = Buffer.alloc(4_000_000)
    const request = signed(server, {
      method: 'PUT',
      path: '/no-such-bucket/key',
      body,
      headers: { 'content-length': String(body.length) },
    })
    expect(await send(server, { ...request, body })).toMatchObject({ status: 404, code: 'NoSuchBucket' })
  })

  test('a connection whose refused body has flowed away stays open, for other requests', async () => {
    const patient = await bench.start({})
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    const ask = (method: string, body: Buffer) =>
      new Promise<number | undefined>((resolve, reject) => {
        const request = http.request(`${patient.url}/${BUCKET}/key`, { method, agent }, (response) => {
          response.resume().on('end', () => resolve(request.socket?.localPort))
        })
        request.on('error', reject).end(body)
      })
    try {
      const first = await ask('PUT', Buffer.alloc(1_000_000))
      // Longer than a body may take to flow away.
      await delay(5_500)
      expect(await ask('GET', Buffer.alloc(0))).toBe(first)
    } finally {
      agent.destroy()
    }
  })

  test('with a Content-MD5', async () => {
    const md5 = createHash('md5').update('body').digest('base64')
    const raw = { path: object('md5'), body: 'body' }
    expect((await put({ ...raw, headers: { 'content-md5': md5 } })).status).toBe(200)
    expect(await put({ ...raw, body: 'ydob', headers: { 'content-md5': md5 } })).toMatchObject({ code: 'BadDigest' })
    expect(await put({ ...raw, headers: { 'content-md5': 'short' } })).toMatchObject({ code: 'InvalidDigest' })
  })

  test.each<[string, string, Record<string, string>]>([
    ['of a kind not known', 'NotImplemented', { 'x-amz-checksum-md5': 'AAAA' }],
    ['of a wrong form', 'InvalidRequest', { 'x-amz-checksum-crc32': 'AAAA' }],
    ['of two kinds', 'InvalidRequest', { 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-checksum-crc32c': 'AAAAAA==' }],
    ['announced and not given', 'InvalidRequest', { 'x-amz-sdk-checksum-algorithm': 'SHA256' }],
  ])('with a checksum %s are refused: %s', async (_, code, headers) => {
    expect(await put({ path: object('refused'), body: 'x', headers })).toMatchObject({ code })
    expect((await call(server, { path: object('refused') })).status).toBe(404)
  })

  test('a checksum inside a presigned link is held against the body', async () => {
    const sum = Buffer.alloc(4)
    sum.writeUInt32BE(crc32('right'))
    const link = presigned(server, {
      method: 'PUT',
      path: object('linked'),
      query: { 'x-amz-checksum-crc32': sum.toString('base64') },
    })
    const upload = (body: string) =>
      send(server, { method: 'PUT', path: link, body, headers: { 'content-length': String(body.length) } })
    expect(await upload('wrong')).toMatchObject({ code: 'BadDigest' })
    expect((await upload('right')).status).toBe(200)
  })
})

describe('aws-chunked bodies', () => {
  type Chunked = {
    sizes: number[]
    trailer?: string
    spoil?: (wire: string) => string
    decoded?: number
    kind?: string
  }

  /** As AWS's guide describes it: each chunk's signature is over the one before. */
  async function upload(key: string, { sizes, trailer, spoil = (wire) => wire, decoded, kind }: Chunked) {
    const data = sizes.map((size, i) => 'abcdefgh'.charAt(i % 8).repeat(size))
    const total = decoded ?? sizes.reduce((sum, size) => sum + size, 0)
    const request = signed(server, {
      method: 'PUT',
      path: object(key),
      payloadHash: kind ?? `STREAMING-AWS4-HMAC-SHA256-PAYLOAD${trailer === undefined ? '' : '-TRAILER'}`,
      headers: {
        'content-encoding': 'aws-chunked',
        'x-amz-decoded-content-length': String(total),
        ...(trailer === undefined ? {} : { 'x-amz-trailer': 'x-amz-checksum-crc32' }),
      },
    })
    const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
    let signature = request.signature
    let wire = ''
    for (const chunk of [...data, '']) {
      const context = `${request.timestamp}\n${request.scope}\n${signature}`
      signature = sign(request.key, `AWS4-HMAC-SHA256-PAYLOAD\n${context}\n${sha256('')}\n${sha256(chunk)}`)
      wire += `${chunk.length.toString(16)};chunk-signature=${signature}\r\n${chunk}${chunk === '' ? '' : '\r\n'}`
    }
    if (trailer !== undefined) {
      const line = `x-amz-checksum-crc32:${trailer}`
      const context = `${request.timestamp}\n${request.scope}\n${signature}`
      const seal = sign(request.key, `AWS4-HMAC-SHA256-TRAILER\n${context}\n${sha256(`${line}\n`)}`)
      wire += `${line}\r\nx-amz-trailer-signature:${seal}\r\n`
    }
    const body = spoil(`${wire}\r\n`)
    const { status, code } = await send(server, {
      ...request,
      body,
      headers: { ...request.headers, 'content-length': String(body.length) },
    })
    return `${status} ${code}`.trim()
  }
  const sum = (text: string) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(crc32(text))
    return bytes.toString('base64')
  }

  test('signed chunk by chunk', async () => {
    expect(await upload('signed', { sizes: [65_536, 65_536, 100] })).toBe('200')
    const { body, headers } = await call(server, { path: object('signed') })
    expect(body.toString()).toBe('a'.repeat(65_536) + 'b'.repeat(65_536) + 'c'.repeat(100))
    expect(headers['content-encoding']).toBeUndefined()
    expect(await upload('none', { sizes: [] })).toBe('200')
  })

  test('with a signed trailer', async () => {
    const text = 'a'.repeat(10_000) + 'b'.repeat(50)
    expect(await upload('trailer', { sizes: [10_000, 50], trailer: sum(text) })).toBe('200')
    expect(await upload('never', { sizes: [10_000, 50], trailer: sum('other') })).toBe('400 BadDigest')
  })

  test.each<[string, string, Chunked]>([
    [
      'a byte changed',
      '403 SignatureDoesNotMatch',
      { sizes: [9000, 9000], spoil: (wire) => wire.replace('aab', 'abb').replace('aaaa', 'aaba') },
    ],
    [
      'a signature changed',
      '403 SignatureDoesNotMatch',
      { sizes: [9000], spoil: (wire) => wire.replace(/=[0-9a-f]{8}/, '=00000000') },
    ],
    [
      'a chunk left out',
      '403 SignatureDoesNotMatch',
      { sizes: [9000, 9000], decoded: 9000, spoil: (wire) => wire.slice(wire.indexOf('\r\n', 9000) + 2) },
    ],
    [
      'a trailer signature changed',
      '403 SignatureDoesNotMatch',
      {
        sizes: [1],
        trailer: sum('a'),
        spoil: (wire) => wire.replace(/trailer-signature:.{8}/, 'trailer-signature:00000000'),
      },
    ],
    [
      'the trailer left out',
      '400 MalformedTrailerError',
      { sizes: [1], trailer: sum('a'), spoil: (wire) => wire.replace(/x-amz-checksum[\s\S]*/, '\r\n') },
    ],
    [
      'a trailer that was not announced',
      '400 MalformedTrailerError',
      {
        sizes: [1],
        trailer: sum('a'),
        kind: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
        spoil: () => `1\r\na\r\n0\r\nx-amz-checksum-crc32:${sum('a')}\r\nx-amz-checksum-sha1:no\r\n\r\n`,
      },
    ],
    ['the end left out', '400 IncompleteBody', { sizes: [9000], spoil: (wire) => wire.slice(0, 9050) }],
    ['a length that is not true', '400 IncompleteBody', { sizes: [9000], decoded: 9001 }],
    ['a small chunk in the middle', '403 InvalidChunkSizeError', { sizes: [10, 10] }],
    ['no chunks at all', '400 InvalidRequest', { sizes: [9000], spoil: () => 'hello\r\n' }],
    ['more after the end', '400 InvalidRequest', { sizes: [9000], spoil: (wire) => `${wire}more` }],
    ['a signature by ECDSA', '501 NotImplemented', { sizes: [1], kind: 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD' }],
  ])('%s is refused: %s', async (_, expected, chunked) => {
    expect(await upload('spoilt', chunked)).toBe(expected)
    expect((await call(server, { path: object('spoilt') })).status).toBe(404)
    await expect.poll(leftovers).toEqual([])
  })
})

describe('metadata', () => {
  const utf8 = (text: string) => Buffer.from(text).toString('latin1')

  test('may be any UTF-8', async () => {
    const raw = { path: object('meta'), headers: { 'x-amz-meta-title': utf8('Grüße, 世界 🌍') } }
    expect((await put(raw)).status).toBe(200)
    const { headers } = await call(server, { path: object('meta') })
    expect(Buffer.from(String(headers['x-amz-meta-title']), 'latin1').toString()).toBe('Grüße, 世界 🌍')
    expect(await put({ path: object('meta'), headers: { 'x-amz-meta-title': '\xff\xfe' } })).toMatchObject({
      code: 'InvalidArgument',
    })
  })

  test('of 2 KB and no more', async () => {
    const of = (size: number) => put({ path: object('meta'), headers: { 'x-amz-meta-name': 'v'.repeat(size - 4) } })
    expect((await of(2048)).status).toBe(200)
    expect(await of(2049)).toMatchObject({ status: 400, code: 'MetadataTooLarge' })
  })
})

describe('never a 500 for bad input', () => {
  test.each<[string, RawRequest, number]>([
    ['another method', { method: 'PATCH' }, 405],
    [
      'a response header with a line break',
      { path: object('meta'), query: { 'response-content-type': 'a\r\nx: y' } },
      400,
    ],
    ['no bucket', { path: '//key' }, 400],
    ['list type 3', { query: { 'list-type': '3' } }, 400],
    ['delete without a digest', { method: 'POST', query: { delete: '' }, body: '<Delete/>' }, 400],
    ['post to an object', { method: 'POST', path: object('x') }, 501],
  ])('%s', async (_, raw, status) => {
    await put({ path: object('meta') })
    expect((await call(server, raw)).status).toBe(status)
  })

  test.each([
    '',
    '<',
    '<Delete>',
    '<Delete></Delete>',
    '<Other/>',
    '<Delete><Object/></Delete>',
    '<Delete><Object><Key></Key></Object></Delete>',
    '<!DOCTYPE x [<!ENTITY a "b">]><Delete><Object><Key>&a;</Key></Object></Delete>',
    '<Delete><Object><Key>&a;</Key></Object></Delete>',
    `<Delete>${'<Object><Key>k</Key></Object>'.repeat(1001)}</Delete>`,
    '<Delete><Object><Key>a</Key></Object></Delete><More/>',
  ])('delete %s', async (body) => {
    const md5 = createHash('md5').update(body).digest('base64')
    const raw = { method: 'POST', query: { delete: '' }, headers: { 'content-md5': md5 }, body }
    expect(await call(server, raw)).toMatchObject({ status: 400, code: 'MalformedXML' })
  })

  test('a list of deletions by nobody is not even asked for, where no policy could allow it', async () => {
    const headers = { host: 'h', connection: 'close', 'content-length': '20000000', expect: '100-continue' }
    const heard = await converse((socket) =>
      socket.write(headText({ method: 'POST', path: `/${BUCKET}?delete`, headers })),
    )
    expect(heard).toMatch(/^HTTP\/1.1 403 [\s\S]*AccessDenied/)
  })

  test('any bytes as a request', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'binary-ascii', maxLength: 200 }),
        fc.string({ maxLength: 40 }),
        async (path, query) => {
          const raw = `GET /${path}?${query} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`
          const heard = await converse((socket) => socket.end(raw))
          expect(heard).not.toMatch(/^HTTP\/1.1 (5|2)/)
        },
      ),
      { numRuns: 100 },
    )
  })

  test('headers without end', async () => {
    const heard = await converse((socket) =>
      socket.write(`GET / HTTP/1.1\r\nHost: h\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`),
    )
    expect(heard).toMatch(/^HTTP\/1.1 400 [\s\S]*RequestHeaderSectionTooLarge/)
  })

  test('headers that stop coming', async () => {
    const heard = await converse((socket) => socket.write('GET / HTTP/1.1\r\nHost: h\r\nx-slow'))
    expect(heard).toMatch(/^HTTP\/1.1 400 [\s\S]*RequestTimeout/)
  })

  test('HEAD has no body, not even of an error', async () => {
    const { status, body, headers } = await call(server, { method: 'HEAD', path: object('missing') })
    expect([status, body.length]).toEqual([404, 0])
    expect(headers['x-amz-request-id']).toMatch(/^[0-9A-F]{16}$/)
    expect(headers['x-amz-id-2']).toBeTruthy()
  })
})

describe('closing', () => {
  test('finishes what is under way, and takes nothing new', async () => {
    const folder = await bench.folder()
    const leaving = await bench.start({ dir: folder })
    const body = Buffer.alloc(2_000_000, 'z')
    const request = signed(leaving, { method: 'PUT', path: object('last'), body })
    const socket = net.connect(leaving.port, '127.0.0.1')
    const answered = new Promise<string>((resolve) => socket.once('data', (bytes) => resolve(bytes.toString())))
    const headers = { ...request.headers, 'content-length': String(body.length) }
    socket.write(headText({ ...request, headers }))
    await new Promise((resolve) => socket.write(body.subarray(0, 1_000_000), resolve))
    // Its file shows that the request has been taken.
    await expect.poll(() => readdir(path.join(folder, 'tmp'))).toHaveLength(1)
    const closed = leaving.close({ timeoutMs: 20_000 })
    await expect(call(leaving, { path: object('late') })).rejects.toThrow()
    socket.write(body.subarray(1_000_000))
    expect(await answered).toMatch(/^HTTP\/1.1 200[\s\S]*connection: close/i)
    await closed
    const again = await bench.start({ dir: folder })
    expect((await call(again, { path: object('last') })).body.equals(body)).toBe(true)
  })

  test('does not wait for ever', async () => {
    const leaving = await bench.start()
    const request = signed(leaving, { method: 'PUT', path: object('stuck'), payloadHash: 'UNSIGNED-PAYLOAD' })
    const socket = net.connect(leaving.port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write(
      headText({ ...request, headers: { ...request.headers, 'content-length': '10', expect: '100-continue' } }),
    )
    await new Promise((resolve) => socket.once('data', resolve))
    await leaving.close({ timeoutMs: 10 })
    socket.destroy()
  })
})

describe('clients that hold on to what they have', () => {
  test('a reader that takes nothing of its answer loses it', async () => {
    const told: (string | undefined)[] = []
    const onRequest = ({ operation }: { operation: string | undefined }) => told.push(operation)
    const patient = await bench.start({ idleTimeoutMs: 100, onRequest })
    const size = 30_000_000
    const body = Buffer.alloc(size, 'large')
    await call(patient, { method: 'PUT', path: object('large'), body })
    const request = signed(patient, { path: object('large') })
    const socket = net.connect(patient.port, '127.0.0.1')
    let heard = 0
    socket.on('error', () => undefined)
    socket.write(headText(request))
    // Nothing is read until the server has given up.
    await expect.poll(() => told, { timeout: 20_000 }).toContain('GetObject')
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.on('data', (bytes) => {
      heard += bytes.length
    })
    await closed
    expect(heard).toBeLessThan(size)
  })

  test('connections end at 1,024; those that are served go on', async () => {
    const full = await bench.start()
    const open = () =>
      new Promise<{ socket: net.Socket; closed: Promise<unknown> }>((resolve, reject) => {
        const socket = net.connect(full.port, '127.0.0.1')
        const closed = new Promise((done) => socket.once('close', done))
        socket.once('connect', () => resolve({ socket, closed })).once('error', reject)
      })
    const held = await Promise.all(Array.from({ length: 1024 }, open))
    const refused = await open()
    await refused.closed
    const [first] = held
    const answered = new Promise<string>((resolve) => first?.socket.once('data', (bytes) => resolve(String(bytes))))
    first?.socket.write(headText(signed(full, { path: '/' })))
    expect(await answered).toMatch(/^HTTP\/1.1 200 /)
    for (const { socket } of held) socket.destroy()
  })
})
