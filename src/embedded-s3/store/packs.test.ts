import { createHash } from 'node:crypto'
import {
  closeSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fileIn } from './bucket-folder.ts'
import { FolderStore } from './folder-store.ts'
import { PAGE, STATE_AT } from './pack-entry.ts'
import { openPack } from './pack-writer.ts'
import { type FoundEntry, readPack } from './read-pack.ts'

const BUCKET = 'bucket'
/** Where the first page of a pack says that it is sealed. */
const SEALED_AT = 8
const KEYS = ['a', 'b', 'c', 'd'] as const
/** A few entries. */
const packSize = 6 * PAGE
/** Enough for a file of its own. */
const LARGE = 140_000

let root: string
let folders = 0
beforeEach(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), 'packs-'))
})
afterEach(async () => {
  await rm(root, { recursive: true, force: true })
})

type Found = FoundEntry & { readonly file: string; readonly isSealed: boolean }

function numbers(dir: string): number[] {
  return readdirSync(path.join(dir, 'packs'))
    .map(Number)
    .sort((a, b) => a - b)
}

/** All entries that the packs of a folder hold, in the order they were written. */
function entries(dir: string): Found[] {
  return numbers(dir).flatMap((number) => {
    const file = path.join(dir, 'packs', String(number))
    const pack = openPack(file)
    if (pack === undefined) return []
    try {
      const found = [...readPack(pack.fd, { ...pack, from: PAGE, end: statSync(file).size })]
      return found.map((entry) => ({ ...entry, file, isSealed: pack.isSealed }))
    } finally {
      closeSync(pack.fd)
    }
  })
}

function poke(file: string, at: number, bytes: string | Buffer): void {
  const fd = openSync(file, 'r+')
  const content = Buffer.from(bytes)
  writeSync(fd, content, 0, content.length, at)
  closeSync(fd)
}

/** Bodies are told by how they begin and how long they are, so that a failure can be read. */
function short(body: string): string {
  return `${body.replace(/\.+$/, '')} of ${body.length}`
}

/** A store, what it acknowledged, and what the next start may find of it. */
class Machine {
  readonly dir = path.join(root, String(folders++))
  readonly acknowledged = new Map<string, string>()
  /** Packs as they were when they were seen last. */
  readonly #seen = new Map<number, string>()

  async start(size = packSize): Promise<FolderStore> {
    const store = await FolderStore.open(this.dir, { fsync: false, packSize: size })
    await store.createBucket(BUCKET)
    return store
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
    this.acknowledged.set(key, short(body))
  }

  async remove(store: FolderStore, key: string): Promise<void> {
    await store.delete(BUCKET, key)
    this.acknowledged.delete(key)
  }

  look(): void {
    for (const number of numbers(this.dir)) {
      const copy = path.join(root, `seen-${path.basename(this.dir)}-${number}`)
      copyFileSync(path.join(this.dir, 'packs', String(number)), copy)
      this.#seen.set(number, copy)
    }
  }

  /** What a kill leaves: all that the operating system was given. */
  kill(): string {
    const left = path.join(root, String(folders++))
    const unwanted = ['lock', 'tmp'].map((name) => path.join(this.dir, name))
    for (let tries = 0; ; tries += 1) {
      try {
        cpSync(this.dir, left, { recursive: true, filter: (file) => !unwanted.includes(file) })
        return left
      } catch (error) {
        // A file was renamed by another thread meanwhile.
        if (tries === 5) throw error
        rmSync(left, { recursive: true, force: true })
      }
    }
  }

