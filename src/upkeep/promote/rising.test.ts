import { expect, it } from 'vitest'
import { rising } from './rising.ts'

async function* upTo(count: number): AsyncGenerator<number, void, undefined> {
  for (let n = 0; n < count; n += 1) yield n
}
const turn = () => new Promise((resolve) => setImmediate(resolve))

it('begins with a few at a time, lets more in as it goes well, and does each thing once', async () => {
  const done: number[] = []
  const seen: number[] = []
  let underWay = 0
  await rising(upTo(200), { start: 2, most: 6 }, async (n) => {
    underWay += 1
    seen.push(underWay)
    await turn()
    underWay -= 1
    done.push(n)
  })
  expect(done.sort((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, n) => n))
  expect(Math.max(...seen.slice(0, 2))).toBe(2)
  expect(Math.max(...seen)).toBe(6)
})

it('ends with the first error, once what is under way has ended, and begins nothing more', async () => {
  const done: number[] = []
  const work = async (n: number) => {
    if (n === 3) throw new Error('the third')
    await turn()
    done.push(n)
  }
  await expect(rising(upTo(1000), { start: 4, most: 8 }, work)).rejects.toThrow('the third')
  const { length } = done
  await turn()
  expect(done).toHaveLength(length)
  expect(length).toBeLessThan(20)
})
