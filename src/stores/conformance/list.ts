import { beforeAll, describe, expect, it } from 'vitest'
import type { ListedPage } from '../listed-page.ts'
import type { ObjectStore } from '../object-store.ts'
import { collectAll, type NewKey, putRequest, type Store, text, withCode } from './tools.ts'

async function* noPages(): AsyncGenerator<ListedPage> {}

export function describeList(store: Store, newKey: NewKey): void {
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

    it('gives keys and sizes alike in pages, where it lists in pages', async () => {
      const pages = await collectAll(store().listPages?.({ prefix: folder, pageSize: 7 }) ?? noPages())
      const listed = pages.flatMap((page) =>
        Array.from({ length: page.length }, (_, index) => [page.key(index), page.size(index)]),
      )
      expect(listed).toEqual(store().listPages ? sorted.map((key) => [key, 1]) : [])
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
