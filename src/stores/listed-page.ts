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
  /** Where all of it is ASCII, a key has as many bytes as characters, and is read without decoding. */
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

  static of(objects: readonly Pick<ListedObject, 'key' | 'size'>[]): ListedPage {
    const text = objects.map(({ key }) => key).join('')
    const bytes = Buffer.from(text)
    const isAscii = bytes.length === text.length
    const starts = new Uint32Array(objects.length + 1)
    const sizes = new Float64Array(objects.length)
    let end = 0
    for (let index = 0; index < objects.length; index += 1) {
      const { key = '', size = 0 } = objects[index] ?? {}
      end += isAscii ? key.length : Buffer.byteLength(key)
      starts[index + 1] = end
      sizes[index] = size
    }
    return new ListedPage(bytes, isAscii ? 'latin1' : 'utf8', starts, sizes)
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
