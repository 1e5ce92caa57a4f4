import { Gauge, type Registry } from 'prom-client'
import type { FallbackState, Keepsake } from '../verbs.ts'
import { withDeadline } from './with-deadline.ts'

const deadline = 5_000

/** Whether the bucket is in use, and what waits to be moved to it. */
export function addFallbackMetrics(registry: Registry, keepsake: Pick<Keepsake, 'fallbackState'>): void {
  const registers = [registry]
  let reading: Promise<FallbackState | undefined> | undefined
  const read = () => {
    reading ??= withDeadline(keepsake.fallbackState(), deadline)
      .catch(() => undefined)
      .finally(() => {
        reading = undefined
      })
    return reading
  }
  new Gauge({
    name: 'keepsake_primary_circuit',
    help: '1 for the state of the bucket’s circuit: closed (in use), open (failing, not asked), half-open (being tried).',
    labelNames: ['state'],
    registers,
    async collect() {
      this.reset()
      const now = (await read())?.circuit?.state
      if (now === undefined) return
      for (const state of ['closed', 'open', 'half-open'] as const) this.set({ state }, state === now ? 1 : 0)
    },
  })
  const local = (name: string, help: string, value: (facts: FallbackState['local'][number]) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['place'],
      registers,
      async collect() {
        this.reset()
        for (const facts of (await read())?.local ?? []) this.set({ place: facts.place }, value(facts))
      },
    })
  local('keepsake_local_assets', 'Assets that fell back and wait to be moved, by local store.', ({ assets }) => assets)
  local('keepsake_local_bytes', 'Bytes in them.', ({ bytes }) => bytes)
  local(
    'keepsake_local_oldest_timestamp_seconds',
    'When the asset that has waited longest in a local store was stored.',
    ({ oldest }) => oldest.getTime() / 1000,
  )
}
