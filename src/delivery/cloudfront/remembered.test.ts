import { expect, it } from 'vitest'
import { Remembered } from './remembered.ts'

it('makes a thing once while it is asked for, and holds no more than it may', () => {
  const made: string[] = []
  const known = new Remembered<string>(4)
  const get = (name: string) =>
    known.get(name, () => {
      made.push(name)
      return `made ${name}`
    })
  for (let round = 0; round < 20; round += 1) {
    expect(get('often')).toBe('made often')
    expect(get(`once ${round}`)).toBe(`made once ${round}`)
  }
  expect(made.filter((name) => name === 'often')).toHaveLength(1)
  get('once 0')
  expect(made.filter((name) => name === 'once 0')).toHaveLength(2)
})
