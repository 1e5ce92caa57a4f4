import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatSize, parseDuration, parseSize } from './index.ts'

describe('parseSize', () => {
  test.each([
    [0, 0],
    [1048576, 1048576],
    ['1048576', 1048576],
    ['100 MB', 100_000_000],
    ['100mb', 100_000_000],
    [' 16 MiB ', 16 * 1024 * 1024],
    ['1.5 GiB', 1.5 * 1024 ** 3],
    ['1.1 GB', 1_100_000_000],
    ['512 b', 512],
    ['2 TB', 2e12],
  ])('%j is %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes)
  })

  test.each([
    -1,
    '-1 MB',
    Number.NaN,
    Number.POSITIVE_INFINITY,
    1e21,
    '9007199254740993',
    '9999999 TiB',
    '',
    'MB',
    '1 XB',
    '1e3',
    '1 000',
    '1,5 MB',
    '100 MB or so',
    '1 constructor',
    '1 __proto__',
  ])('%j is refused', (text) => {
    expect(() => parseSize(text)).toThrow(
      expect.objectContaining({
        code: 'invalid_setting',
        message: expect.stringMatching(/is not a size\. Allowed is/),
      }),
    )
  })
})

describe('parseDuration', () => {
  test.each([
    [900, 900],
    ['900', 900],
    ['15m', 900],
    ['15 min', 900],
    ['24h', 86_400],
    ['7d', 604_800],
    ['2w', 1_209_600],
    ['1mo', 30 * 86_400],
    ['1y', 365 * 86_400],
    ['1.5h', 5400],
  ])('%j is %d seconds', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds)
  })

  test.each([-5, '5 minutes', 'PT15M', '1 MB', '15m30s'])('%j is refused', (text) => {
    expect(() => parseDuration(text)).toThrow(/is not a duration/)
  })
})

describe('formatSize', () => {
  test.each([
    [0, '0 bytes'],
    [1, '1 byte'],
    [1023, '1023 bytes'],
    [1024, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [10 * 1024 - 1, '10 KiB'],
    [1024 ** 2 - 1, '1.0 MiB'],
    [100_000_000, '95 MiB'],
    [5 * 1024 ** 5, '5120 TiB'],
  ])('%d is %s', (bytes, text) => {
    expect(formatSize(bytes)).toBe(text)
  })

  test('is never off by more than a twentieth', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1024, max: 2 ** 50 }), (bytes) => {
        const shown = parseSize(formatSize(bytes))
        expect(Math.abs(shown - bytes) / bytes).toBeLessThanOrEqual(0.05)
      }),
    )
  })
})
