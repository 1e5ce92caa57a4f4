/** Bytes of a block: few system calls, progress that a deadline sees, and little memory for many bodies at once. */
export const blockSize = 256 * 1024

/**
 * Blocks of memory that large bodies pass through, over and over: without, each of them leaves its own size in garbage.
 * At most so many are kept while nobody needs them.
 */
export class Blocks {
  readonly #free: Uint8Array[] = []
  readonly #mostFree: number

  constructor(mostFree: number) {
    this.#mostFree = mostFree
  }

  take(): Uint8Array {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(blockSize)
  }

  /** Gives blocks back that nothing reads or writes any more. */
  give(...blocks: readonly Uint8Array[]): void {
    this.#free.push(...blocks.slice(0, this.#mostFree - this.#free.length))
  }
}
