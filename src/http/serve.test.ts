import { stat } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { Agent, fetch as undiciFetch } from 'undici'
import { describe, expect, it } from 'vitest'
import { apiKey, gif, startTestServer } from '../../test/support/http.ts'
import { plainVerbs } from '../../test/support/verbs.ts'
import { createLogger } from '../logging/index.ts'
import type { Keepsake } from '../verbs.ts'
import { serveHttp } from './serve.ts'

/** A keepsake whose imports wait until they are let go, to have requests in flight without a clock. */
function gate() {
  const begun = Promise.withResolvers<void>()
  const open = Promise.withResolvers<void>()
  const wrap = (keepsake: Keepsake): Keepsake => ({
    ...keepsake,
    as: (actor) => {
      const verbs = keepsake.as(actor)
      return {
        ...plainVerbs(verbs),
        import: async (...request) => {
          begun.resolve()
          await open.promise
          return verbs.import(...request)
        },
      }
    },
  })
  return { begun: begun.promise, open: () => open.resolve(), wrap }
}

const body = { source: { base64: gif.toString('base64') } }

/** What a raw connection gets until the other side closes it. */
async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString()
}

async function connected(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  await new Promise((resolve) => socket.once('connect', resolve))
  return socket
}

describe('the unix domain socket', () => {
  it('needs no key and opens for this user alone', async () => {
    const server = await startTestServer()
    const dispatcher = new Agent({ connect: { socketPath: server.socketPath ?? '' } })
    try {
      const response = await undiciFetch('http://keepsake/v1/collections', { dispatcher })
      expect(response.status).toBe(200)
      expect((await stat(server.socketPath ?? '')).mode & 0o777).toBe(0o600)
    } finally {
      await dispatcher.close()
      await server.stop()
    }
  })

  it('still checks a key that is sent', async () => {
    const server = await startTestServer()
    const dispatcher = new Agent({ connect: { socketPath: server.socketPath ?? '' } })
    try {
      const headers = { authorization: 'Bearer wrong' }
      expect((await undiciFetch('http://keepsake/v1/collections', { dispatcher, headers })).status).toBe(401)
    } finally {
      await dispatcher.close()
      await server.stop()
    }
  })

  it('cannot be feigned over TCP by any header', async () => {
    const server = await startTestServer()
    try {
      for (const headers of [
        { trusted: 'true' },
        { 'x-keepsake-trusted': '1' },
        { 'keepsake.trusted': 'true' },
        { host: 'keepsake' },
      ]) {
        expect((await fetch(`${server.url}/v1/collections`, { headers })).status).toBe(401)
      }
    } finally {
      await server.stop()
    }
  })
})

describe('a stop', () => {
  it('finishes what is in flight, refuses what comes meanwhile, and then accepts nothing', async () => {
    const { begun, open, wrap } = gate()
    const server = await startTestServer({ wrap })
    const late = await connected(server.port)
    const inFlight = server.call('/v1/collections/generations/imports', { body })
    await begun
    const closing = server.close()
    late.write('GET /healthz HTTP/1.1\r\nHost: a\r\nX-Request-Id: late\r\n\r\n')
    const refused = await readAll(late)
    expect(refused).toMatch(/^HTTP\/1\.1 503 /)
    expect(refused).toMatch(/connection: close/i)
    expect(refused).toMatch(/"code":"stopping".*"requestId":"late"/)
    open()
    const response = await inFlight
    expect(response.status).toBe(201)
    expect(response.headers.get('connection')).toBe('close')
    await closing
    await expect(fetch(`${server.url}/healthz`)).rejects.toThrow()
    await server.stop()
  })

  it('does not wait for idle connections, nor for ones that never asked anything', async () => {
    const server = await startTestServer()
    const silent = await connected(server.port)
    const kept = await connected(server.port)
    kept.write('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n')
    await new Promise((resolve) => kept.once('data', resolve))
    const ends = Promise.all(
      [silent, kept].map((socket) => new Promise((resolve) => socket.resume().once('close', resolve))),
    )
    await server.close()
    await ends
    await server.stop()
  })

  it('gives up on requests in flight at its deadline', async () => {
    const { begun, open, wrap } = gate()
    const server = await startTestServer({ wrap, stopTimeout: 0.1 })
    const inFlight = server.call('/v1/collections/generations/imports', { body }).then(
      () => 'answered',
      () => 'cut',
    )
    await begun
    await server.close()
    expect(await inFlight).toBe('cut')
    open()
    await server.stop()
  })
})

describe('over TCP', () => {
  it.each([
    ['a malformed Host', 'GET /healthz HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n'],
    ['no path', 'GET * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'],
    ['a path with a backslash', 'GET /a\\b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'],
    ['an absolute address that is none', 'GET http://[ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'],
    ['no HTTP', 'hello\r\n\r\n'],
  ])('%s is a 400', async (_, text) => {
    const server = await startTestServer()
    try {
      const socket = await connected(server.port)
      socket.write(text)
      expect(await readAll(socket)).toMatch(/^HTTP\/1\.1 400 /)
    } finally {
      await server.stop()
    }
  })

  it('leaves the global Request and Response as they are', async () => {
    const before = [globalThis.Request, globalThis.Response]
    const server = await startTestServer()
    expect([globalThis.Request, globalThis.Response]).toEqual(before)
    await server.stop()
  })

  it('says which address is taken', async () => {
    const server = await startTestServer()
    try {
      const logger = createLogger({ level: 'silent' })
      const second = serveHttp({ app: server.app, host: '127.0.0.1', port: server.port, logger })
      await expect(second).rejects.toMatchObject({
        code: 'invalid_setting',
        message: expect.stringContaining(`127.0.0.1, port ${server.port}: another process listens there`),
      })
    } finally {
      await server.stop()
    }
  })

  it('answers many at once', async () => {
    const server = await startTestServer()
    try {
      const headers = { authorization: `Bearer ${apiKey}` }
      const all = await Promise.all(
        Array.from({ length: 50 }, () => fetch(`${server.url}/v1/collections`, { headers })),
      )
      expect(new Set(all.map(({ status }) => status))).toEqual(new Set([200]))
    } finally {
      await server.stop()
    }
  })
})