  /**
   * What a power cut leaves: of what is promised to be synced everything, and of all else what luck says. Not synced are
   * the marks of the dead that entries of an open pack caused, the removal of packs that were cleared, the index, and
   * what was being written.
   */
  cutPower(luck: readonly number[]): string {
    const left = this.kill()
    let drawn = 0
    const isLucky = () => (luck[drawn++ % luck.length] ?? 0) > 0
    for (const name of readdirSync(left)) if (name.startsWith('index.sqlite')) rmSync(path.join(left, name))
    writeFileSync(path.join(left, 'held'), 'boot of-another-time')
    const all = entries(left)
    for (const [index, { note, isDead, file, at }] of all.entries()) {
      const later = all.slice(index + 1).find(({ note: { key } }) => key === note.key)
      if (isDead && later?.isSealed === false && isLucky()) poke(file, at + STATE_AT, 'L')
    }
    for (const [number, copy] of this.#seen) {
      const file = path.join(left, 'packs', String(number))
      if (existsSync(file) || !isLucky()) continue
      // It was sealed, and all its marks were synced, before it went.
      copyFileSync(copy, file)
      poke(file, SEALED_AT, 'S')
      for (const { at } of entries(left).filter((entry) => entry.file === file)) poke(file, at + STATE_AT, 'D')
    }
    const last = all.at(-1)
    if (last !== undefined && !last.isSealed && isLucky()) {
      // Under way: its first page came through, and what follows did not.
      const entry = readFileSync(last.file).subarray(last.at, last.at + PAGE - 1)
      poke(last.file, last.at + last.bytes, entry.fill(1, last.bytes > PAGE ? PAGE - 1 : 40))
    }
    return left
  }
}

async function contents(dir: string): Promise<Map<string, string>> {
  const store = await FolderStore.open(dir, { fsync: false, packSize })
  try {
    await store.whenListable()
    const all = { bucket: BUCKET, prefix: '', delimiter: '', startAfter: '', from: undefined, limit: 1000 }
    const found = new Map<string, string>()
    for (const { key: name, size } of store.list(all).objects) {
      const key = name.toString()
      const object = store.open(BUCKET, key)
      const file = fileIn(path.join(dir, 'buckets', BUCKET, 'objects'), key)
      const bytes = object?.bytes ?? readFileSync(file).subarray(0, object?.record.size)
      object?.close()
      expect(size).toBe(bytes.length)
      found.set(key, short(bytes.toString()))
    }
    for (const key of KEYS) if (!found.has(key)) expect(store.record(BUCKET, key)).toBeUndefined()
    return found
  } finally {
    await store.close()
  }
}

const sorted = (map: ReadonlyMap<string, string>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))

const step = fc.record({
  key: fc.constantFrom(...KEYS),
  size: fc.constantFrom(undefined, 0, 10, 4000, 9000, LARGE),
  next: fc.constantFrom('go on', 'go on', 'cut', 'kill', 'reopen'),
  luck: fc.array(fc.nat(1), { minLength: 3, maxLength: 7 }),
})

test('after a kill, a power cut, or neither, everything that was acknowledged is there, and nothing else', async () => {
  let cleared = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 40 }), async (steps) => {
      const machine = new Machine()
      let store = await machine.start()
      try {
        for (const [number, { key, size, next, luck }] of steps.entries()) {
          if (size === undefined) await machine.remove(store, key)
          else await machine.put(store, key, `${number}`.padEnd(size, '.').slice(0, size))
          if (next === 'cut')
            expect(sorted(await contents(machine.cutPower(luck)))).toEqual(sorted(machine.acknowledged))
          if (next === 'kill') expect(sorted(await contents(machine.kill()))).toEqual(sorted(machine.acknowledged))
          machine.look()
          if (next !== 'reopen') continue
          await store.close()
          store = await machine.start()
        }
      } finally {
        await store.close()
      }
      expect(sorted(await contents(machine.dir))).toEqual(sorted(machine.acknowledged))
      const there = numbers(machine.dir)
      cleared += (there.at(-1) ?? 0) - there.length
    }),
    { numRuns: 15, endOnFailure: true },
  )
  // Most packs were cleared meanwhile.
  expect(cleared).toBeGreaterThan(15)
})

