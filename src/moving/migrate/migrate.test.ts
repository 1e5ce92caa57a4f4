import { createHash, randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { databases, type OpenedDatabase } from '../../../test/support/databases.ts'
import { pictureBytes } from '../../../test/support/picture.ts'
import { createCatalogue, type Database } from '../../catalogue/index.ts'
import { systemClock } from '../../clock.ts'
import { type CollectionDefinition, KeepsakeError, newAssetId, parseCollection } from '../../media/index.ts'
import { createMemoryStore, type ObjectStore } from '../../stores/index.ts'
import { BucketSource, FolderSource, type MigrateOptions, migrate, retire } from '../index.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function folderOf(files: Readonly<Record<string, Uint8Array>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'keepsake-move-'))
  closers.push(() => rm(folder, { recursive: true, force: true }))
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), bytes)
  }
  return folder
}

const picture = (id: string, size = 1000) => pictureBytes({ id, size })
const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

async function world(
  database: Database,
  { definition = {}, store = createMemoryStore() }: { definition?: CollectionDefinition; store?: ObjectStore } = {},
) {
  const catalogue = createCatalogue(database)
  const name = `avatars-${randomUUID()}`
  const collection = parseCollection(name, { key: 'avatars/{owner}/{id}.{ext}', accept: ['image'], ...definition })
  const parts = { catalogue, store, clock: systemClock }
  const run = (folder: string, options: Partial<MigrateOptions> = {}) =>
    migrate(parts, new FolderSource(folder), { collection, ...options })
  const stored = async () => {
    const text =
      "select owner, key, sha256, filename from keepsake.assets where state = 'stored' and collection = $1 order by key"
    return (await database.service.query(text, [name])).rows
  }
  return { catalogue, collection, store, parts, run, stored }
}

