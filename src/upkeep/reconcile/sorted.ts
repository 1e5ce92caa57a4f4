import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { compareObjectKeys, type ListedObject } from '../../stores/index.ts'
import { parseEntry } from './inventory-entry.ts'
import { linesOf } from './lines.ts'

/** Objects in memory at a time. */
const runLength = 100_000

/**
 * Objects in the byte order of their keys, whatever order they come in, with no more than one run of them in memory:
 * an inventory promises no order. Runs are sorted, put into files, and merged.
 */
export async function* sorted(
  objects: AsyncIterable<ListedObject>,
  dir: string,
  length = runLength,
): AsyncGenerator<ListedObject> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const folder = await mkdtemp(join(dir, 'inventory-'))
  try {
    const files: string[] = []
    let run: ListedObject[] = []
    const write = async () => {
      const file = join(folder, `${files.length}`)
      files.push(file)
      await pipeline(Readable.from(textOf(run.sort(byKey))), createWriteStream(file, { mode: 0o600 }))
      run = []
    }
    for await (const object of objects) {
      run.push(object)
      if (run.length >= length) await write()
    }
    if (files.length === 0) {
      yield* run.sort(byKey)
      return
    }
    await write()
    yield* merged(files.map(readRun))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function byKey(a: ListedObject, b: ListedObject): number {
  return compareObjectKeys(a.key, b.key)
}

function* textOf(run: readonly ListedObject[]): Generator<string> {
  for (const object of run) yield `${JSON.stringify(object)}\n`
}

async function* readRun(file: string): AsyncGenerator<ListedObject> {
  for await (const line of linesOf(createReadStream(file))) yield parseEntry(line)
}

async function* merged(runs: readonly AsyncGenerator<ListedObject>[]): AsyncGenerator<ListedObject> {
  const heads = await Promise.all(runs.map(async (run) => ({ run, next: await run.next() })))
  for (;;) {
    let first: (typeof heads)[number] | undefined
    for (const head of heads) {
      if (head.next.done) continue
      if (first === undefined || first.next.done || byKey(head.next.value, first.next.value) < 0) first = head
    }
    if (first === undefined || first.next.done) return
    yield first.next.value
    first.next = await first.run.next()
  }
}
