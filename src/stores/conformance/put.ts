import { createHash, hash, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { collectAll, type NewKey, putRequest, readAll, type Store, text, withCode } from './tools.ts'

export function describePut(store: Store, newKey: NewKey): void {
  describe('put', () => {
    it('keeps bytes as they are', async () => {
      const key = newKey()
      const bytes = randomBytes(100_000)
      const { etag } = await store().put(putRequest(key, bytes, { contentType: 'image/png' }))
      const { body, ...head } = await store().get(key)
      expect((await readAll(body)).equals(bytes)).toBe(true)
      expect(head).toMatchObject({ key, size: 100_000, contentLength: 100_000, contentType: 'image/png', etag })
    })

    it('keeps an empty object', async () => {
      const key = newKey()
      await store().put(putRequest(key, new Uint8Array()))
      const { body, size } = await store().get(key)
      expect(size).toBe(0)
      expect(await readAll(body)).toHaveLength(0)
    })

    it('keeps a stream of several megabytes', async () => {
      const key = newKey()
      const piece = randomBytes(256 * 1024)
      const sha256 = createHash('sha256')
      for (let index = 0; index < 12; index += 1) sha256.update(piece)
      const size = 12 * piece.length
      async function* body() {
        for (let index = 0; index < 12; index += 1) yield piece
      }
      await store().put({ ...putRequest(key, piece), body, size, sha256: sha256.digest('hex') })
      const bytes = await readAll((await store().get(key)).body)
      expect(bytes.length).toBe(size)
      expect(bytes.subarray(-piece.length).equals(piece)).toBe(true)
    })

    it.each([
      'with spaces and + signs.txt',
      'per%20cent %2F %.txt',
      'ünï/日本語/🦊.txt',
      'quotes\'"()!*~&=?#;:@$,.txt',
      'double//slash///and/trailing/',
      'dots/../and/./more/..',
      '<xml>&amp;\t',
    ])('keeps an object under the key %j', async (ending) => {
      const key = newKey(ending)
      await store().put(putRequest(key, text(ending)))
      expect((await readAll((await store().get(key)).body)).toString()).toBe(ending)
      expect(await store().head(key)).toMatchObject({ key })
      const listed = await collectAll(store().list({ prefix: key.slice(0, key.length - ending.length) }))
      expect(listed.map((object) => object.key)).toEqual([key])
      expect(await store().delete([key, newKey()])).toMatchObject({ failed: [] })
      expect(await store().head(key)).toBeUndefined()
    })

    it('refuses a key that is taken, and leaves the object alone', async () => {
      const key = newKey()
      await store().put(putRequest(key, text('first')))
      await expect(store().put(putRequest(key, text('second')))).rejects.toEqual(withCode('object_exists'))
      expect((await readAll((await store().get(key)).body)).toString()).toBe('first')
    })

    it('replaces an object where createOnly is false', async () => {
      const key = newKey()
      await store().put(putRequest(key, text('first')))
      await store().put(putRequest(key, text('second'), { createOnly: false }))
      expect((await readAll((await store().get(key)).body)).toString()).toBe('second')
    })

    it('lets exactly one of many writers create a key', async () => {
      const key = newKey()
      const results = await Promise.allSettled(
        Array.from({ length: 16 }, (_, index) => store().put(putRequest(key, text(`writer ${index}`)))),
      )
      const winners = results.flatMap((result, index) => (result.status === 'fulfilled' ? [index] : []))
      expect(winners).toHaveLength(1)
      for (const result of results) {
        if (result.status === 'rejected') expect(result.reason).toEqual(withCode('object_exists'))
      }
      expect((await readAll((await store().get(key)).body)).toString()).toBe(`writer ${winners[0]}`)
    })

    it('refuses other bytes than announced, and writes nothing', async () => {
      const key = newKey()
      const sha256 = hash('sha256', 'other', 'hex')
      await expect(store().put(putRequest(key, text('these'), { sha256 }))).rejects.toEqual(
        withCode('content_mismatch'),
      )
      expect(await store().head(key)).toBeUndefined()
    })

    it.each([
      ['more', 4],
      ['fewer', 6],
    ])('refuses a stream of %s bytes than announced, and writes nothing', async (_, size) => {
      const key = newKey()
      async function* body() {
        yield text('12345')
      }
      await expect(store().put({ ...putRequest(key, text('12345')), body, size })).rejects.toEqual(
        withCode('content_mismatch'),
      )
      expect(await store().head(key)).toBeUndefined()
    })

    it('passes on the error of a source, and writes nothing', async () => {
      const key = newKey()
      const disk = new Error('The disk is gone.')
      // biome-ignore lint/correctness/useYield: a source that fails before its first byte
      async function* body(): AsyncGenerator<Uint8Array> {
        throw disk
      }
      const error: unknown = await store()
        .put({ ...putRequest(key, text('12345')), body })
        .catch((error: unknown) => error)
      expect([error, error instanceof Error ? error.cause : undefined]).toContain(disk)
      expect(await store().head(key)).toBeUndefined()
    })

    it('keeps metadata, Unicode included', async () => {
      const key = newKey()
      const metadata = {
        plain: 'value with spaces',
        'with-dash': 'ÄÖ 日本語 🦊',
        percent: '100% of =?UTF-8?B?aGk=?= %41',
        marked: "UTF-8''x",
        lines: ' edge  spaces\r\nand lines ',
        empty: '',
      }
      await store().put(putRequest(key, text('x'), { metadata }))
      expect((await store().head(key))?.metadata).toEqual(metadata)
      const { body, metadata: got } = await store().get(key)
      await readAll(body)
      expect(got).toEqual(metadata)
    })

    it.each(['', 'x'.repeat(1025), 'lone \ud800 surrogate'])('refuses a key that cannot be one', async (key) => {
      await expect(store().put(putRequest(key, text('x')))).rejects.toEqual(withCode('invalid_request'))
      await expect(store().head(key)).rejects.toEqual(withCode('invalid_request'))
    })

    it('stops when its signal is aborted', async () => {
      const key = newKey()
      const stop = new AbortController()
      async function* body() {
        yield text('12')
        stop.abort()
        yield text('345')
      }
      const put = store().put({ ...putRequest(key, text('12345')), body, signal: stop.signal })
      await expect(put).rejects.toEqual(withCode('timeout'))
      await expect(store().put(putRequest(key, text('x'), { signal: stop.signal }))).rejects.toEqual(
        withCode('timeout'),
      )
      expect(await store().head(key)).toBeUndefined()
    })
  })
}
