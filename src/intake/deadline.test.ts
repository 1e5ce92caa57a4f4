import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sourceExpiry } from './deadline.ts'

const at = (iso: string) => new Date(iso)
const cloudFront = (statement: unknown) =>
  Buffer.from(JSON.stringify(statement))
    .toString('base64')
    .replace(/[+=/]/g, (c) => ({ '+': '-', '=': '_', '/': '~' })[c] ?? c)

describe('a URL says when it dies', () => {
  test.each<[string, string, string]>([
    ['S3', 'X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400', '2013-05-25T00:00:00Z'],
    ['S3, another case', 'x-amz-date=20130524T000000Z&x-amz-expires=1', '2013-05-24T00:00:01Z'],
    ['Google', 'X-Goog-Date=20240229T235959Z&X-Goog-Expires=3600', '2024-03-01T00:59:59Z'],
    ['S3 of old', 'AWSAccessKeyId=AKIA&Signature=x&Expires=1700000000', '2023-11-14T22:13:20Z'],
    ['Google of old', 'GoogleAccessId=a@b&Signature=x&Expires=1700000000', '2023-11-14T22:13:20Z'],
    ['Alibaba', 'OSSAccessKeyId=a&Signature=x&Expires=1700000000', '2023-11-14T22:13:20Z'],
    ['CloudFront', 'Expires=1700000000&Signature=x&Key-Pair-Id=K', '2023-11-14T22:13:20Z'],
    ['Azure', 'sv=2022-11-02&se=2024-05-01T12%3A30%3A00Z&sr=b&sp=r&sig=x', '2024-05-01T12:30:00Z'],
    ['Azure, minutes', 'se=2024-05-01T12%3A30Z&sig=x', '2024-05-01T12:30:00Z'],
    ['Azure, a day', 'se=2024-05-01&sig=x', '2024-05-01T00:00:00Z'],
    ['Azure, a fraction', 'se=2024-05-01T12:30:00.1234567Z&sig=x', '2024-05-01T12:30:00.123Z'],
    ['Azure, a key that dies before', 'se=2024-05-02T00:00:00Z&ske=2024-05-01T00:00:00Z&sig=x', '2024-05-01T00:00:00Z'],
    ['Discord', 'ex=65d903de&is=65c68ede&hm=abc', '2024-02-23T20:45:18Z'],
  ])('%s', (_, query, iso) => expect(sourceExpiry(`https://media.test/a.png?${query}`)).toEqual(at(iso)))

  test('CloudFront by a custom policy', () => {
    const policy = cloudFront({
      Statement: [{ Resource: 'https://x/*', Condition: { DateLessThan: { 'AWS:EpochTime': 1_700_000_000 } } }],
    })
    const url = `https://media.test/a.png?Policy=${policy}&Signature=x&Key-Pair-Id=K`
    expect(sourceExpiry(url)).toEqual(at('2023-11-14T22:13:20Z'))
  })

  test.each([
    'https://media.test/a.png',
    'https://media.test/a.png?Expires=1700000000',
    'https://media.test/a.png?se=2024-05-01T12:30:00Z',
    'https://media.test/a.png?ex=65d903de',
    'https://media.test/a.png?X-Amz-Expires=86400',
    'https://media.test/a.png?X-Amz-Date=20130524T000000Z',
    'https://media.test/a.png?X-Amz-Date=20131350T000000Z&X-Amz-Expires=10',
    'https://media.test/a.png?X-Amz-Date=20130524T000000Z&X-Amz-Expires=-5',
    'https://media.test/a.png?X-Amz-Date=20130524T000000Z&X-Amz-Expires=1e3',
    'https://media.test/a.png?X-Amz-Date=20130524T000000Z&X-Amz-Expires=',
    'https://media.test/a.png?Signature=x&AWSAccessKeyId=a&Expires=soon',
    'https://media.test/a.png?Signature=x&AWSAccessKeyId=a&Expires=999999999999',
    'https://media.test/a.png?se=tomorrow&sig=x',
    'https://media.test/a.png?se=2024-13-01&sig=x',
    'https://media.test/a.png?Policy=%%%&Signature=x&Key-Pair-Id=K',
    'https://media.test/a.png?Policy=e30_&Signature=x&Key-Pair-Id=K',
    'not a url',
    '',
  ])('%s says nothing', (url) => expect(sourceExpiry(url)).toBeNull())
})

describe('what the caller says', () => {
  const url = 'https://media.test/a?X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400'
  const early = at('2013-05-24T01:00:00Z')
  const late = at('2014-01-01T00:00:00Z')

  test('counts where the URL says nothing, or something later', () => {
    expect(sourceExpiry('https://media.test/a', early)).toEqual(early)
    expect(sourceExpiry(url, early)).toEqual(early)
  })

  test('does not lengthen a signature', () => expect(sourceExpiry(url, late)).toEqual(at('2013-05-25T00:00:00Z')))

  test('counts for nothing where it is no date', () => {
    expect(sourceExpiry(url, new Date(Number.NaN))).toEqual(at('2013-05-25T00:00:00Z'))
    expect(sourceExpiry('https://media.test/a', new Date(Number.NaN))).toBeNull()
  })
})

describe('for any values', () => {
  test('a signed time comes back to the second, whatever else the query has', () => {
    const time = fc.integer({ min: 0, max: 4_000_000_000 })
    const noise = fc.array(fc.tuple(fc.stringMatching(/^[a-z]{3,9}$/), fc.string()), { maxLength: 5 })
    const scheme = fc.constantFrom('amz', 'goog')
    fc.assert(
      fc.property(
        time,
        fc.integer({ min: 1, max: 604_800 }),
        noise,
        scheme,
        fc.boolean(),
        (from, ttl, rest, name, upper) => {
          const date = new Date(from * 1000).toISOString().replace(/[-:]|\.\d+/g, '')
          const query = new URLSearchParams(rest)
          for (const word of ['signature', 'sig', 'expires', 'is']) query.delete(word)
          query.set(upper ? `X-${name}-Date`.toUpperCase() : `x-${name}-date`, date)
          query.set(`X-${name}-Expires`, String(ttl))
          expect(sourceExpiry(`https://media.test/a?${query}`)).toEqual(new Date((from + ttl) * 1000))
        },
      ),
    )
  })

  test('garbage never throws and never gives an invalid date', () => {
    const names = [
      'X-Amz-Date',
      'X-Amz-Expires',
      'X-Goog-Date',
      'X-Goog-Expires',
      'Expires',
      'Signature',
      'Key-Pair-Id',
    ]
    const name = fc.constantFrom(...names, 'se', 'ske', 'sig', 'Policy', 'ex', 'is', 'hm', 'AWSAccessKeyId')
    const value = fc.oneof(
      fc.string(),
      fc.nat().map(String),
      fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value)), fc.option(fc.date(), { nil: undefined }), (pairs, given) => {
        const result = sourceExpiry(`https://media.test/a?${new URLSearchParams(pairs)}`, given)
        if (result !== null) expect(Number.isNaN(result.getTime())).toBe(false)
        if (given && !Number.isNaN(given.getTime())) expect(result?.getTime()).toBeLessThanOrEqual(given.getTime())
      }),
    )
  })
})
