import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  acceptsContentType,
  type CollectionDefinition,
  defaultCollections,
  KeepsakeError,
  normalizeAttribute,
  parseAttributes,
  parseCollection,
} from './index.ts'

function refusal(work: () => unknown): KeepsakeError {
  try {
    work()
  } catch (error) {
    if (KeepsakeError.is(error)) return error
    throw error
  }
  throw new Error('It was taken.')
}

describe('parseCollection', () => {
  test('fills in the defaults', () => {
    const { key, ...rest } = parseCollection('avatars', {})
    expect(rest).toEqual({
      name: 'avatars',
      accept: ['image', 'video', 'audio'],
      maxSize: 100_000_000,
      attributes: {},
      access: 'private',
      keep: null,
      quota: null,
      replaceBy: null,
    })
    expect(key.source).toBe('{collection}/{owner}/{yyyy}/{mm}/{dd}/{id}.{ext}')
  })

  test('reads by what an asset takes the place of another', () => {
    const attributes = { role: {}, app: {} }
    expect(parseCollection('avatars', { attributes, replaceBy: ['role', 'role'] }).replaceBy).toEqual(['role'])
    expect(parseCollection('avatars', { replaceBy: [] }).replaceBy).toEqual([])
  })

  test('reads sizes and durations as people write them', () => {
    const { maxSize, keep, quota } = parseCollection('clips', { maxSize: '16 MiB', keep: '30d', quota: '5 GB' })
    expect([maxSize, keep, quota]).toEqual([16_777_216, 2_592_000, 5_000_000_000])
  })

  test('takes SVG where it is named, and by no other word', () => {
    expect(parseCollection('drawings', { accept: ['Image/SVG+XML'] }).accept).toEqual(['image/svg+xml'])
    expect(parseCollection('drawings', { accept: ['image/*'] }).accept).toEqual(['image'])
  })

  test('the default configuration is valid', () => {
    for (const [name, definition] of Object.entries(defaultCollections)) parseCollection(name, definition)
  })

  const refused: [name: string, definition: CollectionDefinition, said: string[]][] = [
    ['Avatars', {}, ['lower-case']],
    ['', {}, ['lower-case']],
    ['a/b', {}, ['lower-case']],
    ['x'.repeat(64), {}, ['lower-case']],
    ['a', { key: '{owner}' }, ['key', '{id}']],
    ['a', { key: '{wallet}/{id}' }, ['key', '{wallet} is not known']],
    ['a', { attributes: { owner: {} } }, ["may not be called 'owner'"]],
    ['a', { attributes: { 'two words': {} } }, ['attributes']],
    ['a', { attributes: { Model: {} } }, ['attributes']],
    ['a', { attributes: { model: { maxLength: 0 } } }, ['maxLength']],
    ['a', { accept: [] }, ['accept']],
    ['a', { accept: ['pictures'] }, ['pictures', 'image, video, audio']],
    ['a', { accept: ['text/*'] }, ['text/*']],
    ['a', { accept: ['*/*'] }, ['*/*']],
    ['a', { accept: ['image/'] }, ['image/']],
    ['a', { accept: ['application/xhtml+xml'] }, ['application/xhtml+xml', 'script']],
    ['a', { accept: ['application/atom+xml'] }, ['application/atom+xml', 'script']],
    ['a', { accept: ['text/xml'] }, ['text/xml', 'script']],
    ['a', { accept: ['text/html; charset=utf-8'] }, ['text/html', 'script']],
    ['a', { maxSize: '10 potatoes' }, ['maxSize', '10 potatoes', "'100 MB'"]],
    ['a', { maxSize: 0 }, ['maxSize', 'at least 1 byte']],
    ['a', { keep: 'for ever' }, ['keep', 'for ever', "'15m'"]],
    ['a', { keep: 0 }, ['keep', 'at least 1 second']],
    ['a', { quota: -1 }, ['quota', '-1']],
    ['a', { replaceBy: ['role'] }, ['replaceBy', 'role', 'none of its attributes']],
    ['a', { attributes: { role: {} }, replaceBy: ['toString'] }, ['toString']],
  ]
  test.each(refused)('%j %j is refused, and the message helps', (name, definition, said) => {
    const error = refusal(() => parseCollection(name, definition))
    expect(error.code).toBe('invalid_setting')
    for (const text of [`'${name}'`, ...said]) expect(error.message).toContain(text)
  })

  test('refuses what TypeScript would have: an unknown field, a wrong type', () => {
    const untyped = (json: string): CollectionDefinition => JSON.parse(json)
    expect(refusal(() => parseCollection('a', untyped('{"maxsize":1}'))).message).toContain('maxsize')
    expect(refusal(() => parseCollection('a', untyped('{"access":"secret"}'))).message).toContain('access')
    expect(refusal(() => parseCollection('a', untyped('null'))).code).toBe('invalid_setting')
  })

  test('accepts a named type beside kinds, in any case', () => {
    const { accept } = parseCollection('papers', { accept: ['Application/PDF', 'image/*', 'image/jpg'] })
    expect(accept).toEqual(['application/pdf', 'image', 'image/jpeg'])
    expect(acceptsContentType(accept, 'application/pdf')).toBe(true)
    const docx = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'
    expect(parseCollection('papers', { accept: [docx] }).accept).toEqual([docx])
  })
})

