import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KeepsakeError } from '../media/index.ts'
import { type ChaosDecision, createChaosStore, seededChaos } from './chaos.ts'
import { collectAll, describeObjectStore, putRequest, readAll, text, withCode } from './conformance.ts'
import { createMemoryStore } from './memory.ts'

describeObjectStore(
  'the chaos store without faults',
  async () => {
    const store = createChaosStore(createMemoryStore(), { decide: () => 'ok' })
    return { store, close: () => store.close() }
  },
  { urls: false },
)

/** A chaos store whose calls take decisions off a list, then are `ok`. */
function scripted(...decisions: ChaosDecision[]) {
  const inner = createMemoryStore()
  return { inner, store: createChaosStore(inner, { decide: () => decisions.shift() ?? 'ok' }) }
}

describe('faults', () => {
  it('a put that fails wrote nothing', async () => {
    const { inner, store } = scripted('fail')
    await expect(store.put(putRequest('key', text('x')))).rejects.toEqual(withCode('store_unavailable'))
    expect(await inner.head('key')).toBeUndefined()
  })

  it('a put that errs after it was applied wrote the object', async () => {
    const error = new KeepsakeError('timeout', 'Too late.')
    const { inner, store } = scripted({ outcome: 'applied-but-errored', error })
    await expect(store.put(putRequest('key', text('x')))).rejects.toBe(error)
    expect(await inner.head('key')).toBeDefined()
  })

  it('a late put lands when the test says so, with the bytes of its time', async () => {
    const { inner, store } = scripted('lands-later')
    const bytes = text('before')
    await expect(store.put(putRequest('key', bytes))).rejects.toEqual(withCode('store_unavailable'))
    bytes.set(text('after!'))
    expect(await inner.head('key')).toBeUndefined()
    expect(store.lateCount).toBe(1)
    await store.landLate()
    expect((await readAll((await inner.get('key')).body)).toString()).toBe('before')
    expect(store.lateCount).toBe(0)
  })

  it('a late put does not replace what came before it', async () => {
    const { inner, store } = scripted('lands-later')
    await expect(store.put(putRequest('key', text('late')))).rejects.toThrow()
    await store.put(putRequest('key', text('early')))
    await store.landLate()
    expect((await readAll((await inner.get('key')).body)).toString()).toBe('early')
  })

  it('a late delete removes what is there when it lands', async () => {
    const { inner, store } = scripted('ok', 'lands-later')
    await store.put(putRequest('key', text('x')))
    await expect(store.delete(['key'])).rejects.toEqual(withCode('store_unavailable'))
    expect(await inner.head('key')).toBeDefined()
    await store.landLate()
    expect(await inner.head('key')).toBeUndefined()
  })

  it('a get breaks off half way, a list after its last object', async () => {
    const { store } = scripted('ok', 'applied-but-errored', 'applied-but-errored')
    await store.put(putRequest('key', text('0123456789')))
    const { body } = await store.get('key')
    const got: string[] = []
    const reading = (async () => {
      for await (const piece of body) got.push(Buffer.from(piece).toString())
    })()
    await expect(reading).rejects.toEqual(withCode('store_unavailable'))
    expect(got.join('')).toBe('01234')
    await expect(collectAll(store.list())).rejects.toEqual(withCode('store_unavailable'))
  })

  it('sees every call before it happens', async () => {
    const seen: string[] = []
    const store = createChaosStore(createMemoryStore(), {
      before: async ({ verb, keys, number }) => void seen.push(`${number} ${verb} ${keys.join()}`),
      decide: () => 'ok',
    })
    await store.put(putRequest('a', text('x')))
    await store.head('a')
    await store.delete(['a', 'b'])
    expect(seen).toEqual(['0 put a', '1 head a', '2 delete a,b'])
    expect(store.calls.map(({ verb }) => verb)).toEqual(['put', 'head', 'delete'])
  })

  it('a seed decides the same each time, about as often as asked', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const draw = () => {
          const decide = seededChaos(seed, { fail: 0.2, 'lands-later': 0.1 })
          return Array.from({ length: 1000 }, (_, number) => decide({ verb: 'put', keys: [], number }))
        }
        const outcomes = draw()
        expect(draw()).toEqual(outcomes)
        const share = (wanted: string) => outcomes.filter((outcome) => outcome === wanted).length / 1000
        expect(share('fail')).toBeGreaterThan(0.1)
        expect(share('fail')).toBeLessThan(0.3)
        expect(share('lands-later')).toBeGreaterThan(0.03)
        expect(share('applied-but-errored')).toBe(0)
      }),
    )
  })
})
