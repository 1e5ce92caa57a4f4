import { hash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { databases, type OpenedDatabase } from '../../../test/support/databases.ts'
import { startEmbeddedS3 } from '../../embedded-s3/index.ts'
import {
  compareObjectKeys,
  createMemoryStore,
  createS3Store,
  type ListedObject,
  ListedPage,
} from '../../stores/index.ts'
import { compare } from './compare.ts'
import { sorted } from './sorted.ts'
import { collect, Fixture, found } from './testing/fixture.ts'

/** From every plane that has characters, with the borders where UTF-16 and UTF-8 sort apart. */
const characters = [
  '\u0001',
  '\n',
  '\r',
  'a',
  '~',
  'é',
  '\u07ff',
  '\u0800',
  '\u2028',
  '\u2029',
  '\ud7ff',
  '\ue000',
  '\uff5e',
  '\ufffd',
  '\u{10000}',
  '😀',
  '\u{1d400}',
]
const more = ['\u{20000}', '\u{2fa1d}', '\u{30000}', '\u{e0100}', '\u{f0000}', '\u{10fffd}']
const planes = [...characters, ...more]
const bytesOf = (key: string) => Buffer.from(key)

describe.each(databases)('keys of every plane, on an embedded S3 and $name', ({ open }) => {
  let opened: OpenedDatabase
  let dir: string
  let close: () => Promise<void>
  let fixture: Fixture
  beforeAll(async () => {
    opened = await open()
    dir = await mkdtemp(join(tmpdir(), 'keepsake-planes-'))
    const credentials = { accessKeyId: 'TESTKEY', secretAccessKey: 'test-secret' }
    const s3 = await startEmbeddedS3({ dir, credentials, buckets: ['planes'], fsync: false })
    const store = createS3Store({ bucket: 'planes', region: s3.region, endpoint: s3.url, credentials })
    fixture = await Fixture.open(opened.single, { store })
    close = async () => {
      await store.close()
      await s3.close()
    }
  })
  afterAll(async () => {
    await fixture.close()
    await close()
    await opened.close()
    await rm(dir, { recursive: true, force: true })
  })

  it('are compared in the order of their bytes, in ranges and pages', async () => {
    const [orphans, missing]: [string[], string[]] = [[], []]
    for (const [index, character] of planes.entries()) {
      for (const ending of ['', '/x', character]) {
        const key = `media/${character}${ending}`
        if ((index + ending.length) % 5 === 0) {
          await fixture.object(key, 'lost')
          orphans.push(key)
        } else if ((index + ending.length) % 7 === 0) {
          await fixture.row(key, 'gone')
          missing.push(key)
        } else await fixture.keep(key, 'kept')
      }
    }
    await fixture.pass(2)
    const inBytes = (keys: string[]) => keys.sort((a, b) => bytesOf(a).compare(bytesOf(b)))
    for (const rangeRows of [50_000, 3]) {
      const names = found(await fixture.scan({ rangeRows }))
      expect(names.filter((name) => name.startsWith('orphan'))).toEqual(inBytes(orphans).map((key) => `orphan ${key}`))
      expect(names.filter((name) => name.startsWith('missing'))).toEqual(
        inBytes(missing).map((key) => `missing ${key}`),
      )
      expect(names).toHaveLength(orphans.length + missing.length)
    }
  })
})

describe('a comparison', () => {
  const key = fc.array(fc.constantFrom(...planes), { minLength: 1, maxLength: 4 }).map((parts) => parts.join(''))
  const entry = (name: string): ListedObject => ({ key: name, size: 1, etag: '""', lastModified: new Date(0) })

  it('tells for any keys what is on one side only', () => {
    fc.assert(
      fc.property(fc.uniqueArray(key), fc.uniqueArray(key), (inBucket, inCatalogue) => {
        const byBytes = (a: string, b: string) => bytesOf(a).compare(bytesOf(b))
        const heard: string[] = []
        compare(
          ListedPage.ofObjects(inBucket.toSorted(byBytes).map(entry)),
          { keys: inCatalogue.toSorted(byBytes) },
          '',
          {
            both: (name) => heard.push(`both ${name}`),
            objectOnly: (name) => heard.push(`object ${name}`),
            rowOnly: (name) => heard.push(`row ${name}`),
          },
        )
        const expected = [...new Set([...inBucket, ...inCatalogue])].toSorted(byBytes).map((name) => {
          if (!inCatalogue.includes(name)) return `object ${name}`
          return inBucket.includes(name) ? `both ${name}` : `row ${name}`
        })
        expect(heard).toEqual(expected)
      }),
    )
  })

  it('sorts an inventory in files as it does in memory', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'keepsake-sorted-'))
    try {
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(key, { maxLength: 20 }),
          fc.integer({ min: 1, max: 30 }),
          async (keys, length) => {
            async function* objects() {
              for (const name of keys) yield entry(name)
            }
            const names = (await collect(sorted(objects(), dir, length))).map((object) => object.key)
            expect(names).toEqual(keys.toSorted(compareObjectKeys))
          },
        ),
        { numRuns: 30 },
      )
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })

  it('agrees with a store that lists from memory', async () => {
    const store = createMemoryStore()
    for (const body of planes.map(bytesOf)) {
      const sha256 = hash('sha256', body, 'hex')
      await store.put({ key: body.toString(), body, size: body.length, sha256, contentType: 'text/plain' })
    }
    const listed = (await collect(store.list())).map((object) => object.key)
    expect(listed).toEqual(planes.toSorted((a, b) => bytesOf(a).compare(bytesOf(b))))
  })
})
