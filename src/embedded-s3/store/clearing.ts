import { closeSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { DamagedObjectError } from './object-file.ts'
import { PAGE } from './pack-entry.ts'
import type { Place } from './pack-writer.ts'
import type { Packs } from './packs.ts'
import { readPack } from './read-pack.ts'

/** Entries under way at a time: enough to share syncs, few enough to leave the disk to others. */
const HANDS = 8
/** Entries looked at before others get a turn. */
const BATCH = 256

/** Writes an object anew if it is still the one at `place`, and marks the entry there dead either way. */
type Move = (bucket: string, key: string, place: Place) => Promise<void>

/**
 * Moves what packs that hold little still hold to where writing goes on, and removes them, one at a time. It may be
 * broken off at any moment, by a kill too: what has been moved is there, and what has not is where it was.
 */
export class Clearing {
  readonly #packs: Packs
  readonly #move: Move
  #running: Promise<void> | undefined
  #isStopped = false

  constructor(packs: Packs, move: Move) {
    this.#packs = packs
    this.#move = move
  }

  /** Sees whether there is anything to clear. What fails is done when this is called next. */
  begin(): void {
    if (this.#isStopped || this.#running !== undefined) return
    this.#running = this.#clearAll()
      .catch(() => undefined)
      .finally(() => {
        this.#running = undefined
      })
  }

  /** Resolves when nothing is being moved any more. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#running
  }

  async #clearAll(): Promise<void> {
    for (let pack = this.#packs.sparse(); pack !== undefined; pack = this.#packs.sparse()) {
      await this.#clear(pack)
      if (this.#isStopped) return
    }
  }

  async #clear(number: number): Promise<void> {
    const pack = this.#packs.inspect(number)
    if (pack === undefined) return
    try {
      const entries = readPack(pack.fd, { ...pack, from: PAGE })
      let seen = 0
      const failures: unknown[] = []
      const hand = async () => {
        for (const { note, isDead, at, bytes } of entries) {
          if (this.#isStopped || failures.length > 0) return
          seen += 1
          if (seen % BATCH === 0) await nextTurn()
          if (note.change !== 'put' || isDead) continue
          await this.#move(note.bucket, note.key, { pack: number, at, bytes }).catch((error: unknown) => {
            // What is damaged stays where it is, and the pack with it.
            if (!(error instanceof DamagedObjectError)) failures.push(error)
          })
        }
      }
      await Promise.all(Array.from({ length: HANDS }, hand))
      if (failures.length > 0) throw failures[0]
      if (!this.#isStopped && pack.isSealed) await this.#packs.remove(number)
    } finally {
      closeSync(pack.fd)
    }
  }
}
