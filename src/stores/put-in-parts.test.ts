import { hash, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createChaosStore } from './chaos.ts'
import { collectAll, putRequest, readAll, text, withCode } from './conformance.ts'
import { createMemoryStore } from './memory.ts'
import type { ObjectBody, PutRequest } from './object-store.ts'
import { putInParts } from './put-in-parts.ts'

const mebibyte = 1024 * 1024
const partSize = 5 * mebibyte
const content = randomBytes(2 * partSize + 12_345)
const options = { partSize, parallel: 2 }

async function* chunks(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield Uint8Array.from(bytes.subarray(at, at + size))
}

const bodies: readonly (readonly [name: string, make: (bytes: Uint8Array) => ObjectBody])[] = [
  ['memory', (bytes) => bytes],
  ['a stream of small chunks', (bytes) => () => chunks(bytes, 65_537)],
  ['a stream of chunks larger than a part', (bytes) => () => chunks(bytes, 2 * partSize + 1)],
  ['ranges', (bytes) => ({ read: (start, end) => chunks(bytes.subarray(start, end), 100_000) })],
]

function request(body: ObjectBody, more: Partial<PutRequest> = {}): PutRequest {
  return { ...putRequest('key', content), body, contentType: 'video/mp4', metadata: { owner: 'x' }, ...more }
}

describe.each(bodies)('a large body from %s', (_, make) => {
  it('becomes one object, as it is', async () => {
    const store = createMemoryStore()
    await putInParts(store, request(make(content)), options)
    const { body, ...head } = await store.get('key')
    expect((await readAll(body)).equals(content)).toBe(true)
    expect(head).toMatchObject({ size: content.length, contentType: 'video/mp4', metadata: { owner: 'x' } })
    expect(await collectAll(store.listMultipart())).toEqual([])
  })

  it('whose size is a number of whole parts has no empty part', async () => {
    const store = createMemoryStore()
    const whole = content.subarray(0, 2 * partSize)
    const sha256 = hash('sha256', whole, 'hex')
    const { etag } = await putInParts(store, request(make(whole), { size: whole.length, sha256 }), options)
    expect(etag).toMatch(/-2"$/)
  })

  it.each<[string, Partial<PutRequest>]>([
    ['another hash', { sha256: hash('sha256', 'other', 'hex') }],
    ['fewer bytes', { size: content.length + 1 }],
    ['a part fewer', { size: content.length + partSize }],
    ['more bytes', { size: content.length - 1 }],
    ['a part more', { size: content.length - partSize }],
  ])('that has %s than announced is refused, and nothing stays', async (_, announced) => {
    const store = createMemoryStore()
    const put = putInParts(store, request(make(content), announced), options)
    await expect(put).rejects.toEqual(withCode('content_mismatch'))
    expect(await store.head('key')).toBeUndefined()
    expect(await collectAll(store.listMultipart())).toEqual([])
  })

  it('does not replace what is there', async () => {
    const store = createMemoryStore()
    await store.put(putRequest('key', text('first')))
    await expect(putInParts(store, request(make(content)), options)).rejects.toEqual(withCode('object_exists'))
    expect(await store.head('key')).toMatchObject({ size: 5 })
    expect(await collectAll(store.listMultipart())).toEqual([])
    await putInParts(store, request(make(content), { createOnly: false }), options)
    expect(await store.head('key')).toMatchObject({ size: content.length })
  })

  it.each(['createMultipart', 'putPart', 'completeMultipart'])(
    'is taken back where %s fails, and can be put again',
    async (verb) => {
      const inner = createMemoryStore()
      let failures = 1
      const store = createChaosStore(inner, {
        decide: (call) => (call.verb === verb && failures-- > 0 ? 'fail' : 'ok'),
      })
      await expect(putInParts(store, request(make(content)), options)).rejects.toEqual(withCode('store_unavailable'))
      expect(await inner.head('key')).toBeUndefined()
      expect(await collectAll(inner.listMultipart())).toEqual([])
      await putInParts(store, request(make(content)), options)
      expect(await inner.head('key')).toMatchObject({ size: content.length })
    },
  )

  it('stops when its signal is aborted, and nothing stays', async () => {
    const inner = createMemoryStore()
    const stop = new AbortController()
    const store = createChaosStore(inner, {
      before: async ({ verb, number }) => {
        if (verb === 'putPart' && number >= 2) stop.abort()
      },
      decide: () => 'ok',
    })
    const put = putInParts(store, request(make(content), { signal: stop.signal }), options)
    await expect(put).rejects.toEqual(withCode('timeout'))
    expect(await inner.head('key')).toBeUndefined()
    expect(await collectAll(inner.listMultipart())).toEqual([])
  })
})

describe('a source', () => {
  it.each<[string, (fail: Error) => ObjectBody]>([
    [
      'a stream',
      (fail) =>
        async function* () {
          yield content.subarray(0, partSize + 1)
          throw fail
        },
    ],
    [
      'a range',
      (fail) => ({
        async *read(start, end) {
          if (start >= partSize) throw fail
          yield content.subarray(start, end)
        },
      }),
    ],
  ])('that fails (%s) is told by its own error, and nothing stays', async (_, make) => {
    const disk = new Error('The disk is gone.')
    const store = createMemoryStore()
    const error: unknown = await putInParts(store, request(make(disk)), options).catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'internal', cause: disk })
    expect(await store.head('key')).toBeUndefined()
    expect(await collectAll(store.listMultipart())).toEqual([])
  })

  it('is read no further ahead than the parts under way, and let go of', async () => {
    const inner = createMemoryStore()
    let given = 0
    let taken = 0
    let closed = 0
    let most = 0
    async function* source() {
      try {
        for await (const chunk of chunks(content, mebibyte)) {
          most = Math.max(most, given - taken)
          yield chunk
          given += chunk.length
        }
      } finally {
        closed += 1
      }
    }
    const store = createChaosStore(inner, { decide: () => 'ok' })
    const counting = {
      ...store,
      name: store.name,
      putPart: async (...all: Parameters<typeof store.putPart>) => {
        const sent = await store.putPart(...all)
        taken += all[1].size
        return sent
      },
    }
    await putInParts(counting, request(source), { partSize, parallel: 2 })
    expect(closed).toBe(1)
    expect(most).toBeLessThanOrEqual(2 * partSize)
  })
})
