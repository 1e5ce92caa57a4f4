import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo, Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createHttpApp, type HttpAppOptions, serveHttp } from '../../src/http/index.ts'
import { createLogger } from '../../src/logging/index.ts'
import type { Keepsake } from '../../src/verbs.ts'
import { openTestParts, type TestKeepsakeOptions } from './keepsake.ts'

export const apiKey = 'test-api-key-0123456789'

/** The smallest picture there is: 43 bytes. */
export const gif = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64')

export type TestServer = Awaited<ReturnType<typeof startTestServer>>

export type TestServerOptions = TestKeepsakeOptions &
  Partial<Pick<HttpAppOptions, 'auth' | 'corsOrigins' | 'publicMetrics'>> & {
    /** Puts something between the face and the keepsake: a part that fails, or one that waits. */
    readonly wrap?: (keepsake: Keepsake) => Keepsake
    readonly stopTimeout?: number
  }

/** The whole service over real sockets: TCP on the loopback, and a unix domain socket. */
export async function startTestServer(options: TestServerOptions = {}) {
  const lines: string[] = []
  const logger = createLogger({ level: 'debug', output: { write: (line) => lines.push(line) } })
  const { wrap, stopTimeout, auth = { apiKeys: [apiKey] }, corsOrigins, publicMetrics, ...keepsakeOptions } = options
  const parts = await openTestParts({ ...keepsakeOptions, ...(corsOrigins ? { corsOrigins } : {}) })
  const real = parts.keepsake
  const keepsake = wrap ? wrap(real) : real
  const extensions = (options.extensions ?? []).flatMap(({ http }) => http ?? [])
  const app = createHttpApp({ auth, logger, version: '1.2.3', corsOrigins, publicMetrics, keepsake, extensions })
  const folder = await mkdtemp(join(tmpdir(), 'keepsake-http-'))
  const socket = {
    listen: async (server: Server) => {
      const path = join(folder, 'test.sock')
      await new Promise<void>((resolve) => server.listen(path, resolve))
      return path
    },
  }
  const server = await serveHttp({ app, host: '127.0.0.1', port: 0, socket, logger, stopTimeout })
  return {
    ...server,
    app,
    keepsake,
    /** To look past Keepsake. */
    parts,
    log: () => lines.join(''),
    /** A request with the API key; an object as the body is sent as JSON. */
    call: (path: string, init: { method?: string; body?: unknown; headers?: Record<string, string> } = {}) =>
      fetch(`${server.url}${path}`, {
        method: init.method ?? (init.body === undefined ? 'GET' : 'POST'),
        redirect: 'manual',
        headers: {
          authorization: `Bearer ${apiKey}`,
          ...(init.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...init.headers,
        },
        ...(init.body === undefined
          ? {}
          : { body: typeof init.body === 'string' ? init.body : JSON.stringify(init.body) }),
      }),
    async stop() {
      await server.close()
      await real.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A plain HTTP server on the loopback, as a source of media or of keys. */
export async function startSource(handler: RequestListener) {
  const server = createServer(handler)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    host: `127.0.0.1:${port}`,
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
