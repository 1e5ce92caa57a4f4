import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { HmacKey } from './hmac.ts'

it("gives what node:crypto's HMAC gives, for keys and texts of any length", () => {
  const text = fc.string({ maxLength: 2000 })
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(text, { minLength: 1 }), (key, texts) => {
      const hmac = new HmacKey(key)
      for (const text of texts) {
        const expected = createHmac('sha256', key).update(text).digest()
        expect(hmac.hex(text)).toBe(expected.toString('hex'))
        expect(hmac.bytes(text)).toEqual(expected)
      }
    }),
  )
})
