import type { MediaKind } from './asset.ts'

/**
 * The media types that Keepsake knows, with the extension it gives a key. What is not here has kind `other` and is
 * only accepted by a collection that names it. HTML and SVG are never images: both can run a script in the reader's
 * browser. SVG has an extension, as a collection may name it ({@link attachmentOnly}).
 */
const known: Readonly<Record<string, { readonly kind: MediaKind; readonly extension: string }>> = {
  'image/jpeg': { kind: 'image', extension: 'jpg' },
  'image/png': { kind: 'image', extension: 'png' },
  'image/apng': { kind: 'image', extension: 'png' },
  'image/gif': { kind: 'image', extension: 'gif' },
  'image/webp': { kind: 'image', extension: 'webp' },
  'image/avif': { kind: 'image', extension: 'avif' },
  'image/heic': { kind: 'image', extension: 'heic' },
  'image/heif': { kind: 'image', extension: 'heif' },
  'image/tiff': { kind: 'image', extension: 'tiff' },
  'image/bmp': { kind: 'image', extension: 'bmp' },
  'image/jxl': { kind: 'image', extension: 'jxl' },
  'image/svg+xml': { kind: 'other', extension: 'svg' },
  'video/mp4': { kind: 'video', extension: 'mp4' },
  'video/mpeg': { kind: 'video', extension: 'mpeg' },
  'video/quicktime': { kind: 'video', extension: 'mov' },
  'video/x-msvideo': { kind: 'video', extension: 'avi' },
  'video/webm': { kind: 'video', extension: 'webm' },
  'video/x-matroska': { kind: 'video', extension: 'mkv' },
  'video/ogg': { kind: 'video', extension: 'ogv' },
  'video/mp2t': { kind: 'video', extension: 'ts' },
  'video/3gpp': { kind: 'video', extension: '3gp' },
  'video/3gpp2': { kind: 'video', extension: '3g2' },
  'audio/mpeg': { kind: 'audio', extension: 'mp3' },
  'audio/mp4': { kind: 'audio', extension: 'm4a' },
  'audio/aac': { kind: 'audio', extension: 'aac' },
  'audio/ogg': { kind: 'audio', extension: 'ogg' },
  'audio/wav': { kind: 'audio', extension: 'wav' },
  'audio/flac': { kind: 'audio', extension: 'flac' },
  'audio/webm': { kind: 'audio', extension: 'webm' },
  'audio/aiff': { kind: 'audio', extension: 'aiff' },
}

/** Other spellings of a known type, as sniffers, browsers and providers write them. */
const aliases: Readonly<Record<string, string>> = {
  'image/jpg': 'image/jpeg',
  'image/pjpeg': 'image/jpeg',
  'image/x-ms-bmp': 'image/bmp',
  'image/heic-sequence': 'image/heic',
  'image/heif-sequence': 'image/heif',
  'video/vnd.avi': 'video/x-msvideo',
  'video/avi': 'video/x-msvideo',
  'video/msvideo': 'video/x-msvideo',
  'video/x-m4v': 'video/mp4',
  'video/matroska': 'video/x-matroska',
  'video/mp2p': 'video/mpeg',
  'video/mp1s': 'video/mpeg',
  'audio/x-m4a': 'audio/mp4',
  'audio/m4a': 'audio/mp4',
  'audio/mp3': 'audio/mpeg',
  'audio/x-flac': 'audio/flac',
  'audio/vnd.wave': 'audio/wav',
  'audio/wave': 'audio/wav',
  'audio/x-wav': 'audio/wav',
  'audio/aacp': 'audio/aac',
  'audio/opus': 'audio/ogg',
  'audio/x-aiff': 'audio/aiff',
}

/** The kinds that a collection may accept as a whole. */
export const mediaKindNames: readonly string[] = ['image', 'video', 'audio']

/** A content type without parameters, in lower case, in the spelling that Keepsake stores. */
export function normalizeContentType(value: string): string {
  const bare = (value.split(';')[0] ?? '').trim().toLowerCase()
  return Object.hasOwn(aliases, bare) ? (aliases[bare] ?? bare) : bare
}

/**
 * Types that can run a script when a browser opens or loads them. XML is told by its subtype alone (WHATWG, MIME
 * Sniffing, section 4.6): an office document has the letters in its name and is none.
 */
const scriptable = /html|svg|xsl|[/+]xml$|javascript|ecmascript|jscript|livescript/

/** Whether media of a (normalized) content type could run a script in the browser of whoever opens its link. */
export function canRunScript(contentType: string): boolean {
  return kindOf(contentType) === 'other' && scriptable.test(contentType)
}

/**
 * Of those the one that a collection may take where it names it: pages show an SVG with `<img>`, where it runs nothing,
 * and whoever opens its link gets a file, as its object and every link say `attachment` (decision 43).
 */
export function attachmentOnly(contentType: string): boolean {
  return contentType === 'image/svg+xml'
}

/** The kind of a (normalized) content type. */
export function kindOf(contentType: string): MediaKind {
  return Object.hasOwn(known, contentType) ? (known[contentType]?.kind ?? 'other') : 'other'
}

/** What `{kind}` says in a key: a drawing lies with the images, though to a browser it is none. */
export function keyKindOf(contentType: string): MediaKind {
  return contentType === 'image/svg+xml' ? 'image' : kindOf(contentType)
}

/** The extension, without a dot, that a (normalized) content type gets in a key; `bin` for one that is not known. */
export function extensionOf(contentType: string): string {
  return Object.hasOwn(known, contentType) ? (known[contentType]?.extension ?? 'bin') : 'bin'
}

/**
 * One entry of a collection's list in the spelling that {@link acceptsContentType} reads, or undefined where it is not
 * a kind, a range over a kind, or a type as RFC 6838, section 4.2 writes one.
 */
export function normalizeAcceptEntry(entry: string): string | undefined {
  const bare = normalizeContentType(entry)
  const kind = bare.endsWith('/*') ? bare.slice(0, -2) : bare
  if (mediaKindNames.includes(kind)) return kind
  return /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/.test(bare) ? bare : undefined
}

/**
 * Whether a collection's list accepts a (normalized) content type. An entry is a kind (`image`), a range (`image/*`)
 * or one type (`image/png`). A kind or a range only covers types that Keepsake knows, so `image` never lets SVG in.
 */
export function acceptsContentType(accept: readonly string[], contentType: string): boolean {
  const kind = kindOf(contentType)
  return accept.some((entry) => {
    const wanted = normalizeAcceptEntry(entry)
    return wanted?.includes('/') ? wanted === contentType : wanted === kind
  })
}
