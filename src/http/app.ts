import { OpenAPIHono } from '@hono/zod-openapi'
import { cors } from 'hono/cors'
import { createMiddleware } from 'hono/factory'
import { methodNotAllowed } from 'hono/method-not-allowed'
import type { Logger } from '../logger.ts'
import { KeepsakeError } from '../media/index.ts'
import type { Keepsake } from '../verbs.ts'
import { type Authenticate, type Authorize, type AuthSettings, authorizedBy, createAuthenticator } from './auth.ts'
import { jsonBodyLimit } from './body.ts'
import { type HttpContext, type HttpEnv, isTrustedCaller } from './env.ts'
import { addExtensions, type HttpExtension } from './extension.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { answerInvalid, answerProblem, toKeepsakeError } from './problem.ts'
import { logRequests } from './request-log.ts'
import { addAssetRoutes } from './routes/assets.ts'
import { addAuditRoute } from './routes/audit.ts'
import { addCleanupRoute } from './routes/cleanup.ts'
import { addCollectionRoutes } from './routes/collections.ts'
import { addContentRoute } from './routes/contents.ts'
import { addDocsRoutes } from './routes/docs.ts'
import { addDoctorRoute } from './routes/doctor.ts'
import { addHealthRoutes } from './routes/health.ts'
import { addImportRoute } from './routes/imports.ts'
import { addLinkRoutes } from './routes/links.ts'
import { addMoveRoutes } from './routes/moves.ts'
import { addPromotionRoute } from './routes/promotions.ts'
import { addRebuildRoute } from './routes/rebuild.ts'
import { addReconcileRoutes } from './routes/reconcile.ts'
import { addReplicaRoutes } from './routes/replica.ts'
import { addReportRoute } from './routes/report.ts'
import { addUploadRoutes } from './routes/uploads.ts'
import { addUppyRoutes } from './routes/uppy.ts'
import { addVerifyRoute } from './routes/verify.ts'
import { addWebhookRoutes } from './routes/webhooks.ts'

export type HttpAppOptions = {
  readonly keepsake: Keepsake
  /** Keys and tokens, or how another app knows its users. */
  readonly auth: AuthSettings | { readonly authorize: Authorize }
  readonly logger: Logger
  /** Keepsake's version, for the documentation and /healthz. */
  readonly version: string
  /** Default: its own, over the keepsake's counts. */
  readonly metrics?: Metrics
  /** Show /metrics to everybody. Default: to an API key only. */
  readonly publicMetrics?: boolean
  /** The path that the app is mounted under, for addresses in answers. Default: none. */
  readonly basePath?: string
  /** Origins whose pages may call, such as `https://app.example`. Default: none. */
  readonly corsOrigins?: readonly string[]
  /** Routes beside Keepsake's own. Default: none. */
  readonly extensions?: readonly HttpExtension[]
}

export type HttpApp = OpenAPIHono<HttpEnv>

const apiPolicy = "default-src 'none'; frame-ancestors 'none'"

/**
 * Keepsake's HTTP contract as a web-standard app: `app.fetch(request)` answers a `Response`, so it runs under
 * {@link serveHttp}, mounts in another framework, and is called within a process.
 *
 * @example
 * const app = createHttpApp({ keepsake, auth: { apiKeys: [key] }, logger, version })
 * const response = await app.fetch(new Request('http://keepsake/v1/collections', { headers }))
 */
