import fc from 'fast-check'
import { expect, it } from 'vitest'
import { multipartLimits, partRanges, planParts } from './part-plan.ts'

const mebibyte = 1024 * 1024

it('cuts any size into parts that S3 takes, and that make up the whole', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.integer({ min: 0, max: 200 * mebibyte }), fc.integer({ min: 0, max: multipartLimits.maxSize })),
      fc.integer({ min: 1, max: 100 * mebibyte }),
      (size, wanted) => {
        const plan = planParts(size, wanted)
        expect(plan.parts).toBeLessThanOrEqual(multipartLimits.maxParts)
        expect(plan.partSize).toBeGreaterThanOrEqual(multipartLimits.minPartSize)
        expect(plan.partSize).toBeLessThanOrEqual(multipartLimits.maxPartSize)
        let at = 0
        let number = 0
        for (const { partNumber, start, end } of partRanges(size, plan)) {
          number += 1
          expect([partNumber, start]).toEqual([number, at])
          if (partNumber < plan.parts) expect(end - start).toBe(plan.partSize)
          at = end
        }
        expect([number, at]).toEqual([plan.parts, size])
      },
    ),
    { numRuns: 30 },
  )
})

it('keeps to the wanted size where it can', () => {
  expect(planParts(100 * mebibyte, 8 * mebibyte)).toEqual({ partSize: 8 * mebibyte, parts: 13 })
  expect(planParts(0)).toMatchObject({ parts: 1 })
})

it('refuses what no object can be', () => {
  expect(() => planParts(multipartLimits.maxSize + 1)).toThrow(expect.objectContaining({ code: 'content_too_large' }))
  expect(() => planParts(-1)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
})
