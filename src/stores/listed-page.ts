import { isAscii } from 'node:buffer'
import { compareObjectKeys } from './object-key.ts'
import type { ListedObject } from './object-store.ts'

/**
 * Keys and sizes of objects, in the order of a list. It lies outside of the heap, in as many bytes as the keys have: a
 * page that waits for its turn is not what the collector has to copy again and again, and then keeps. A key becomes a
 * text when it is asked for.
 */
export class ListedPage {
  readonly length: number
  readonly #bytes: Buffer
  /** Where all of it is ASCII, a key is read without decoding. */
  readonly #encoding: 'latin1' | 'utf8'
  /** Where the key of each index begins in the bytes, and after them where the last one ends. */
  readonly #starts: Uint32Array
  readonly #sizes: Float64Array

  private constructor(bytes: Buffer, encoding: 'latin1' | 'utf8', starts: Uint32Array, sizes: Float64Array) {
    this.length = sizes.length
    this.#bytes = bytes
    this.#encoding = encoding
    this.#starts = starts
    this.#sizes = sizes
  }

  /**
   * @param bytes The keys in UTF-8, one after another.
   * @param starts Where each begins, and after them where the last one ends: one more than there are keys.
   * @param sizes Bytes of each object.
   */
  static of(bytes: Buffer, starts: Uint32Array, sizes: Float64Array): ListedPage {
    const encoding = isAscii(bytes.subarray(0, starts.at(-1))) ? 'latin1' : 'utf8'
    return new ListedPage(bytes, encoding, starts, sizes)
  }

  static ofObjects(objects: readonly Pick<ListedObject, 'key' | 'size'>[]): ListedPage {
    const starts = new Uint32Array(objects.length + 1)
    for (const [index, { key }] of objects.entries()) {
      starts[index + 1] = (starts[index] ?? 0) + Buffer.byteLength(key)
    }
    const bytes = Buffer.from(objects.map(({ key }) => key).join(''))
    return ListedPage.of(
      bytes,
      starts,
      Float64Array.from(objects, ({ size }) => size),
    )
  }

  /** A text of its own, which keeps nothing else of the page alive. Undefined where there is none. */
  key(index: number): string | undefined {
    if (index < 0 || index >= this.length) return undefined
    return this.#bytes.toString(this.#encoding, this.#starts[index], this.#starts[index + 1])
  }

  /** Bytes. */
  size(index: number): number {
    return this.#sizes[index] ?? 0
  }

  /** Whether each key comes after the one before it, in the order of their bytes; the first one after `before`. */
  isInOrder(before?: string): boolean {
    const first = this.key(0)
    if (before !== undefined && first !== undefined && compareObjectKeys(before, first) >= 0) return false
    for (let index = 1; index < this.length; index += 1) if (!this.#comesAfterThePrevious(index)) return false
    return true
  }

  #comesAfterThePrevious(index: number): boolean {
    const bytes = this.#bytes
    let left = this.#starts[index - 1] ?? 0
    const leftEnd = this.#starts[index] ?? 0
    const rightEnd = this.#starts[index + 1] ?? 0
    for (let right = leftEnd; right < rightEnd; right += 1) {
      if (left === leftEnd) return true
      const difference = (bytes[right] ?? 0) - (bytes[left] ?? 0)
      if (difference !== 0) return difference > 0
      left += 1
    }
    return false
  }

  /** How many keys there are up to and with this one. */
  countUpTo(key: string): number {
    let [low, high] = [0, this.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (compareObjectKeys(this.key(middle) ?? '', key) <= 0) low = middle + 1
      else high = middle
    }
    return low
  }

  /** A part of it, in the same memory. */
  slice(start: number, end = this.length): ListedPage {
    const [starts, sizes] = [this.#starts.subarray(start, end + 1), this.#sizes.subarray(start, end)]
    return new ListedPage(this.#bytes, this.#encoding, starts, sizes)
  }
}
