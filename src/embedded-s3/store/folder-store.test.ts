import { createHash } from 'node:crypto'
import { copyFile, mkdtemp, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FolderStore } from './folder-store.ts'
import { listPage } from './listing.ts'
import { ListingIndex } from './listing-index.ts'
import type { ObjectRecord } from './object-file.ts'

const BUCKET = 'bucket'
/** Enough for a file of its own. */
const LARGE = 'x'.repeat(140_000)
let dir: string
let store: FolderStore

beforeEach(async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), 'folder-store-'))
  store = await FolderStore.open(dir, { fsync: false })
  await store.createBucket(BUCKET)
})
afterEach(async () => {
  await store.close()
  await rm(dir, { recursive: true, force: true })
})

function recordOf(key: string, body: string): ObjectRecord {
  const etag = createHash('md5').update(body).digest('hex')
  return { key, size: Buffer.byteLength(body), etag, modified: Date.now(), headers: {}, metadata: {}, checksums: {} }
}

async function put(key: string, body = key): Promise<void> {
  const upload = store.upload()
  await upload.write(Buffer.from(body))
  await store.commit(BUCKET, upload, recordOf(key, body))
}

function read(key: string): string | undefined {
  const object = store.open(BUCKET, key)
  object?.close()
  return object?.bytes?.toString()
}

function keys(): string[] {
  const all = { bucket: BUCKET, prefix: '', delimiter: '', startAfter: '', from: undefined, limit: 1e6 }
  return store.list(all).objects.map(({ key }) => key.toString())
}

async function reopen(between: () => Promise<void> | void = () => undefined): Promise<void> {
  await store.close()
  await between()
  store = await FolderStore.open(dir, { fsync: false })
  await store.whenListable()
}

const anyKey = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
  fc.string({ unit: fc.constantFrom('a', 'b', '/', '-', '😀', '\ufffd', '.'), minLength: 1, maxLength: 8 }),
)

test('any key holds its own content', async () => {
  await fc.assert(
    fc.asyncProperty(anyKey, fc.string(), async (key, body) => {
      await put(key, body)
      expect(read(key)).toBe(body)
      expect(store.record(BUCKET, key)).toMatchObject({ key })
    }),
    { numRuns: 60 },
  )
})

describe('a listing', () => {
  const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))

  /** S3's rule, said simply: the keys that match, in byte order, those with a delimiter after the prefix rolled up. */
  function model(all: string[], prefix: string, delimiter: string, startAfter: string): string[] {
    const items: string[] = []
    for (const key of all.toSorted(byBytes)) {
      if (!key.startsWith(prefix) || (startAfter !== '' && byBytes(key, startAfter) <= 0)) continue
      const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
      const item = cut < 0 ? `object ${key}` : `prefix ${key.slice(0, cut + delimiter.length)}`
      if (items.at(-1) !== item) items.push(item)
    }
    return items
  }

  test('is in byte order, by prefix, delimiter and start-after, however it is cut into pages', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(anyKey, { maxLength: 15 }),
        fc.constantFrom('', 'a', 'a/', '/', '😀', 'b-'),
        fc.constantFrom('', '/', '-', 'ab', '😀'),
        fc.oneof(fc.constant(''), anyKey),
        fc.integer({ min: 1, max: 4 }),
        async (wanted, prefix, delimiter, startAfter, limit) => {
          for (const key of keys()) if (!wanted.includes(key)) await store.delete(BUCKET, key)
          for (const key of wanted) await put(key)
          const items: string[] = []
          let from: Buffer | undefined
          do {
            const page = store.list({ bucket: BUCKET, prefix, delimiter, startAfter, from, limit })
            const found = [
              ...page.objects.map(({ key }) => key.toString()).map((key) => ({ key, item: `object ${key}` })),
              ...page.commonPrefixes.map((key) => ({ key, item: `prefix ${key}` })),
            ]
            expect(found.length).toBeLessThanOrEqual(limit)
            expect(found.length === limit || page.next === undefined).toBe(true)
            items.push(...found.sort((a, b) => byBytes(a.key, b.key)).map(({ item }) => item))
            from = page.next
          } while (from !== undefined)
          expect(items).toEqual(model(wanted, prefix, delimiter, startAfter))
        },
      ),
      { numRuns: 150 },
    )
  })

  test('of a hundred thousand keys under one prefix is one seek', async () => {
    const file = path.join(dir, 'large.sqlite')
    const index = ListingIndex.create(file)
    const entries = Array.from({ length: 100_000 }, (_, i) => ({ key: `in/${i}`, size: 1, etag: 'e', modified: 0 }))
    index.addScanned(BUCKET, [...entries, { key: 'out', size: 1, etag: 'e', modified: 0 }])
    let rows = 0
    const query = { bucket: BUCKET, prefix: '', delimiter: '/', startAfter: '', from: undefined, limit: 1000 }
    const page = listPage(query, function* (from, until) {
      for (const row of index.scan(BUCKET, from, until)) {
        rows += 1
        yield row
      }
    })
    index.close()
    expect(page.commonPrefixes).toEqual(['in/'])
    expect(page.objects).toHaveLength(1)
    expect(rows).toBe(2)
  })
})

