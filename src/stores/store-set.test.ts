import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import { KeepsakeError } from '../media/index.ts'
import { type ChaosDecision, createChaosStore } from './chaos.ts'
import { createMemoryStore } from './memory.ts'
import { createStores } from './store-set.ts'
import { VirtualClock } from './testing/virtual-clock.ts'

function set() {
  const clock = new VirtualClock()
  let decision: ChaosDecision = 'ok'
  const primary = createChaosStore(createMemoryStore(), { decide: () => decision })
  const local = {
    place: `local:${randomUUID()}` as const,
    store: createMemoryStore(),
    requireRoom: async () => {},
  }
  const stores = createStores({ primary, local, clock })
  const decide = (next: ChaosDecision) => {
    decision = next
  }
  return { clock, stores, local, decide }
}

it('writes to the bucket, to the local store while the bucket is down, and to the bucket again', async () => {
  const { clock, stores, local, decide } = set()
  const changes: string[] = []
  stores.onChange((state) => changes.push(state))
  expect(stores.writing()).toEqual({ name: 'primary', store: stores.primary })
  expect([stores.health('primary'), stores.health('local'), stores.health('replica')]).toEqual(['up', 'up', 'down'])
  decide('fail')
  for (let n = 0; n < 5; n += 1) await stores.primary.head('key').catch(() => {})
  expect(stores.health('primary')).toBe('down')
  expect(stores.writing()).toEqual({ name: local.place, store: local.store })
  decide('ok')
  await clock.pass(2)
  expect(stores.writing().name).toBe('primary')
  expect(changes).toEqual(['open', 'half-open', 'closed'])
  await stores.close()
})

it('gives the store of a place, and says so where it is the disk of another instance', () => {
  const { stores, local } = set()
  expect(stores.of('primary')).toBe(stores.primary)
  expect(stores.of(local.place)).toBe(local.store)
  expect(stores.places).toEqual(['primary', local.place])
  const elsewhere = `local:${randomUUID()}` as const
  expect(stores.has(elsewhere)).toBe(false)
  expect(() => stores.of(elsewhere)).toThrow(expect.objectContaining({ code: 'store_unavailable' }))
})

it('puts no circuit before a bucket that stands alone: there is nothing better to do than to ask', async () => {
  const primary = createChaosStore(createMemoryStore(), { decide: () => 'fail' })
  const stores = createStores({ primary, clock: new VirtualClock() })
  for (let n = 0; n < 50; n += 1) {
    await expect(stores.primary.head('key')).rejects.toSatisfy((error) => KeepsakeError.is(error, 'store_unavailable'))
  }
  expect(primary.calls).toHaveLength(50)
  expect(stores.circuit()).toBeNull()
  expect(stores.writing().name).toBe('primary')
})
