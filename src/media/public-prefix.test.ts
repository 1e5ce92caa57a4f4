import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type CollectionDefinition, parseCollection } from './collection.ts'
import { keyPrefix, publicPrefixes } from './public-prefix.ts'

const declared = (definitions: Record<string, CollectionDefinition>) =>
  Object.entries(definitions).map(([name, definition]) => parseCollection(name, definition))

describe('what tells public from private', () => {
  it.each([
    ['the default template', {}, 'avatars/'],
    ['a word', { key: 'public/faces/{owner}/{id}.{ext}' }, 'public/faces/'],
    ['half a segment', { key: 'face-{id}.{ext}' }, 'face-'],
    ['nothing', { key: '{owner}/{id}.{ext}' }, ''],
  ])('%s', (_, definition, prefix) => {
    expect(declared({ avatars: definition }).map(keyPrefix)).toEqual([prefix])
  })

  it('every key that a template makes begins with it', () => {
    const segment = fc.oneof(
      fc.constantFrom('{owner}', '{collection}', '{kind}s', 'avatars', 'a-{yyyy}', '{collection}-x'),
      fc.stringMatching(/^[a-z0-9]{1,8}$/),
    )
    const name = fc.stringMatching(/^[a-z][a-z0-9_-]{0,62}$/)
    fc.assert(
      fc.property(name, fc.array(segment, { maxLength: 4 }), fc.string(), (name, segments, owner) => {
        const collection = parseCollection(name, { key: [...segments, '{id}.{ext}'].join('/') })
        const key = collection.key.render({
          ...{ id: '018d0d8e-7ce0-7abc-8def-0123a1b2c3d4', attempt: 1, owner, collection: name },
          ...{ kind: 'image', extension: 'png', createdAt: new Date(), attributes: {} },
        })
        expect(key.startsWith(keyPrefix(collection))).toBe(true)
      }),
    )
  })
})

describe('the prefixes of public collections', () => {
  it('are theirs alone', () => {
    const collections = declared({
      avatars: { access: 'public' },
      covers: { access: 'public', key: 'covers/{id}.{ext}' },
      private: {},
    })
    expect(publicPrefixes(collections)).toEqual(['avatars/', 'covers/'])
    expect(publicPrefixes(declared({ private: {} }))).toEqual([])
  })

  it.each<[string, Record<string, CollectionDefinition>, string]>([
    ['the same prefix', { a: { access: 'public', key: 'm/{id}.{ext}' }, b: { key: 'm/{id}.{ext}' } }, "'b'"],
    ['a prefix of a private one', { a: { access: 'public', key: 'm{id}.{ext}' }, b: { key: 'm/x/{id}.{ext}' } }, "'b'"],
    ['under a private one', { a: { access: 'public', key: 'm/x/{id}.{ext}' }, b: { key: 'm/{id}.{ext}' } }, "'b'"],
    ['beside one of any key', { a: { access: 'public' }, b: { key: '{owner}/{id}.{ext}' } }, "'b'"],
    ['the beginning of a prefix of ours', { a: { access: 'public', key: 'te{owner}/{id}.{ext}' } }, "Keepsake's own"],
    ['one letter of another', { a: { access: 'public', key: 'q{id}.{ext}' } }, "Keepsake's own"],
    ['none at all', { a: { access: 'public', key: '{owner}/{id}.{ext}' } }, "Keepsake's own"],
  ])('are refused: %s', (_, definitions, named) => {
    expect(() => publicPrefixes(declared(definitions))).toThrow(
      expect.objectContaining({ code: 'invalid_setting', message: expect.stringContaining(named) }),
    )
  })
})
