import { hash, randomBytes } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import type { MultipartPart, MultipartUpload } from '../object-store.ts'
import { sweepMultipart } from '../sweep.ts'
import { collectAll, type NewKey, onlyIf, putRequest, readAll, type Store, text, withCode } from './tools.ts'

const partSize = 5 * 1024 * 1024

/** `exact` false: create-only completions look first, and then complete (see the port). */
export function describeMultipart(store: Store, newKey: NewKey, urls: boolean, exact: boolean): void {
  describe('multipart', () => {
    const content = Buffer.concat([randomBytes(partSize), randomBytes(partSize), text('the end')])
    const contents = [
      content.subarray(0, partSize),
      content.subarray(partSize, 2 * partSize),
      content.subarray(2 * partSize),
    ]
    const begin = (key: string, more = {}) => store().createMultipart({ key, contentType: 'video/mp4', ...more })
    const send = (upload: MultipartUpload, partNumber: number, body: Uint8Array) =>
      store().putPart(upload, { partNumber, body, size: body.length, sha256: hash('sha256', body, 'hex') })
    const sendAll = (upload: MultipartUpload) =>
      Promise.all(contents.map((body, index) => send(upload, index + 1, body)))
    const listed = async (key: string) =>
      (await collectAll(store().listMultipart({ prefix: key }))).map(({ uploadId }) => uploadId)

    it.each([{}, { keepSha256: true }])(
      'makes one object out of parts, in the order of their numbers %j',
      async (more) => {
        const key = newKey('film ü+%20.mp4')
        const upload = await begin(key, { metadata: { owner: 'zoë 🦊' }, ...more })
        expect(upload.key).toBe(key)
        const parts: MultipartPart[] = []
        // The last one first, and one of them twice.
        parts[2] = await send(upload, 3, content.subarray(2 * partSize))
        await send(upload, 1, text('to be replaced'))
        parts[1] = await send(upload, 2, content.subarray(partSize, 2 * partSize))
        parts[0] = await send(upload, 1, content.subarray(0, partSize))
        expect(await store().head(key)).toBeUndefined()
        const { etag } = await store().completeMultipart(upload, parts, { size: content.length })
        const { body, ...head } = await store().get(key)
        expect((await readAll(body)).equals(content)).toBe(true)
        expect(head).toMatchObject({
          key,
          etag,
          size: content.length,
          contentType: 'video/mp4',
          metadata: { owner: 'zoë 🦊' },
        })
        expect(await listed(key)).toEqual([])
      },
    )

    it('may leave numbers out', async () => {
      const key = newKey()
      const upload = await begin(key)
      const first = await send(upload, 7, content.subarray(0, partSize))
      const last = await send(upload, 10_000, text('last'))
      await store().completeMultipart(upload, [first, last])
      expect(await store().head(key)).toMatchObject({ size: partSize + 4 })
    })

    it('gives the same answer when a completion is repeated', async () => {
      const upload = await begin(newKey())
      const parts = [await send(upload, 1, text('x'))]
      const first = await store().completeMultipart(upload, parts, { createOnly: false })
      expect(await store().completeMultipart(upload, parts, { createOnly: false })).toEqual(first)
    })

    it('goes on elsewhere, from what the store knows', async () => {
      const key = newKey()
      const begun = await begin(key)
      await sendAll(begun)
      // As it comes back from a database.
      const upload: MultipartUpload = JSON.parse(JSON.stringify(begun))
      for (const pageSize of [1, 2, 1000]) {
        const parts = await collectAll(store().listParts(upload, { pageSize }))
        expect(parts.map(({ partNumber, size }) => [partNumber, size])).toEqual([
          [1, partSize],
          [2, partSize],
          [3, 7],
        ])
      }
      await store().completeMultipart(upload, await collectAll(store().listParts(upload)))
      expect(await store().head(key)).toMatchObject({ size: content.length })
    })

    it('refuses a part of other bytes than announced', async () => {
      const upload = await begin(newKey())
      const sha256 = hash('sha256', 'other', 'hex')
      const wrong = store().putPart(upload, { partNumber: 1, body: text('these'), size: 5, sha256 })
      await expect(wrong).rejects.toEqual(withCode('content_mismatch'))
      expect(await collectAll(store().listParts(upload))).toEqual([])
      await store().abortMultipart(upload)
    })

    it('refuses a completion that names other parts, or small ones, and goes on afterwards', async () => {
      const key = newKey()
      const upload = await begin(key)
      const [small, last] = [await send(upload, 1, text('small')), await send(upload, 2, text('last'))]
      const complete = (parts: readonly MultipartPart[]) => store().completeMultipart(upload, parts)
      const invalid = withCode('invalid_request')
      await expect(complete([])).rejects.toEqual(invalid)
      await expect(complete([last, small])).rejects.toEqual(invalid)
      await expect(complete([small, small])).rejects.toEqual(invalid)
      await expect(complete([{ ...small, etag: `"${'0'.repeat(32)}"` }])).rejects.toEqual(invalid)
      await expect(complete([{ ...small, partNumber: 3 }])).rejects.toEqual(invalid)
      await expect(complete([small, last])).rejects.toEqual(invalid)
      expect(await store().head(key)).toBeUndefined()
      await complete([await send(upload, 1, content.subarray(0, partSize)), last])
      expect(await store().head(key)).toMatchObject({ size: partSize + 4 })
    })

    it('refuses a completion of another size than announced, and goes on afterwards', async () => {
      const key = newKey()
      const upload = await begin(key)
      const parts = [await send(upload, 1, text('five!'))]
      for (const size of [4, 6]) {
        const wrong = store().completeMultipart(upload, parts, { size })
        await expect(wrong).rejects.toEqual(withCode('content_mismatch'))
      }
      expect(await store().head(key)).toBeUndefined()
      await store().completeMultipart(upload, parts, { size: 5 })
      expect(await store().head(key)).toMatchObject({ size: 5 })
    })

    it('refuses a key that is taken, and leaves the object alone', async () => {
      const key = newKey()
      await store().put(putRequest(key, text('first')))
      const upload = await begin(key)
      const parts = [await send(upload, 1, text('second'))]
      await expect(store().completeMultipart(upload, parts)).rejects.toEqual(withCode('object_exists'))
      expect((await readAll((await store().get(key)).body)).toString()).toBe('first')
      await store().completeMultipart(upload, parts, { createOnly: false })
      expect((await readAll((await store().get(key)).body)).toString()).toBe('second')
    })

    onlyIf(exact)('lets exactly one of many completions create a key', async () => {
      const key = newKey()
      const ready = await Promise.all(
        Array.from({ length: 8 }, async (_, index) => {
          const upload = await begin(key)
          return { upload, part: await send(upload, 1, text(`writer ${index}`)) }
        }),
      )
      const results = await Promise.allSettled(
        ready.map(({ upload, part }) => store().completeMultipart(upload, [part])),
      )
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      for (const result of results) {
        if (result.status === 'rejected') expect(result.reason).toEqual(withCode('object_exists'))
      }
      await Promise.all(ready.map(({ upload }) => store().abortMultipart(upload)))
    })

    it('forgets an aborted upload', async () => {
      const key = newKey()
      const upload = await begin(key)
      const part = await send(upload, 1, text('x'))
      await store().abortMultipart(upload)
      await store().abortMultipart(upload)
      const missing = withCode('object_missing')
      await expect(send(upload, 1, text('x'))).rejects.toEqual(missing)
      await expect(store().completeMultipart(upload, [part])).rejects.toEqual(missing)
      await expect(collectAll(store().listParts(upload))).rejects.toEqual(missing)
      expect(await store().head(key)).toBeUndefined()
      expect(await listed(key)).toEqual([])
    })

    it.each([0, 10_001, 1.5])('has no part %d', async (partNumber) => {
      const upload = { key: newKey(), uploadId: 'some' }
      await expect(send(upload, partNumber, text('x'))).rejects.toEqual(withCode('invalid_request'))
      expect(() => store().signPart(upload, { partNumber, expiresIn: 60 })).toThrow(withCode('invalid_request'))
    })

    it('stops when its signal is aborted', async () => {
      const signal = AbortSignal.abort()
      const upload = await begin(newKey())
      const timeout = withCode('timeout')
      const part = { partNumber: 1, body: text('x'), size: 1, sha256: hash('sha256', 'x', 'hex'), signal }
      await expect(begin(newKey(), { signal })).rejects.toEqual(timeout)
      await expect(store().putPart(upload, part)).rejects.toEqual(timeout)
      await expect(store().completeMultipart(upload, [{ partNumber: 1, etag: '"x"' }], { signal })).rejects.toEqual(
        timeout,
      )
      await expect(collectAll(store().listMultipart({ signal }))).rejects.toEqual(timeout)
      await store().abortMultipart(upload)
    })

    it('signs parts, each for its own number and upload', async () => {
      const upload = { key: newKey(), uploadId: 'a+b/c=' }
      const at = new Date(1_790_000_000_000)
      const sign = (partNumber: number, uploadId = upload.uploadId) =>
        store().signPart(
          { ...upload, uploadId },
          { partNumber, expiresIn: 3600, at, headers: { 'content-length': '5' } },
        )
      expect(sign(1)).toEqual(sign(1))
      expect(sign(1)).toMatchObject({
        method: 'PUT',
        headers: { 'content-length': '5' },
        expiresAt: new Date(at.getTime() + 3600_000),
      })
      expect(new Set([sign(1), sign(2), sign(1, 'other')].map(({ url }) => url)).size).toBe(3)
    })

    onlyIf(urls)('takes parts by signed URLs', async () => {
      const key = newKey('by url/ü.mp4')
      const upload = await begin(key)
      for (const [index, body] of contents.entries()) {
        const headers = { 'content-length': String(body.length) }
        const signed = store().signPart(upload, { partNumber: index + 1, expiresIn: 60, headers })
        const sendTo = async (url: string, body: Uint8Array) => {
          const response = await fetch(url, { method: 'PUT', body: Buffer.from(body) })
          await response.arrayBuffer()
          return response.status
        }
        expect(await sendTo(signed.url.replace('partNumber=', 'partNumber=1'), body)).toBe(403)
        expect(await sendTo(signed.url, Buffer.concat([body, text('!')]))).toBe(403)
        expect(await sendTo(signed.url, body)).toBe(200)
      }
      const parts = await collectAll(store().listParts(upload))
      await store().completeMultipart(upload, parts, { size: content.length })
      expect((await readAll((await store().get(key)).body)).equals(content)).toBe(true)
    })

    describe('lists and sweeps', () => {
      let folder = ''
      let begun: MultipartUpload[] = []
      beforeAll(async () => {
        folder = newKey('sweep')
        begun = []
        for (const ending of ['/a', '/a', '/b ü+%', '/c']) begun.push(await begin(folder + ending))
      })

      it.each([1, 3, 1000])('what was begun, by pages of %i', async (pageSize) => {
        const found = await collectAll(store().listMultipart({ prefix: folder, pageSize }))
        expect(found.map(({ key }) => key)).toEqual(begun.map(({ key }) => key))
        expect(found.map(({ uploadId }) => uploadId).sort()).toEqual(begun.map(({ uploadId }) => uploadId).sort())
        for (const { initiated } of found) expect(Math.abs(initiated.getTime() - Date.now())).toBeLessThan(600_000)
      })

      it('those after a key', async () => {
        const laterThan = (startAfter: string) =>
          collectAll(store().listMultipart({ prefix: folder, startAfter, pageSize: 1 }))
        expect((await laterThan(`${folder}/a`)).map(({ key }) => key)).toEqual([`${folder}/b ü+%`, `${folder}/c`])
        expect(await laterThan(`${folder}/c`)).toEqual([])
      })

      it('in pieces, each going on where the one before ended', async () => {
        const looked: string[] = []
        let next: string | undefined
        for (let pieces = 0; pieces < 4; pieces += 1) {
          const result = await sweepMultipart(store(), {
            prefix: folder,
            before: new Date(Date.now() + 3_600_000),
            limit: 1,
            choose: (old) => {
              looked.push(...old.map(({ key }) => key))
              return []
            },
            ...(next === undefined ? {} : { startAfter: next }),
          })
          next = result.next
          if (next === undefined) break
        }
        // The second upload of a key goes with the first: the next time from the start meets it.
        expect(looked).toEqual([`${folder}/a`, `${folder}/b ü+%`, `${folder}/c`])
        expect(next).toBeUndefined()
      })

      it('only what is old enough and wanted', async () => {
        const hour = 3_600_000
        const sweep = (before: number, ending = '') =>
          sweepMultipart(store(), {
            prefix: folder,
            before: new Date(before),
            choose: (old) => old.filter(({ key }) => key.endsWith(ending)),
          })
        expect(await sweep(Date.now() - hour)).toEqual({ aborted: [], failed: [], next: undefined })
        expect((await sweep(Date.now() + hour, '/a')).aborted).toHaveLength(2)
        expect(await listed(folder)).toEqual(begun.slice(2).map(({ uploadId }) => uploadId))
        expect((await sweep(Date.now() + hour)).aborted).toHaveLength(2)
        expect(await listed(folder)).toEqual([])
      })
    })
  })
}
