import fc from 'fast-check'
import { expect, it } from 'vitest'
import { backoffMillis, RetryBudget } from './retry.ts'

const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

it('waits anything from nothing to a ceiling that doubles, and longer where the store is throttling', () => {
  fc.assert(
    fc.property(random, fc.integer({ min: 1, max: 20 }), (point, retry) => {
      const wait = (throttled: boolean, at = point) =>
        backoffMillis({ retry, throttled, retryAfter: undefined, random: () => at })
      expect(wait(false)).toBeGreaterThanOrEqual(0)
      expect(wait(false)).toBeLessThanOrEqual(Math.min(20_000, 100 * 2 ** retry))
      expect(wait(true)).toBeGreaterThanOrEqual(wait(false))
      expect(wait(false, 0)).toBe(0)
    }),
  )
})

it('waits as long as the store asks, within reason', () => {
  const wait = (retryAfter: number) => backoffMillis({ retry: 1, throttled: false, retryAfter, random: () => 0 })
  expect(wait(3)).toBe(3000)
  expect(wait(86_400)).toBe(20_000)
})

it('a budget never lends more than successes gave back', () => {
  const event = fc.constantFrom('retry', 'timeout', 'success')
  fc.assert(
    fc.property(fc.array(event, { maxLength: 300 }), (events) => {
      const budget = new RetryBudget()
      let spent = 0
      let earned = 100
      for (const event of events) {
        if (event === 'success') {
          budget.succeed(0)
          earned += 1
        } else spent += budget.take(event === 'timeout')
      }
      expect(spent).toBeLessThanOrEqual(earned)
    }),
  )
})