test('a second crash during what the first one left to do changes nothing', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 25 }), async (steps) => {
      const machine = new Machine()
      const store = await machine.start()
      for (const [number, { key, size }] of steps.entries()) {
        if (size === undefined) await machine.remove(store, key)
        else await machine.put(store, key, `${number}`.padEnd(size, '.').slice(0, size))
      }
      const luck = steps.flatMap((one) => one.luck)
      for (const left of [machine.kill(), machine.cutPower(luck)]) {
        const again = new Machine()
        cpSync(left, again.dir, { recursive: true })
        const opening = again.start()
        // Somewhere in the middle of recovering, and of the clearing that follows.
        for (let turn = luck[0] ?? 0; turn < luck.length; turn += 1) await new Promise((next) => setImmediate(next))
        const once = again.kill()
        const opened = await opening
        const twice = again.cutPower(luck)
        await opened.close()
        expect(sorted(await contents(once))).toEqual(sorted(machine.acknowledged))
        expect(sorted(await contents(twice))).toEqual(sorted(machine.acknowledged))
      }
      await store.close()
    }),
    { numRuns: 8, endOnFailure: true },
  )
})

test('while many write, delete and overwrite, a crash at any moment leaves each key as it was or as it was to be', async () => {
  const machine = new Machine()
  const store = await machine.start(20 * PAGE)
  const keys = Array.from({ length: 30 }, (_, n) => `key-${n}`)
  /** What a key may hold: what was acknowledged, and what is under way. */
  const possible = new Map(keys.map((key) => [key, new Set<string | undefined>([undefined])]))
  let step = 0
  let isOver = false
  const hand = async (mine: readonly string[]) => {
    while (!isOver) {
      step += 1
      const key = mine[step % mine.length] ?? ''
      const states = possible.get(key) ?? new Set()
      const body = step % 4 === 0 ? undefined : `${step} `.padEnd(step % 23 === 0 ? LARGE : (step * 977) % 20_000, '.')
      const state = body === undefined ? undefined : short(body)
      states.add(state)
      await (body === undefined ? machine.remove(store, key) : machine.put(store, key, body))
      states.clear()
      states.add(state)
    }
  }
  const hands = Array.from({ length: 6 }, (_, hand_) => hand(keys.filter((__, n) => n % 6 === hand_)))
  const crashes: { readonly left: string; readonly may: Map<string, Set<string | undefined>> }[] = []
  for (const kind of ['kill', 'cut', 'kill', 'cut', 'kill', 'cut'] as const) {
    const until = step + 150
    while (step < until) await new Promise((next) => setImmediate(next))
    const may = new Map([...possible].map(([key, states]) => [key, new Set(states)]))
    crashes.push({ left: kind === 'kill' ? machine.kill() : machine.cutPower([1, 0, 1]), may })
  }
  isOver = true
  await Promise.all(hands)
  await store.close()
  for (const { left, may } of crashes) {
    const found = await contents(left)
    for (const [key, states] of may) expect([...states]).toContain(found.get(key))
  }
  expect(sorted(await contents(machine.dir))).toEqual(sorted(machine.acknowledged))
})

test('an entry that was cut short counts for nothing, and those before it for all', async () => {
  const machine = new Machine()
  const store = await machine.start()
  await machine.put(store, 'a', 'acknowledged')
  await machine.put(store, 'b', 'under way')
  for (const at of [0, 12, 40, 90]) {
    const left = machine.cutPower([0])
    const pack = path.join(left, 'packs', '1')
    poke(pack, 2 * PAGE + at, Buffer.of((readFileSync(pack)[2 * PAGE + at] ?? 0) ^ 1))
    expect(sorted(await contents(left))).toEqual([['a', short('acknowledged')]])
    // What came after it has gone from the disk, so that nothing written later can lead to it.
    expect(statSync(pack).size).toBe(2 * PAGE)
  }
  await store.close()
})

