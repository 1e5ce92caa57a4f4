import fc from 'fast-check'
import { expect, it } from 'vitest'
import { checkObjectKey, compareObjectKeys } from './object-key.ts'

const unicode = fc.string({ unit: 'binary', maxLength: 6 }).filter((text) => text.isWellFormed())
/** Texts that share a start and differ where UTF-8 and UTF-16 order differently. */
const near = fc.array(fc.constantFrom('a', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '🦊'), { maxLength: 4 })
const key = fc.oneof(
  unicode,
  near.map((parts) => parts.join('')),
)

it('compares keys as their UTF-8 bytes compare', () => {
  fc.assert(
    fc.property(key, key, (a, b) => {
      expect(Math.sign(compareObjectKeys(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)))
    }),
    { numRuns: 3000 },
  )
})

it('counts a key in bytes', () => {
  expect(() => checkObjectKey('é'.repeat(512))).not.toThrow()
  expect(() => checkObjectKey('é'.repeat(513))).toThrow('An object key has 1026 bytes. Allowed are 1024.')
})