describe.each(databases)('a move from a folder, on $name', ({ open }) => {
  let opened: OpenedDatabase
  beforeAll(async () => {
    opened = await open()
  })
  afterAll(() => opened.close())

  test('makes a stored asset of every file, and leaves the folder as it was', async () => {
    const files = { 'user_1_avatar.png': picture('one'), 'user_2_avatar.png': picture('two', 2_000_000) }
    const folder = await folderOf(files)
    const { run, store, stored } = await world(opened.database)
    const { move, counts } = await run(folder, { match: '{owner}_avatar.{ext}' })
    expect([move.stage, counts.done.files, counts.failed.files]).toEqual(['done', 2, 0])
    const assets = await stored()
    expect(assets.map(({ owner }) => owner)).toEqual(['user_1', 'user_2'])
    expect(assets.map(({ filename }) => filename)).toEqual(Object.keys(files))
    for (const { key, sha256 } of assets) {
      const head = await store.head(String(key))
      expect(head?.metadata.sha256).toBe(sha256)
    }
    expect(assets.map(({ sha256 }) => sha256)).toEqual(Object.values(files).map(hashOf))
    expect((await readdir(folder)).sort()).toEqual(Object.keys(files))
  })

  test('keeps the keys where that is asked for, and lays them anew by a template', async () => {
    const folder = await folderOf({ 'avatars/ada.png': picture('ada') })
    const { run, stored } = await world(opened.database, { definition: { attributes: { stage: {} } } })
    await run(folder, { keepKeys: true })
    expect((await stored()).map(({ key }) => key)).toEqual(['avatars/ada.png'])
    const other = await folderOf({ 'final/bob.png': picture('bob') })
    await run(other, { match: '{stage}/{owner}.{ext}', map: 'moved/{stage}/{owner}/{id}.{ext}' })
    expect((await stored()).at(-1)?.key).toMatch(/^moved\/final\/bob\/[0-9a-f-]{36}\.png$/)
  })

  test('stores nothing until everything came over, unless told to skip what failed', async () => {
    const folder = await folderOf({ 'good.png': picture('good'), 'notes.txt': Buffer.from('only words in here') })
    const { run, stored, catalogue } = await world(opened.database)
    const first = await run(folder)
    expect([first.move.stage, first.counts.verified.files, first.counts.failed.files]).toEqual(['verify', 1, 1])
    expect(await stored()).toEqual([])
    const [failure] = await catalogue.moveFiles(first.move.id, ['failed'], '', 10)
    expect(failure).toMatchObject({ path: 'notes.txt', problem: { code: 'content_type_refused' } })
    const second = await run(folder, { skipFailed: true })
    expect([second.move.stage, second.counts.done.files]).toEqual(['done', 1])
    expect(await stored()).toHaveLength(1)
  })

  test('tries again what failed when the file was mended', async () => {
    const folder = await folderOf({ 'a.png': picture('a').subarray(0, 500) })
    const { run } = await world(opened.database)
    const first = await run(folder)
    expect(first.counts.failed.files).toBe(1)
    await writeFile(join(folder, 'a.png'), picture('a'))
    const second = await run(folder)
    expect([second.move.id, second.move.stage, second.counts.done.files]).toEqual([first.move.id, 'done', 1])
  })

  test('takes over only what is new when it is done again', async () => {
    const folder = await folderOf({ 'a.png': picture('a'), 'b.png': picture('b') })
    const { run, stored } = await world(opened.database)
    await run(folder)
    await writeFile(join(folder, 'c.png'), picture('c'))
    await writeFile(join(folder, 'b.png'), picture('b2', 1200))
    const again = await run(folder)
    expect([again.counts.done.files, again.counts.skipped.files]).toEqual([2, 1])
    expect(await stored()).toHaveLength(4)
  })

  test('goes on after it was cut off at any moment, and makes no file twice', async () => {
    const files = Object.fromEntries(Array.from({ length: 150 }, (_, n) => [`${n}.png`, picture(`${n}`)]))
    const folder = await folderOf(files)
    const store = createMemoryStore()
    let left = 0
    const mortal = new Proxy(store, {
      get(target, name) {
        if (name === 'put') {
          const put: ObjectStore['put'] = async (request) => {
            left -= 1
            if (left === 0) stop.abort(new Error('killed'))
            // Some arrive although nobody hears of it.
            const result = await target.put(request)
            if (left <= 0) throw new KeepsakeError('store_unavailable', 'killed')
            return result
          }
          return put
        }
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    let stop = new AbortController()
    const { run, stored } = await world(opened.database, { store: mortal })
    for (const after of [10, 70, 20]) {
      left = after
      stop = new AbortController()
      await expect(run(folder, { signal: stop.signal })).rejects.toThrow('killed')
    }
    left = Number.POSITIVE_INFINITY
    const { counts } = await run(folder)
    expect(counts.done.files).toBe(150)
    expect(await stored()).toHaveLength(150)
    const keys: string[] = []
    for await (const { key } of store.list()) keys.push(key)
    expect(keys).toHaveLength(150)
  })

  test('takes more files than a page holds, each once, and settles them side by side', async () => {
    const names = Array.from({ length: 2300 }, (_, n) => `deep/${n % 7}/${n}.png`)
    const folder = await folderOf(Object.fromEntries(names.map((name) => [name, picture(name, 200)])))
    const { catalogue, parts, collection, stored } = await world(opened.database)
    const settled: number[] = []
    const watched = {
      ...catalogue,
      async cutOverMoveFiles(...request: Parameters<typeof catalogue.cutOverMoveFiles>) {
        const files = await catalogue.cutOverMoveFiles(...request)
        settled.push(files)
        return files
      },
    }
    const { counts } = await migrate({ ...parts, catalogue: watched }, new FolderSource(folder), { collection })
    expect(counts.done.files).toBe(names.length)
    expect(settled.reduce((sum, files) => sum + files, 0)).toBe(names.length)
    expect(new Set((await stored()).map(({ sha256 }) => sha256)).size).toBe(names.length)
    const { rows } = await opened.database.service.query(
      "select count(*)::int as entries from keepsake.audit where collection = $1 and action = 'asset.stored'",
      [collection.name],
    )
    expect(rows).toEqual([{ entries: names.length }])
  }, 120_000)

  test('stops at the quota, and says which files found no room', async () => {
    const folder = await folderOf({ '1.png': picture('1'), '2.png': picture('2'), '3.png': picture('3') })
    const { run, catalogue } = await world(opened.database, { definition: { quota: 2500 } })
    const { move, counts } = await run(folder, { skipFailed: true, owner: 'frugal' })
    expect([counts.done.files, counts.failed.files]).toEqual([2, 1])
    const [failure] = await catalogue.moveFiles(move.id, ['failed'], '', 10)
    expect(failure?.problem?.code).toBe('quota_exceeded')
    const { rows } = await opened.database.service.query("select bytes from keepsake.usage where owner = 'frugal'")
    expect(rows.map(({ bytes }) => Number(bytes))).toEqual([2000])
  })

  test('asks a store that says SlowDown for less, and loses no file over it', async () => {
    const names = Array.from({ length: 150 }, (_, n) => `${n}.png`)
    const folder = await folderOf(Object.fromEntries(names.map((name) => [name, picture(name, 200)])))
    const inner = createMemoryStore()
    let [underWay, most, refused] = [0, 0, 0]
    const busy: ObjectStore['put'] = async (request) => {
      underWay += 1
      most = Math.max(most, underWay)
      try {
        await new Promise((resolve) => setImmediate(resolve))
        if (underWay > 4) {
          refused += 1
          throw new KeepsakeError('store_unavailable', 'SlowDown', { retryable: true })
        }
        return await inner.put(request)
      } finally {
        underWay -= 1
      }
    }
    const store = new Proxy(inner, {
      get(target, name) {
        const value: unknown = name === 'put' ? busy : Reflect.get(target, name, target)
        return typeof value === 'function' && name !== 'put' ? value.bind(target) : value
      },
    })
    const { run } = await world(opened.database, { store })
    const { counts } = await run(folder)
    expect([counts.done.files, counts.failed.files]).toEqual([names.length, 0])
    expect([most <= 8, refused < names.length / 3]).toEqual([true, true])
  })

  test('two at once: one works, the other is told; who died is waited for, and followed', async () => {
    const folder = await folderOf({ 'a.png': picture('a') })
    const { run, catalogue, collection } = await world(opened.database)
    const options = { match: null, map: null, keepKeys: false, owner: null, attributes: {} }
    const request = { id: newAssetId(), source: folder, collection: collection.name, options }
    await catalogue.openMove(request)
    const other = randomUUID()
    let isAlive = true
    const live = async () => {
      while (isAlive) {
        await catalogue.holdMove(request.id, other, 3)
        await systemClock.sleep(0.1)
      }
    }
    await catalogue.holdMove(request.id, other, 3)
    const life = live()
    try {
      await expect(run(folder)).rejects.toMatchObject({ code: 'attempt_superseded' })
    } finally {
      isAlive = false
      await life
    }
    // Killed: it renews its hold no more.
    expect((await run(folder)).move).toMatchObject({ id: request.id, stage: 'done' })
  })

  test('a wait for another process can be broken off', async () => {
    const folder = await folderOf({ 'a.png': picture('a') })
    const { run, catalogue, collection } = await world(opened.database)
    const options = { match: null, map: null, keepKeys: false, owner: null, attributes: {} }
    const request = { id: newAssetId(), source: folder, collection: collection.name, options }
    await catalogue.openMove(request)
    await catalogue.holdMove(request.id, randomUUID(), 600)
    await expect(run(folder, { signal: AbortSignal.timeout(100) })).rejects.toMatchObject({ name: 'TimeoutError' })
  })

  test('other options than it was begun with are refused', async () => {
    const folder = await folderOf({ 'a.txt': Buffer.from('words') })
    const { run } = await world(opened.database)
    await run(folder)
    await expect(run(folder, { owner: 'ada' })).rejects.toMatchObject({ code: 'invalid_request' })
  })

  test('a copy that is other than it was sent is found before anything is stored', async () => {
    const folder = await folderOf({ 'a.png': picture('a') })
    const store = createMemoryStore()
    const lossy = new Proxy(store, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target)
        if (name === 'get') {
          const get: ObjectStore['get'] = async (key, options) => {
            const found = await target.get(key, options)
            return {
              ...found,
              body: (async function* () {
                yield Buffer.alloc(1000)
              })(),
            }
          }
          return get
        }
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const { run, stored, catalogue } = await world(opened.database, { store: lossy })
    const { move, counts } = await run(folder, { verify: 'full' })
    expect([move.stage, counts.failed.files]).toEqual(['verify', 1])
    expect((await catalogue.moveFiles(move.id, ['failed'], '', 1))[0]?.problem?.code).toBe('content_mismatch')
    expect(await stored()).toEqual([])
  })

  test('retires only files that are unchanged and whose asset is stored', async () => {
    const folder = await folderOf({ 'a.png': picture('a'), 'b.png': picture('b'), 'c.png': picture('c') })
    const { run, parts } = await world(opened.database)
    const { move } = await run(folder)
    await writeFile(join(folder, 'b.png'), picture('other'))
    await opened.database.service.query(
      "update keepsake.assets set health = 'missing' where filename = 'c.png' and owner = 'default'",
    )
    const { removed, kept } = await retire(parts, new FolderSource(folder), move.id, new AbortController().signal)
    expect(removed).toBe(1)
    expect(kept.map(({ path }) => path)).toEqual(['b.png', 'c.png'])
    expect((await readdir(folder)).sort()).toEqual(['b.png', 'c.png'])
  })
})

describe('a source', () => {
  let opened: OpenedDatabase
  beforeAll(async () => {
    const [pglite] = databases
    if (pglite === undefined) throw new Error('no database')
    opened = await pglite.open()
  })
  afterAll(() => opened.close())

  test('symbolic links are not followed, and told of', async () => {
    const folder = await folderOf({ 'a.png': picture('a') })
    await symlink('/etc/passwd', join(folder, 'link.png'))
    const { run } = await world(opened.database)
    const { counts, odd } = await run(folder)
    expect(counts.done.files).toBe(1)
    expect(odd).toEqual([{ path: 'link.png', why: 'a symbolic link' }])
  })

  test('one that is not there is said so', async () => {
    const { run } = await world(opened.database)
    await expect(run('/nonexistent/avatars')).rejects.toMatchObject({
      code: 'invalid_source',
      message: 'There is no folder /nonexistent/avatars.',
    })
  })

  test('a file that was written again with the same size and time is another one', async () => {
    const folder = await folderOf({ 'a.png': picture('a') })
    const source = new FolderSource(folder)
    const listed = []
    for await (const file of source.list(() => {}, new AbortController().signal)) listed.push(file)
    const { atime, mtime } = await stat(join(folder, 'a.png'))
    await writeFile(join(folder, 'a.png'), picture('b'))
    await utimes(join(folder, 'a.png'), atime, mtime)
    const [file] = listed
    if (file === undefined) throw new Error('nothing was listed')
    const options = { maxBytes: 10_000, signal: new AbortController().signal }
    await expect(source.hold(file, options)).rejects.toMatchObject({ code: 'source_gone' })
    expect(await source.remove(file)).toBe(false)
  })

  test('a move from another bucket takes its objects over, small and large', async () => {
    const from = createMemoryStore()
    const bodies = { 'old/one.png': picture('one'), 'old/deep/two.png': picture('two', 3_000_000) }
    for (const [key, body] of Object.entries(bodies)) {
      await from.put({ key, body, size: body.length, sha256: hashOf(body), contentType: 'binary/octet-stream' })
    }
    await from.put({
      key: 'older/no.png',
      body: picture('no'),
      size: 1000,
      sha256: hashOf(picture('no')),
      contentType: 'a/b',
    })
    const spoolDir = await mkdtemp(join(tmpdir(), 'keepsake-move-'))
    closers.push(() => rm(spoolDir, { recursive: true, force: true }))
    const { parts, collection, store, stored } = await world(opened.database)
    const source = new BucketSource({ bucket: 'other', prefix: 'old/', store: from, spoolDir })
    const { counts } = await migrate(parts, source, { collection, keepKeys: true })
    expect(counts.done.files).toBe(2)
    const assets = await stored()
    expect(assets.map(({ key }) => key)).toEqual(['deep/two.png', 'one.png'])
    // What the other bucket said of the type is not believed.
    expect((await store.head('one.png'))?.contentType).toBe('image/png')
    expect(await readdir(spoolDir)).toEqual([])
  })
})
