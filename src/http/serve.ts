import { chmod } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Server as NetServer, Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { Logger } from '../logger.ts'
import { KeepsakeError } from '../media/index.ts'
import type { HttpApp } from './app.ts'
import { type HttpBindings, trustedCaller } from './env.ts'
import { problemResponse } from './problem.ts'
import { requestIdOf } from './request-log.ts'

export type ServeOptions = {
  readonly app: Pick<HttpApp, 'fetch'>
  readonly host: string
  /** 0 for any free port. */
  readonly port: number
  /**
   * A second door, that only this user can open: binds the server to a unix domain socket (mode 0600, in a private
   * folder) and says where. Requests through it are the service's without a key. An open data folder is one.
   */
  readonly socket?: { listen(server: NetServer): Promise<string> }
  readonly logger: Logger
  /** Seconds that a stop waits for requests in flight. Default: 30. */
  readonly stopTimeout?: number
}

export type HttpServer = {
  /** Where it answers, e.g. `http://127.0.0.1:8000`. */
  readonly url: string
  readonly port: number
  readonly socketPath: string | null
  /** Takes no more connections, finishes the requests in flight, then lets go. Harmless when repeated. */
  close(): Promise<void>
}

/** Milliseconds. */
const headersTimeout = 15_000
/** For a whole request: a 100 MB asset in base64 at 4 Mbit/s. */
const requestTimeout = 300_000
/** Longer than the idle time of common load balancers (60 s), so that it is they who close. */
const keepAliveTimeout = 65_000
const sweepInterval = 50

/**
 * Serves an app over TCP, and over a unix domain socket where one is given.
 *
 * @throws {KeepsakeError} `invalid_setting` where the address cannot be used.
 */
export async function serveHttp(options: ServeOptions): Promise<HttpServer> {
  const state: StopState = { stopping: false, inFlight: new Set() }
  const tcp = createListener(options, state, {})
  await listen(tcp, options)
  const { port } = addressOf(tcp)
  const servers = [tcp]
  let socketPath: string | null = null
  if (options.socket) {
    const unix = createListener(options, state, trustedCaller)
    try {
      socketPath = await listenPrivately(unix, options.socket)
    } catch (error) {
      await closeServer(tcp)
      throw error
    }
    servers.push(unix)
  }
  let closing: Promise<void> | undefined
  return {
    url: `http://${hostInUrl(options.host)}:${port}`,
    port,
    socketPath,
    close: () => {
      closing ??= stop(servers, state, options)
      return closing
    },
  }
}

type StopState = { stopping: boolean; readonly inFlight: Set<ServerResponse> }

function createListener(options: ServeOptions, state: StopState, bindings: HttpBindings): Server {
  const handle = getRequestListener((request) => options.app.fetch(request, bindings), {
    // This process may be somebody's app: its global Request and Response stay Node's.
    overrideGlobalObjects: false,
    errorHandler: (error) => refuseMalformed(error, options.logger),
  })
  const onRequest = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    state.inFlight.add(outgoing)
    outgoing.once('close', () => state.inFlight.delete(outgoing))
    if (state.stopping) return refuseWhileStopping(incoming, outgoing)
    // It answers every failure itself; what is left is a connection that is gone.
    handle(incoming, outgoing).catch((error: unknown) => options.logger.debug({ err: error }, 'connection lost'))
  }
  return createServer({ headersTimeout, requestTimeout, keepAliveTimeout }, onRequest)
}

/** A request line or Host header from which no URL can be made, or an app that failed outside of its own handling. */
function refuseMalformed(error: unknown, logger: Logger): Response {
  const requestId = requestIdOf(undefined)
  const malformed = error instanceof Error && error.name === 'RequestError'
  if (!malformed) logger.error({ requestId, err: error }, 'defect')
  const problem = malformed
    ? new KeepsakeError('invalid_request', 'The request’s address or Host header is malformed.')
    : KeepsakeError.from(error)
  return problemResponse(problem, { requestId, headers: { 'x-request-id': requestId, connection: 'close' } })
}

function refuseWhileStopping(incoming: IncomingMessage, outgoing: ServerResponse): void {
  const given = incoming.headers['x-request-id']
  const requestId = requestIdOf(typeof given === 'string' ? given : undefined)
  const error = new KeepsakeError('stopping', 'This server is stopping. Send the request again.', { retryAfter: 1 })
  const response = problemResponse(error, { requestId, headers: { 'x-request-id': requestId } })
  response
    .text()
    .then((body) => {
      outgoing.writeHead(response.status, { ...Object.fromEntries(response.headers), connection: 'close' })
      outgoing.end(body)
    })
    .catch(() => outgoing.destroy())
}

/** Whoever gets through this door is trusted: nobody may before it is this user's alone. */
async function listenPrivately(server: Server, door: NonNullable<ServeOptions['socket']>): Promise<string> {
  const refuse = (connection: Socket) => connection.destroy()
  server.on('connection', refuse)
  const path = await door.listen(server)
  await chmod(path, 0o600)
  server.off('connection', refuse)
  return path
}

async function listen(server: Server, { host, port }: ServeOptions): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen({ host, port }, () => {
    server.off('error', reject)
    resolve()
  })
  try {
    await promise
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error'
    const why = code === 'EADDRINUSE' ? 'another process listens there' : code
    throw new KeepsakeError(
      'invalid_setting',
      `The server cannot listen at ${host}, port ${port}: ${why}. Choose another HOST or PORT.`,
      { cause },
    )
  }
}

function addressOf(server: Server): AddressInfo {
  const address = server.address()
  if (typeof address === 'object' && address !== null) return address
  throw new KeepsakeError('internal', 'A listening server has no address.')
}

/** An address that a client can open: a wildcard stands for this machine, IPv6 goes in brackets (RFC 3986, 3.2.2). */
function hostInUrl(host: string): string {
  if (host === '0.0.0.0' || host === '::' || host === '') return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}

async function stop(servers: readonly Server[], state: StopState, options: ServeOptions): Promise<void> {
  state.stopping = true
  for (const response of state.inFlight) {
    // Told to the client while it still can be: this connection takes no further request.
    if (!response.headersSent) response.shouldKeepAlive = false
  }
  const until = performance.now() + (options.stopTimeout ?? 30) * 1000
  const sweep = setInterval(() => {
    const late = performance.now() >= until
    if (late) options.logger.warn({ requests: state.inFlight.size }, 'stopped with requests in flight')
    for (const server of servers) {
      // With nothing in flight, what is open has not even sent a request's headers: a browser's spare connection.
      if (late || state.inFlight.size === 0) server.closeAllConnections()
      else server.closeIdleConnections()
    }
  }, sweepInterval)
  try {
    await Promise.all(servers.map(closeServer))
  } finally {
    clearInterval(sweep)
  }
}

/** Takes no more connections; resolves when the last one has gone. */
async function closeServer(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  server.close(() => resolve())
  await promise
}
