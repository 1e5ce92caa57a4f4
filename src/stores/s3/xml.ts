/** What a reader of XML hears. Names come without their namespace prefix. */
export type XmlListener = {
  open?(name: string): void
  /** `text` is the element's own text, decoded. */
  close(name: string, text: string): void
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/**
 * Reads an XML answer of S3 in one pass: elements and text. Attributes, comments and instructions are skipped, CDATA
 * is text, a document type is refused. Throws a SyntaxError where the document is cut off or is no XML.
 */
export function readXml(xml: string, listener: XmlListener): void {
  const names: string[] = []
  let text = ''
  let roots = 0
  let position = 0
  while (position < xml.length) {
    const start = xml.indexOf('<', position)
    const end = start === -1 ? xml.length : start
    if (names.length > 0) text += decodeEntities(xml.slice(position, end))
    else if (xml.slice(position, end).trim().replace('\ufeff', '') !== '') throw malformed()
    if (start === -1) break
    const next = xml.charCodeAt(start + 1)
    if (next === 0x21 /* ! */) {
      const isData = xml.startsWith('<![CDATA[', start)
      if (!isData && !xml.startsWith('<!--', start)) throw malformed()
      const close = find(xml, isData ? ']]>' : '-->', start)
      if (isData) text += xml.slice(start + 9, close)
      position = close + 3
    } else if (next === 0x3f /* ? */) {
      position = find(xml, '?>', start) + 2
    } else if (next === 0x2f /* / */) {
      const close = find(xml, '>', start)
      const name = names.pop()
      if (name === undefined || localName(xml.slice(start + 2, close).trim()) !== name) throw malformed()
      listener.close(name, text)
      text = ''
      position = close + 1
    } else {
      const close = find(xml, '>', start)
      const isEmpty = xml.charCodeAt(close - 1) === 0x2f
      const tag = xml.slice(start + 1, isEmpty ? close - 1 : close)
      const name = localName(tag.split(/\s/, 1)[0] ?? '')
      if (name === '' || (names.length === 0 && ++roots > 1)) throw malformed()
      listener.open?.(name)
      text = ''
      if (isEmpty) listener.close(name, '')
      else names.push(name)
      position = close + 1
    }
  }
  if (names.length > 0 || roots === 0) throw malformed()
}

function find(xml: string, what: string, from: number): number {
  const found = xml.indexOf(what, from)
  if (found === -1) throw malformed()
  return found
}

function malformed(): SyntaxError {
  return new SyntaxError('The XML is malformed or cut off.')
}

function localName(name: string): string {
  return name.slice(name.indexOf(':') + 1)
}

export function decodeEntities(text: string): string {
  if (!text.includes('&')) return text
  return text.replace(/&(#x[0-9a-f]{1,6}|#\d{1,7}|\w+);/gi, (whole, entity: string) => {
    if (!entity.startsWith('#')) return entities[entity] ?? whole
    const code = /^#x/i.test(entity) ? Number.parseInt(entity.slice(2), 16) : Number(entity.slice(1))
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole
  })
}

/** Characters that XML 1.0 cannot carry even as a reference (section 2.2). */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for
const unwritable = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/

export function canStandInXml(text: string): boolean {
  return !unwritable.test(text)
}

/** A text as XML content. Line breaks and tabs go as references, since a reader would turn CR into LF (section 2.11). */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"'\r\n\t]/g, (character) => `&#${character.charCodeAt(0)};`)
}
