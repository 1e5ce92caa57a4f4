import fc from 'fast-check'
import { expect, it } from 'vitest'
import { decodeMetadata, encodeMetadata } from './metadata.ts'

const name = fc.stringMatching(/^[a-z0-9-]{1,12}$/)
const tricky = fc.constantFrom("UTF-8''", '=?UTF-8?B?aGk=?=', '%', '%41', '  ', '\r\n', '\t', 'é', '🦊', '\u0000', '')
const value = fc.oneof(
  fc
    .array(fc.oneof(tricky, fc.string({ unit: 'binary', maxLength: 5 })), { maxLength: 5 })
    .map((parts) => parts.join('')),
  fc.string(),
)

it('reads back whatever it wrote, in ASCII that no store changes', () => {
  const metadata = fc.dictionary(
    name,
    value.filter((text) => text.isWellFormed()),
  )
  fc.assert(
    fc.property(metadata, (metadata) => {
      const headers = encodeMetadata(metadata)
      for (const written of Object.values(headers)) {
        expect(written).toMatch(/^[\x21-\x7e]+( [\x21-\x7e]+)*$/)
        expect(written).not.toContain('=?')
      }
      expect(decodeMetadata(headers)).toEqual(metadata)
    }),
    { numRuns: 2000 },
  )
})

it('leaves plain values readable for everybody', () => {
  expect(encodeMetadata({ owner: 'user 42, 100% of it' })).toEqual({ 'x-amz-meta-owner': 'user 42, 100% of it' })
})

it.each([
  // AWS, "Working with object metadata".
  ['=?UTF-8?B?w4PChE3Dg8KEWsODwpXDg8KRIFMz?=', Buffer.from('w4PChE3Dg8KEWsODwpXDg8KRIFMz', 'base64').toString()],
  ['=?UTF-8?Q?caf=C3=A9_au_lait?=', 'café au lait'],
  ['=?utf-8?b?w6k=?= =?utf-8?b?w6g=?=', 'éè'],
  ["UTF-8''%zz", "UTF-8''%zz"],
])('reads %s, which others wrote', (written, expected) => {
  expect(decodeMetadata({ 'x-amz-meta-a': written, etag: 'x' })).toEqual({ a: expected })
})

it.each(['Upper', 'with space', '', 'é'])('refuses the name %j', (name) => {
  expect(() => encodeMetadata({ [name]: 'x' })).toThrow(expect.objectContaining({ code: 'invalid_request' }))
})
