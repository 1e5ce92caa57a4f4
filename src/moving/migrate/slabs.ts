type Slab = { readonly bytes: Uint8Array; used: number; pieces: number }

export type Piece = { readonly bytes: Uint8Array; release(): void }

const slabSize = 1024 * 1024
/** Slabs that are kept for the next to come. */
const kept = 8

/**
 * Memory for many small files: cut from slabs, and used again once all pieces of a slab were released. A block of its own
 * for each file is freed only when the collector comes by, which the few bytes on its own heap give it no reason to.
 */
export class Slabs {
  readonly #free: Slab[] = []
  #current: Slab | undefined

  /** Bytes of anything. A piece that is never released takes its slab out of the game, and does no harm. */
  take(size: number): Piece {
    if (size > slabSize / 4) return { bytes: Buffer.allocUnsafeSlow(size), release: () => undefined }
    if (this.#current === undefined || this.#current.used + size > slabSize) {
      const full = this.#current
      this.#current = this.#free.pop() ?? { bytes: Buffer.allocUnsafeSlow(slabSize), used: 0, pieces: 0 }
      if (full) this.#keep(full)
    }
    const slab = this.#current
    const bytes = slab.bytes.subarray(slab.used, slab.used + size)
    slab.used += size
    slab.pieces += 1
    let held = true
    const release = () => {
      if (held) slab.pieces -= 1
      held = false
      this.#keep(slab)
    }
    return { bytes, release }
  }

  #keep(slab: Slab): void {
    if (slab === this.#current || slab.pieces > 0 || slab.used === 0 || this.#free.length >= kept) return
    slab.used = 0
    this.#free.push(slab)
  }
}
