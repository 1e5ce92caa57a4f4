import { S3Error } from './errors.ts'

export const XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
export const S3_NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/'

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what has to be found
const SPECIAL = /[&<>"\u0000-\u001f\u007f\ufffe\uffff]/g

/**
 * Text for an element. Control characters become references, as S3 does: XML 1.0 forbids them even so, which is what
 * encoding-type=url is for; a bare CR would be turned into LF by any parser (XML 1.0, 2.11).
 */
export function escapeXml(text: string): string {
  return text.replace(SPECIAL, (char) => {
    if (char === '&') return '&amp;'
    if (char === '<') return '&lt;'
    if (char === '>') return '&gt;'
    if (char === '"') return '&quot;'
    return `&#x${char.charCodeAt(0).toString(16)};`
  })
}

/** One element with text in it. */
export function element(name: string, text: string): string {
  return `<${name}>${escapeXml(text)}</${name}>`
}

/** Text in the form that encoding-type=url asks for. */
export function urlEncode(text: string): string {
  return encodeURIComponent(text)
    .replaceAll('%2F', '/')
    .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}

export type XmlElement = { readonly name: string; readonly text: string; readonly children: readonly XmlElement[] }

const TOKEN =
  /<\?[\s\S]*?\?>|<!--[\s\S]*?-->|<\/([^\s>]+)\s*>|<([^\s/<>!?]+)((?:\s+[^\s=<>]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|[^<]+/gy
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/**
 * Tags and texts in a document. The largest that has a meaning is a completion of ten thousand parts: nine elements each,
 * of an opening, a text, a closing and a line break. Parsing holds up all other requests, so what is larger is refused.
 */
const MAX_TOKENS = 400_000

/**
 * Parses the small documents that S3 takes. Attributes are skipped; a DOCTYPE, CDATA, a foreign entity or anything not
 * well-formed is MalformedXML, so there is nothing to expand.
 */
export function parseXml(document: string): XmlElement {
  type Open = { name: string; text: string; children: XmlElement[] }
  const top: Open = { name: '', text: '', children: [] }
  const open: Open[] = [top]
  const source = document.replace(/^\ufeff/, '')
  TOKEN.lastIndex = 0
  for (let tokens = 0; TOKEN.lastIndex < source.length; tokens++) {
    if (tokens === MAX_TOKENS) throw new S3Error('MalformedXML')
    const token = TOKEN.exec(source)
    const current = open.at(-1)
    if (token === null || current === undefined) throw new S3Error('MalformedXML')
    const [whole, closing, opening, , selfClosing] = token
    if (closing !== undefined) {
      const parent = open.at(-2)
      if (parent === undefined || current.name !== localName(closing)) throw new S3Error('MalformedXML')
      parent.children.push(current)
      open.pop()
    } else if (opening !== undefined) {
      const started: Open = { name: localName(opening), text: '', children: [] }
      if (selfClosing === '/') current.children.push(started)
      else open.push(started)
      if (open.length > 16) throw new S3Error('MalformedXML')
    } else if (!whole.startsWith('<')) {
      current.text += decodeEntities(whole)
    }
  }
  const [root, ...others] = top.children
  if (root === undefined || others.length > 0 || open.length !== 1 || top.text.trim() !== '') {
    throw new S3Error('MalformedXML')
  }
  return root
}

function localName(name: string): string {
  return name.slice(name.indexOf(':') + 1)
}

function decodeEntities(text: string): string {
  if (!text.includes('&')) return text.replace(/\r\n?/g, '\n')
  return text.replace(/\r\n?/g, '\n').replace(/&([^;&]{0,10};)?/g, (whole, reference?: string) => {
    const name = reference?.slice(0, -1) ?? ''
    const known = ENTITIES[name]
    if (known !== undefined) return known
    const numeric = /^#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}))$/.exec(name)
    const code = numeric === null ? -1 : Number.parseInt(numeric[1] ?? numeric[2] ?? '', numeric[1] ? 16 : 10)
    if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
      throw new S3Error('MalformedXML', undefined, { Reference: whole })
    }
    return String.fromCodePoint(code)
  })
}
