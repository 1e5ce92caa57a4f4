import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import type { Logger } from '../../logger.ts'
import { describeError } from '../../logging/index.ts'
import { KeepsakeError } from '../../media/index.ts'
import type { Keepsake, PartHealth } from '../../verbs.ts'
import type { HttpEnv } from '../env.ts'
import type { Metrics } from '../metrics.ts'
import { readinessOutput } from '../schema.ts'
import { withDeadline } from '../with-deadline.ts'
import { bearer, json, problem } from './contract.ts'

/** Milliseconds; below the usual patience of a load balancer's probe. */
const checkDeadline = 5_000

const healthRoute = createRoute({
  method: 'get',
  path: '/healthz',
  operationId: 'healthz',
  tags: ['Operation'],
  summary: 'The process is alive',
  responses: { 200: json(z.strictObject({ ok: z.literal(true), version: z.string() }), 'It is.') },
})

const readyRoute = createRoute({
  method: 'get',
  path: '/readyz',
  operationId: 'readyz',
  tags: ['Operation'],
  summary: 'The first import can be taken',
  responses: {
    200: json(readinessOutput, 'Ready, or degraded.'),
    503: json(readinessOutput, 'Not ready: which part is failing.'),
  },
})

const metricsRoute = createRoute({
  method: 'get',
  path: '/metrics',
  operationId: 'metrics',
  tags: ['Operation'],
  summary: 'Prometheus metrics',
  description: 'For an API key, unless the server was told to show them to everybody.',
  security: bearer,
  responses: {
    200: { description: 'Text in Prometheus’ format.', content: { 'text/plain': { schema: z.string() } } },
    401: problem('`unauthenticated`'),
    403: problem('`forbidden`'),
  },
})

export type HealthOptions = {
  readonly keepsake: Pick<Keepsake, 'check'>
  readonly metrics: Metrics
  readonly publicMetrics: boolean
  readonly logger: Logger
  readonly version: string
}

export function addHealthRoutes(app: OpenAPIHono<HttpEnv>, options: HealthOptions): void {
  const check = readinessCheck(options.keepsake, options.logger)

  app.openapi(healthRoute, (c) => c.json({ ok: true as const, version: options.version }, 200))

  app.openapi(readyRoute, async (c) => {
    const health = await check()
    // Strangers may ask: which part and which code, but no message, which may name hosts and buckets.
    const parts = health.map(({ name, ok, code }) => ({ name, ok, ...(code === undefined ? {} : { code }) }))
    const status = readinessOf(parts)
    const ready = status !== 'down'
    return c.json({ ready, status, parts }, ready ? 200 : 503)
  })

  app.openapi(metricsRoute, async (c) => {
    if (!options.publicMetrics && c.get('actor').role !== 'service') {
      throw new KeepsakeError('forbidden', 'The metrics are for an API key.')
    }
    const { registry } = options.metrics
    return c.text(await registry.metrics(), 200, { 'Content-Type': registry.contentType })
  })
}

/**
 * A bucket that fails while the local store takes its place is no reason to take this server out of service: it would
 * be the end of what falling back is for. A local store that fails beside a bucket that works is worth a look.
 */
export function readinessOf(parts: readonly { readonly name: string; readonly ok: boolean }[]) {
  const failing = parts.filter(({ ok }) => !ok).map(({ name }) => name)
  if (failing.length === 0) return 'ok'
  const stores = parts.filter(({ name }) => name === 'primary' || name === 'local')
  return failing.every((name) => name === 'primary' || name === 'local') && stores.some(({ ok }) => ok)
    ? 'degraded'
    : 'down'
}

/** One check at a time, however many ask, so that nobody can load the parts behind by probing. */
function readinessCheck(keepsake: Pick<Keepsake, 'check'>, logger: Logger): () => Promise<readonly PartHealth[]> {
  let running: Promise<readonly PartHealth[]> | undefined
  const run = async (): Promise<readonly PartHealth[]> => {
    try {
      const parts = await withDeadline(keepsake.check(), checkDeadline)
      for (const { ok, ...part } of parts) if (!ok) logger.warn(part, 'not ready')
      return parts
    } catch (error) {
      logger.warn({ reason: describeError(error) }, 'the readiness check failed')
      return [{ name: 'check', ok: false, code: KeepsakeError.is(error) ? error.code : 'timeout' }]
    } finally {
      running = undefined
    }
  }
  return () => {
    running ??= run()
    return running
  }
}
