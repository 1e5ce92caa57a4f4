import { randomBytes } from 'node:crypto'
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readInBlocks } from './read-in-blocks.ts'

const content = randomBytes(1_500_000)
let dir: string
let file: Awaited<ReturnType<typeof open>>
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keepsake-blocks-'))
  await writeFile(join(dir, 'content'), content)
  file = await open(join(dir, 'content'))
})
afterAll(async () => {
  await file.close()
  await rm(dir, { recursive: true })
})

const range = (start: number, end: number) =>
  readInBlocks(async (block, at) => (await file.read(block, 0, block.length, at)).bytesRead, start, end)

async function copied(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Buffer[] = []
  for await (const piece of pieces) copies.push(Buffer.from(piece))
  return Buffer.concat(copies)
}

it.each([
  ['all of it', 0, content.length],
  ['nothing', 700, 700],
  ['a few bytes', 700, 707],
  ['from the middle on', 262_144, 1_000_001],
])('gives %s', async (_, start, end) => {
  expect((await copied(range(start, end))).equals(content.subarray(start, end))).toBe(true)
})

it('ends where the file does', async () => {
  expect((await copied(range(1_400_000, 9_000_000))).equals(content.subarray(1_400_000))).toBe(true)
})

it('gives ranges that are read at the same time memory of their own, and that of one that has ended to the next', async () => {
  const [first, second] = [range(0, content.length), range(300_000, content.length)]
  const [a, b] = [(await first.next()).value, (await second.next()).value]
  if (!a || !b) throw new Error('There is nothing.')
  expect(a.buffer).not.toBe(b.buffer)
  expect(Buffer.from(a).equals(content.subarray(0, a.length))).toBe(true)
  expect(Buffer.from(b).equals(content.subarray(300_000, 300_000 + b.length))).toBe(true)
  await second.return()
  const third = range(5, 10)
  expect((await third.next()).value?.buffer).toBe(b.buffer)
  await Promise.all([first.return(), third.return()])
})

it('lets go of its memory when reading fails', async () => {
  const failing = readInBlocks(() => Promise.reject(new Error('no disk')), 0, 10)
  await expect(failing.next()).rejects.toThrow('no disk')
  const two = [range(0, 10), range(10, 20)]
  expect((await Promise.all(two.map((one) => copied(one)))).map((bytes) => bytes.length)).toEqual([10, 10])
})
