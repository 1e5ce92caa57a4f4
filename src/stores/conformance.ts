import { createHash, hash, randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ErrorCode, KeepsakeError } from '../media/index.ts'
import { describeSignedUrls } from './conformance-urls.ts'
import type { ObjectStore, PutRequest } from './object-store.ts'

export type OpenObjectStore = () => Promise<{ readonly store: ObjectStore; close(): Promise<void> }>

export type ConformanceOptions = {
  /** Whether the store's signed URLs can be fetched. Default: true. */
  readonly urls?: boolean
}

/** A put of some bytes with everything that the port asks for. */
export function putRequest(key: string, body: Uint8Array, more: Partial<PutRequest> = {}): PutRequest {
  return { key, body, size: body.length, sha256: hash('sha256', body, 'hex'), contentType: 'text/plain', ...more }
}

export function text(content: string): Uint8Array {
  return new TextEncoder().encode(content)
}

export async function readAll(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of body) pieces.push(piece)
  return Buffer.concat(pieces)
}

export async function collectAll<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** A KeepsakeError with a code, for `rejects`. */
export function withCode(code: ErrorCode): KeepsakeError {
  return expect.objectContaining({ name: 'KeepsakeError', code })
}

/**
 * The suite that every object store passes. Call it in a test file of vitest; each run works under a prefix of its own
 * and needs an empty or a shared bucket.
 *
 * @example
 * describeObjectStore('my store', async () => ({ store: await openMyStore(), close: async () => {} }))
 */
export function describeObjectStore(name: string, open: OpenObjectStore, options: ConformanceOptions = {}): void {
  describe(name, () => {
    let opened: Awaited<ReturnType<OpenObjectStore>> | undefined
    const root = `conformance/${randomUUID()}/`
    let count = 0
    const store = (): ObjectStore => {
      if (!opened) throw new Error('The store is not open.')
      return opened.store
    }
    const newKey = (ending = 'object'): string => `${root}${(count += 1)}/${ending}`

    beforeAll(async () => {
      opened = await open()
    })
    afterAll(async () => {
      await opened?.close()
    })

    describePut(store, newKey)
    describeGetAndHead(store, newKey)
    describeDelete(store, newKey)
    describeList(store, newKey)
    describeSignedUrls(store, newKey, options.urls ?? true)

    it('says that it can be used', async () => {
      await expect(store().check()).resolves.toBeUndefined()
      expect(store().name).not.toBe('')
    })
  })
}

type Store = () => ObjectStore
type NewKey = (ending?: string) => string

