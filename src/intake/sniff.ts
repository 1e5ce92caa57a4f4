import { normalizeContentType } from '../media/index.ts'
import { sniffMarkup, sniffText } from './sniff-text.ts'

/** How many bytes {@link sniff} wants to see, where there are as many. */
export const SNIFF_BYTES = 4100

/**
 * The (normalized) content type by what the first bytes say, never by a name or a header. Web pages, SVG, scripts and
 * archives are what they are; text that is nothing else is `text/plain`, bytes that are nothing else
 * `application/octet-stream`.
 *
 * @param first The first {@link SNIFF_BYTES} bytes, or all there are.
 */
export async function sniff(first: Uint8Array): Promise<string> {
  const bytes = Buffer.from(first.buffer, first.byteOffset, Math.min(first.byteLength, SNIFF_BYTES))
  return ownSignature(bytes) ?? sniffMarkup(bytes) ?? sniffText(bytes) ?? (await librarySignature(bytes))
}

/**
 * The formats where the library goes by less than the format demands (three bytes for a GIF, two for a BMP), needs more
 * bytes than are here (an animated PNG, an archive), or does not tell apart what has a different kind.
 */
function ownSignature(bytes: Buffer): string | undefined {
  const ascii = (start: number, end: number) => bytes.toString('latin1', start, end)
  if (ascii(0, 8) === '\x89PNG\r\n\x1a\n') return isAnimatedPng(bytes) ? 'image/apng' : 'image/png'
  if (ascii(0, 6) === 'GIF87a' || ascii(0, 6) === 'GIF89a') return 'image/gif'
  if (ascii(0, 4) === 'RIFF' || ascii(0, 4) === 'RF64') return riffType(ascii(8, 12))
  if (ascii(0, 2) === 'BM' && isBitmap(bytes)) return 'image/bmp'
  if (bytes.length >= 4 && bytes.readUInt32BE(0) === 0x1a45dfa3) return ebmlType(bytes)
  if (ascii(0, 5) === '%PDF-') return 'application/pdf'
  if (ascii(0, 2) === '\x1f\x8b') return 'application/gzip'
  return undefined
}

/** Whether an acTL chunk stands before the image data (APNG, "Structure"). */
function isAnimatedPng(bytes: Buffer): boolean {
  for (let at = 8; at + 8 <= bytes.length; ) {
    const type = bytes.toString('latin1', at + 4, at + 8)
    if (type === 'acTL') return true
    if (type === 'IDAT') return false
    at += 12 + bytes.readUInt32BE(at)
  }
  return false
}

function riffType(form: string): string {
  if (form === 'WEBP') return 'image/webp'
  if (form === 'WAVE') return 'audio/wav'
  return form === 'AVI ' ? 'video/x-msvideo' : 'application/octet-stream'
}

/** A BITMAPFILEHEADER has four reserved zero bytes, then the DIB header says its size, one of few. */
function isBitmap(bytes: Buffer): boolean {
  if (bytes.length < 18 || bytes.readUInt32LE(6) !== 0) return false
  return [12, 16, 40, 52, 56, 64, 108, 124].includes(bytes.readUInt32LE(14))
}

/** WebM or Matroska by the DocType; a WebM whose tracks are all audio, as a browser's recorder makes them, is audio. */
function ebmlType(bytes: Buffer): string {
  const head = bytes.toString('latin1')
  const type = /B\x82[\x81-\xff](webm|matroska)/.exec(head)?.[1]
  if (type === undefined) return 'application/octet-stream'
  if (type === 'matroska') return 'video/x-matroska'
  return /A_(OPUS|VORBIS)/.test(head) && !/V_(VP8|VP9|AV1)/.test(head) ? 'audio/webm' : 'video/webm'
}

/** What the library says of what is left, except for the formats that {@link ownSignature} just said no to. */
async function librarySignature(bytes: Buffer): Promise<string> {
  // The library skips a UTF-8 byte order mark and looks behind it: a picture has none.
  if (bytes.length < 2 || bytes.toString('latin1', 0, 3) === '\xef\xbb\xbf') return 'application/octet-stream'
  const { fileTypeFromBuffer } = await import('file-type')
  const found = await fileTypeFromBuffer(bytes).catch(() => undefined)
  const type = normalizeContentType(found?.mime ?? fallback(bytes))
  return ['image/gif', 'image/bmp'].includes(type) ? 'application/octet-stream' : type
}

/** Where the library gives up because what it looks for lies behind the first bytes. */
function fallback(bytes: Buffer): string {
  const magic = bytes.toString('latin1', 0, 4)
  if (magic === 'PK\x03\x04') return 'application/zip'
  if (magic === 'II*\0' || magic === 'MM\0*') return 'image/tiff'
  return 'application/octet-stream'
}
