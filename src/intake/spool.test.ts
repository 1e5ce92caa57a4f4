import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ObjectBody } from '../stores/index.ts'
import { spool } from './spool.ts'

let root = ''
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'keepsake-spool-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

async function* chunks(...values: Uint8Array[]) {
  yield* values
}

async function gather(body: ObjectBody): Promise<Buffer> {
  if (body instanceof Uint8Array) return Buffer.from(body)
  const parts: Uint8Array[] = []
  for await (const part of body()) parts.push(part)
  return Buffer.concat(parts)
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const pattern = (size: number) =>
  Buffer.from(Uint8Array.from({ length: size }, (_, index) => (index * 7 + (index >> 8)) % 256))

test('whatever the chunks and the limit, the bytes come back with their size and hash, as often as asked', async () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 5000 }), { minLength: 1, maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(pieces, fc.nat(12), fc.nat(20_000), async (parts, cut, memoryLimit) => {
      const all = Buffer.concat(parts)
      fc.pre(all.length > 0)
      const dir = join(root, 'property')
      const spooled = await spool(parts.slice(0, cut), chunks(...parts.slice(cut)), { dir, memoryLimit, maxBytes: 1e6 })
      expect(spooled).toMatchObject({ size: all.length, sha256: sha256(all) })
      expect(spooled.path === undefined).toBe(all.length <= memoryLimit)
      expect((await gather(spooled.open())).equals(all)).toBe(true)
      expect((await gather(spooled.open())).equals(all)).toBe(true)
      const middle = Math.floor(all.length / 2)
      expect(all.subarray(middle, middle + 100).equals(await spooled.read(middle, 100))).toBe(true)
      expect(await spooled.read(all.length, 10)).toHaveLength(0)
      await spooled.dispose()
      await spooled.dispose()
      expect(await readdir(dir).catch(() => [])).toEqual([])
    }),
    { numRuns: 60 },
  )
})

test('a large body waits in a file that only its user can read, and comes back whole', async () => {
  const all = pattern(3_000_001)
  const dir = join(root, 'large')
  const spooled = await spool([all.subarray(0, 4100)], chunks(all.subarray(4100, 700_000), all.subarray(700_000)), {
    dir,
    maxBytes: 3_000_001,
  })
  expect(spooled.bytes).toBeUndefined()
  expect((await stat(spooled.path ?? '')).mode & 0o777).toBe(0o600)
  expect((await stat(dir)).mode & 0o777).toBe(0o700)
  expect((await gather(spooled.open())).equals(all)).toBe(true)
  await spooled.dispose()
})

test('a source that uses its chunk again changes nothing in a file', async () => {
  const reused = Buffer.alloc(64 * 1024)
  async function* source() {
    for (let index = 1; index <= 40; index += 1) yield reused.fill(index)
  }
  const spooled = await spool([], source(), { dir: join(root, 'reused'), memoryLimit: 0, maxBytes: 1e9 })
  const back = await gather(spooled.open())
  expect(sha256(back)).toBe(spooled.sha256)
  await spooled.dispose()
})

test('an empty body is refused', async () => {
  const work = spool([new Uint8Array()], chunks(new Uint8Array()), { dir: root, maxBytes: 10 })
  await expect(work).rejects.toMatchObject({ code: 'content_empty' })
})

test('a body over the limit, one that fails and one that is aborted leave nothing behind', async () => {
  const dir = join(root, 'failing')
  let ended = 0
  async function* source(error?: Error) {
    try {
      for (let index = 0; index < 40; index += 1) yield Buffer.alloc(64 * 1024)
      if (error) throw error
      for (;;) yield Buffer.alloc(64 * 1024)
    } finally {
      ended += 1
    }
  }
  const over = spool([], source(), { dir, memoryLimit: 1000, maxBytes: 5_000_000 })
  await expect(over).rejects.toMatchObject({ code: 'content_too_large' })
  const broken = new Error('broken')
  await expect(spool([], source(broken), { dir, memoryLimit: 1000, maxBytes: 1e9 })).rejects.toBe(broken)
  const controller = new AbortController()
  const stop = new Error('stop')
  const aborted = spool([], source(), { dir, memoryLimit: 1000, maxBytes: 1e12, signal: controller.signal })
  controller.abort(stop)
  await expect(aborted).rejects.toBe(stop)
  expect(ended).toBe(3)
  expect(await readdir(dir)).toEqual([])
})

test('a folder that cannot be used is a failing store, and says where', async () => {
  const file = join(root, 'a-file')
  await writeFile(file, 'x')
  const work = spool([], chunks(pattern(2000)), { dir: join(file, 'spool'), memoryLimit: 1000, maxBytes: 1e6 })
  await expect(work).rejects.toMatchObject({
    code: 'store_unavailable',
    retryable: true,
    message: expect.stringContaining(file),
  })
})

test('a disk without room is a failing store, and leaves nothing behind', async () => {
  const dir = join(root, 'full')
  const script = `
    import { spool } from ${JSON.stringify(new URL('./spool.ts', import.meta.url).href)}
    async function* source() { for (;;) yield Buffer.alloc(65536) }
    try { await spool([], source(), { dir: ${JSON.stringify(dir)}, memoryLimit: 1000, maxBytes: 1e12 }) }
    catch (error) { console.log(JSON.stringify({ code: error.code, retryable: error.retryable, message: error.message })) }`
  // The shell's file size limit stands in for a full disk: the same write fails, with EFBIG for ENOSPC.
  const limited = `ulimit -f 1024 && exec "$0" --input-type=module --eval "$1"`
  const child = spawnSync('bash', ['-c', limited, process.execPath, script], { encoding: 'utf8' })
  const error = JSON.parse(child.stdout)
  expect(error).toMatchObject({ code: 'store_unavailable', retryable: true })
  expect(error.message).toContain('no room left')
  expect(await readdir(dir)).toEqual([])
})
