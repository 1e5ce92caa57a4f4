import { randomUUID } from 'node:crypto'
import { createMiddleware } from 'hono/factory'
import { routePath } from 'hono/route'
import type { Logger } from '../logger.ts'
import type { HttpContext, HttpEnv } from './env.ts'
import type { Metrics } from './metrics.ts'

/** A caller's own id is taken when it is plain: it goes into logs, headers and audit rows. */
export function requestIdOf(given: string | null | undefined): string {
  return given && /^[A-Za-z0-9._-]{1,128}$/.test(given) ? given : randomUUID()
}

const quietRoutes = new Set(['/healthz', '/readyz', '/metrics'])

/**
 * Gives a request its id and writes one line about it. No path and no query string: a path holds ids, a query may
 * hold secrets; the route's template and the request id tell enough.
 */
export function logRequests(logger: Logger, metrics: Metrics) {
  return createMiddleware<HttpEnv>(async (c, next) => {
    const start = performance.now()
    const requestId = requestIdOf(c.req.header('x-request-id'))
    c.set('requestId', requestId)
    await next()
    c.header('x-request-id', requestId)
    const milliseconds = performance.now() - start
    const route = routeOf(c)
    const { status } = c.res
    metrics.observeRequest(c.req.method, route, status, milliseconds / 1000)
    const line = {
      requestId,
      method: c.req.method.slice(0, 20),
      route,
      status,
      ms: Math.round(milliseconds * 10) / 10,
      role: c.get('actor')?.role,
      code: c.get('problem'),
    }
    logger[quietRoutes.has(route) && status < 500 ? 'debug' : 'info'](line, 'request')
  })
}

function routeOf(c: HttpContext): string {
  const path = routePath(c, -1)
  return path.includes('*') ? 'unmatched' : path
}
