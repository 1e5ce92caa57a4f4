import 'fake-indexeddb/auto'
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Doors, openDoors, partsTaken } from '../../test/support/doors.ts'
import { listenOnLoopback } from '../../test/support/listen.ts'
import { pictureBytes } from '../../test/support/picture.ts'
import type { Passage, Verdict } from '../../test/support/watched-door.ts'
import { type Client, createClient, KeepsakeClientError, type UploadOptions } from './index.ts'

const mebibyte = 1024 * 1024
const collection = 'pictures'
let doors: Doors
let client: Client

beforeAll(async () => {
  doors = await openDoors({
    collections: { pictures: { accept: ['image'], maxSize: '20 MiB', attributes: { album: {} } } },
    uploads: { partThreshold: 5 * mebibyte, partSize: 5 * mebibyte },
  })
  const token = await doors.token('ada')
  client = createClient({ url: doors.api.url, getToken: () => token })
})
afterAll(() => doors.stop())
beforeEach(() => {
  doors.api.reset()
  doors.bucket.reset()
})

let count = 0
function picture(size: number): { file: File; bytes: Buffer } {
  count += 1
  const bytes = pictureBytes({ id: `${count}`, size })
  return {
    file: new File([new Uint8Array(bytes)], `picture-${count}.png`, { type: 'image/png', lastModified: count }),
    bytes,
  }
}

const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** Of what the asset's link gives. */
async function storedHash(id: string): Promise<string> {
  return hashOf(new Uint8Array(await (await fetch(await client.url(id))).arrayBuffer()))
}

describe('upload', () => {
  it('sends a small file in one request, with its hash, and resolves with the stored asset', async () => {
    const { file, bytes } = picture(1024)
    const reported: number[] = []
    const asset = await client.upload(file, {
      collection,
      attributes: { album: 'summer' },
      provenance: { model: 'flux' },
      onProgress: ({ loaded, total }) => {
        expect(total).toBe(1024)
        reported.push(loaded)
      },
    })
    expect(asset).toMatchObject({
      ...{ state: 'stored', owner: 'ada', contentType: 'image/png', size: 1024, filename: file.name },
      ...{ attributes: { album: 'summer' }, provenance: { model: 'flux' } },
      sha256: hashOf(bytes),
    })
    expect(reported).toEqual([0, 1024])
    expect(await storedHash(asset.id)).toBe(hashOf(bytes))
    expect(doors.bucket.passed('PUT').map(({ query }) => query.get('X-Amz-SignedHeaders'))).toEqual([
      expect.stringContaining('x-amz-checksum-sha256'),
    ])
  })

  it('sends a large file in parts, several at a time', async () => {
    const { file, bytes } = picture(17 * mebibyte)
    const reported: number[] = []
    let atOnce = 0
    let most = 0
    const together = Promise.withResolvers<void>()
    doors.bucket.guard = async ({ method }): Promise<Verdict> => {
      if (method !== 'PUT') return 'pass'
      atOnce += 1
      most = Math.max(most, atOnce)
      if (atOnce === 3) together.resolve()
      await together.promise
      return 'pass'
    }
    const asset = await client.upload(file, {
      collection,
      parallel: 3,
      onProgress: ({ loaded }) => reported.push(loaded),
    })
    expect(asset).toMatchObject({ state: 'stored', size: 17 * mebibyte })
    expect(partsTaken(doors.bucket)).toEqual([1, 2, 3, 4])
    expect(most).toBeGreaterThanOrEqual(3)
    expect(reported).toEqual([...new Set(reported)].sort((a, b) => a - b))
    expect([reported[0], reported.at(-1)]).toEqual([0, 17 * mebibyte])
    expect(await storedHash(asset.id)).toBe(hashOf(bytes))
  })

  it('reports to nobody who does not have the upload in hand yet', async () => {
    let mine: unknown
    const seen: unknown[] = []
    const upload = client.upload(picture(512).file, { collection, onProgress: () => seen.push(mine) })
    mine = upload
    await upload
    expect(seen).toEqual([upload, upload])
  })

  it.each([
    ['a file in one piece', 1024, [403, 200]],
    ['a part', 8 * mebibyte, [403, 403, 200, 200]],
  ])('asks for a fresh URL where that of %s has expired', async (_, size, answers) => {
    doors.expireOnce()
    const { file, bytes } = picture(size)
    const asset = await client.upload(file, { collection })
    const given = doors.bucket.passed('PUT').map(({ status }) => status)
    expect(given.sort()).toEqual([...answers].sort())
    expect(await storedHash(asset.id)).toBe(hashOf(bytes))
  })

  it('survives lost connections and lost answers, without a second asset', async () => {
    const { file, bytes } = picture(2048)
    const lost: string[] = []
    const loseOnce = ({ method, path }: Passage) => {
      const name = `${method} ${path.split('/').at(-1)}`
      if (lost.includes(name) || method === 'GET') return 'pass'
      lost.push(name)
      // The request arrives and is done; its answer never comes back.
      return 'swallow'
    }
    doors.api.guard = loseOnce
    doors.bucket.guard = loseOnce
    const asset = await client.upload(file, { collection })
    expect(lost).toEqual(['POST uploads', expect.stringMatching(/^PUT /), 'POST complete'])
    expect(await storedHash(asset.id)).toBe(hashOf(bytes))
    const { assets } = await client.list(collection, { limit: 1000 })
    expect(assets.filter(({ filename }) => filename === file.name)).toHaveLength(1)
  })
})

