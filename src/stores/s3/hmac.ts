import { hash } from 'node:crypto'

/** Bytes of SHA-256's block and of its digest. */
const blockSize = 64
const digestSize = 32
/** Longer than any string to sign. */
const usualText = 512

/**
 * HMAC-SHA256 (RFC 2104) under one key, for many short ASCII texts. Both padded keys are laid out once, and an HMAC is
 * two one-shot hashes: half the time of `createHmac` with a KeyObject, a tenth of that with a raw key on Node 24.
 */
export class HmacKey {
  readonly #outer = Buffer.alloc(blockSize + digestSize)
  #inner = Buffer.alloc(blockSize + usualText)

  constructor(key: Uint8Array) {
    const block = key.length > blockSize ? hash('sha256', key, 'buffer') : key
    for (let index = 0; index < blockSize; index += 1) {
      const byte = block[index] ?? 0
      this.#inner[index] = byte ^ 0x36
      this.#outer[index] = byte ^ 0x5c
    }
  }

  hex(text: string): string {
    this.#prepare(text)
    return hash('sha256', this.#outer, 'hex')
  }

  bytes(text: string): Buffer {
    this.#prepare(text)
    return hash('sha256', this.#outer, 'buffer')
  }

  #prepare(text: string): void {
    if (text.length > this.#inner.length - blockSize) {
      this.#inner = Buffer.concat([this.#inner.subarray(0, blockSize)], blockSize + text.length)
    }
    const length = this.#inner.write(text, blockSize, 'latin1')
    this.#outer.write(hash('sha256', this.#inner.subarray(0, blockSize + length), 'binary'), blockSize, 'latin1')
  }
}
