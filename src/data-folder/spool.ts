import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { KeepsakeError } from '../media/index.ts'
import { FileLock } from './file-lock.ts'

/** How long opening waits for another process that is opening the same folder, in milliseconds. */
const patience = 10_000

/**
 * A place for bytes on their way, private to one process: `spool/<id>/`, with a lock beside it that lives as long as
 * the process. Opening removes what dead processes left behind and nothing else, because with a database and a bucket
 * elsewhere several live processes may share one data folder.
 */
export class Spool {
  readonly path: string
  readonly #lock: FileLock

  private constructor(path: string, lock: FileLock) {
    this.path = path
    this.#lock = lock
  }

  static async open(root: string): Promise<Spool> {
    await mkdir(root, { recursive: true, mode: 0o700 })
    // One at a time, so that nobody takes a spool that is just being made for a dead one.
    const gate = await takeGate(join(root, 'gate.lock'))
    try {
      await removeDead(root)
      const path = join(root, randomUUID())
      const lock = await FileLock.take(`${path}.lock`)
      if (!lock) throw new KeepsakeError('internal', `The spool ${path} is new and yet locked.`)
      await mkdir(path, { mode: 0o700 })
      return new Spool(path, lock)
    } finally {
      gate.release()
    }
  }

  async close(): Promise<void> {
    await rm(this.path, { recursive: true, force: true })
    this.#lock.release()
    await rm(`${this.path}.lock`, { force: true })
  }
}

async function takeGate(path: string): Promise<FileLock> {
  const until = performance.now() + patience
  for (;;) {
    const gate = await FileLock.take(path)
    if (gate) return gate
    if (performance.now() >= until) {
      throw new KeepsakeError('data_folder_locked', `Another process is opening this data folder and does not finish.`)
    }
    await sleep(20 + Math.random() * 30)
  }
}

async function removeDead(root: string): Promise<void> {
  const names = await readdir(root)
  const ids = new Set(names.map((name) => name.replace(/\.lock$/, '')))
  ids.delete('gate')
  for (const id of ids) {
    const path = join(root, id)
    if (names.includes(`${id}.lock`) && FileLock.isHeld(`${path}.lock`)) continue
    await rm(path, { recursive: true, force: true })
    await rm(`${path}.lock`, { force: true })
  }
}
