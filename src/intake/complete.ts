import { KeepsakeError } from '../media/index.ts'
import { type ByteReader, Cursor, type Walk } from './content.ts'

/** With its bytes where they are in memory. */
type Content = ByteReader & { readonly bytes?: Uint8Array | undefined }

/**
 * Whether content goes to its own end. Asked only where the transfer could not tell (an HTTP/1.0 body that ends with its
 * connection): a format that says where it ends is walked from part to part, without decoding. True for a format that
 * does not say, or a file that is too odd to tell.
 */
export async function isComplete(contentType: string, content: Content): Promise<boolean> {
  switch (contentType) {
    case 'image/png':
    case 'image/apng':
      return new Cursor(content).run(pngEnds)
    case 'image/jpeg':
      return new Cursor(content).run(jpegEnds)
    case 'image/gif':
      return new Cursor(content).run(gifEnds)
    case 'image/webp':
    case 'audio/wav':
    case 'video/x-msvideo':
      return riffFits(content)
    case 'video/mp4':
    case 'audio/mp4':
    case 'video/quicktime':
    case 'video/3gpp':
      return new Cursor(content).run((cursor) => boxesFit(cursor, content.size, ['moov', 'mdat']))
    case 'image/avif':
    case 'image/heic':
    case 'image/heif':
      return new Cursor(content).run((cursor) => boxesFit(cursor, content.size, ['meta', 'mdat']))
    default:
      return true
  }
}

/** @throws {KeepsakeError} `content_truncated`, retryable. */
export async function requireComplete(contentType: string, content: Content): Promise<void> {
  if (await isComplete(contentType, content)) return
  throw new KeepsakeError(
    'content_truncated',
    `The content (${contentType}) stops after ${content.size} bytes, before its own end: the transfer was cut off.`,
    { retryable: true },
  )
}

/** Chunks up to IEND (PNG, section 5.3). */
function* pngEnds(cursor: Cursor): Walk<boolean> {
  cursor.skip(8)
  for (;;) {
    const head = yield* cursor.take(8)
    if (head === undefined) return false
    cursor.skip(head.readUInt32BE(0))
    if ((yield* cursor.take(4)) === undefined) return false
    if (head.toString('latin1', 4, 8) === 'IEND') return true
  }
}

/**
 * Segments up to EOI (ITU T.81, annex B). In entropy-coded data a 0xFF is followed by 0x00 or a restart marker, so any
 * other marker is a true one; an EOI inside an embedded thumbnail is jumped over with its segment.
 */
function* jpegEnds(cursor: Cursor): Walk<boolean> {
  cursor.skip(2)
  for (;;) {
    if (!(yield* cursor.seek(0xff))) return false
    let marker = 0xff
    while (marker === 0xff) {
      const next = yield* cursor.take(1)
      if (next === undefined) return false
      marker = next[0] ?? 0
    }
    if (marker === 0xd9) return true
    const standsAlone = marker === 0x00 || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)
    if (standsAlone) continue
    const length = yield* cursor.take(2)
    if (length === undefined) return false
    cursor.skip(Math.max(length.readUInt16BE(0) - 2, 0))
  }
}

/** Blocks up to the trailer (GIF89a, section 27). */
function* gifEnds(cursor: Cursor): Walk<boolean> {
  const colours = (flags: number) => ((flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 0x07) + 1))
  const screen = yield* cursor.take(13)
  if (screen === undefined) return false
  cursor.skip(colours(screen[10] ?? 0))
  for (;;) {
    const block = (yield* cursor.take(1))?.[0]
    if (block === undefined) return false
    if (block === 0x3b) return true
    if (block === 0x2c) {
      const image = yield* cursor.take(9)
      if (image === undefined) return false
      cursor.skip(colours(image[8] ?? 0) + 1)
    } else if (block === 0x21) {
      cursor.skip(1)
    } else {
      // Decoders skip what is no block; from here on nothing can be told.
      return true
    }
    for (;;) {
      const length = (yield* cursor.take(1))?.[0]
      if (length === undefined) return false
      if (length === 0) break
      cursor.skip(length)
    }
  }
}

async function riffFits(content: ByteReader): Promise<boolean> {
  const head = Buffer.from(await content.read(0, 8))
  if (head.byteLength < 8) return false
  const declared = head.readUInt32LE(4)
  // A recorder that could not go back to write the size leaves one of these.
  return declared === 0 || declared === 0xffff_ffff || declared + 8 <= content.size
}

/**
 * Top-level boxes one after the other to the end (ISO/IEC 14496-12, section 4.2), the index and the data among them: a
 * cut between two boxes leaves one of these out.
 */
function* boxesFit(cursor: Cursor, contentSize: number, required: readonly string[]): Walk<boolean> {
  const missing = new Set(required)
  while (cursor.position < contentSize) {
    const start = cursor.position
    const head = yield* cursor.take(8)
    if (head === undefined) break
    missing.delete(head.toString('latin1', 4, 8))
    let size = head.readUInt32BE(0)
    if (size === 1) {
      const large = yield* cursor.take(8)
      if (large === undefined) return false
      size = Number(large.readBigUInt64BE(0))
    }
    // Zero stands for the rest of the file; anything else below a header's length is no box.
    if (size < 8) break
    if (start + size > contentSize) return false
    cursor.skip(start + size - cursor.position)
  }
  return missing.size === 0
}
