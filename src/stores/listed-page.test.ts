import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ListedPage } from './listed-page.ts'

const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))
const wellFormed = fc.string({ minLength: 1, unit: 'binary' }).filter((text) => text.isWellFormed())
const key = fc.oneof(wellFormed, fc.string({ minLength: 1, unit: 'grapheme-ascii' }))
const pageOf = (keys: readonly string[]) =>
  ListedPage.ofObjects(keys.map((name, index) => ({ key: name, size: index * 1e12 })))

describe('a page of keys', () => {
  it('gives back what was put in, whole and in parts', () => {
    fc.assert(
      fc.property(fc.array(key), fc.nat(), fc.nat(), (keys, one, other) => {
        const [start, end] = [Math.min(one, keys.length), Math.min(Math.max(one, other), keys.length)]
        const part = pageOf(keys).slice(start, end)
        expect(Array.from({ length: part.length }, (_, index) => part.key(index))).toEqual(keys.slice(start, end))
        expect(Array.from({ length: part.length }, (_, index) => part.size(index))).toEqual(
          keys.map((_, index) => index * 1e12).slice(start, end),
        )
        expect([part.key(-1), part.key(part.length)]).toEqual([undefined, undefined])
      }),
    )
  })

  it('tells whether it is in the order of bytes', () => {
    fc.assert(
      fc.property(fc.uniqueArray(key, { minLength: 2 }), fc.nat(), fc.nat(), (keys, one, other) => {
        const sorted = keys.toSorted(byBytes)
        const [last = '', first = ''] = [sorted.at(-1), sorted[0]]
        expect(pageOf(sorted).isInOrder()).toBe(true)
        expect(pageOf(sorted.slice(1)).isInOrder(first)).toBe(true)
        expect(pageOf(sorted).isInOrder(last)).toBe(false)
        const [a, b] = [one % keys.length, other % keys.length]
        const swapped = [...sorted]
        swapped[a] = sorted[b] ?? ''
        swapped[b] = sorted[a] ?? ''
        expect(pageOf(swapped).isInOrder()).toBe(a === b)
        expect(pageOf([...sorted, last]).isInOrder()).toBe(false)
      }),
    )
  })

  it('counts the keys up to one of them, or to one that is not there', () => {
    fc.assert(
      fc.property(fc.uniqueArray(key), key, (keys, until) => {
        expect(pageOf(keys.toSorted(byBytes)).countUpTo(until)).toBe(
          keys.filter((name) => byBytes(name, until) <= 0).length,
        )
      }),
    )
  })
})
