import { createHash } from 'node:crypto'
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FolderStore, type FolderStoreOptions } from './folder-store.ts'

const BUCKET = 'bucket'
const KEYS = ['a', 'b', 'c'] as const
/** A few entries. */
const segmentSize = 5 * 4096

let root: string
let folders = 0
beforeEach(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), 'journal-'))
})
afterEach(async () => {
  await rm(root, { recursive: true, force: true })
})

function fileOf(dir: string, key: string): string {
  const name = createHash('sha256').update(key).digest('hex')
  return path.join(dir, 'buckets', BUCKET, 'objects', name.slice(0, 2), name.slice(2))
}

function contentOf(file: string): Buffer | undefined {
  return existsSync(file) ? readFileSync(file) : undefined
}

/**
 * A store, and what of it a power cut leaves: the log, as it is, and of each object's file what was synced. What was not
 * synced may be there, may be as it was before, or may be a file of the right length with nothing in it.
 */
class Machine {
  readonly dir = path.join(root, String(folders++))
  readonly synced = new Map<string, Buffer | undefined>()
  readonly acknowledged = new Map<string, string>()
  syncs = 0

  static async start(options: FolderStoreOptions['journal'] = {}): Promise<[Machine, FolderStore]> {
    const machine = new Machine()
    const syncFiles = async (files: ReadonlySet<string>) => {
      machine.syncs += 1
      for (const file of files) machine.synced.set(file, contentOf(file))
    }
    const store = await FolderStore.open(machine.dir, { fsync: false, journal: { segmentSize, syncFiles, ...options } })
    await store.createBucket(BUCKET)
    return [machine, store]
  }

  async put(store: FolderStore, key: string, body: string): Promise<void> {
    const upload = store.upload()
    await upload.write(Buffer.from(body))
    const etag = createHash('md5').update(body).digest('hex')
    const size = Buffer.byteLength(body)
    const record = { key, size, etag, modified: Date.now(), headers: {}, metadata: {}, checksums: {} }
    try {
      await store.commit(BUCKET, upload, record)
    } catch (error) {
      await upload.discard()
      throw error
    }
    this.acknowledged.set(key, body)
    // A large one is synced before it is put in place.
    const file = fileOf(this.dir, key)
    if (size > 128 * 1024) this.synced.set(file, contentOf(file))
  }

  async remove(store: FolderStore, key: string): Promise<void> {
    await store.delete(BUCKET, key)
    this.acknowledged.delete(key)
  }

  /** What the next start finds. `luck` says for each key what became of its file. */
  cutPower(luck: readonly number[]): string {
    const left = path.join(root, String(folders++))
    cpSync(this.dir, left, { recursive: true, filter: (file) => !/\/(lock|index\.sqlite.*)$/.test(file) })
    writeFileSync(path.join(left, 'held'), 'boot of-another-time')
    for (const [index, key] of [...new Set([...KEYS, ...this.acknowledged.keys()])].entries()) {
      const now = contentOf(fileOf(this.dir, key))
      const synced = this.synced.get(fileOf(this.dir, key))
      const isSynced = now === synced || (now !== undefined && synced?.equals(now) === true)
      const choices = isSynced ? [now] : [now, synced, now && Buffer.alloc(now.length)]
      const chosen = choices[(luck[index % luck.length] ?? 0) % choices.length]
      if (chosen !== undefined) writeFileSync(fileOf(left, key), chosen)
      else rmSync(fileOf(left, key), { force: true })
    }
    return left
  }
}

async function contents(dir: string): Promise<Map<string, string>> {
  const store = await FolderStore.open(dir, { fsync: false })
  try {
    await store.whenListable()
    const all = { bucket: BUCKET, prefix: '', delimiter: '', startAfter: '', from: undefined, limit: 1000 }
    return new Map(
      store.list(all).objects.map(({ key }) => {
        const object = store.open(BUCKET, key.toString())
        const bytes = object?.bytes ?? readFileSync(fileOf(dir, key.toString())).subarray(0, object?.record.size)
        object?.close()
        return [key.toString(), bytes.toString()]
      }),
    )
  } finally {
    await store.close()
  }
}

const sorted = (map: ReadonlyMap<string, string>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))

const step = fc.record({
  key: fc.constantFrom(...KEYS),
  size: fc.constantFrom(undefined, 0, 10, 4000, 9000, 140_000),
  cut: fc.nat(3),
  luck: fc.array(fc.nat(2), { minLength: 3, maxLength: 3 }),
})

