import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { KeepsakeError } from '../../media/index.ts'
import { createGuardedFetch, type GuardedFetch, type GuardedFetchOptions } from './index.ts'

const cleanUps: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function listening(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanUps.push(async () => {
    if ('closeAllConnections' in server) server.closeAllConnections()
    await new Promise((done) => server.close(done))
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('no port')
  return address.port
}

const serve = (listener: RequestListener) => listening(createServer(listener))

/** A server that answers every connection with these bytes, once it has been asked. */
async function serveRaw(answer: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createTcpServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('data', () => answer(socket))
  })
  cleanUps.push(() => {
    for (const socket of sockets) socket.destroy()
  })
  const port = await listening(server)
  return port
}

async function unknownName(): Promise<never> {
  throw Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' })
}

function makeFetch(options: Partial<GuardedFetchOptions> = {}): GuardedFetch {
  // Tests never leave the machine: without a resolver of its own, a test knows no name.
  const fetch = createGuardedFetch({ allowHosts: ['127.0.0.1'], allowHttp: false, lookup: unknownName, ...options })
  cleanUps.push(() => fetch.close())
  return fetch
}

/** Everything a source gives, or the error on the way. */
async function read(fetch: GuardedFetch, url: string, maxBytes = 1_000_000): Promise<Buffer> {
  const opened = await fetch.open(url, { maxBytes })
  return gather(opened.body)
}