test('damage in a sealed pack takes nothing with it but the object it is in, which is not given out', async () => {
  const machine = new Machine()
  const store = await machine.start()
  for (const key of KEYS) await machine.put(store, key, key.padEnd(100, '.'))
  await store.close()
  const pack = path.join(machine.dir, 'packs', '1')
  poke(pack, 2 * PAGE, 'X')
  poke(pack, 3 * PAGE + PAGE / 4, readFileSync(pack).subarray(3 * PAGE + PAGE / 4, 3 * PAGE + PAGE / 4 + 1))
  for (const isIndexLost of [false, true]) {
    if (isIndexLost) rmSync(path.join(machine.dir, 'index.sqlite'))
    const again = await machine.start()
    await again.whenListable()
    expect(again.record(BUCKET, 'a')).toMatchObject({ key: 'a' })
    expect(again.record(BUCKET, 'd')).toMatchObject({ key: 'd' })
    if (isIndexLost) expect(again.record(BUCKET, 'b')).toBeUndefined()
    else expect(() => again.open(BUCKET, 'b')).toThrow(/damaged/)
    await again.close()
  }
  await machine.put(await machine.start(), 'b', 'mended')
})

test('a body that is not as it was written is not given out', async () => {
  const machine = new Machine()
  const store = await machine.start()
  await machine.put(store, 'a', 'some words that matter')
  const pack = path.join(machine.dir, 'packs', '1')
  poke(pack, readFileSync(pack).indexOf('words'), 'lords')
  expect(() => store.open(BUCKET, 'a')).toThrow(/damaged/)
  await machine.put(store, 'a', 'written anew')
  expect(store.open(BUCKET, 'a')?.bytes?.toString()).toBe('written anew')
  await store.close()
})

test('what is overwritten and deleted gives its space back', async () => {
  const machine = new Machine()
  const store = await machine.start(32 * PAGE)
  for (let n = 0; n < 400; n += 1) await machine.put(store, `key-${n % 20}`, `${n}`.padEnd(3000, '.'))
  for (let n = 0; n < 19; n += 1) await machine.remove(store, `key-${n}`)
  await store.close()
  // The last one is sealed by the close, and cleared by the next start.
  const again = await machine.start(32 * PAGE)
  await again.close()
  const held = numbers(machine.dir).map((number) => statSync(path.join(machine.dir, 'packs', String(number))).size)
  expect(held.reduce((sum, size) => sum + size, 0)).toBeLessThan(40 * PAGE)
  expect(sorted(await contents(machine.dir))).toEqual(sorted(machine.acknowledged))
})

test('small packs, as each start leaves one, are joined', async () => {
  const machine = new Machine()
  for (let n = 0; n < 25; n += 1) {
    const store = await machine.start(1000 * PAGE)
    await machine.put(store, `key-${n}`, `${n}`)
    await store.close()
  }
  expect(numbers(machine.dir).length).toBeLessThan(12)
  expect(sorted(await contents(machine.dir))).toEqual(sorted(machine.acknowledged))
})

test('a bucket that was removed, or made anew, gets nothing back', async () => {
  const machine = new Machine()
  const store = await machine.start()
  await machine.put(store, 'a', 'of the first bucket')
  await machine.remove(store, 'a')
  expect(await store.deleteBucket(BUCKET)).toBe('removed')
  const reopened = await FolderStore.open(machine.cutPower([1]), { fsync: false })
  expect(reopened.buckets()).toEqual([])
  await reopened.close()
  await store.createBucket(BUCKET)
  expect(await contents(machine.cutPower([1]))).toEqual(new Map())
  await store.close()
})

test('a file that was left behind stays hidden, and goes when the key does', async () => {
  const machine = new Machine()
  const store = await machine.start()
  await machine.put(store, 'a', 'large'.padEnd(LARGE, '.'))
  const file = fileIn(path.join(machine.dir, 'buckets', BUCKET, 'objects'), 'a')
  const content = readFileSync(file)
  await machine.put(store, 'a', 'small')
  expect(existsSync(file)).toBe(false)
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, content)
  expect(store.open(BUCKET, 'a')?.bytes?.toString()).toBe('small')
  const left = machine.cutPower([0])
  expect(sorted(await contents(left))).toEqual([['a', short('small')]])
  await machine.remove(store, 'a')
  expect(existsSync(file)).toBe(false)
  expect(await contents(machine.cutPower([1]))).toEqual(new Map())
  await store.close()
})
