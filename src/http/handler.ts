import type { IncomingMessage, ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { type Logger, silentLogger } from '../logger.ts'
import { KeepsakeError } from '../media/index.ts'
import type { Keepsake } from '../verbs.ts'
import { version } from '../version.ts'
import { createHttpApp } from './app.ts'
import type { Authorize } from './auth.ts'
import type { HttpExtension } from './extension.ts'
import { problemResponse } from './problem.ts'
import { requestIdOf } from './request-log.ts'

export type HandlerOptions = {
  /**
   * Says who asks, by whatever the app knows its users by: a session cookie, a header. An owner sees and makes only
   * its own; the service any owner's; null is nobody, and gets 401. It is given the request as it came: its body is not
   * to be read.
   */
  readonly authorize: Authorize
  /** The path that the handler is mounted under, such as `/api/media`. Default: none. */
  readonly basePath?: string
  /** Origins whose pages may call, such as `https://app.example`. Default: none. */
  readonly corsOrigins?: readonly string[]
  /** Routes beside Keepsake's own. Default: those of the configuration. */
  readonly extensions?: readonly HttpExtension[]
  /** Default: says nothing. */
  readonly logger?: Logger
}

/** A web-standard request handler. */
export type Handler = (request: Request) => Promise<Response>

/**
 * The HTTP API for another framework, with that app's own users: a function from `Request` to `Response`.
 *
 * @example
 * const handle = createHandler(keepsake, { basePath: '/api/media', authorize: async (request) => {
 *   const user = await session(request)
 *   return user ? { owner: user.id } : null
 * } })
 */
export function createHandler(keepsake: Keepsake, options: HandlerOptions): Handler {
  const base = checkBasePath(options.basePath ?? '')
  /** Requests as they came, by those that the app sees. */
  const originals = new WeakMap<Request, Request>()
  const app = createHttpApp({
    keepsake,
    auth: { authorize: (request) => options.authorize(originals.get(request) ?? request) },
    logger: options.logger ?? silentLogger,
    version,
    basePath: base,
    ...(options.corsOrigins ? { corsOrigins: options.corsOrigins } : {}),
    ...(options.extensions ? { extensions: options.extensions } : {}),
  })
  return async (request) => {
    const url = new URL(request.url)
    if (base !== '') {
      if (url.pathname !== base && !url.pathname.startsWith(`${base}/`)) return notHere(base)
      url.pathname = url.pathname.slice(base.length)
    }
    const { method, headers, body, signal } = request
    if (isForged(request, options.corsOrigins ?? [])) return notFromThere()
    // A body that streams says so; a framework's own kind of request becomes a plain one.
    const inner = new Request(url, { method, headers, signal, ...(body === null ? {} : { body, duplex: 'half' }) })
    originals.set(inner, request)
    return app.fetch(inner)
  }
}

/**
 * A handler for servers that speak Node's `(request, response)`: Express, Fastify, `node:http`. The body must not have
 * been read before: mount it ahead of body parsers.
 *
 * @example
 * app.use('/api/media', toNodeListener(handle))
 */
export function toNodeListener(
  handler: Handler,
): (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void> {
  // The process is somebody else's app: its global Request and Response stay Node's.
  const listener = getRequestListener(handler, { overrideGlobalObjects: false })
  const refuse = getRequestListener(bodyIsGone, { overrideGlobalObjects: false })
  return async (incoming, outgoing) => {
    if (incoming.readableEnded && hasBody(incoming)) return refuse(incoming, outgoing)
    // Express and Connect cut off the path that something is mounted under; the base path says it already.
    const whole: unknown = Reflect.get(incoming, 'originalUrl')
    if (typeof whole === 'string') incoming.url = whole
    await listener(incoming, outgoing)
  }
}

function checkBasePath(path: string): string {
  const base = path.replace(/\/+$/, '')
  if (base === '' || /^(\/[A-Za-z0-9._~-]+)+$/.test(base)) return base
  throw new KeepsakeError(
    'invalid_setting',
    `The base path is '${path}'. Allowed is a path such as /api/media, which starts with a slash.`,
  )
}

function notHere(base: string): Response {
  const error = new KeepsakeError('route_not_found', `Keepsake is mounted under ${base}.`)
  return problemResponse(error, { requestId: requestIdOf(undefined) })
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/** The commonest mistake of a mount; without a word of it, a request that is right is told that its JSON is not. */
function bodyIsGone(): Response {
  const error = new KeepsakeError(
    'invalid_setting',
    'A body parser has read the request before Keepsake got it. Mount the handler ahead of body parsers: see ' +
      'docs/frameworks.md.',
  )
  return problemResponse(error, { requestId: requestIdOf(undefined) })
}

/**
 * A browser sends forms and bare bytes with the user's cookies from any page, without asking first. It says from where
 * (Fetch Metadata); a page of another origin needs to be among `corsOrigins`, as it does for JSON.
 */
function isForged({ method, headers }: Request, origins: readonly string[]): boolean {
  if (['GET', 'HEAD', 'OPTIONS'].includes(method) || headers.has('authorization')) return false
  const site = headers.get('sec-fetch-site')
  return (site === 'cross-site' || site === 'same-site') && !origins.includes(headers.get('origin') ?? '')
}

function notFromThere(): Response {
  const error = new KeepsakeError('forbidden', 'The page that sent this is of another origin, and not in corsOrigins.')
  return problemResponse(error, { requestId: requestIdOf(undefined) })
}
