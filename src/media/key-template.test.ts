import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  defaultCollections,
  isAssetId,
  KeepsakeError,
  type KeyValues,
  newAssetId,
  normalizeAttribute,
  parseCollection,
  parseKeyTemplate,
  sanitizeKeyValue,
} from './index.ts'

const values: KeyValues = {
  id: '018d0d8e-7ce0-7abc-8def-0123a1b2c3d4',
  attempt: 1,
  owner: 'user_42',
  collection: 'generations',
  kind: 'image',
  extension: 'jpg',
  createdAt: new Date('2024-01-15T14:30:52.123Z'),
  attributes: {},
}

describe('a key template', () => {
  test('gives the key of seed 000, value for value', () => {
    const generations = parseCollection('generations', defaultCollections.generations)
    const wallet = normalizeAttribute(
      generations.attributes.wallet ?? {},
      '0xABCD1234567890123456789012345678901234ABCD',
    )
    const attributes = { wallet, agent: 'crypto-memes-agent-001', model: 'dall-e-3' }
    expect(generations.key.render({ ...values, attributes })).toBe(
      'ai-generated/abcd1234567890123456789012345678901234abcd/crypto-memes-agent-001/images/dall-e-3/2024-01-15/143052_a1b2c3d4.jpg',
    )
  })

  test('knows every placeholder, in UTC', () => {
    const template = parseKeyTemplate(
      '{collection}/{owner}/{kind}/{yyyy}/{mm}/{dd}/{date}/{time}/{style}/{id8}/{id}.{ext}',
      ['style'],
    )
    expect(template.render({ ...values, attributes: { style: 'noir' } })).toBe(
      'generations/user_42/image/2024/01/15/2024-01-15/143052/noir/a1b2c3d4/018d0d8e-7ce0-7abc-8def-0123a1b2c3d4.jpg',
    )
  })

  test.each(['.keepsake/{id}', 'quarantine/{owner}/{id8}.{ext}', 'temp/{id}'])('may not begin as %s does', (source) => {
    expect(() => parseKeyTemplate(source)).toThrow(/Keepsake's own/)
  })

  test.each(['.keepsake', 'quarantine', 'temp'])('keeps an owner called %s out of the reserved prefixes', (owner) => {
    const template = parseKeyTemplate('{owner}/{id8}.{ext}')
    expect(template.render({ ...values, owner })).toBe(`${owner}_/a1b2c3d4.jpg`)
    expect(parseKeyTemplate('media/{owner}/{id8}').render({ ...values, owner })).toBe(`media/${owner}/a1b2c3d4`)
  })

  test('tells whether a key could be its own', () => {
    const template = parseKeyTemplate('ai/{owner}/{date}/{time}_{id8}.{ext}')
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 2 ** 31 - 1 }), (owner, attempt) => {
        expect(template.fits(template.render({ ...values, owner, attempt }))).toBe(true)
      }),
    )
    for (const key of [
      '',
      'ai/x/2024-01-15/143052_a1b2c3d4.jpg/more',
      'aixx/2024-01-15/143052_a1b2c3d4.jpg',
      'logo.png',
    ]) {
      expect(template.fits(key)).toBe(false)
    }
  })

  test('gives every attempt a key of its own', () => {
    for (const source of ['{id}', '{id8}.{ext}', '{owner}/{id}/{id8}.{ext}']) {
      const template = parseKeyTemplate(source)
      const attempts = Array.from({ length: 120 }, (_, index) => template.render({ ...values, attempt: index + 1 }))
      expect(new Set(attempts).size).toBe(attempts.length)
    }
  })

  test('says unknown for an attribute that was not given', () => {
    expect(parseKeyTemplate('{model}/{id8}', ['model']).render(values)).toBe('unknown/a1b2c3d4')
    // Nothing that every object inherits counts as given.
    expect(parseKeyTemplate('{constructor}/{id8}', ['constructor']).render(values)).toBe('unknown/a1b2c3d4')
  })

  test('keeps a value from leaving its segment', () => {
    const template = parseKeyTemplate('{owner}/{agent}/{id8}', ['agent'])
    const key = (owner: string, agent: string) => template.render({ ...values, owner, attributes: { agent } })
    expect(key('..', '../../etc/passwd')).toBe('__/..-..-etc-passwd/a1b2c3d4')
    expect(key('a/b', 'x\u0000y?z#%2e')).toBe('a-b/x-y-z-2e/a1b2c3d4')
    expect(key('São Paulo', '東京')).toBe('Sao-Paulo/unknown/a1b2c3d4')
  })

  test('cuts long values so that the key always fits', () => {
    const long = 'x'.repeat(500)
    expect(parseKeyTemplate('{owner}/{id8}').render({ ...values, owner: long })).toBe(`${'x'.repeat(128)}/a1b2c3d4`)
    const template = parseKeyTemplate(`{id}${'/{owner}'.repeat(25)}`)
    const key = template.render({ ...values, owner: long, attempt: 2 ** 31 - 1 })
    expect(key.length).toBeLessThanOrEqual(1024)
    expect(key.length).toBeGreaterThan(900)
  })

  test.each([
    ['{owner}.{ext}', 'without {id} or {id8}'],
    ['static.jpg', 'without {id} or {id8}'],
    ['{wallet}/{id}', '{wallet} is not known'],
    ['{__proto__}/{id}', '{__proto__} is not known'],
    ['{ID}', '{ID} is not known'],
    ['{}/{id}', '{} is not known'],
    ['/{id}', 'slash'],
    ['{id}/', 'slash'],
    ['a//{id}', 'slash'],
    ['../{id}', 'a segment is . or ..'],
    ['a/./{id}', 'a segment is . or ..'],
    ['my files/{id}', 'fixed text'],
    ['{id', 'fixed text'],
    ['{{id}}', 'fixed text'],
    ['ünder/{id}', 'fixed text'],
    [`${'x'.repeat(1000)}/{id}`, 'more than 1024'],
    [`{id}${'/{owner}'.repeat(31)}`, 'more than 1024'],
  ])('is refused: %.40s', (source, why) => {
    expect(() => parseKeyTemplate(source)).toThrow(why)
    expect(() => parseKeyTemplate(source)).toThrow(
      expect.objectContaining({ code: 'invalid_setting', message: expect.stringContaining(source) }),
    )
  })

  test('is refused where an attribute is called like a placeholder', () => {
    expect(() => parseKeyTemplate('{owner}/{id}', ['owner'])).toThrow("an attribute may not be called 'owner'")
  })

  test.each([
    ['an invalid date', { createdAt: new Date(Number.NaN) }],
    ['a year of five digits', { createdAt: new Date(Date.UTC(10_000, 0, 1)) }],
    ['a year before 0', { createdAt: new Date(Date.UTC(-1, 0, 1)) }],
    ['attempt 0', { attempt: 0 }],
    ['attempt NaN', { attempt: Number.NaN }],
    ['a broken attempt', { attempt: 1.5 }],
  ])('refuses to make a key for %s', (_, wrong) => {
    expect(() => parseKeyTemplate('{date}/{id}').render({ ...values, ...wrong })).toThrow(KeepsakeError)
  })

  test('holds its promises for any template and any values', () => {
    const placeholder = fc.constantFrom(
      'id',
      'id8',
      'owner',
      'collection',
      'kind',
      'ext',
      'date',
      'time',
      'yyyy',
      'a',
      'b',
    )
    const piece = fc.oneof(
      placeholder.map((name) => `{${name}}`),
      fc.constantFrom('/', '.', '..', '-', '_', 'x', 'images'),
    )
    const anyText = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.string({ unit: fc.constantFrom('.', '/', '-', '\ud800', '\0', 'ﷺ', 'a'), maxLength: 300 }),
    )
    const anyValues: fc.Arbitrary<KeyValues> = fc.record({
      id: fc.integer({ min: 0, max: 2 ** 48 - 1 }).map((now) => newAssetId(now)),
      attempt: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
      owner: anyText,
      collection: anyText,
      kind: anyText,
      extension: anyText,
      createdAt: fc.date({ min: new Date(0), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }),
      attributes: fc.record({ a: anyText, b: anyText }, { requiredKeys: [] }),
    })
    let kept = 0
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 40 }), anyValues, (pieces, given) => {
        let template: ReturnType<typeof parseKeyTemplate>
        try {
          template = parseKeyTemplate(pieces.join(''), ['a', 'b'])
        } catch (error) {
          expect(KeepsakeError.is(error, 'invalid_setting')).toBe(true)
          return
        }
        kept += 1
        const key = template.render(given)
        expect(isAssetId(given.id)).toBe(true)
        expect(key).toMatch(/^[A-Za-z0-9._/-]+$/)
        for (const segment of key.split('/')) expect(segment).not.toMatch(/^\.*$/)
        expect(Buffer.byteLength(key)).toBeLessThanOrEqual(1024)
        expect(key).toContain(given.id.slice(-8))
        expect(template.render({ ...given, attempt: given.attempt === 1 ? 2 : given.attempt - 1 })).not.toBe(key)
        expect(template.render(given)).toBe(key)
      }),
      { numRuns: 3000 },
    )
    expect(kept).toBeGreaterThan(200)
  })
})

describe('sanitizeKeyValue', () => {
  test('leaves alone what is fit for a key', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,126}[A-Za-z0-9_]$/), (value) => {
        expect(sanitizeKeyValue(value)).toBe(value)
      }),
    )
  })
})