async function gather(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function errorOf(work: Promise<unknown>): Promise<KeepsakeError> {
  const error = await work.then(
    () => undefined,
    (reason) => reason,
  )
  if (error instanceof KeepsakeError) return error
  throw new Error(`expected a KeepsakeError, got ${error}`)
}

describe('content', () => {
  test('comes whole, with its size and what the server calls it', async () => {
    let seen: NodeJS.Dict<string | string[]> = {}
    const port = await serve((request, response) => {
      seen = request.headers
      response.setHeader('content-type', 'image/png').setHeader('set-cookie', 'a=b').end('hello')
    })
    const fetch = makeFetch({ userAgent: 'Keepsake/1.2.3' })
    const opened = await fetch.open(`http://127.0.0.1:${port}/a?X-Amz-Signature=secret#part`, { maxBytes: 5 })
    expect(opened).toMatchObject({ size: 5, framed: true, contentType: 'image/png' })
    expect(opened.headers).toEqual({ 'content-type': 'image/png' })
    expect((await gather(opened.body)).toString()).toBe('hello')
    await opened.close()
    expect(seen).toEqual({
      host: `127.0.0.1:${port}`,
      connection: 'keep-alive',
      'user-agent': 'Keepsake/1.2.3',
      accept: '*/*',
      'accept-encoding': 'identity',
    })
  })

  test('of a chunked answer has no size but a told end', async () => {
    const port = await serve((_, response) => {
      response.write('he')
      response.end('llo')
    })
    const opened = await makeFetch().open(`http://127.0.0.1:${port}/`, { maxBytes: 100 })
    expect(opened).toMatchObject({ size: null, framed: true })
    expect((await gather(opened.body)).toString()).toBe('hello')
  })

  test('that only ends with the connection is not framed', async () => {
    const port = await serveRaw((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nhello'))
    const opened = await makeFetch().open(`http://127.0.0.1:${port}/`, { maxBytes: 100 })
    expect(opened).toMatchObject({ size: null, framed: false })
    expect((await gather(opened.body)).toString()).toBe('hello')
  })

  test('one after the other comes over connections that are used again', async () => {
    let connections = 0
    const server = createServer((_, response) => response.end('x'))
    server.on('connection', () => {
      connections += 1
    })
    const port = await listening(server)
    const fetch = makeFetch()
    for (let index = 0; index < 5; index += 1) await read(fetch, `http://127.0.0.1:${port}/${index}`)
    // A second one may be opened while the first is being put back.
    expect(connections).toBeLessThanOrEqual(2)
  })

  test('a connection that dies as it is used again is asked for once more', async () => {
    let requests = 0
    const port = await serve((request, response) => {
      requests += 1
      if (requests === 2) request.socket.destroy()
      else response.end('x')
    })
    const fetch = makeFetch()
    await read(fetch, `http://127.0.0.1:${port}/`)
    expect((await read(fetch, `http://127.0.0.1:${port}/`)).toString()).toBe('x')
  })

  test('a reader that does not read pauses the sender', async () => {
    let sent = 0
    const total = 256 * 1024 * 1024
    const piece = Buffer.alloc(1024 * 1024)
    let paused: () => void = () => {}
    const blocked = new Promise<void>((resolve) => {
      paused = resolve
    })
    const port = await serve((_, response) => {
      response.setHeader('content-length', total)
      const more = () => {
        while (sent < total) {
          sent += piece.length
          if (!response.write(piece)) {
            // Blocked for good only if no drain follows: tell once it has stayed so.
            const timer = setTimeout(paused, 500)
            response.once('drain', () => {
              clearTimeout(timer)
              more()
            })
            return
          }
        }
        response.end()
      }
      more()
    })
    const opened = await makeFetch().open(`http://127.0.0.1:${port}/`, { maxBytes: total })
    const iterator = opened.body[Symbol.asyncIterator]()
    await iterator.next()
    await blocked
    expect(sent).toBeLessThan(total / 4)
    await opened.close()
  })

  test('a reader that stops early ends the connection', async () => {
    const closed = Promise.withResolvers<void>()
    const port = await serve((_, response) => {
      response.on('close', () => closed.resolve())
      response.write('x'.repeat(100_000))
    })
    const opened = await makeFetch().open(`http://127.0.0.1:${port}/`, { maxBytes: 1_000_000 })
    for await (const _ of opened.body) break
    await closed.promise
  })
})

describe('limits', () => {
  test('content over the limit by its own account is refused before a byte is read', async () => {
    const port = await serve((_, response) => response.setHeader('content-length', 101).write('x'))
    const error = await errorOf(makeFetch().open(`http://127.0.0.1:${port}/`, { maxBytes: 100 }))
    expect(error).toMatchObject({ code: 'content_too_large', details: { size: 101, maxSize: 100 } })
  })

  test('chunked content over the limit is refused as it arrives; at the limit it passes', async () => {
    const port = await serve((_, response) => {
      response.write('x'.repeat(60))
      response.end('x'.repeat(41))
    })
    const fetch = makeFetch()
    expect((await errorOf(read(fetch, `http://127.0.0.1:${port}/`, 100))).code).toBe('content_too_large')
    expect(await read(fetch, `http://127.0.0.1:${port}/`, 101)).toHaveLength(101)
  })

  test('a body without end is cut at the limit', async () => {
    const port = await serve((_, response) => {
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
        response.once('drain', more)
      }
      more()
    })
    expect((await errorOf(read(makeFetch(), `http://127.0.0.1:${port}/`, 5_000_000))).code).toBe('content_too_large')
  })

  test('a Content-Length below the truth gives no byte more than announced', async () => {
    const port = await serveRaw((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, world'))
    expect((await read(makeFetch(), `http://127.0.0.1:${port}/`)).toString()).toBe('hello')
  })

  test.each([
    ['fewer bytes than announced', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello'],
    ['a chunk that is cut', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhello'],
    ['no last chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n'],
    ['broken chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n'],
  ])('%s is truncated, and worth a retry', async (_, answer) => {
    const port = await serveRaw((socket) => socket.end(answer))
    const error = await errorOf(read(makeFetch(), `http://127.0.0.1:${port}/`))
    expect(error).toMatchObject({ code: 'content_truncated', retryable: true })
  })

  test('a reset in the middle is truncated', async () => {
    const port = await serveRaw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello', () =>
        setImmediate(() => socket.resetAndDestroy()),
      )
    })
    const error = await errorOf(read(makeFetch(), `http://127.0.0.1:${port}/`))
    // A reset may overtake the headers in the client's buffers: then it is the server that fails.
    expect(['content_truncated', 'source_unavailable']).toContain(error.code)
    expect(error.retryable).toBe(true)
  })

  test('encoded content is not the media: refused', async () => {
    const port = await serve((_, response) => response.setHeader('content-encoding', 'gzip').end('x'))
    const error = await errorOf(read(makeFetch(), `http://127.0.0.1:${port}/`))
    expect(error).toMatchObject({ code: 'source_gone', retryable: false })
    expect(error.message).toContain('gzip')
  })
})

describe('time', () => {
  test('a server that says nothing is left', async () => {
    const port = await serveRaw(() => {})
    const error = await errorOf(read(makeFetch({ headersTimeout: 0.2 }), `http://127.0.0.1:${port}/`))
    expect(error).toMatchObject({ code: 'source_unavailable', retryable: true })
  })

  test('a body that stands still is left', async () => {
    const port = await serveRaw((socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello'))
    const error = await errorOf(read(makeFetch({ stallTimeout: 0.2 }), `http://127.0.0.1:${port}/`))
    expect(error).toMatchObject({ code: 'source_unavailable', retryable: true })
    expect(error.message).toContain('stopped sending')
  })

  test('a body that drips for ever ends at the total deadline', async () => {
    const port = await serveRaw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
      const timer = setInterval(() => socket.write('1\r\nx\r\n'), 20)
      socket.once('close', () => clearInterval(timer))
    })
    const error = await errorOf(read(makeFetch({ totalDeadline: 0.4 }), `http://127.0.0.1:${port}/`))
    expect(error).toMatchObject({ code: 'source_unavailable', retryable: true })
    expect(error.message).toContain('in all')
  })

  test('redirects do not extend the total deadline', async () => {
    const port = await serve((_, response) => {
      setTimeout(() => response.writeHead(302, { location: '/again' }).end(), 150)
    })
    const error = await errorOf(
      read(makeFetch({ totalDeadline: 0.4, maxRedirects: 1000 }), `http://127.0.0.1:${port}/`),
    )
    expect(error.message).toContain('in all')
  })

  test('a resolver that hangs is left', async () => {
    const fetch = makeFetch({ connectTimeout: 0.2, lookup: () => new Promise(() => {}) })
    const error = await errorOf(read(fetch, 'https://media.test/'))
    expect(error).toMatchObject({ code: 'source_unavailable', retryable: true })
  })

  test('an abort throws its reason, before and within the body', async () => {
    const port = await serve((_, response) => {
      response.write('x')
    })
    const fetch = makeFetch()
    const reason = new Error('stop')
    await expect(
      fetch.open(`http://127.0.0.1:${port}/`, { maxBytes: 10, signal: AbortSignal.abort(reason) }),
    ).rejects.toBe(reason)
    const controller = new AbortController()
    const opened = await fetch.open(`http://127.0.0.1:${port}/`, { maxBytes: 10, signal: controller.signal })
    const iterator = opened.body[Symbol.asyncIterator]()
    await iterator.next()
    controller.abort(reason)
    await expect(iterator.next()).rejects.toBe(reason)
  })

  test('a source that nobody reads is let go at the deadline, without an unhandled error', async () => {
    const closed = Promise.withResolvers<void>()
    const port = await serve((_, response) => {
      response.on('close', () => closed.resolve())
      response.write('x')
    })
    await makeFetch({ totalDeadline: 0.2 }).open(`http://127.0.0.1:${port}/`, { maxBytes: 10 })
    await closed.promise
  })
})

describe('answers that are not the content', () => {
  test.each([400, 401, 403, 404, 410, 451])('%i: the source is gone', async (status) => {
    const port = await serve((_, response) => response.writeHead(status).end('no'))
    const error = await errorOf(read(makeFetch(), `http://127.0.0.1:${port}/`))
    expect(error).toMatchObject({ code: 'source_gone', retryable: false, details: { sourceStatus: status } })
  })

  test.each([202, 204, 206, 304, 408, 425, 429, 500, 503])('%i: the source is failing', async (status) => {
    const port = await serve((_, response) => response.writeHead(status).end())
    const error = await errorOf(read(makeFetch(), `http://127.0.0.1:${port}/`))
    expect(error).toMatchObject({ code: 'source_unavailable', retryable: true, details: { sourceStatus: status } })
  })

  test.each([
    ['7', 7],
    ['86400', 3600],
    ['soon', undefined],
    ['Wed, 21 Oct 2015 07:28:00 GMT', 0],
    ['Wed, 21 Oct 2099 07:28:00 GMT', 3600],
  ])('Retry-After: %s', async (value, wanted) => {
    const port = await serve((_, response) => response.writeHead(503, { 'retry-after': value }).end())
    expect((await errorOf(read(makeFetch(), `http://127.0.0.1:${port}/`))).retryAfter).toBe(wanted)
  })

  test('a refused connection, an unknown name, a server that is not HTTP', async () => {
    const port = await serveRaw((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'))
    const closedPort = await serve(() => {})
    await cleanUps.pop()?.()
    for (const url of [`http://127.0.0.1:${port}/`, `http://127.0.0.1:${closedPort}/`, 'https://media.test/']) {
      const error = await errorOf(read(makeFetch(), url))
      expect(error, url).toMatchObject({ code: 'source_unavailable', retryable: true })
    }
  })

  test('errors name the scheme and host, never the path, the query or the answer', async () => {
    const port = await serve((_, response) => response.writeHead(404).end('secret-body'))
    const raw = await serveRaw((socket) => socket.end('secret-body\r\n\r\n'))
    const bad = ['404', 'raw', 'http', 'port', 'user'].map((kind) => {
      if (kind === '404') return `http://127.0.0.1:${port}/secret-path?sig=secret-query#secret`
      if (kind === 'raw') return `http://127.0.0.1:${raw}/secret-path?sig=secret-query`
      if (kind === 'http') return 'http://media.test/secret-path?sig=secret-query'
      if (kind === 'port') return 'https://media.test:25/secret-path?sig=secret-query'
      return 'https://secret-user:secret-word@media.test/secret-path?sig=secret-query'
    })
    for (const url of [...bad, 'secret-path', 'https://[secret-path/']) {
      const error = await errorOf(read(makeFetch(), url))
      expect(`${error.stack} ${JSON.stringify(error.details)} ${String(error.cause)}`, url).not.toMatch(
        /secret-(path|query|user|word|body)(?!\?sig)/,
      )
    }
  })
})

const loopback = [{ address: '127.0.0.1', family: 4 }] as const

describe('addresses', () => {
  test.each([
    'https://127.0.0.1/',
    'http://127.0.0.1/',
    'https://localhost/',
    'https://localhost./',
    'https://LOCALHOST/',
    'https://127.1/',
    'https://127.0.1/',
    'https://2130706433/',
    'https://0x7f000001/',
    'https://0x7f.0.0.1/',
    'https://0177.0.0.1/',
    'https://017700000001/',
    'https://127.0.0.1./',
    'https://%31%32%37.0.0.1/',
    'https://127%2e0.0.1/',
    'https://127.0.0.1/',
    'https://①②⑦.⓪.⓪.①/',
    'https://127。0。0。1/',
    'https://[::1]/',
    'https://[::]/',
    'https://[0:0:0:0:0:0:0:1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:7f00:1]/',
    'https://[::127.0.0.1]/',
    'https://[fe80::1%25eth0]/',
    'https://[fd00:ec2::254]/',
    'https://[64:ff9b::7f00:1]/',
    'https://[2002:7f00:1::]/',
    'https://0/',
    'https://0.0.0.0/',
    'https://169.254.169.254/latest/meta-data/',
    'https://10.0.0.1/',
    'https://192.168.1.1/',
    'https://172.16.0.1/',
    'https://100.100.100.200/',
    'https://168.63.129.16/',
    'https://good@127.0.0.1/',
    'https://good.test:pass@media.test/',
    'https://media.test@127.0.0.1/',
    'https:\\\\127.0.0.1\\',
    'https:/127.0.0.1/',
    'https:127.0.0.1',
    ' https://127.0.0.1/ ',
    'ht\ntps://127.0.0.1/',
    'https://256.256.256.256/',
    'https://1.2.3.4.5/',
    'file:///etc/passwd',
    'gopher://127.0.0.1:6379/_FLUSHALL',
    'ftp://media.test/',
    'ws://media.test/',
    'data:image/png;base64,AAAA',
    'javascript:alert(1)',
    'https://media.test:25/',
    'https://media.test:6379@127.0.0.1:22/',
    'http://media.test/',
  ])('%s is refused', async (url) => {
    const lookup = async (hostname: string) => (/localhost/i.test(hostname) ? loopback : unknownName())
    const fetch = makeFetch({ allowHosts: [], lookup })
    expect((await errorOf(fetch.open(url, { maxBytes: 10 }))).code).toBe('source_forbidden')
  })

  test.each(['', 'nonsense', '/path', '//media.test/x'])('%j is not a URL', async (url) => {
    expect((await errorOf(makeFetch().open(url, { maxBytes: 10 }))).code).toBe('invalid_source')
  })

  test("the system resolver's answer is judged too", async () => {
    const error = await errorOf(
      makeFetch({ allowHosts: [], lookup: undefined }).open('https://localhost/', { maxBytes: 10 }),
    )
    expect(error.code).toBe('source_forbidden')
  })

  test('one inside address among public ones refuses the name', async () => {
    const port = await serve((_, response) => response.end('inside'))
    const lookup = async () => [...loopback, { address: '93.184.216.34', family: 4 as const }]
    const fetch = makeFetch({ lookup, allowHosts: [], allowHttp: true })
    const error = await errorOf(fetch.open(`http://media.test:${port}/`, { maxBytes: 10 }))
    expect(error.code).toBe('source_forbidden')
  })

  test.each(['not an address', '', '127.0.0.1%lo', '0x5db8d822'])(
    'a resolver that answers %j is not believed',
    async (address) => {
      const lookup = async () => [{ address, family: 4 as const }]
      const error = await errorOf(makeFetch({ lookup }).open('https://media.test/', { maxBytes: 10 }))
      expect(error.code).toBe('source_forbidden')
    },
  )

  /** A server inside that must never see so much as a connection. */
  async function inside() {
    const seen = { connections: 0 }
    const server = createServer((_, response) => response.end('inside'))
    server.on('connection', () => {
      seen.connections += 1
    })
    return { seen, port: await listening(server) }
  }

  test('rebinding: the answer that is judged is the one connected to, and no second is asked for', async () => {
    let asked = 0
    const { seen, port } = await inside()
    // Something else at first sight, inside at the second: a check apart from the connect would be fooled.
    const lookup = async () => {
      asked += 1
      return asked === 1 ? [{ address: '240.0.0.1', family: 4 as const }] : loopback
    }
    const fetch = makeFetch({ lookup, allowHosts: [], allowHttp: true })
    for (const _ of [1, 2, 3]) {
      expect((await errorOf(fetch.open(`http://media.test:${port}/`, { maxBytes: 10 }))).code).toBe('source_forbidden')
    }
    expect(asked).toBe(3)
    expect(seen.connections).toBe(0)
  })

  test('an address in the URL is judged before it is connected to', async () => {
    const { seen, port } = await inside()
    const fetch = makeFetch({ allowHosts: [], allowHttp: true })
    for (const host of ['127.0.0.1', '0x7f000001', '127.1', '[::ffff:127.0.0.1]']) {
      expect((await errorOf(fetch.open(`http://${host}:${port}/`, { maxBytes: 10 }))).code).toBe('source_forbidden')
    }
    expect(seen.connections).toBe(0)
  })
})

describe('redirects', () => {
  const chain = (hops: number) =>
    serve((request, response) => {
      const hop = Number(request.url?.slice(1))
      if (hop < hops) response.writeHead(302, { location: `/${hop + 1}` }).end('moved')
      else response.end('there')
    })

  test('are followed, five at most', async () => {
    expect((await read(makeFetch(), `http://127.0.0.1:${await chain(5)}/0`)).toString()).toBe('there')
    const error = await errorOf(read(makeFetch(), `http://127.0.0.1:${await chain(6)}/0`))
    expect(error).toMatchObject({ code: 'source_gone', retryable: false })
  })

  test.each([301, 302, 303, 307, 308])('%i is one', async (status) => {
    const port = await serve((request, response) => {
      if (request.url === '/') response.writeHead(status, { location: '/there' }).end()
      else response.end(request.method)
    })
    expect((await read(makeFetch(), `http://127.0.0.1:${port}/`)).toString()).toBe('GET')
  })

  test.each([
    'http://127.0.0.1:1/',
    'https://127.0.0.1:1/',
    'https://[::ffff:7f00:1]/',
    'https://0x7f000001/',
    'https://169.254.169.254/',
    'https://inside.test/',
    'http://public.test/',
    '//0177.1/',
    'file:///etc/passwd',
    'https://user:word@public.test/',
    'https://[oops/',
  ])('to %s are refused, also from an allowed host', async (location) => {
    const port = await serve((_, response) => response.writeHead(302, { location }).end())
    const lookup = async (hostname: string) => (hostname === 'inside.test' ? loopback : unknownName())
    const fetch = makeFetch({ allowHosts: [`127.0.0.1:${port}`], lookup })
    expect((await errorOf(fetch.open(`http://127.0.0.1:${port}/`, { maxBytes: 10 }))).code).toBe('source_forbidden')
  })

  test('without a location are not content', async () => {
    const port = await serve((_, response) => response.writeHead(302).end('x'))
    expect((await errorOf(read(makeFetch(), `http://127.0.0.1:${port}/`))).code).toBe('source_unavailable')
  })
})

describe('allowed hosts', () => {
  test('an entry with a port allows that port only, one without allows all', async () => {
    const port = await serve((_, response) => response.end('x'))
    const other = await serve((_, response) => response.end('x'))
    const fetch = makeFetch({ allowHosts: [`127.0.0.1:${port}`] })
    await read(fetch, `http://127.0.0.1:${port}/`)
    expect((await errorOf(read(fetch, `http://127.0.0.1:${other}/`))).code).toBe('source_forbidden')
    await read(makeFetch({ allowHosts: ['127.0.0.1'] }), `http://127.0.0.1:${other}/`)
  })

  test('a name is allowed by name: its address alone is not, nor is another name for it', async () => {
    const port = await serve((_, response) => response.end('x'))
    const lookup = async () => loopback
    const fetch = makeFetch({ allowHosts: ['Media.Internal'], lookup, allowHttp: true })
    await read(fetch, `http://media.internal:${port}/`)
    for (const host of ['127.0.0.1', 'other.internal', 'x.media.internal', 'media.internal.evil.test']) {
      expect((await errorOf(read(fetch, `http://${host}:${port}/`))).code, host).toBe('source_forbidden')
    }
  })

  test('allowHttp opens public hosts, not private ones', async () => {
    const asked: string[] = []
    const lookup = async (hostname: string) => {
      asked.push(hostname)
      if (hostname === 'inside.test') return loopback
      return unknownName()
    }
    const fetch = makeFetch({ allowHosts: [], allowHttp: true, lookup })
    expect((await errorOf(fetch.open('http://inside.test/', { maxBytes: 1 }))).code).toBe('source_forbidden')
    expect((await errorOf(fetch.open('http://127.0.0.1/', { maxBytes: 1 }))).code).toBe('source_forbidden')
    // Not refused for being http: it is looked up, and that fails as it does for any source.
    expect((await errorOf(fetch.open('http://public.test/', { maxBytes: 1 }))).code).toBe('source_unavailable')
    expect(asked).toEqual(['inside.test', 'public.test'])
  })

  test.each(['https://a.test', '*.a.test', 'a.test/path', 'a.test:0', 'a.test:99999', 'user@a.test', '', '::1', 'a b'])(
    '%j is not an entry',
    (entry) => {
      expect(() => createGuardedFetch({ allowHosts: [entry], allowHttp: false })).toThrow(
        expect.objectContaining({ code: 'invalid_setting' }),
      )
    },
  )
})

describe('https', () => {
  // A key that signs nothing but these tests.
  const file = (name: string) => readFileSync(new URL(`./fixtures/${name}`, import.meta.url), 'utf8')
  const cert = file('media-test.cert.pem')
  const key = file('media-test.key.pem')

  async function serveTls(listener: RequestListener): Promise<number> {
    const server = createTlsServer({ cert, key }, listener)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    cleanUps.push(async () => {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    })
    const address = server.address() as AddressInfo
    return address.port
  }

  test('the certificate is verified against the name in the URL, the connection goes to the judged address', async () => {
    let servername: unknown
    const port = await serveTls((request, response) => {
      servername = 'servername' in request.socket ? request.socket.servername : undefined
      response.end('hello')
    })
    const options = { allowHosts: ['media.test', 'other.test'], lookup: async () => loopback }
    const fetch = makeFetch({ ...options, ca: cert })
    expect((await read(fetch, `https://media.test:${port}/`)).toString()).toBe('hello')
    expect(servername).toBe('media.test')
    const wrongName = await errorOf(read(fetch, `https://other.test:${port}/`))
    expect(wrongName).toMatchObject({
      code: 'source_unavailable',
      details: { reason: 'ERR_TLS_CERT_ALTNAME_INVALID' },
    })
    const unknown = await errorOf(read(makeFetch(options), `https://media.test:${port}/`))
    expect(unknown.code).toBe('source_unavailable')
    expect(unknown.message).toContain('not signed by a known authority')
  })

  test('a redirect from https to http is refused unless the http host is allowed', async () => {
    const plain = await serve((_, response) => response.end('plain'))
    const port = await serveTls((_, response) =>
      response.writeHead(302, { location: `http://plain.test:${plain}/` }).end(),
    )
    const options = { ca: cert, lookup: async () => loopback }
    const strict = makeFetch({ ...options, allowHosts: ['media.test'] })
    expect((await errorOf(read(strict, `https://media.test:${port}/`))).code).toBe('source_forbidden')
    const open = makeFetch({ ...options, allowHosts: ['media.test', 'plain.test'] })
    expect((await read(open, `https://media.test:${port}/`)).toString()).toBe('plain')
  })
})

test('no proxy from the environment is used', async () => {
  let proxied = 0
  const proxy = await serve((_, response) => {
    proxied += 1
    response.end('proxy')
  })
  const port = await serve((_, response) => response.end('direct'))
  const names = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'NODE_USE_ENV_PROXY']
  for (const name of names) process.env[name] = name === 'NODE_USE_ENV_PROXY' ? '1' : `http://127.0.0.1:${proxy}`
  cleanUps.push(() => {
    for (const name of names) delete process.env[name]
  })
  expect((await read(makeFetch(), `http://127.0.0.1:${port}/`)).toString()).toBe('direct')
  expect(proxied).toBe(0)
})
