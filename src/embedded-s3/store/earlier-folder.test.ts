import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fileIn } from './bucket-folder.ts'
import { FolderLock } from './folder-lock.ts'
import { FolderStore } from './folder-store.ts'
import { encodeTrailer, type ObjectRecord } from './object-file.ts'

/** Folders as they were before there were packs: each object has a file, and there may be a journal of small ones. */
const BUCKET = 'bucket'
let dir: string
beforeEach(async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), 'earlier-folder-'))
  for (const folder of ['objects', 'uploads', 'tags'])
    mkdirSync(path.join(dir, 'buckets', BUCKET, folder), { recursive: true })
  writeFileSync(
    path.join(dir, 'buckets', BUCKET, 'bucket.json'),
    JSON.stringify({ name: BUCKET, created: 1, settings: {} }),
  )
})
afterEach(() => rm(dir, { recursive: true, force: true }))

function recordOf(key: string, body: string): ObjectRecord {
  const etag = createHash('md5').update(body).digest('hex')
  return { key, size: Buffer.byteLength(body), etag, modified: 1e12, headers: {}, metadata: {}, checksums: {} }
}

function fileOf(key: string): string {
  return fileIn(path.join(dir, 'buckets', BUCKET, 'objects'), key)
}

function contentOf(key: string, body: string): Buffer {
  return Buffer.concat([Buffer.from(body), encodeTrailer(recordOf(key, body))])
}

function writeObject(key: string, body: string): void {
  mkdirSync(path.dirname(fileOf(key)), { recursive: true })
  writeFileSync(fileOf(key), contentOf(key, body))
}

/** The index, as its first version made it. */
function writeIndex(keys: readonly string[]): void {
  const db = new DatabaseSync(path.join(dir, 'index.sqlite'))
  db.exec(`
    create table objects (
      bucket text not null, key blob not null, size integer not null, etag text not null, modified integer not null,
      primary key (bucket, key)
    ) without rowid;
    create table intents (bucket text not null, key blob not null, primary key (bucket, key)) without rowid;
    pragma user_version = 1;`)
  const put = db.prepare('insert into objects values (?, ?, ?, ?, ?)')
  for (const key of keys) put.run(BUCKET, Buffer.from(key), 1, 'etag', 1e12)
  db.close()
}

/** A segment of the journal: `header | note | content`, each entry on a page of its own. */
function writeJournal(
  entries: readonly { readonly key: string; readonly change: string; readonly content: Buffer }[],
): void {
  const pages = entries.map(({ key, change, content }, index) => {
    const note = Buffer.from(JSON.stringify({ bucket: BUCKET, key, change }))
    const header = Buffer.alloc(32)
    header.write('S3jrnl\r\u0001', 'latin1')
    header.writeUIntBE(index + 1, 10, 6)
    header.writeUInt32BE(note.length, 16)
    header.writeUInt32BE(content.length, 20)
    header.writeUInt32BE(crc32(content, crc32(note, crc32(header.subarray(8, 24)))), 24)
    const entry = Buffer.concat([header, note, content])
    return Buffer.concat([entry, Buffer.alloc(4096 - entry.length)])
  })
  mkdirSync(path.join(dir, 'journal'))
  writeFileSync(path.join(dir, 'journal', '0'), Buffer.concat(pages))
  writeFileSync(path.join(dir, 'journal', '1'), '')
}

async function put(store: FolderStore, key: string, body: string): Promise<void> {
  const upload = store.upload()
  await upload.write(Buffer.from(body))
  await store.commit(BUCKET, upload, recordOf(key, body))
}

function contents(store: FolderStore): Record<string, string | undefined> {
  const all = { bucket: BUCKET, prefix: '', delimiter: '', startAfter: '', from: undefined, limit: 1000 }
  return Object.fromEntries(
    store.list(all).objects.map(({ key }) => {
      const object = store.open(BUCKET, key.toString())
      object?.close()
      return [key.toString(), object?.bytes?.toString()]
    }),
  )
}

test.each([true, false])(
  'objects with files of their own go on to be read, changed and removed (index kept: %s)',
  async (isKept) => {
    for (const key of ['read', 'overwritten', 'removed']) writeObject(key, `${key} from before`)
    if (isKept) writeIndex(['read', 'overwritten', 'removed'])
    const store = await FolderStore.open(dir, { fsync: false })
    await put(store, 'overwritten', 'anew')
    await store.delete(BUCKET, 'removed')
    await put(store, 'added', 'beside them')
    await store.whenListable()
    const expected = { added: 'beside them', overwritten: 'anew', read: 'read from before' }
    expect(contents(store)).toEqual(expected)
    expect(['read', 'overwritten', 'removed'].map((key) => existsSync(fileOf(key)))).toEqual([true, false, false])
    await store.close()
    const again = await FolderStore.open(dir, { fsync: false })
    await again.whenListable()
    expect(contents(again)).toEqual(expected)
    await again.close()
  },
)

test('a journal that a kill left behind is played back once, and gone', async () => {
  for (const key of ['kept', 'stale', 'undead']) writeObject(key, `${key} from before`)
  writeIndex(['kept', 'stale', 'undead'])
  writeJournal([
    { key: 'stale', change: 'put', content: contentOf('stale', 'as it was answered') },
    { key: 'lost', change: 'put', content: contentOf('lost', 'as it was answered') },
    { key: 'undead', change: 'delete', content: Buffer.alloc(0) },
  ])
  const lock = new FolderLock(dir)
  lock.markHeld()
  lock.release(false)
  const store = await FolderStore.open(dir, { fsync: true })
  const expected = { kept: 'kept from before', lost: 'as it was answered', stale: 'as it was answered' }
  expect(contents(store)).toEqual(expected)
  expect(existsSync(path.join(dir, 'journal'))).toBe(false)
  await put(store, 'lost', 'anew')
  await store.close()
  const again = await FolderStore.open(dir, { fsync: false })
  expect(contents(again)).toEqual({ ...expected, lost: 'anew' })
  await again.close()
})
