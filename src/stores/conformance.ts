import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeCopy } from './conformance/copy.ts'
import { describeDelete } from './conformance/delete.ts'
import { describeGetAndHead } from './conformance/get.ts'
import { describeList } from './conformance/list.ts'
import { describeMultipart } from './conformance/multipart.ts'
import { describePut } from './conformance/put.ts'
import { describeSignedUrls } from './conformance/urls.ts'
import type { ObjectStore } from './object-store.ts'

export { collectAll, putRequest, readAll, text, withCode } from './conformance/tools.ts'

export type OpenObjectStore = () => Promise<{ readonly store: ObjectStore; close(): Promise<void> }>

export type ConformanceOptions = {
  /** Whether the store's signed URLs can be fetched. Default: true. */
  readonly urls?: boolean
  /** Whether create-only copies and completions hold between writers at the same moment, too. Default: true. */
  readonly exact?: boolean
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
    const { urls = true, exact = true } = options
    let opened: Awaited<ReturnType<OpenObjectStore>> | undefined
    const root = `conformance/${randomUUID()}/`
    let count = 0
    const store = (): ObjectStore => {
      if (!opened) throw new Error('The store is not open.')
      return opened.store
    }
    const newKey = (ending = 'object'): string => {
      count += 1
      return `${root}${count}/${ending}`
    }

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
    describeSignedUrls(store, newKey, urls)
    describeCopy(store, newKey, exact)
    describeMultipart(store, newKey, urls, exact)

    it('says that it can be used', async () => {
      await expect(store().check()).resolves.toBeUndefined()
      expect(store().name).not.toBe('')
    })
  })
}
