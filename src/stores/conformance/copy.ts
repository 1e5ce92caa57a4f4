import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type NewKey, onlyIf, putRequest, readAll, type Store, text, withCode } from './tools.ts'

/** `exact` false: create-only copies look first, and then copy (see the port). */
export function describeCopy(store: Store, newKey: NewKey, exact: boolean): void {
  describe('copy', () => {
    it('makes a second object of the same bytes and settings', async () => {
      const [source, key] = [newKey('a b+ü.png'), newKey('ç %20/🦊.png')]
      const bytes = randomBytes(100_000)
      const metadata = { owner: 'zoë 🦊', plain: 'x' }
      const { etag } = await store().put(putRequest(source, bytes, { contentType: 'image/png', metadata }))
      const copied = await store().copy({ source, key })
      const { body, ...head } = await store().get(key)
      expect((await readAll(body)).equals(bytes)).toBe(true)
      expect(head).toMatchObject({ key, size: bytes.length, etag: copied.etag, contentType: 'image/png', metadata })
      expect(await store().head(source)).toMatchObject({ etag })
    })

    it('copies an empty object', async () => {
      const [source, key] = [newKey(), newKey()]
      await store().put(putRequest(source, new Uint8Array()))
      await store().copy({ source, key, size: 0 })
      expect(await store().head(key)).toMatchObject({ size: 0 })
    })

    it('takes other settings', async () => {
      const [source, key] = [newKey(), newKey()]
      await store().put(putRequest(source, text('x'), { metadata: { old: '1' } }))
      await store().copy({ source, key, settings: { contentType: 'image/webp', metadata: { new: '2' } } })
      expect(await store().head(key)).toMatchObject({ contentType: 'image/webp', metadata: { new: '2' } })
      await store().copy({ source, key: source, createOnly: false, settings: { contentType: 'image/gif' } })
      expect(await store().head(source)).toMatchObject({ contentType: 'image/gif', metadata: {}, size: 1 })
    })

    it('refuses a key that is taken, and leaves the object alone', async () => {
      const [source, key] = [newKey(), newKey()]
      await store().put(putRequest(source, text('source')))
      await store().put(putRequest(key, text('target')))
      await expect(store().copy({ source, key })).rejects.toEqual(withCode('object_exists'))
      await expect(store().copy({ source, key, size: 6 })).rejects.toEqual(withCode('object_exists'))
      expect((await readAll((await store().get(key)).body)).toString()).toBe('target')
      await store().copy({ source, key, createOnly: false })
      expect((await readAll((await store().get(key)).body)).toString()).toBe('source')
    })

    onlyIf(exact)('lets exactly one of many copies create a key', async () => {
      const key = newKey()
      const sources = await Promise.all(
        Array.from({ length: 8 }, async (_, index) => {
          const source = newKey()
          await store().put(putRequest(source, text(`source ${index}`)))
          return source
        }),
      )
      const results = await Promise.allSettled(sources.map((source) => store().copy({ source, key, size: 8 })))
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      for (const result of results) {
        if (result.status === 'rejected') expect(result.reason).toEqual(withCode('object_exists'))
      }
    })

    it('tells a source that is missing, or another than was meant', async () => {
      const [source, key] = [newKey(), newKey()]
      await expect(store().copy({ source, key })).rejects.toEqual(withCode('object_missing'))
      await expect(store().copy({ source, key, size: 1 })).rejects.toEqual(withCode('object_missing'))
      const { etag } = await store().put(putRequest(source, text('first')))
      await store().put(putRequest(source, text('second'), { createOnly: false }))
      await expect(store().copy({ source, key, sourceEtag: etag })).rejects.toEqual(withCode('object_missing'))
      expect(await store().head(key)).toBeUndefined()
    })

    it('stops when its signal is aborted', async () => {
      const signal = AbortSignal.abort()
      await expect(store().copy({ source: newKey(), key: newKey(), signal })).rejects.toEqual(withCode('timeout'))
    })
  })
}
