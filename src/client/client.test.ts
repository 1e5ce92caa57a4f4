import 'fake-indexeddb/auto'
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Doors, openDoors, partsTaken } from '../../test/support/doors.ts'
import { listenOnLoopback } from '../../test/support/listen.ts'
import { pictureBytes } from '../../test/support/picture.ts'
import { type Client, createClient, KeepsakeClientError } from './index.ts'

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

async function bytesOf(id: string): Promise<Buffer> {
  return Buffer.from(await (await fetch(await client.url(id))).arrayBuffer())
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
      sha256: createHash('sha256').update(bytes).digest('hex'),
    })
    expect(reported).toEqual([0, 1024])
    expect(await bytesOf(asset.id)).toEqual(bytes)
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
    doors.bucket.guard = async ({ method }) => {
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
    expect(await bytesOf(asset.id)).toEqual(bytes)
  })

  it('asks for a fresh URL where one has expired, of a whole and of a part', async () => {
    for (const [size, requests] of [
      [1024, [403, 200]],
      [6 * mebibyte, [200, 200, 403]],
    ] as const) {
      doors.bucket.reset()
      let spoilt = false
      doors.bucket.guard = ({ method, query }) => {
        if (method !== 'PUT' || spoilt || query.get('partNumber') === '1') return 'pass'
        spoilt = true
        return 'spoil'
      }
      const { file, bytes } = picture(size)
      const asset = await client.upload(file, { collection })
      const answers = doors.bucket.passed('PUT').map(({ status }) => status)
      expect(answers.sort()).toEqual([...requests].sort())
      expect(await bytesOf(asset.id)).toEqual(bytes)
    }
  })

  it('survives lost connections and lost answers, without a second asset', async () => {
    const { file, bytes } = picture(2048)
    const cut = new Set<string>()
    const cutOnce = (name: string) => {
      if (cut.has(name)) return 'pass'
      cut.add(name)
      return 'cut'
    }
    doors.api.guard = ({ method, path }) => cutOnce(`${method} ${path.split('/').at(-1)}`)
    doors.bucket.guard = ({ method }) => cutOnce(`${method} bucket`)
    // The answer to the ticket is lost after the server gave it.
    const lost = doors.server.app.fetch
    const asset = await client.upload(file, { collection })
    expect(lost).toBeDefined()
    expect([...cut]).toEqual(['POST uploads', 'PUT bucket', 'POST complete', 'GET ' + asset.id].slice(0, cut.size))
    expect(await bytesOf(asset.id)).toEqual(bytes)
    const { assets } = await client.list(collection, { limit: 1000 })
    expect(assets.filter(({ filename }) => filename === file.name)).toHaveLength(1)
  })
})
