import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, expect, test } from 'vitest'
import { Bench, BUCKET } from '../testing/test-kit.ts'
import { FolderStore } from './folder-store.ts'
import { PAGE } from './pack-entry.ts'
import { readSection } from './read-section.ts'

const bench = new Bench()
const children: ChildProcess[] = []
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await bench.stop()
})

const NOTHING = '-'
/** Holds some entries, so that packs are filled, sealed and cleared all the time. */
const packSize = 24 * PAGE

/** What each key may hold: what was acknowledged last, and what was tried since. */
type Possible = Map<string, Set<string>>

/** Has a process write until `enough` changes are acknowledged, and kills it. `limit` in KiB is of each file. */
async function writeUntilKilled(
  dir: string,
  possible: Possible,
  { seed, enough, limit }: { readonly seed: number; readonly enough: number; readonly limit?: number },
): Promise<{ readonly failures: number }> {
  const script = path.join(import.meta.dirname, '../testing/test-store.ts')
  const command = `${limit === undefined ? '' : `ulimit -f ${limit}; `}exec "$@"`
  const program = [process.execPath, script, dir, String(packSize), String(seed)]
  const child = spawn('bash', ['-c', command, 'bash', ...program], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const exited = once(child, 'exit')
  let acknowledged = 0
  let failures = 0
  for await (const line of createInterface({ input: child.stdout })) {
    const [sign = '', key = '', state = ''] = line.split(' ')
    const states = possible.get(key) ?? new Set([NOTHING])
    possible.set(key, states)
    if (sign === '!') {
      states.clear()
      acknowledged += 1
      if (acknowledged === enough) child.kill('SIGKILL')
    }
    if (sign === 'x') failures += 1
    states.add(state)
  }
  await exited
  expect(acknowledged).toBeGreaterThanOrEqual(enough)
  return { failures }
}

async function judge(dir: string, possible: Possible): Promise<void> {
  const store = await FolderStore.open(dir, { fsync: false, packSize })
  try {
    await store.whenListable()
    const all = { bucket: BUCKET, prefix: '', delimiter: '', startAfter: '', from: undefined, limit: 1000 }
    const listed = new Map(store.list(all).objects.map(({ key, etag }) => [key.toString(), etag]))
    for (const [key, states] of possible) {
      const object = store.open(BUCKET, key)
      let found = NOTHING
      if (object !== undefined) {
        const hash = createHash('md5')
        for await (const bytes of readSection(object, 0, object.record.size)) hash.update(bytes)
        object.close()
        found = hash.digest('hex')
        expect(object.record.etag).toBe(found)
      }
      expect([...states]).toContain(found)
      expect(listed.get(key) ?? NOTHING).toBe(found)
      possible.set(key, new Set([found]))
    }
  } finally {
    await store.close()
  }
}

test('kill -9 while packs are filled, sealed and cleared: nothing that was acknowledged is lost, and nothing torn', async () => {
  const dir = await bench.folder()
  const possible: Possible = new Map()
  for (let seed = 0; seed < 6; seed += 1) {
    await writeUntilKilled(dir, possible, { seed, enough: 250 + seed * 37 })
    // After every other one the index is lost too.
    if (seed % 2 === 1) rmSync(path.join(dir, 'index.sqlite'))
    await judge(dir, possible)
  }
  const numbers = readdirSync(path.join(dir, 'packs')).map(Number)
  // Most of what was written has gone, and its space with it.
  expect(numbers.length).toBeLessThan(Math.max(...numbers) / 2)
})

test('a disk that takes no more: what was acknowledged is there, and nothing is torn', async () => {
  const dir = await bench.folder()
  const possible: Possible = new Map()
  // Less than a pack, so that batches break off in the middle, and the index cannot be written either.
  const { failures } = await writeUntilKilled(dir, possible, { seed: 1, enough: 60, limit: 80 })
  expect(failures).toBeGreaterThan(0)
  await judge(dir, possible)
})
