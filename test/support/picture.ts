import { createHash, randomBytes } from 'node:crypto'
import { crc32, deflateSync } from 'node:zlib'

/** What a source says it holds: the same id and size give the same bytes, so that nobody has to keep them. */
export type Picture = { readonly id: string; readonly size: number }

const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const noise = randomBytes(1024 * 1024)

/** A PNG of exactly so many bytes: 64 by 64 pixels, and a private chunk that no reader looks into for the rest. */
export function pictureBytes({ id, size }: Picture): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(64, 0)
  header.writeUInt32BE(64, 4)
  header.set([8, 0], 8)
  const chunks = [
    signature,
    chunk('IHDR', header),
    chunk('tEXt', Buffer.from(`Title\0${id}`)),
    chunk('IDAT', deflateSync(Buffer.alloc(65 * 64))),
  ]
  const end = chunk('IEND', Buffer.alloc(0))
  const rest = size - [...chunks, end].reduce((sum, { length }) => sum + length, 0) - 12
  if (rest < 0) throw new RangeError(`A picture has at least ${size - rest} bytes; ${size} were asked for.`)
  const filling = Buffer.concat(Array.from({ length: Math.ceil(rest / noise.length) }, () => noise)).subarray(0, rest)
  return Buffer.concat([...chunks, chunk('juNk', filling), end])
}

export function pictureHash(picture: Picture): string {
  return createHash('sha256').update(pictureBytes(picture)).digest('hex')
}

/** Length, type, data, CRC over type and data (PNG, third edition, 5.3). */
function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const framed = Buffer.alloc(body.length + 8)
  framed.writeUInt32BE(data.length, 0)
  framed.set(body, 4)
  framed.writeUInt32BE(crc32(body), body.length + 4)
  return framed
}
