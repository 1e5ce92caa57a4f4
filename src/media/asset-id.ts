import { randomBytes } from 'node:crypto'

const pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/**
 * A new UUIDv7: 48 bits of Unix milliseconds, then 74 random bits, so that ids sort by time and cannot be guessed.
 * RFC 9562, section 5.7.
 *
 * @param now Unix time in milliseconds.
 */
export function newAssetId(now: number = Date.now(), random: (size: number) => Buffer = pooledRandom): string {
  const bytes = Buffer.alloc(16)
  bytes.writeUIntBE(now, 0, 6)
  random(10).copy(bytes, 6)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** A request to the system's generator costs as much for four kilobytes as for ten bytes. No byte is given out twice. */
const poolSize = 4096
let pool = Buffer.alloc(0)

function pooledRandom(size: number): Buffer {
  if (pool.length < size) pool = randomBytes(poolSize)
  const taken = pool.subarray(0, size)
  pool = pool.subarray(size)
  return taken
}

/** Whether a string is an asset id as Keepsake makes them: a UUIDv7 in lower case. */
export function isAssetId(value: string): boolean {
  return pattern.test(value)
}
