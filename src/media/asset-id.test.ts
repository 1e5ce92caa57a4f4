import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isAssetId, newAssetId } from './index.ts'

const anyTime = fc.integer({ min: 0, max: 2 ** 48 - 1 })

describe('newAssetId', () => {
  test('gives the UUIDv7 of RFC 9562, appendix A.6, for its time and random bits', () => {
    // 017F22E2-79B0-7CC3-98C4-DC0C0C07398F: rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F.
    const random = Buffer.from('0cc318c4dc0c0c07398f', 'hex')
    expect(newAssetId(1_645_557_742_000, () => random)).toBe('017f22e2-79b0-7cc3-98c4-dc0c0c07398f')
  })

  test('always has version 7, variant 10 and its time in front', () => {
    fc.assert(
      fc.property(anyTime, fc.uint8Array({ minLength: 10, maxLength: 10 }), (now, random) => {
        const id = newAssetId(now, () => Buffer.from(random))
        expect(isAssetId(id)).toBe(true)
        expect(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)).toBe(now)
      }),
    )
  })

  test('sorts as text by time', () => {
    fc.assert(
      fc.property(anyTime, anyTime, (a, b) => {
        fc.pre(a < b)
        expect(newAssetId(a) < newAssetId(b)).toBe(true)
      }),
    )
  })

  test('does not repeat, even in one millisecond', () => {
    const ids = Array.from({ length: 10_000 }, () => newAssetId(1_700_000_000_000))
    expect(new Set(ids).size).toBe(ids.length)
    expect(new Set(ids.map((id) => id.slice(-8))).size).toBeGreaterThan(ids.length - 10)
  })
})

describe('isAssetId', () => {
  test.each([
    ['', 'nothing'],
    ['017f22e2-79b0-4cc3-98c4-dc0c0c07398f', 'a UUIDv4'],
    ['017f22e2-79b0-7cc3-58c4-dc0c0c07398f', 'another variant'],
    ['017F22E2-79B0-7CC3-98C4-DC0C0C07398F', 'upper case'],
    ['017f22e279b07cc398c4dc0c0c07398f', 'no hyphens'],
    ['017f22e2-79b0-7cc3-98c4-dc0c0c07398f\n', 'a line end'],
    ['{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}', 'braces'],
  ])('refuses %j: %s', (value) => {
    expect(isAssetId(value)).toBe(false)
  })
})