/**
 * Lets these parts through, and no other one until it is opened. `arrived` resolves when they have been taken and all
 * who send stand at the door with the next: from there on nothing is sent by itself.
 */
function admitParts(numbers: readonly number[], next: readonly number[]) {
  const { promise: open, resolve: openAll } = Promise.withResolvers<void>()
  const held: number[] = []
  doors.bucket.guard = async ({ query }): Promise<Verdict> => {
    const part = Number(query.get('partNumber'))
    if (part === 0 || numbers.includes(part)) return 'pass'
    held.push(part)
    await open
    return 'pass'
  }
  const arrived = () =>
    vi.waitFor(() => {
      expect(partsTaken(doors.bucket)).toEqual(numbers)
      expect(held.toSorted()).toEqual(next)
    }, 20_000)
  return { arrived, openAll }
}

describe('control over an upload', () => {
  it('pauses: nothing is sent until it is resumed, and nothing is sent twice', async () => {
    const { file, bytes } = picture(16 * mebibyte)
    const { arrived, openAll } = admitParts([1, 2], [3, 4])
    const upload = client.upload(file, { collection, parallel: 2 })
    await arrived()
    upload.pause()
    openAll()
    doors.bucket.reset()
    // Whatever would be sent in spite of the pause has had the time of two requests.
    await client.list(collection)
    await client.list(collection)
    expect(doors.bucket.passed('PUT')).toEqual([])
    upload.resume()
    const asset = await upload
    expect(partsTaken(doors.bucket)).toEqual([3, 4])
    expect(await storedHash(asset.id)).toBe(hashOf(bytes))
  })

  it('aborts: the promise rejects, and neither object nor row nor parts stay', async () => {
    const { file } = picture(11 * mebibyte)
    const before = await doors.objects()
    const { arrived, openAll } = admitParts([1], [2])
    const controller = new AbortController()
    const upload = client.upload(file, { collection, parallel: 1, signal: controller.signal })
    const outcome = expect(upload).rejects.toThrow('Enough.')
    await arrived()
    controller.abort(new Error('Enough.'))
    await outcome
    openAll()
    expect(await doors.objects()).toEqual(before)
    const { assets } = await client.list(collection, { limit: 1000 })
    expect(assets.filter(({ filename }) => filename === file.name)).toEqual([])
    const open: string[] = []
    for await (const { key } of doors.server.parts.bucket.listMultipart({})) open.push(key)
    expect(open).toEqual([])
  })

  it('rejects with an AbortError by default, and sends nothing where it is aborted beforehand', async () => {
    const { file } = picture(1024)
    const upload = client.upload(file, { collection })
    upload.abort()
    await expect(upload).rejects.toMatchObject({ name: 'AbortError' })
    doors.bucket.reset()
    await expect(client.upload(file, { collection, signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: 'AbortError',
    })
    expect(doors.bucket.passages).toEqual([])
  })
})

describe('a page that comes back', () => {
  /** The same installation as another page sees it: a module with a state of its own, over the same IndexedDB. */
  async function anotherPage(owner = 'ada'): Promise<Client> {
    vi.resetModules()
    const token = await doors.token(owner)
    return (await import('./index.ts')).createClient({ url: doors.api.url, token })
  }

  async function leaveHalfWay(file: File): Promise<void> {
    const page = await anotherPage()
    const { arrived } = admitParts([1, 2], [3, 4])
    const upload = page.upload(file, { collection, parallel: 2 })
    upload.catch(() => {})
    await arrived()
    upload.pause()
    doors.bucket.reset()
  }

  it('sends only the parts that are missing', async () => {
    const { file, bytes } = picture(16 * mebibyte)
    await leaveHalfWay(file)
    const reported: number[] = []
    const page = await anotherPage()
    const asset = await page.upload(file, { collection, onProgress: ({ loaded }) => reported.push(loaded) })
    expect(partsTaken(doors.bucket)).toEqual([3, 4])
    expect(reported[1]).toBeGreaterThanOrEqual(10 * mebibyte)
    expect(await storedHash(asset.id)).toBe(hashOf(bytes))
  })

  const others: readonly [what: string, options: Partial<UploadOptions> & { readonly lastModified?: number }][] = [
    ['another file of the same name', { lastModified: 4711 }],
    ['one that is sent elsewhere', { attributes: { album: 'winter' } }],
    ['one that is to start anew', { resumable: false }],
    ['another user', { owner: 'grace' }],
  ]
  it.each(others)('begins anew for %s', async (_, { owner, lastModified, ...options }) => {
    const { file } = picture(16 * mebibyte)
    await leaveHalfWay(file)
    const page = await anotherPage(owner)
    const same = new File([file], file.name, { type: file.type, lastModified: lastModified ?? file.lastModified })
    await page.upload(same, { collection, ...options })
    expect(partsTaken(doors.bucket)).toEqual([1, 2, 3, 4])
  })

  it('begins anew where the upload is gone', async () => {
    const { file } = picture(16 * mebibyte)
    await leaveHalfWay(file)
    for (const { id, state } of (await client.list(collection, { limit: 1000 })).assets) {
      if (state === 'pending') await client.remove(id)
    }
    const asset = await (await anotherPage()).upload(file, { collection })
    expect(asset.state).toBe('stored')
    expect(partsTaken(doors.bucket)).toEqual([1, 2, 3, 4])
  })

  it('has the asset where another tab was faster with the same file', async () => {
    const { file, bytes } = picture(11 * mebibyte)
    const slow = await anotherPage()
    const fast = await anotherPage()
    const { promise: released, resolve: release } = Promise.withResolvers<Verdict>()
    const { promise: reached, resolve: reach } = Promise.withResolvers<void>()
    let held = false
    doors.bucket.guard = ({ query }) => {
      if (held || query.get('partNumber') !== '2') return 'pass'
      held = true
      reach()
      return released
    }
    const first = slow.upload(file, { collection, parallel: 1 })
    await reached
    const asset = await fast.upload(file, { collection })
    release('pass')
    expect((await first).id).toBe(asset.id)
    // The bucket does not know the upload any more; what it was, the server says.
    expect(doors.bucket.passed('PUT', ({ status }) => status === 404)).toHaveLength(1)
    expect(await storedHash(asset.id)).toBe(hashOf(bytes))
  })

  it('hears that the bucket has dropped what arrived, and begins anew the next time', async () => {
    const { file, bytes } = picture(16 * mebibyte)
    await leaveHalfWay(file)
    const { bucket } = doors.server.parts
    for await (const { key, uploadId } of bucket.listMultipart({})) await bucket.abortMultipart({ key, uploadId })
    const failed = (await anotherPage()).upload(file, { collection })
    await expect(failed).rejects.toMatchObject({ code: 'upload_incomplete', status: 409 })
    doors.bucket.reset()
    const asset = await (await anotherPage()).upload(file, { collection })
    expect(partsTaken(doors.bucket)).toEqual([1, 2, 3, 4])
    expect(await storedHash(asset.id)).toBe(hashOf(bytes))
  })

  it('does not take one upload for the other while both are under way', async () => {
    const { file } = picture(11 * mebibyte)
    const page = await anotherPage()
    const { arrived, openAll } = admitParts([1], [2])
    const first = page.upload(file, { collection, parallel: 1 })
    await arrived()
    const second = page.upload(file, { collection, parallel: 1 })
    openAll()
    expect((await first).id).not.toBe((await second).id)
  })

  it('does not take an upload that failed for one that is done', async () => {
    const text = new Uint8Array(6 * mebibyte).fill(32)
    text.set(new TextEncoder().encode('<!doctype html><title>no picture</title>'))
    const file = new File([text], 'page.png', { type: 'image/png', lastModified: 1 })
    for (const page of [await anotherPage(), await anotherPage()]) {
      await expect(page.upload(file, { collection })).rejects.toMatchObject({ code: 'content_type_refused' })
    }
  })
})

describe('assets', () => {
  it('are listed by the page and altogether, found, and removed', async () => {
    const token = await doors.token('lister')
    const lister = createClient({ url: `${doors.api.url}/`, token })
    const ids: string[] = []
    for (const album of ['a', 'a', 'b']) {
      ids.unshift((await lister.upload(picture(512).file, { collection, attributes: { album } })).id)
    }
    const first = await lister.list(collection, { limit: 2, kind: 'image', from: new Date(0), owner: undefined })
    expect(first.assets.map(({ id }) => id)).toEqual(ids.slice(0, 2))
    const all: string[] = []
    for await (const { id } of lister.listAll(collection, { limit: 1 })) all.push(id)
    expect(all).toEqual(ids)
    const some = await lister.list(collection, { attributes: { album: 'b' } })
    expect(some).toMatchObject({ assets: [{ id: ids[0] }], nextCursor: null })

    const [gone = ''] = ids
    expect((await lister.get(gone)).id).toBe(gone)
    await lister.url(gone)
    await lister.remove(gone)
    await expect(lister.get(gone)).rejects.toMatchObject({ code: 'asset_not_found', status: 404 })
    await expect(lister.url(gone)).rejects.toMatchObject({ code: 'asset_not_found' })
  })

  it('get their links together, and keep them until they near their end', async () => {
    const ids = await Promise.all([1, 2].map(async () => (await client.upload(picture(512).file, { collection })).id))
    const [one = '', two = ''] = ids
    const asked = () => doors.api.passed('POST', ({ path }) => path === '/v1/urls').length
    doors.api.reset()
    const [link, again, other] = await Promise.all([client.link(one), client.link(one), client.link(two)])
    expect([again === link, other.url === link.url, asked()]).toEqual([true, false, 1])
    await client.url(one)
    expect(asked()).toBe(1)
    await client.url(one, { fresh: true })
    expect(asked()).toBe(2)

    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    vi.setSystemTime(Date.now() + (link.expiresAt.getTime() - Date.now()) * 0.85)
    await client.url(two)
    expect(asked()).toBe(2)
    vi.setSystemTime(Date.now() + (link.expiresAt.getTime() - Date.now()) * 0.85)
    await client.url(two)
    expect(asked()).toBe(3)
  })

  it('have no link that a failure would leave behind', async () => {
    const { id } = await client.upload(picture(512).file, { collection })
    doors.api.guard = ({ path }) => (path === '/v1/urls' ? 'pass' : 'cut')
    const unknown = `${id.slice(0, -4)}0000`
    await expect(client.url(unknown)).rejects.toMatchObject({ code: 'asset_not_found' })
    await expect(client.url(unknown)).rejects.toMatchObject({ code: 'asset_not_found' })
    expect(doors.api.passed('POST', ({ path }) => path === '/v1/urls')).toHaveLength(2)
  })
})

describe('what is refused', () => {
  it.each([
    ['too large', () => picture(21 * mebibyte).file, 'content_too_large', 413],
    ['empty', () => new File([], 'empty.png', { type: 'image/png' }), 'content_empty', 422],
    [
      'of a type that the collection does not take',
      () => new File(['%PDF'], 'a.pdf', { type: 'application/pdf' }),
      'content_type_refused',
      422,
    ],
  ])('is refused before a byte moves: %s', async (_, file, code, status) => {
    const error = await client.upload(file(), { collection }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(KeepsakeClientError)
    expect(error).toMatchObject({
      code,
      status,
      requestId: expect.stringMatching(/./),
      detail: expect.stringMatching(/./),
    })
    expect(doors.bucket.passages).toEqual([])
  })

  it('is refused for what it turned out to be, and nothing of it stays', async () => {
    const before = await doors.objects()
    const page = new File(['<!doctype html><title>no picture</title>'], 'a.png', { type: 'image/png' })
    await expect(client.upload(page, { collection })).rejects.toMatchObject({
      code: 'content_type_refused',
      status: 422,
    })
    expect(await doors.objects()).toEqual(before)
  })

  it('is told as the server said it, and what is no Keepsake as that', async () => {
    const stranger = createClient({ url: doors.api.url, token: 'nobody' })
    await expect(stranger.list(collection)).rejects.toMatchObject({ code: 'unauthenticated', status: 401 })
    const server = createServer((_, response) => response.writeHead(200).end('<h1>Welcome</h1>'))
    onTestFinished(() => void server.close())
    const elsewhere = createClient({ url: `http://127.0.0.1:${await listenOnLoopback(server)}` })
    await expect(elsewhere.list(collection)).rejects.toMatchObject({ code: 'unexpected_answer', status: 200 })
  })
})
