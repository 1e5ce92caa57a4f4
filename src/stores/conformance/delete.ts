import { describe, expect, it } from 'vitest'
import { collectAll, type NewKey, putRequest, readAll, type Store, text, withCode } from './tools.ts'

export function describeDelete(store: Store, newKey: NewKey): void {
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
