import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { newAssetId } from '../media/index.ts'
import { describeObject, objectMetadata } from './object-metadata.ts'

const asset = {
  id: newAssetId(),
  attempt: 1,
  owner: 'ada',
  collection: 'generations',
  createdAt: new Date('2026-01-02T03:04:05.678Z'),
  attributes: {},
}
const facts = { size: 1, sha256: 'ab'.repeat(32), width: null, height: null, duration: null }

describe('what an object says about itself', () => {
  it('is read back as it was, whatever owners and attributes hold', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter((it) => !it.includes('\0'))
    const attributes = fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/), text, { maxKeys: 3 })
    fc.assert(
      fc.property(text, attributes, fc.integer({ min: 1, max: 9 }), (owner, given, attempt) => {
        const metadata = objectMetadata(
          { ...asset, owner, attributes: given, attempt },
          { ...facts, width: 64, duration: 1.5 },
        )
        const { id, createdAt, collection } = asset
        const fits = 'attributes' in metadata || Object.keys(given).length === 0
        expect(describeObject({ metadata })).toEqual({
          ...{ asset: id, attempt, owner, collection, createdAt, sha256: facts.sha256 },
          ...{ width: 64, height: null, duration: 1.5, attributes: fits ? given : {} },
        })
      }),
    )
  })

  it('leaves attributes out that would not fit into the 2 KB that S3 takes', () => {
    const long = (length: number) => objectMetadata({ ...asset, attributes: { note: 'x'.repeat(length) } }, facts)
    expect(long(1500)).toHaveProperty('attributes')
    expect(long(1800)).not.toHaveProperty('attributes')
    expect(objectMetadata({ ...asset, attributes: { note: 'ß'.repeat(400) } }, facts)).not.toHaveProperty('attributes')
  })

  it('may lack a hash, and a time: the id has one', () => {
    const { sha256: _, created: __, ...metadata } = objectMetadata(asset, facts)
    const made = new Date(Number.parseInt(asset.id.slice(0, 8) + asset.id.slice(9, 13), 16))
    expect(describeObject({ metadata })).toMatchObject({ sha256: null, createdAt: made })
  })

  it.each([
    ['nothing', {}, 'foreign'],
    ['another thing’s name for an asset', { asset: 'invoice-7' }, 'foreign'],
    ['no owner', { asset: asset.id, collection: 'generations' }, 'invalid'],
    ['a hash that is none', { asset: asset.id, owner: 'ada', collection: 'x', sha256: 'yes' }, 'invalid'],
    ['an owner that no row holds', { asset: asset.id, owner: 'x'.repeat(1025), collection: 'x' }, 'invalid'],
  ])('is %s', (_, metadata, expected) => {
    expect(describeObject({ metadata })).toBe(expected)
  })

  it('is believed where the rest is fine', () => {
    const odd = { created: 'yesterday', attributes: '{"a":1}', width: '1.5', attempt: '0' }
    const metadata = { asset: asset.id, owner: 'ada', collection: 'x', ...odd }
    expect(describeObject({ metadata })).toMatchObject({ attributes: {}, width: null, attempt: 1 })
  })
})