test('after a power cut everything that was acknowledged is there, and nothing else', async () => {
  let syncs = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 15, maxLength: 30 }), async (steps) => {
      const [machine, store] = await Machine.start()
      try {
        for (const [number, { key, size, cut, luck }] of steps.entries()) {
          if (size === undefined) await machine.remove(store, key)
          else await machine.put(store, key, `${number}`.padEnd(size, '.').slice(0, size))
          if (cut === 0) expect(sorted(await contents(machine.cutPower(luck)))).toEqual(sorted(machine.acknowledged))
        }
      } finally {
        await store.close()
      }
      syncs += machine.syncs
      expect(sorted(await contents(machine.dir))).toEqual(sorted(machine.acknowledged))
    }),
    { numRuns: 12, endOnFailure: true },
  )
  // The segments were written over many times meanwhile.
  expect(syncs).toBeGreaterThan(12)
})

test('an entry that was cut short counts for nothing, and those before it for all', async () => {
  const [machine, store] = await Machine.start({ segmentSize: 1024 ** 2 })
  await machine.put(store, 'a', 'acknowledged')
  await machine.put(store, 'b', 'under way')
  for (const at of [4096, 4096 + 12, 4096 + 40, 4096 + 90]) {
    const left = machine.cutPower([1, 1, 1])
    const log = path.join(left, 'journal', '0')
    const bytes = readFileSync(log)
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
    writeFileSync(log, bytes)
    expect(sorted(await contents(left))).toEqual([['a', 'acknowledged']])
  }
  await store.close()
})

test('a bucket that was removed, or made anew, gets nothing back', async () => {
  const [machine, store] = await Machine.start({ segmentSize: 1024 ** 2 })
  await machine.put(store, 'a', 'of the first bucket')
  await machine.remove(store, 'a')
  expect(await store.deleteBucket(BUCKET)).toBe('removed')
  const without = machine.cutPower([1, 1, 1])
  const reopened = await FolderStore.open(without, { fsync: false })
  expect(reopened.buckets()).toEqual([])
  await reopened.close()
  await store.createBucket(BUCKET)
  expect(await contents(machine.cutPower([1, 1, 1]))).toEqual(new Map())
  await store.close()
})

test('many writers at once go through many segments, none twice and none lost', async () => {
  const [machine, store] = await Machine.start()
  const bodies = Array.from({ length: 120 }, (_, n) => [`key-${n % 40}`, `${n}`.padEnd(50 * n, '.')] as const)
  await Promise.all(bodies.map(([key, body]) => machine.put(store, key, body)))
  expect(machine.syncs).toBeGreaterThan(10)
  expect(machine.acknowledged.size).toBe(40)
  // Of those whose entries are gone, the files were synced only after they had been put in place.
  expect(sorted(await contents(machine.cutPower([1])))).toEqual(sorted(machine.acknowledged))
  await store.close()
  expect(sorted(await contents(machine.dir))).toEqual(sorted(machine.acknowledged))
})

test('where files cannot be synced, writing ends before anything is written over, and reading goes on', async () => {
  const [machine, store] = await Machine.start({ syncFiles: () => Promise.reject(new Error('EIO')) })
  await machine.put(store, 'a', 'first')
  let failure: unknown
  for (let n = 0; n < 30 && failure === undefined; n += 1) {
    await machine.put(store, 'b', `${n}`.padEnd(5000, '.')).catch((error: unknown) => {
      failure = error
    })
  }
  expect(failure).toMatchObject({ message: 'EIO' })
  expect(store.record(BUCKET, 'a')).toMatchObject({ size: 5 })
  const found = await contents(machine.cutPower([2, 2, 2]))
  expect(found.get('a')).toBe('first')
  expect(found.get('b')).toBe(machine.acknowledged.get('b'))
  await expect(store.close()).rejects.toThrow('EIO')
})

test('a folder that was closed in good order has no log', async () => {
  const [machine, store] = await Machine.start()
  await machine.put(store, 'a', 'kept')
  expect(readdirSync(path.join(machine.dir, 'journal'))).toEqual(['0', '1'])
  await store.close()
  expect(existsSync(path.join(machine.dir, 'journal'))).toBe(false)
  expect(sorted(await contents(machine.dir))).toEqual([['a', 'kept']])
})

test('what the log has let go of is not played back over what came later', async () => {
  const [machine, store] = await Machine.start()
  await machine.put(store, 'a', 'small and early')
  while (machine.syncs === 0) await machine.put(store, 'b', '.')
  // The segment that told of it is free now, and has not been written over yet.
  await machine.put(store, 'a', 'large and late'.padEnd(140_000, '.'))
  expect(sorted(await contents(machine.cutPower([0])))).toEqual(sorted(machine.acknowledged))
  await store.close()
})
