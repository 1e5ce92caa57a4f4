import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { collectAll, type NewKey, putRequest, readAll, type Store, text, withCode } from './tools.ts'

export function describeGetAndHead(store: Store, newKey: NewKey): void {
  describe('get and head', () => {
    it.each([
      [{ start: 0, end: 0 }, '0'],
      [{ start: 2, end: 5 }, '2345'],
      [{ start: 7 }, '789'],
      [{ start: 8, end: 100 }, '89'],
      [{ start: 0 }, '0123456789'],
    ])('give the range %j', async (range, expected) => {
      const key = newKey()
      await store().put(putRequest(key, text('0123456789')))
      const { body, size, contentLength } = await store().get(key, { range })
      expect((await readAll(body)).toString()).toBe(expected)
      expect({ size, contentLength }).toEqual({ size: 10, contentLength: expected.length })
    })

    it('refuse a range outside of the object', async () => {
      const key = newKey()
      await store().put(putRequest(key, text('0123456789')))
      await expect(store().get(key, { range: { start: 10 } })).rejects.toEqual(withCode('invalid_request'))
    })

    it('tell a missing object', async () => {
      expect(await store().head(newKey())).toBeUndefined()
      await expect(store().get(newKey())).rejects.toEqual(withCode('object_missing'))
    })

    it('tell the hash of the bytes where it is asked for and kept, and never another', async () => {
      const key = newKey()
      const request = putRequest(key, text('hashed'))
      await store().put(request)
      expect(await store().head(key)).not.toHaveProperty('sha256')
      const asked = await store().head(key, { checksum: true })
      expect(asked).toMatchObject({ key, size: 6 })
      if (asked?.sha256 !== undefined) expect(asked.sha256).toBe(request.sha256)
    })

    it('agree with each other and with the list', async () => {
      const key = newKey()
      const before = Date.now()
      const { etag } = await store().put(putRequest(key, text('same')))
      const head = await store().head(key)
      const [listed] = await collectAll(store().list({ prefix: key }))
      expect(head).toMatchObject({ key, size: 4, etag, contentType: 'text/plain', metadata: {} })
      expect(listed).toMatchObject({ key, size: 4, etag })
      for (const date of [head?.lastModified, listed?.lastModified]) {
        expect(Math.abs((date?.getTime() ?? 0) - before)).toBeLessThan(60_000)
      }
    })

    it('let go of a body that is not read to its end', async () => {
      const key = newKey()
      await store().put(putRequest(key, randomBytes(3_000_000)))
      for (let round = 0; round < 100; round += 1) {
        const { body } = await store().get(key)
        const iterator = body[Symbol.asyncIterator]()
        if (round % 10 === 0) await iterator.next()
        await iterator.return?.()
      }
      expect(await store().head(key)).toMatchObject({ size: 3_000_000 })
    })

    it('stop when their signal is aborted', async () => {
      const key = newKey()
      await store().put(putRequest(key, randomBytes(3_000_000)))
      const stop = new AbortController()
      const { body } = await store().get(key, { signal: stop.signal })
      const reading = (async () => {
        for await (const _ of body) stop.abort()
      })()
      await expect(reading).rejects.toEqual(withCode('timeout'))
      await expect(store().get(key, { signal: stop.signal })).rejects.toEqual(withCode('timeout'))
      await expect(store().head(key, { signal: stop.signal })).rejects.toEqual(withCode('timeout'))
    })
  })
}
