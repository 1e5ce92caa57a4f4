import { beforeEach, describe, expect, it } from 'vitest'
import { type ErrorCode, KeepsakeError } from '../media/index.ts'
import { type ChaosCall, type ChaosDecision, type ChaosStore, createChaosStore } from './chaos.ts'
import { Circuit, type CircuitState } from './circuit.ts'
import { describeObjectStore, putRequest, text } from './conformance.ts'
import { createMemoryStore } from './memory.ts'
import { VirtualClock } from './testing/virtual-clock.ts'

describeObjectStore(
  'a store behind a closed circuit',
  async () => {
    const store = new Circuit(createMemoryStore(), { clock: new VirtualClock() })
    return { store, close: () => store.close() }
  },
  { urls: false },
)

describe('a circuit', () => {
  let clock: VirtualClock
  let inner: ChaosStore
  let circuit: Circuit
  let decide: (call: ChaosCall) => ChaosDecision
  let states: CircuitState[]
  const down = (code: ErrorCode = 'store_unavailable') => {
    decide = () => ({ outcome: 'fail', error: new KeepsakeError(code, 'A fault of the test.') })
  }
  /** It answers probes, and fails whatever else is asked. */
  const ailing = (code: ErrorCode = 'store_unavailable') => {
    const fault = { outcome: 'fail', error: new KeepsakeError(code, 'A fault of the test.') } as const
    decide = ({ verb }) => (verb === 'check' ? 'ok' : fault)
  }
  const up = () => {
    decide = () => 'ok'
  }
  const head = () => circuit.head('key').catch((error: unknown) => KeepsakeError.from(error).code)
  const fail = async (times: number) => {
    for (let n = 0; n < times; n += 1) await head()
  }
  const probes = () => inner.calls.filter(({ verb }) => verb === 'check').length

  beforeEach(() => {
    clock = new VirtualClock()
    states = []
    up()
    inner = createChaosStore(createMemoryStore(), { decide: (call) => decide(call) })
    circuit = new Circuit(inner, { clock, random: () => 1, onChange: (state) => states.push(state) })
  })

  it.each(['store_unavailable', 'timeout'] as const)(
    'opens after five failures with %s although probes are answered, and asks no more',
    async (code) => {
      ailing(code)
      await fail(4)
      expect(circuit.state).toBe('closed')
      await fail(1)
      expect(circuit.state).toBe('open')
      const asked = inner.calls.length
      await expect(circuit.put(putRequest('key', text('x')))).rejects.toMatchObject({
        code: 'store_unavailable',
        details: { reason: 'circuit_open' },
        message: expect.stringContaining('2030-01-01T00:00:00.000Z'),
      })
      await expect(circuit.list()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'store_unavailable' })
      expect(inner.calls.length).toBe(asked)
    },
  )

  it.each(['store_denied', 'object_missing', 'object_exists', 'content_mismatch', 'invalid_request'] as const)(
    'takes %s for an answer of a store that lives',
    async (code) => {
      down(code)
      await fail(50)
      expect(circuit.state).toBe('closed')
    },
  )

  it.each(['store_unavailable', 'timeout'] as const)(
    'opens after one failure with %s where its probe fails too',
    async (code) => {
      down(code)
      await fail(1)
      await clock.pass(0)
      expect(circuit.state).toBe('open')
      expect(probes()).toBe(1)
    },
  )

  it('forgives one failure for each success, and those that are long ago', async () => {
    for (let n = 0; n < 20; n += 1) {
      ailing()
      await fail(1)
      up()
      await head()
    }
    expect(circuit.state).toBe('closed')
    for (let n = 0; n < 20; n += 1) {
      ailing()
      await fail(1)
      await clock.pass(8)
    }
    expect(circuit.state).toBe('closed')
  })

  it('does not count what its caller broke off', async () => {
    down('timeout')
    const signal = AbortSignal.abort()
    for (let n = 0; n < 50; n += 1) await circuit.head('key', { signal }).catch(() => {})
    expect(circuit.state).toBe('closed')
  })

  it('signs whatever its state', async () => {
    down()
    await fail(5)
    expect(circuit.signGet('key', { expiresIn: 60 })).toEqual(inner.signGet('key', { expiresIn: 60 }))
  })

  it('probes by itself, with pauses that double up to a cap, and closes with the first answer', async () => {
    down()
    await fail(5)
    await clock.pass(60)
    // Each pause, and each probe's own deadline.
    expect(clock.sleeps.slice(1, 11)).toEqual([1, 5, 2, 5, 4, 5, 8, 5, 10, 5])
    const [failed, failures] = [probes(), states.filter((state) => state === 'half-open').length]
    // The first was the failure's own.
    expect(failures).toBe(failed - 1)
    up()
    await clock.pass(10)
    expect(circuit.state).toBe('closed')
    expect(probes()).toBe(failed + 1)
    expect(await head()).toBeUndefined()
    await clock.pass(1000)
    expect(probes()).toBe(failed + 1)
  })

  it('scatters its pauses between a half and the whole', async () => {
    const scattered = new Circuit(inner, { clock, random: () => 0 })
    down()
    for (let n = 0; n < 5; n += 1) await scattered.head('key').catch(() => {})
    expect(clock.sleeps).toEqual([5, 0.5])
    await scattered.close()
  })

  it('lets one probe through and nobody else, and gives up on one that hangs', async () => {
    let hanging = true
    const slow = new Circuit(
      {
        ...inner,
        head: () => Promise.reject(new KeepsakeError('timeout', 'A fault of the test.')),
        check: ({ signal } = {}) =>
          hanging
            ? new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
            : inner.check(),
      },
      { clock, random: () => 1 },
    )
    for (let n = 0; n < 5; n += 1) await slow.head('key').catch(() => {})
    await clock.pass(1)
    expect(slow.state).toBe('half-open')
    await expect(slow.head('key')).rejects.toMatchObject({ details: { reason: 'circuit_open' } })
    await clock.pass(5)
    expect(slow.state).toBe('open')
    hanging = false
    await clock.pass(10)
    expect(slow.state).toBe('closed')
    await slow.close()
  })

  it('asks less and less often where the store comes back only to fail again', async () => {
    const pauses: (number | undefined)[] = []
    const outage = async () => {
      down()
      await fail(5)
      pauses.push(clock.sleeps.at(-1))
      up()
      await clock.pass(10)
      expect(circuit.state).toBe('closed')
    }
    for (let round = 0; round < 5; round += 1) await outage()
    expect(pauses).toEqual([1, 2, 4, 8, 10])
    await clock.pass(60)
    await outage()
    expect(pauses.at(-1)).toBe(1)
  })

  it('stops probing when it is closed for good', async () => {
    down()
    await fail(5)
    const before = probes()
    await circuit.close()
    await clock.pass(1000)
    expect(probes()).toBe(before)
  })
})
