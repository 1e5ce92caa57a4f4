import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Keepsake } from '../verbs.ts'
import { addFallbackMetrics } from './fallback-metrics.ts'
import { addUpkeepMetrics } from './upkeep-metrics.ts'
import { withDeadline } from './with-deadline.ts'

/** What Prometheus scrapes: one registry an app, nothing global. */
export type Metrics = {
  readonly registry: Registry
  /** A request was answered. `route` is a template such as `/v1/assets/:id`, never a path with values. */
  observeRequest(method: string, route: string, status: number, seconds: number): void
  /** An import ended: `stored`, `pending`, or an error's code. */
  countImport(outcome: string): void
}

/** Seconds; an import may take as long as its source does. */
const durationBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const countDeadline = 5_000

export function createMetrics(
  keepsake: Pick<Keepsake, 'countByState' | 'fallbackState' | 'upkeepState' | 'webhooks' | 'replica'>,
): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const requests = new Histogram({
    name: 'keepsake_http_request_duration_seconds',
    help: 'Time from the request’s headers to the response’s headers.',
    labelNames: ['method', 'route', 'status'],
    buckets: durationBuckets,
    registers: [registry],
  })
  const imports = new Counter({
    name: 'keepsake_imports_total',
    help: 'Imports by outcome: stored, pending, or the code of the error.',
    labelNames: ['outcome'],
    registers: [registry],
  })
  const catalogueUp = new Gauge({
    name: 'keepsake_catalogue_up',
    help: 'Whether the catalogue could be counted for this scrape.',
    registers: [registry],
  })
  new Gauge({
    name: 'keepsake_assets',
    help: 'Assets in the catalogue by state.',
    labelNames: ['state'],
    registers: [registry],
    async collect() {
      this.reset()
      // A failing catalogue must not hide the other metrics: they are what is looked at just then.
      const counts = await withDeadline(keepsake.countByState(), countDeadline).catch(() => undefined)
      catalogueUp.set(counts === undefined ? 0 : 1)
      for (const [state, count] of Object.entries(counts ?? {})) this.set({ state }, count)
    },
  })
  addUpkeepMetrics(registry, keepsake)
  addFallbackMetrics(registry, keepsake)
  return {
    registry,
    observeRequest: (method, route, status, seconds) =>
      requests.observe({ method: knownMethod(method), route, status }, seconds),
    countImport: (outcome) => imports.inc({ outcome }),
  }
}

/** A stranger may send any method; a label's values must stay few. */
function knownMethod(method: string): string {
  return ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].includes(method) ? method : 'other'
}
