import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { BodyBudget } from './body-budget.ts'

async function waits(work: Promise<unknown>): Promise<boolean> {
  const late = Symbol('late')
  return (await Promise.race([work, delay(20, late)])) === late
}

it('reads on the oldest alone while the budget is used up, and the others when it has gone', async () => {
  const budget = new BodyBudget(100)
  const [first, second, third] = [budget.share(), budget.share(), budget.share()]
  await first.take(60)
  await second.take(40)
  const more = second.take(1)
  expect(await waits(more)).toBe(true)
  await first.take(1000)
  const another = third.take(10)
  expect(await waits(another)).toBe(true)
  first[Symbol.dispose]()
  first[Symbol.dispose]()
  expect(await waits(more)).toBe(false)
  expect(await waits(another)).toBe(false)
})

it('what is not yet sent takes nothing from others', async () => {
  const budget = new BodyBudget(100)
  const slow = budget.share()
  await slow.take(1)
  for (let round = 0; round < 10; round += 1) {
    using share = budget.share()
    await share.take(99)
  }
})

it('tells who waits too long to come again', async () => {
  const budget = new BodyBudget(10, 0.02)
  using first = budget.share()
  await first.take(10)
  using second = budget.share()
  await expect(second.take(1)).rejects.toMatchObject({ code: 'timeout', retryAfter: 10 })
})