export function createHttpApp(options: HttpAppOptions): HttpApp {
  const { keepsake, logger, version } = options
  const metrics = options.metrics ?? createMetrics(keepsake)
  const collections = [...keepsake.collections.values()]
  const app: HttpApp = new OpenAPIHono<HttpEnv>({
    defaultHook: (result, c) => (result.success ? undefined : answerInvalid(c, result.target, result.error)),
  })

  app.onError((thrown, c) => {
    const error = toKeepsakeError(thrown)
    const report = { requestId: c.get('requestId'), err: error }
    if (error.status >= 500 && error.code !== 'stopping') {
      logger[error.code === 'internal' ? 'error' : 'warn'](report, error.code === 'internal' ? 'defect' : 'failed')
    } else {
      logger.debug(report, 'refused')
    }
    return answerProblem(c, error)
  })
  app.notFound((c) => {
    return answerProblem(
      c,
      new KeepsakeError('route_not_found', 'There is nothing at this path. See /docs for what there is.'),
    )
  })

  app.use(logRequests(logger, metrics))
  app.use(secureHeaders)
  if (options.basePath) app.use(underBase(options.basePath))
  if (options.corsOrigins && options.corsOrigins.length > 0) app.use(corsFor(options.corsOrigins))
  app.use(methodNotAllowed({ app, onMethodNotAllowed: refuseMethod }))
  const authenticate = authentication(options, keepsake)
  app.use('/v1/*', authenticate)
  if (!options.publicMetrics) app.use('/metrics', authenticate)

  const attributes = new Set(collections.flatMap((collection) => Object.keys(collection.attributes)))
  addImportRoute(app, { bodyLimit: jsonBodyLimit(Math.max(0, ...collections.map(({ maxSize }) => maxSize))), metrics })
  addContentRoute(app, { keepsake, metrics })
  addUploadRoutes(app)
  app.use('/uppy/*', authenticate)
  addUppyRoutes(app, { keepsake, basePath: options.basePath ?? '' })
  addAssetRoutes(app, { attributes: [...attributes].sort() })
  addLinkRoutes(app)
  addCollectionRoutes(app, keepsake)
  addAuditRoute(app)
  addReportRoute(app)
  addRebuildRoute(app, keepsake)
  addVerifyRoute(app, keepsake)
  addCleanupRoute(app, keepsake)
  addReplicaRoutes(app, keepsake)
  addPromotionRoute(app, keepsake)
  addWebhookRoutes(app, keepsake)
  addReconcileRoutes(app, keepsake)
  addDoctorRoute(app, keepsake)
  addMoveRoutes(app, keepsake)
  addHealthRoutes(app, { keepsake, metrics, publicMetrics: options.publicMetrics ?? false, logger, version })
  addExtensions(app, options.extensions ?? [], { keepsake, authenticate })
  addDocsRoutes(app, version)
  return app
}

function authentication(options: HttpAppOptions, keepsake: Keepsake) {
  const { auth } = options
  const authenticate =
    'authorize' in auth
      ? (c: HttpContext, requestId: string) => authorizedBy(auth.authorize, c.req.raw, requestId)
      : byCredentials(createAuthenticator(auth))
  return createMiddleware<HttpEnv>(async (c, next) => {
    const authorization = c.req.header('authorization')
    const requestId = c.get('requestId')
    const byDoor = authorization === undefined && isTrustedCaller(c.env)
    const actor = byDoor ? ({ role: 'service', requestId } as const) : await authenticate(c, requestId)
    c.set('actor', actor)
    c.set('verbs', keepsake.as(actor))
    await next()
  })
}

function byCredentials(authenticate: Authenticate) {
  return (c: HttpContext, requestId: string) => authenticate(c.req.header('authorization'), requestId)
}

const secureHeaders = createMiddleware<HttpEnv>(async (c, next) => {
  await next()
  const { headers } = c.res
  headers.set('x-content-type-options', 'nosniff')
  headers.set('referrer-policy', 'no-referrer')
  if (!headers.has('content-security-policy')) headers.set('content-security-policy', apiPolicy)
  // Answers hold signed links, which are secrets: nothing between may keep them.
  if (!headers.has('cache-control')) headers.set('cache-control', 'no-store')
})

/** An address on this server, as the world sees it. */
function underBase(base: string) {
  return createMiddleware<HttpEnv>(async (c, next) => {
    await next()
    const location = c.res.headers.get('location')
    if (location?.startsWith('/')) c.res.headers.set('location', base + location)
  })
}

function corsFor(origins: readonly string[]) {
  return cors({
    origin: [...origins],
    allowMethods: ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE'],
    allowHeaders: ['Authorization', 'Content-Type', 'Idempotency-Key', 'X-Request-Id'],
    exposeHeaders: ['Location', 'Retry-After', 'X-Request-Id'],
    maxAge: 600,
  })
}

function refuseMethod(c: HttpContext, methods: readonly string[]): Response {
  const allow = methods.join(', ')
  const error = new KeepsakeError('method_not_allowed', `This path takes ${allow}.`)
  return answerProblem(c, error, { headers: { allow } })
}
