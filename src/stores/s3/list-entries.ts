import { type ItemField, itemFields, plainItems, type Spans } from './plain-items.ts'
import { decodeEntities, readXml } from './xml.ts'

/** A page of ListObjectsV2, as far as it is of interest. Good for as long as its bytes are. */
export type ListXml = {
  readonly root: string | undefined
  /** Keys are encoded as in a URL. */
  readonly isEncoded: boolean
  readonly isTruncated: boolean
  readonly nextToken: string | undefined
  readonly entries: Entries
}

/** The entries of a page by their indexes. */
export interface Entries {
  readonly count: number
  /** At most so many bytes are in all keys. */
  readonly keyBytes: number
  /** A field's text, decoded; empty where there is none. */
  text(field: ItemField, index: number): string
  /** Copies a key that stands in the page as it is; 0 where it has to be decoded, as a text. */
  copyKey(index: number, target: Buffer, at: number): number
}

/** @throws {SyntaxError} where it is no XML. */
export function readListXml(xml: Buffer): ListXml {
  const plain = plainItems(xml)
  const texts: Record<ItemField, string>[] = []
  let [root, nextToken]: [string | undefined, string | undefined] = [undefined, undefined]
  let [isEncoded, isTruncated, isInside] = [false, false, false]
  readXml(plain?.rest ?? xml.toString('utf8'), {
    open(name) {
      root ??= name
      if (name !== 'Contents') return
      isInside = true
      texts.push({ Key: '', LastModified: '', ETag: '', Size: '' })
    },
    close(name, text) {
      const [entry, field] = [texts.at(-1), itemFields.find((it) => it === name)]
      if (name === 'Contents') isInside = false
      else if (isInside) {
        if (field && entry) entry[field] = text
      } else if (name === 'EncodingType') isEncoded = text === 'url'
      else if (name === 'IsTruncated') isTruncated = text === 'true'
      else if (name === 'NextContinuationToken') nextToken = text
    },
  })
  const entries = plain ? new PlainEntries(xml, plain.spans, plain.count) : new TextEntries(texts)
  return { root, isEncoded, isTruncated, nextToken, entries }
}

/** Bytes that make a key one to decode: of an entity, of URL encoding. */
const [ampersand, percent, plus] = [0x26, 0x25, 0x2b]

class PlainEntries implements Entries {
  readonly count: number
  readonly keyBytes: number
  readonly #xml: Buffer
  readonly #spans: Spans

  constructor(xml: Buffer, spans: Spans, count: number) {
    this.#xml = xml
    this.#spans = spans
    this.count = count
    // To decode a key never makes it longer.
    let bytes = 0
    for (let index = 0; index < 2 * count; index += 2) bytes += (spans.Key[index + 1] ?? 0) - (spans.Key[index] ?? 0)
    this.keyBytes = bytes
  }

  text(field: ItemField, index: number): string {
    const text = this.#xml.toString('utf8', this.#spans[field][2 * index], this.#spans[field][2 * index + 1])
    return plainText(text)
  }

  copyKey(index: number, target: Buffer, at: number): number {
    const [start = 0, end = 0] = [this.#spans.Key[2 * index], this.#spans.Key[2 * index + 1]]
    for (let from = start; from < end; from += 1) {
      const byte = this.#xml[from] ?? 0
      if (byte === ampersand || byte === percent || byte === plus) return 0
      target[at + from - start] = byte
    }
    return end - start
  }
}

class TextEntries implements Entries {
  readonly count: number
  readonly keyBytes: number
  readonly #texts: readonly Record<ItemField, string>[]

  constructor(texts: readonly Record<ItemField, string>[]) {
    this.#texts = texts
    this.count = texts.length
    this.keyBytes = texts.reduce((sum, { Key }) => sum + Buffer.byteLength(Key), 0)
  }

  text(field: ItemField, index: number): string {
    return this.#texts[index]?.[field] ?? ''
  }

  copyKey(): number {
    return 0
  }
}

/** Most entities are the quotes around an ETag. */
function plainText(text: string): string {
  if (!text.includes('&')) return text
  if (text.lastIndexOf('&') === text.length - 6 && text.startsWith('&quot;') && text.endsWith('&quot;')) {
    const inner = text.slice(6, -6)
    if (!inner.includes('&')) return `"${inner}"`
  }
  return decodeEntities(text)
}
