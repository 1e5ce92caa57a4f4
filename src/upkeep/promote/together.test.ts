import { expect, it } from 'vitest'
import { Together } from './together.ts'

it('puts together what is asked for while it is at work, up to so many, and answers everybody', async () => {
  const batches: number[][] = []
  const gates: (() => void)[] = []
  const together = new Together(3, async (items: readonly number[]) => {
    batches.push([...items])
    await new Promise<void>((open) => gates.push(open))
    return items.length
  })
  const answers = [1, 2, 3, 4, 5, 6].map((item) => together.run(item))
  for (const done of [1, 4, 6]) {
    gates.shift()?.()
    await Promise.all(answers.slice(0, done))
  }
  expect(batches).toEqual([[1], [2, 3, 4], [5, 6]])
  expect(await Promise.all(answers)).toEqual([1, 3, 3, 3, 2, 2])
})

it('tells those of whom it went wrong, and goes on with the others', async () => {
  const together = new Together(10, async ([first]: readonly string[]) => {
    if (first === 'bad') throw new Error('no')
    return first
  })
  const answers = [together.run('good'), together.run('bad'), together.run('with the bad')]
  const outcomes = await Promise.allSettled(answers)
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected'])
  expect(await together.run('later')).toBe('later')
})
