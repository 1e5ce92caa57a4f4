import { expect, it } from 'vitest'
import { nextPause } from './retries.ts'

it('an event is tried for some three days, ever more seldom', () => {
  for (const random of [() => 0, () => 0.999]) {
    let total = 0
    let before = 0
    let attempts = 1
    for (; ; attempts += 1) {
      const pause = nextPause(attempts, null, random)
      if (pause === undefined) break
      expect(pause).toBeGreaterThan(before)
      before = pause
      total += pause
    }
    expect(attempts).toBe(10)
    expect(total / 3600).toBeGreaterThan(70)
    expect(total / 3600).toBeLessThan(95)
  }
})

it('what failed together does not come back together', () => {
  const pauses = Array.from({ length: 50 }, () => nextPause(2, null))
  expect(new Set(pauses).size).toBeGreaterThan(40)
})

it('a receiver may ask for a longer pause, never for a shorter one, and never for one more attempt', () => {
  expect(nextPause(1, 600)).toBe(600)
  expect(nextPause(2, 1)).toBeGreaterThanOrEqual(300)
  expect(nextPause(10, 600)).toBeUndefined()
})
