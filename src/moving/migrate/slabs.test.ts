import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Piece, Slabs } from './slabs.ts'

test('no two pieces that are held share a byte, in whatever order they are released', () => {
  const sizes = fc.oneof(fc.integer({ min: 1, max: 300_000 }), fc.integer({ min: 1, max: 50_000 }))
  const steps = fc.array(fc.oneof(fc.record({ take: sizes }), fc.record({ release: fc.nat() })), { maxLength: 200 })
  fc.assert(
    fc.property(steps, (given) => {
      const slabs = new Slabs()
      let next = 0
      let held: { piece: Piece; mark: number }[] = []
      for (const step of given) {
        if ('take' in step) {
          const piece = slabs.take(step.take)
          expect(piece.bytes.byteLength).toBe(step.take)
          next = (next + 1) % 256
          piece.bytes.fill(next)
          held.push({ piece, mark: next })
        } else if (held.length > 0) {
          const gone = held[step.release % held.length]
          // Twice is once.
          gone?.piece.release()
          gone?.piece.release()
          held = held.filter((it) => it !== gone)
        }
      }
      for (const { piece, mark } of held) expect(piece.bytes.every((byte) => byte === mark)).toBe(true)
    }),
    { numRuns: 50 },
  )
})

test('memory that was released is used again', () => {
  const slabs = new Slabs()
  const seen = new Set<ArrayBufferLike>()
  for (let round = 0; round < 100; round += 1) {
    const pieces = Array.from({ length: 30 }, () => slabs.take(100_000))
    for (const { bytes } of pieces) seen.add(bytes.buffer)
    for (const { release } of pieces) release()
  }
  expect(seen.size).toBeLessThan(10)
})
