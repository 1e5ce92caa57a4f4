/** Tags that make a text a web page to a browser that sniffs (WHATWG MIME Sniffing, section 7.1), and few more. */
const htmlTag =
  /^<(!doctype\s+html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|!--|meta|link|center|pre|form|img|object|embed|template)(?=[\s>/]|$|-)/i

/**
 * HTML, SVG, other XML and scripts by how they begin, even where the rest is binary: what a browser would run must
 * never be called by another name.
 */
export function sniffMarkup(bytes: Buffer): string | undefined {
  const text = decode(bytes).trimStart()
  if (text.startsWith('#!') && !text.startsWith('#!AMR') && !text.startsWith('#!SILK')) return 'text/plain'
  if (!text.startsWith('<')) return undefined
  const root = withoutProlog(text)
  if (/^<([\w.-]+:)?svg[\s>/]/i.test(root)) return 'image/svg+xml'
  if (htmlTag.test(root)) return 'text/html'
  // A comment that fills all the bytes there are: a page, an SVG or XML, and to a browser a page.
  if (text.startsWith('<?xml')) return /^<([\w.-]+:)?html[\s>]/i.test(root) ? 'text/html' : 'application/xml'
  return text.startsWith('<!--') ? 'text/html' : undefined
}

/** `text/plain` or `application/json` for bytes that are text: no byte of a control character that text does not have. */
export function sniffText(bytes: Buffer): string | undefined {
  if (bytes.length === 0) return undefined
  const marked = utf16(bytes) !== undefined
  if (!marked && bytes.some(isBinary)) return undefined
  const text = decode(bytes)
  if (marked && [...text].some((character) => isBinary(character.charCodeAt(0)))) return undefined
  return /^\s*(\{\s*("|\}|$)|\[\s*(["{[\]\d-]|true|false|null|$))/.test(text) ? 'application/json' : 'text/plain'
}

/** WHATWG MIME Sniffing, "binary data byte". */
function isBinary(code: number): boolean {
  return code <= 0x08 || code === 0x0b || (code >= 0x0e && code <= 0x1a) || (code >= 0x1c && code <= 0x1f)
}

/** Behind the XML declaration, processing instructions, comments and a document type that is not HTML's. */
function withoutProlog(text: string): string {
  let rest = text
  for (;;) {
    const next = /^\s*(<\?[\s\S]*?\?>|<!--[\s\S]*?-->|<!doctype\s+(?!html)[^[>]*(\[[^\]]*\]\s*)?>)/i.exec(rest)
    if (!next) return rest.trimStart()
    rest = rest.slice(next[0].length)
  }
}

function utf16(bytes: Buffer): 'le' | 'be' | undefined {
  if (bytes.length < 4) return undefined
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'le'
  return bytes[0] === 0xfe && bytes[1] === 0xff ? 'be' : undefined
}

function decode(bytes: Buffer): string {
  const encoding = utf16(bytes)
  if (encoding === undefined) return bytes.toString('utf8').replace(/^\uFEFF/, '')
  const even = bytes.subarray(2, bytes.length - (bytes.length % 2))
  return (encoding === 'le' ? even : Buffer.from(even).swap16()).toString('utf16le')
}
