import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** The checksums S3 knows that this server computes. https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html */
export const CHECKSUM_ALGORITHMS = ['crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256'] as const
export type ChecksumAlgorithm = (typeof CHECKSUM_ALGORITHMS)[number]

/** Bytes in a checksum of each kind, before Base64. */
export const CHECKSUM_LENGTH: Readonly<Record<ChecksumAlgorithm, number>> = {
  crc32: 4,
  crc32c: 4,
  crc64nvme: 8,
  sha1: 20,
  sha256: 32,
}

export interface Checksum {
  update(bytes: Uint8Array): void
  digest(): Buffer
}

export function isChecksumAlgorithm(name: string): name is ChecksumAlgorithm {
  return Object.hasOwn(CHECKSUM_LENGTH, name)
}

/** A running checksum over bytes as they come. */
export function createChecksum(algorithm: ChecksumAlgorithm): Checksum {
  if (algorithm === 'crc32') return new Crc32()
  if (algorithm === 'crc32c') return new Crc32c()
  if (algorithm === 'crc64nvme') return new Crc64Nvme()
  const hash = createHash(algorithm)
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest() }
}

class Crc32 implements Checksum {
  #value = 0

  update(bytes: Uint8Array): void {
    this.#value = crc32(bytes, this.#value)
  }

  digest(): Buffer {
    return uint32(this.#value)
  }
}

/** CRC-32C (Castagnoli, RFC 3720 B.4), reflected polynomial 82F63B78, eight bytes a step. */
class Crc32c implements Checksum {
  static #tables: readonly Uint32Array[] | undefined
  #value = 0xffffffff

  update(bytes: Uint8Array): void {
    Crc32c.#tables ??= crc32cTables()
    const [t0, t1, t2, t3, t4, t5, t6, t7] = Crc32c.#tables
    if (!t0 || !t1 || !t2 || !t3 || !t4 || !t5 || !t6 || !t7) return
    const at = (table: Uint32Array, index: number) => table[index & 0xff] ?? 0
    let crc = this.#value
    let i = 0
    for (const end = bytes.length - 7; i < end; i += 8) {
      crc ^= word(bytes, i)
      const next = word(bytes, i + 4)
      crc =
        at(t7, crc) ^
        at(t6, crc >>> 8) ^
        at(t5, crc >>> 16) ^
        at(t4, crc >>> 24) ^
        at(t3, next) ^
        at(t2, next >>> 8) ^
        at(t1, next >>> 16) ^
        at(t0, next >>> 24)
    }
    for (; i < bytes.length; i++) crc = (crc >>> 8) ^ at(t0, crc ^ (bytes[i] ?? 0))
    this.#value = crc
  }

  digest(): Buffer {
    return uint32(~this.#value)
  }
}

function crc32cTables(): Uint32Array[] {
  const first = Uint32Array.from({ length: 256 }, (_, index) => {
    let crc = index
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
    return crc
  })
  const tables = [first]
  for (let k = 1; k < 8; k++) {
    const previous = tables[k - 1] ?? first
    tables.push(previous.map((crc) => (crc >>> 8) ^ (first[crc & 0xff] ?? 0)))
  }
  return tables
}

/** CRC-64/NVME, reflected polynomial 9A6C9329AC4BC9B5, in two halves of 32 bits; eight bytes a step. */
class Crc64Nvme implements Checksum {
  static #tables: Crc64Tables | undefined
  #high = 0xffffffff
  #low = 0xffffffff

  update(bytes: Uint8Array): void {
    Crc64Nvme.#tables ??= crc64Tables()
    const { high: H, low: L } = Crc64Nvme.#tables
    let high = this.#high
    let low = this.#low
    let i = 0
    for (const end = bytes.length - 7; i < end; i += 8) {
      low ^= word(bytes, i)
      high ^= word(bytes, i + 4)
      // Table k (of 256 entries each, one after the other) is for the byte that has k more bytes after it in this step.
      const a = 1792 + (low & 0xff)
      const b = 1536 + ((low >>> 8) & 0xff)
      const c = 1280 + ((low >>> 16) & 0xff)
      const d = 1024 + (low >>> 24)
      const e = 768 + (high & 0xff)
      const f = 512 + ((high >>> 8) & 0xff)
      const g = 256 + ((high >>> 16) & 0xff)
      const h = high >>> 24
      low = at(L, a) ^ at(L, b) ^ at(L, c) ^ at(L, d) ^ at(L, e) ^ at(L, f) ^ at(L, g) ^ at(L, h)
      high = at(H, a) ^ at(H, b) ^ at(H, c) ^ at(H, d) ^ at(H, e) ^ at(H, f) ^ at(H, g) ^ at(H, h)
    }
    for (; i < bytes.length; i++) {
      const index = (low ^ (bytes[i] ?? 0)) & 0xff
      low = ((low >>> 8) | (high << 24)) ^ at(L, index)
      high = (high >>> 8) ^ at(H, index)
    }
    this.#high = high
    this.#low = low
  }

  digest(): Buffer {
    return Buffer.concat([uint32(~this.#high), uint32(~this.#low)])
  }
}

type Crc64Tables = { readonly high: Uint32Array; readonly low: Uint32Array }

function crc64Tables(): Crc64Tables {
  const high = new Uint32Array(2048)
  const low = new Uint32Array(2048)
  for (let index = 0; index < 256; index++) {
    let crc = BigInt(index)
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ 0x9a6c9329ac4bc9b5n : crc >> 1n
    high[index] = Number(crc >> 32n)
    low[index] = Number(crc & 0xffffffffn)
  }
  for (let index = 256; index < 2048; index++) {
    const h = at(high, index - 256)
    const l = at(low, index - 256)
    low[index] = ((l >>> 8) | (h << 24)) ^ at(low, l & 0xff)
    high[index] = (h >>> 8) ^ at(high, l & 0xff)
  }
  return { high, low }
}

function at(table: Uint32Array, index: number): number {
  return table[index] ?? 0
}

function word(bytes: Uint8Array, i: number): number {
  return (bytes[i] ?? 0) | ((bytes[i + 1] ?? 0) << 8) | ((bytes[i + 2] ?? 0) << 16) | ((bytes[i + 3] ?? 0) << 24)
}

function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}