function describePut(store: Store, newKey: NewKey): void {
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

function describeGetAndHead(store: Store, newKey: NewKey): void {
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
      for (let round = 0; round < 80; round += 1) {
        const { body } = await store().get(key)
        const iterator = body[Symbol.asyncIterator]()
        if (round % 2 === 0) await iterator.next()
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

function describeDelete(store: Store, newKey: NewKey): void {
  describe('delete', () => {
    it('removes, and counts a key without an object as removed', async () => {
      const key = newKey()
      await store().put(putRequest(key, text('x')))
      expect(await store().delete([key])).toEqual({ deleted: [key], failed: [] })
      expect(await store().delete([key])).toEqual({ deleted: [key], failed: [] })
      expect(await store().head(key)).toBeUndefined()
    })

    it('frees the key', async () => {
      const key = newKey()
      await store().put(putRequest(key, text('first')))
      await store().delete([key])
      await store().put(putRequest(key, text('second')))
      expect((await readAll((await store().get(key)).body)).toString()).toBe('second')
    })

    it('removes nothing where it is given nothing', async () => {
      expect(await store().delete([])).toEqual({ deleted: [], failed: [] })
    })

    it('removes more than a batch, with keys that XML finds hard', async () => {
      const folder = newKey('')
      const odd = ['<&>"\'', 'line\r\nbreak', 'tab\t', 'control\u0001', '🦊', ']]>', '&amp;'].map((end) => folder + end)
      const present = [...odd, ...Array.from({ length: 13 }, (_, index) => `${folder}${index * 100}`)]
      await Promise.all(present.map((key) => store().put(putRequest(key, text('x')))))
      const neighbour = newKey()
      await store().put(putRequest(neighbour, text('stays')))
      const keys = [...odd, ...Array.from({ length: 1500 }, (_, index) => `${folder}${index}`)]
      const result = await store().delete(keys)
      expect(result.failed).toEqual([])
      expect(result.deleted).toHaveLength(keys.length)
      expect(await collectAll(store().list({ prefix: folder }))).toEqual([])
      expect(await store().head(neighbour)).toBeDefined()
    })

    it('stops when its signal is aborted', async () => {
      const signal = AbortSignal.abort()
      await expect(store().delete([newKey()], { signal })).rejects.toEqual(withCode('timeout'))
      await expect(store().delete([newKey(), newKey()], { signal })).rejects.toEqual(withCode('timeout'))
    })
  })
}

function describeList(store: Store, newKey: NewKey): void {
  describe('list', () => {
    /** Beside plain ones: keys whose order differs between UTF-8 and UTF-16, and those that URLs and XML write otherwise. */
    const endings = [
      '',
      '!',
      ' ',
      '+',
      '%',
      '%20',
      '-',
      '.',
      '/',
      '/a',
      '0',
      'A',
      'a',
      'a/',
      'a b',
      'a+b',
      'a/b',
      'a//b',
    ]
    endings.push('~', '\u007f', 'é', 'e\u0301', '\ud7ff', '\ue000', '\uffee', '\ufffd', '🦊', '😀', '\u{10ffff}', '<&>')
    let folder = ''
    let sorted: string[] = []

    beforeAll(async () => {
      folder = newKey('list')
      sorted = endings.map((ending) => folder + ending).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      await Promise.all(sorted.map((key) => store().put(putRequest(key, text('x')))))
    })

    const keysOf = async (options: Parameters<ObjectStore['list']>[0]) =>
      (await collectAll(store().list(options))).map(({ key }) => key)

    it('gives every object under a prefix in the byte order of UTF-8', async () => {
      expect(await keysOf({ prefix: folder })).toEqual(sorted)
    })

    it.each([1, 7, 1000])('gives the same by pages of %i', async (pageSize) => {
      expect(await keysOf({ prefix: folder, pageSize })).toEqual(sorted)
    })

    it('starts after a key, whether or not it has an object', async () => {
      for (const [index, startAfter] of sorted.entries()) {
        if (index % 4 === 0) expect(await keysOf({ prefix: folder, startAfter })).toEqual(sorted.slice(index + 1))
      }
      const startAfter = `${folder}A-`
      const expected = sorted.filter((key) => Buffer.compare(Buffer.from(key), Buffer.from(startAfter)) > 0)
      expect(await keysOf({ prefix: folder, startAfter, pageSize: 5 })).toEqual(expected)
    })

    it('takes a prefix by its characters', async () => {
      for (const ending of ['a', 'a/', '%', '+', ' ', '🦊', '<']) {
        const prefix = folder + ending
        expect(await keysOf({ prefix })).toEqual(sorted.filter((key) => key.startsWith(prefix)))
      }
      expect(await keysOf({ prefix: `${folder}none` })).toEqual([])
    })

    it('can be left early', async () => {
      for await (const { key } of store().list({ prefix: folder, pageSize: 3 })) {
        expect(key).toBe(sorted[0])
        break
      }
    })

    it('refuses a page size that S3 does not have', async () => {
      await expect(keysOf({ pageSize: 1001 })).rejects.toEqual(withCode('invalid_request'))
    })

    it('stops when its signal is aborted', async () => {
      await expect(keysOf({ prefix: folder, signal: AbortSignal.abort() })).rejects.toEqual(withCode('timeout'))
    })
  })
}
