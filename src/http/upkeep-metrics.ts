import { Gauge, type Registry } from 'prom-client'
import { z } from 'zod'
import { findingKinds } from '../upkeep/index.ts'
import type { Keepsake } from '../verbs.ts'
import { withDeadline } from './with-deadline.ts'

const deadline = 5_000

/** What verify found, when each kind of upkeep ran last, and what waits to be delivered. */
type UpkeepState = Awaited<ReturnType<Keepsake['upkeepState']>>

const scanFindings = z.looseObject({ findings: z.record(z.string(), z.number()) })

export function addUpkeepMetrics(
  registry: Registry,
  keepsake: Pick<Keepsake, 'upkeepState' | 'webhooks' | 'replica'>,
): void {
  const registers = [registry]
  // All gauges are collected side by side, so each asks; what one scrape asks for twice is read once.
  let reading: Promise<UpkeepState | undefined> | undefined
  const read = () => {
    reading ??= withDeadline(keepsake.upkeepState(), deadline)
      .catch(() => undefined)
      .finally(() => {
        reading = undefined
      })
    return reading
  }
  new Gauge({
    name: 'keepsake_upkeep_last_run_timestamp_seconds',
    help: 'When each kind of upkeep ended last, such as verify.exists; by whether it came to its end.',
    labelNames: ['work', 'outcome'],
    registers,
    async collect() {
      const state = await read()
      this.reset()
      for (const { name, endedAt, detail } of state?.runs ?? []) {
        this.set({ work: name, outcome: 'problem' in detail ? 'failed' : 'done' }, endedAt.getTime() / 1000)
      }
    },
  })
  new Gauge({
    name: 'keepsake_reconcile_findings',
    help: 'What the last scheduled scan found, by kind.',
    labelNames: ['kind'],
    registers,
    async collect() {
      const state = await read()
      this.reset()
      const run = state?.runs.find(({ name }) => name === 'reconcile')
      const scanned = scanFindings.safeParse(run?.detail)
      if (!scanned.success) return
      for (const kind of findingKinds) this.set({ kind }, scanned.data.findings[kind] ?? 0)
    },
  })
  new Gauge({
    name: 'keepsake_verify_oldest_check_timestamp_seconds',
    help: 'When the stored asset that has waited longest was last looked at (look="any"), or read and hashed (look="full").',
    labelNames: ['look'],
    registers,
    async collect() {
      const state = await read()
      this.reset()
      if (state?.oldestCheck) this.set({ look: 'any' }, state.oldestCheck.getTime() / 1000)
      if (state?.oldestRead) this.set({ look: 'full' }, state.oldestRead.getTime() / 1000)
    },
  })
  new Gauge({
    name: 'keepsake_assets_unwell',
    help: 'Stored assets whose object was found missing or corrupt.',
    labelNames: ['health'],
    registers,
    async collect() {
      const state = await read()
      this.reset()
      if (state === undefined) return
      this.set({ health: 'missing' }, state.missing)
      this.set({ health: 'corrupt' }, state.corrupt)
    },
  })
  new Gauge({
    name: 'keepsake_replica_assets',
    help: 'Assets by what the replica has of them: copied, waiting for their copy, failing of those, leaving after a delete.',
    labelNames: ['state'],
    registers,
    async collect() {
      this.reset()
      const status = await withDeadline(keepsake.replica.status(), deadline).catch(() => null)
      if (status === null) return
      const { copied, waiting, failing, leaving } = status
      for (const [state, count] of Object.entries({ copied, waiting, failing, leaving })) this.set({ state }, count)
      lag.set(status.lag)
    },
  })
  const lag = new Gauge({
    name: 'keepsake_replica_lag_seconds',
    help: 'Since the stored asset was stored that has waited longest for its copy; 0 where none waits.',
    registers,
  })
  new Gauge({
    name: 'keepsake_webhook_deliveries',
    help: 'Events on their way to each endpoint, by state; dead ones were given up.',
    labelNames: ['endpoint', 'state'],
    registers,
    async collect() {
      this.reset()
      const endpoints = await withDeadline(keepsake.webhooks.endpoints(), deadline).catch(() => [])
      for (const { id, pending, delivered, dead } of endpoints) {
        this.set({ endpoint: id, state: 'pending' }, pending)
        this.set({ endpoint: id, state: 'delivered' }, delivered)
        this.set({ endpoint: id, state: 'dead' }, dead)
      }
    },
  })
}