describe('parseAttributes', () => {
  const collection = parseCollection('scenes', {
    attributes: {
      stage: { required: true, pattern: /draft|final/ },
      wallet: { normalize: 'hex-address' },
      tag: { normalize: 'lowercase', maxLength: 5 },
      constructor: {},
    },
  })

  test('keeps what is declared, normalized, and drops what is empty', () => {
    expect(parseAttributes(collection, { stage: ' final ', wallet: '0xAbC', tag: 'NOIR' })).toEqual({
      stage: 'final',
      wallet: 'abc',
      tag: 'noir',
    })
    expect(parseAttributes(collection, { stage: 'draft', tag: '  ', wallet: '0x' })).toEqual({ stage: 'draft' })
  })

  test.each([
    [{}, 'stage', 'is required'],
    [{ stage: ' ' }, 'stage', 'is required'],
    [{ stage: 'draft', colour: 'red' }, 'colour', 'Declared: stage, wallet, tag, constructor'],
    [{ stage: 'draft', toString: 'x' }, 'toString', 'is not declared'],
    [{ stage: 'final cut' }, 'stage', 'does not match /draft|final/'],
    [{ stage: 'draft\nfinal' }, 'stage', 'does not match'],
    [{ stage: 'draft', tag: 'abcdef' }, 'tag', 'has 6 characters. Allowed are 5.'],
    [{ stage: 'draft', wallet: 'a\0b' }, 'wallet', 'cannot be stored'],
    [{ stage: 'draft', wallet: '\ud800' }, 'wallet', 'cannot be stored'],
  ])('%j is refused', (given, attribute, said) => {
    const error = refusal(() => parseAttributes(collection, given))
    expect(error).toMatchObject({ code: 'invalid_request', details: { attribute } })
    expect(error.message).toContain(`'${attribute}'`)
    expect(error.message).toContain(said)
  })

  test('takes names that every object inherits for what they are', () => {
    // As JSON brings it: an own property.
    const own: Record<string, string> = JSON.parse('{"stage":"draft","__proto__":"x"}')
    expect(refusal(() => parseAttributes(collection, own)).message).toContain("'__proto__' is not declared")
    expect(Object.keys(parseAttributes(collection, { stage: 'draft' }))).toEqual(['stage'])
    expect(parseAttributes(collection, { stage: 'draft', constructor: 'x' })).toEqual({
      stage: 'draft',
      constructor: 'x',
    })
  })

  test('refuses a value that is not a text', () => {
    const given: Record<string, string> = JSON.parse('{"stage":7}')
    expect(refusal(() => parseAttributes(collection, given)).message).toBe("The attribute 'stage' is not a text.")
  })

  test.each([/\d+/g, /\d+/y, /^\d+$/m, /1|12|123/, /(?<n>\d)\d*/u, /\d+/v])(
    '%s means the whole value, every time',
    (pattern) => {
      const numbers = parseCollection('numbers', { attributes: { n: { pattern } } })
      for (let round = 0; round < 3; round += 1) {
        expect(parseAttributes(numbers, { n: '123' })).toEqual({ n: '123' })
        for (const n of ['a123', '123a', '123\n4a', 'a\n123']) {
          expect(refusal(() => parseAttributes(numbers, { n })).code).toBe('invalid_request')
        }
      }
    },
  )
})

describe('normalizeAttribute', () => {
  test('a wallet loses its 0x and its case, and an address of another chain keeps both', () => {
    const wallet = (value: string) => normalizeAttribute({ normalize: 'hex-address' }, value)
    expect(wallet('0xABCD1234567890123456789012345678901234ABCD')).toBe('abcd1234567890123456789012345678901234abcd')
    expect(wallet('ABCD1234567890123456789012345678901234abcd')).toBe('abcd1234567890123456789012345678901234abcd')
    expect(wallet('0XabC')).toBe('abc')
    expect(wallet('7EcDhSYGxXyscszYEp35KHN8vvw3svAuLKTzXwCFLtV')).toBe('7EcDhSYGxXyscszYEp35KHN8vvw3svAuLKTzXwCFLtV')
  })

  test('twice is the same as once', () => {
    const anyText = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom('0', 'x', 'X', 'a', 'F', ' ', 'z', 'İ') }),
    )
    fc.assert(
      fc.property(
        fc.constantFrom('hex-address' as const, 'lowercase' as const, undefined),
        anyText,
        (normalize, value) => {
          const definition = normalize ? { normalize } : {}
          const once = normalizeAttribute(definition, value)
          expect(normalizeAttribute(definition, once)).toBe(once)
        },
      ),
      { numRuns: 2000 },
    )
  })
})
