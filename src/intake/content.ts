/** Content that can be read anywhere in it, in memory or in a file. */
export interface ByteReader {
  /** Bytes in all. */
  readonly size: number

  /** The bytes from `offset`; fewer than `length` only at the end. */
  read(offset: number, length: number): Promise<Uint8Array>
}

/** {@link ByteReader} over bytes in memory. */
export function memoryReader(bytes: Uint8Array): ByteReader {
  return { size: bytes.byteLength, read: async (offset, length) => bytes.subarray(offset, offset + length) }
}

/** A walk through a content: it yields where bytes are missing that are to be read before it goes on. */
export type Walk<T> = Generator<undefined, T, undefined>

/**
 * Reads a content forwards through one buffer, and jumps ahead without reading what is jumped over. Made for walks, which
 * take nothing but a loop where all bytes are in memory: a promise for every few bytes costs more than looking at them.
 */
export class Cursor {
  readonly #content: ByteReader
  #buffer: Uint8Array = new Uint8Array(0)
  /** Where the buffer begins in the content. */
  #base = 0
  #position = 0
  /** Bytes that a walk waits for. */
  #missing = 0

  constructor(content: ByteReader & { readonly bytes?: Uint8Array | undefined }) {
    this.#content = content
    if (content.bytes !== undefined) this.#buffer = content.bytes
  }

  /** Walks to the end. */
  async run<T>(walk: (cursor: Cursor) => Walk<T>): Promise<T> {
    const steps = walk(this)
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done) return step.value
      this.#buffer = await this.#content.read(this.#position, Math.max(this.#missing, 64 * 1024))
      this.#base = this.#position
    }
  }

  get position(): number {
    return this.#position
  }

  skip(bytes: number): void {
    this.#position += bytes
  }

  /** The next bytes, or undefined where fewer are left. */
  *take(length: number): Walk<Buffer | undefined> {
    if (this.#position < this.#base || this.#position + length > this.#base + this.#buffer.byteLength) {
      if (this.#position + length > this.#content.size) return undefined
      this.#missing = length
      yield
      if (this.#buffer.byteLength < length) return undefined
    }
    const start = this.#position - this.#base
    this.#position += length
    return Buffer.from(this.#buffer.buffer, this.#buffer.byteOffset + start, length)
  }

  /** Goes to just behind the next byte with this value; false where there is none. */
  *seek(value: number): Walk<boolean> {
    while (this.#position < this.#content.size) {
      const first = yield* this.take(1)
      if (first === undefined) return false
      if (first[0] === value) return true
      const found = this.#buffer.indexOf(value, this.#position - this.#base)
      this.#position = found === -1 ? this.#base + this.#buffer.byteLength : this.#base + found
    }
    return false
  }
}