describe('concurrent writes of one key', () => {
  test('that may only create: exactly one does', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uuid(), fc.integer({ min: 2, max: 12 }), async (key, writers) => {
        const attempts = Array.from({ length: writers }, async (_, i) => {
          const upload = store.upload()
          await upload.write(Buffer.from(String(i)))
          try {
            await store.commit(BUCKET, upload, recordOf(key, String(i)), (current) => {
              if (current !== undefined) throw new Error('taken')
            })
            return i
          } catch {
            await upload.discard()
            return -1
          }
        })
        const winners = (await Promise.all(attempts)).filter((i) => i >= 0)
        expect(winners).toHaveLength(1)
        expect(read(key)).toBe(String(winners[0]))
      }),
      { numRuns: 20 },
    )
    expect(await readdir(path.join(dir, 'tmp'))).toEqual([])
  })

  test('mixed with deletes: the listing says what the files say', async () => {
    const work = Array.from({ length: 60 }, (_, i) =>
      i % 3 === 0 ? store.delete(BUCKET, `k${i % 4}`) : put(`k${i % 4}`, `body ${i}`),
    )
    await Promise.all(work)
    const there = ['k0', 'k1', 'k2', 'k3'].filter((key) => read(key) !== undefined)
    expect(keys()).toEqual(there)
  })
})

describe('opening again', () => {
  test('after a close in good order', async () => {
    await put('kept')
    await reopen()
    expect(keys()).toEqual(['kept'])
    expect(store.buckets().map(({ name }) => name)).toEqual([BUCKET])
  })

  test('intents are held against the files: a kill between file and index', async () => {
    await put('stays')
    await put('went', LARGE)
    await put('came', LARGE)
    await put('packed')
    await reopen(async () => {
      const index = ListingIndex.openExisting(path.join(dir, 'index.sqlite'))
      index?.settle(BUCKET, 'came', undefined)
      await Promise.all(['came', 'went', 'packed'].map((key) => index?.intend(BUCKET, key)))
      index?.close()
      await rm(objectPath('went'))
    })
    expect(keys()).toEqual(['came', 'packed', 'stays'])
    expect(read('packed')).toBe('packed')
  })

  test.each<[string, () => Promise<void>]>([
    ['gone', () => rm(path.join(dir, 'index.sqlite'))],
    ['damaged', () => writeFile(path.join(dir, 'index.sqlite'), 'not a database at all'.repeat(500))],
    ['cut', () => truncate(path.join(dir, 'index.sqlite'), 5000)],
    ['behind, after a power cut', () => writeFile(path.join(dir, 'held'), 'boot of-another-time')],
    ['half rebuilt', () => writeFile(path.join(dir, 'held'), 'rebuilding something')],
  ])('an index that is %s is built again from the files', async (_, spoil) => {
    await put('old')
    await reopen(() => copyFile(path.join(dir, 'index.sqlite'), path.join(dir, 'old.sqlite')))
    for (let i = 0; i < 200; i++) await put(`new/${i}`)
    await store.delete(BUCKET, 'old')
    const before = keys()
    await reopen(async () => {
      await copyFile(path.join(dir, 'old.sqlite'), path.join(dir, 'index.sqlite'))
      await spoil()
    })
    expect(keys()).toEqual(before)
    expect(before).toHaveLength(200)
  })

  test('while the index is rebuilt, writes go on and are listed right', async () => {
    for (let i = 0; i < 400; i++) await put(`k${i}`, 'before')
    await store.close()
    await rm(path.join(dir, 'index.sqlite'))
    store = await FolderStore.open(dir, { fsync: false })
    expect(store.listable).toBe(false)
    const work = Array.from({ length: 400 }, (_, i) => {
      if (i % 3 === 0) return store.delete(BUCKET, `k${i}`)
      return i % 3 === 1 ? put(`k${i}`, 'after!!') : put(`n${i}`)
    })
    await Promise.all([...work, store.whenListable()])
    const page = store.list({ bucket: BUCKET, prefix: '', delimiter: '', startAfter: '', from: undefined, limit: 1e6 })
    expect(page.objects).toHaveLength(400 - 134 + 133)
    for (const { key, size, etag } of page.objects) {
      expect(store.record(BUCKET, key.toString())).toMatchObject({ size, etag })
    }
  })

  test('a damaged file is neither listed nor given out, and can be written anew', async () => {
    await put('whole')
    await put('torn', LARGE)
    await reopen(async () => {
      await rm(path.join(dir, 'index.sqlite'))
      await truncate(objectPath('torn'), 700)
    })
    expect(keys()).toEqual(['whole'])
    expect(() => read('torn')).toThrow(/no footer/)
    await put('torn', 'mended')
    expect(read('torn')).toBe('mended')
  })

  test('leftovers of unfinished writes are gone', async () => {
    await reopen(() => writeFile(path.join(dir, 'tmp', 'left'), 'over'))
    expect(await readdir(path.join(dir, 'tmp'))).toEqual([])
  })
})

test('files are for this user only', async () => {
  await put('private', LARGE)
  await put('small')
  expect((await stat(objectPath('private'))).mode & 0o077).toBe(0)
  expect((await stat(path.join(dir, 'packs', '1'))).mode & 0o077).toBe(0)
  expect((await stat(path.join(dir, 'packs'))).mode & 0o077).toBe(0)
  expect((await stat(path.join(dir, 'buckets'))).mode & 0o077).toBe(0)
})

function objectPath(key: string): string {
  const name = createHash('sha256').update(key).digest('hex')
  return path.join(dir, 'buckets', BUCKET, 'objects', name.slice(0, 2), name.slice(2))
}
