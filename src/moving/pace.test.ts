import { describe, expect, it } from 'vitest'
import { KeepsakeError } from '../media/index.ts'
import { Pace } from './pace.ts'

/** Work that lasts a turn of the event loop, and notes how much of it was under way together. */
class Work {
  underWay = 0
  most = 0

  async run(error?: Error): Promise<void> {
    this.underWay += 1
    this.most = Math.max(this.most, this.underWay)
    await new Promise((resolve) => setImmediate(resolve))
    this.underWay -= 1
    if (error) throw error
  }
}

const tooMuch = new KeepsakeError('store_unavailable', 'SlowDown')

describe('a pace', () => {
  it('never lets more through than it allows, however many wait', async () => {
    const pace = new Pace({ start: 2, most: 5, bandwidth: null })
    const work = new Work()
    const allowed: number[] = []
    await Promise.all(
      Array.from({ length: 200 }, () =>
        pace.run(async () => {
          const running = work.run()
          allowed.push(work.underWay - pace.allowed)
          await running
        }),
      ),
    )
    expect(Math.max(...allowed)).toBeLessThanOrEqual(0)
    expect(work.most).toBe(5)
  })

  it('halves where the store says that it is too much, once for all that was under way, and grows again', async () => {
    const pace = new Pace({ start: 16, most: 16, bandwidth: null })
    const work = new Work()
    const failing = Array.from({ length: 16 }, () => pace.run(() => work.run(tooMuch)))
    await Promise.allSettled(failing)
    expect(pace.allowed).toBe(8)
    await Promise.allSettled([pace.run(() => work.run(tooMuch))])
    expect(pace.allowed).toBe(4)
    work.most = 0
    await Promise.all(Array.from({ length: 8 }, () => pace.run(() => work.run())))
    expect(work.most).toBeLessThanOrEqual(5)
    await Promise.all(Array.from({ length: 300 }, () => pace.run(() => work.run())))
    expect(pace.allowed).toBe(16)
  })

  it('does not slow down for what is wrong with a file, and always lets one through', async () => {
    const pace = new Pace({ start: 2, most: 8, bandwidth: null })
    const work = new Work()
    const refused = new KeepsakeError('content_type_refused', 'words')
    await Promise.allSettled(Array.from({ length: 4 }, () => pace.run(() => work.run(refused))))
    expect(pace.allowed).toBe(2)
    for (let n = 0; n < 5; n += 1) await Promise.allSettled([pace.run(() => work.run(tooMuch))])
    expect(pace.allowed).toBe(1)
    await pace.run(() => work.run())
  })

  it('holds bytes to a rate', async () => {
    const pace = new Pace({ start: 1, most: 1, bandwidth: 100_000 })
    const { signal } = new AbortController()
    const begun = performance.now()
    for (let n = 0; n < 4; n += 1) await pace.bytes(10_000, signal)
    // The first goes at once, each other when the one before is paid for. A timer may be a millisecond early.
    expect(performance.now() - begun).toBeGreaterThanOrEqual(290)
  })
})
