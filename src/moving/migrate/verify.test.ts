import { createHash, randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { databases, type OpenedDatabase } from '../../../test/support/databases.ts'
import { pictureBytes } from '../../../test/support/picture.ts'
import { createCatalogue } from '../../catalogue/index.ts'
import { systemClock } from '../../clock.ts'
import { KeepsakeError, parseCollection } from '../../media/index.ts'
import { createMemoryStore, type ObjectStore } from '../../stores/index.ts'
import { FolderSource, type MigrateOptions, migrate } from '../index.ts'

const count = 40
let opened: OpenedDatabase
let folder = ''
beforeAll(async () => {
  const [pglite] = databases
  if (pglite === undefined) throw new Error('no database')
  opened = await pglite.open()
  folder = await mkdtemp(join(tmpdir(), 'keepsake-verify-'))
  for (let n = 0; n < count; n += 1) {
    await writeFile(join(folder, `${n}.png`), pictureBytes({ id: `${n}`, size: 1000 }))
  }
})
afterAll(async () => {
  await opened.close()
  await rm(folder, { recursive: true, force: true })
})

/** A memory store that counts what is asked of it, and in which something may happen once the last file was put. */
function watched(
  changes: Partial<ObjectStore> = {},
  afterLastPut: (store: ObjectStore) => Promise<void> = async () => {},
) {
  const inner = createMemoryStore()
  const asked = { head: 0, list: 0, get: 0 }
  let puts = 0
  const store: ObjectStore = {
    ...changes,
    name: inner.name,
    put: async (request) => {
      const result = await inner.put(request)
      puts += 1
      if (puts === count) await afterLastPut(inner)
      return result
    },
    head: (key, options) => {
      asked.head += 1
      return inner.head(key, options)
    },
    get: (key, options) => {
      asked.get += 1
      return inner.get(key, options)
    },
    list: (options) => {
      asked.list += 1
      return (changes.list ?? inner.list.bind(inner))(options)
    },
    copy: inner.copy.bind(inner),
    delete: inner.delete.bind(inner),
    signGet: inner.signGet.bind(inner),
    signPut: inner.signPut.bind(inner),
    signPart: inner.signPart.bind(inner),
    createMultipart: inner.createMultipart.bind(inner),
    putPart: inner.putPart.bind(inner),
    completeMultipart: inner.completeMultipart.bind(inner),
    abortMultipart: inner.abortMultipart.bind(inner),
    listParts: inner.listParts.bind(inner),
    listMultipart: inner.listMultipart.bind(inner),
    check: inner.check.bind(inner),
    close: inner.close.bind(inner),
  }
  return { store, inner, asked }
}

async function move(store: ObjectStore, options: Partial<MigrateOptions> = {}) {
  const catalogue = createCatalogue(opened.database)
  const collection = parseCollection(`pictures-${randomUUID()}`, { key: 'pictures/{id}.{ext}' })
  const result = await migrate({ catalogue, store, clock: systemClock }, new FolderSource(folder), {
    collection,
    ...options,
  })
  return { ...result, failures: await catalogue.moveFiles(result.move.id, ['failed'], '', 100) }
}

test('the bucket’s list proves the copies, and one of them is asked for all the same', async () => {
  const { store, asked } = watched()
  const { counts } = await move(store)
  expect(counts.done.files).toBe(count)
  expect(asked).toEqual({ head: 1, list: 1, get: 0 })
})

test('an object that was replaced since its put is found, although it has the same size', async () => {
  const other = pictureBytes({ id: 'other', size: 1000 })
  const { store } = watched({}, async (inner) => {
    for await (const { key } of inner.list()) {
      const sha256 = createHash('sha256').update(other).digest('hex')
      await inner.put({ key, body: other, size: 1000, sha256, contentType: 'image/png', createOnly: false })
      break
    }
  })
  const { move: found, failures } = await move(store)
  expect(found.stage).toBe('verify')
  expect(failures.map(({ problem }) => problem?.code)).toEqual(['content_mismatch'])
})

test('an object that went away since its put is found', async () => {
  const { store } = watched({}, async (inner) => {
    const keys: string[] = []
    for await (const { key } of inner.list()) keys.push(key)
    await inner.delete(keys.slice(5, 8))
  })
  const { move: found, failures } = await move(store)
  expect(found.stage).toBe('verify')
  expect(failures.map(({ problem }) => problem?.code)).toEqual(Array(3).fill('object_missing'))
})

test('where no list may be read, every object is asked for', async () => {
  const denied: ObjectStore['list'] = () => {
    throw new KeepsakeError('store_denied', 'No list for you.')
  }
  const { store, asked } = watched({ list: denied })
  const { counts } = await move(store)
  expect([counts.done.files, asked.head]).toEqual([count, count])
})

test('where the copies lie far apart among others, they are asked for one by one', async () => {
  const body = Buffer.from('somebody else’s')
  const sha256 = createHash('sha256').update(body).digest('hex')
  const { store, asked } = watched({}, async (inner) => {
    for await (const { key } of inner.list()) {
      for (let n = 0; n < 40; n += 1) {
        await inner.put({ key: `${key}-${n}`, body, size: body.length, sha256, contentType: 'text/plain' })
      }
    }
  })
  const { counts } = await move(store)
  expect(counts.done.files).toBe(count)
  expect(asked.list).toBe(1)
  expect(asked.head).toBeGreaterThan(count - 5)
})

test('in full, every byte is read back', async () => {
  const { store, asked } = watched()
  const { counts } = await move(store, { verify: 'full' })
  expect([counts.done.files, asked.get]).toEqual([count, count])
})
