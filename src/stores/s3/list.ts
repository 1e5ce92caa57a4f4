import { KeepsakeError } from '../../media/index.ts'
import { ListedPage } from '../listed-page.ts'
import { checkObjectKey, compareObjectKeys } from '../object-key.ts'
import type { ListedObject, ListOptions } from '../object-store.ts'
import { emptySha256 } from './canonical.ts'
import type { S3Client } from './client.ts'
import { decodeEntities, readXml } from './xml.ts'

const pageLimit = 16 * 1024 * 1024

export type ListPage = { readonly objects: readonly ListedObject[]; readonly nextToken: string | undefined }

/** What is made of a page. Nothing of its XML may be kept in `Page`, where that is to be small. */
type Reading<Entry extends { readonly key: string }, Page> = {
  readonly entry: (item: Item, texts: Texts) => Entry
  readonly page: (entries: readonly Entry[]) => Page
  readonly lastKey: (page: Page) => string | undefined
}

const asObjects: Reading<ListedObject, readonly ListedObject[]> = {
  entry: toObject,
  page: (objects) => objects,
  lastKey: (objects) => objects.at(-1)?.key,
}

const asKeys: Reading<Pick<ListedObject, 'key' | 'size'>, ListedPage> = {
  entry: toKeyAndSize,
  page: (objects) => ListedPage.of(objects),
  lastKey: (page) => page.key(page.length - 1),
}

/** Every object, one by one. */
export async function* listObjects(client: S3Client, options: ListOptions): AsyncGenerator<ListedObject> {
  for await (const objects of readPages(client, options, asObjects)) yield* objects
}

/** Every object's key and size, in the pages that the store gives. */
export function listPages(client: S3Client, options: ListOptions): AsyncGenerator<ListedPage> {
  return readPages(client, options, asKeys)
}

/** AWS, ListObjectsV2: keys in UTF-8 binary order. The order is checked, since reconcile stands on it. */
async function* readPages<Entry extends { readonly key: string }, Page>(
  client: S3Client,
  options: ListOptions,
  reading: Reading<Entry, Page>,
): AsyncGenerator<Page, void, undefined> {
  const { prefix, startAfter, pageSize = 1000, signal } = options
  if (!Number.isInteger(pageSize) || pageSize < 1 || pageSize > 1000) {
    throw new KeepsakeError('invalid_request', `A page cannot have ${pageSize} objects. Allowed is 1 to 1000.`)
  }
  if (prefix) checkObjectKey(prefix)
  if (startAfter) checkObjectKey(startAfter)
  let token: string | undefined
  let last: string | undefined
  do {
    const query: [string, string][] = [
      ['list-type', '2'],
      ['encoding-type', 'url'],
      ['max-keys', String(pageSize)],
    ]
    if (prefix) query.push(['prefix', prefix])
    if (token !== undefined) query.push(['continuation-token', token])
    else if (startAfter) query.push(['start-after', startAfter])
    const request = { method: 'GET', query, payloadHash: emptySha256, signal } as const
    const [before, sent]: [string | undefined, string | undefined] = [last, token]
    // Made here and not below: a generator keeps what it has named while it waits to be asked again.
    const { page, nextToken } = await client.sendForText(request, pageLimit, (xml) => {
      const { entries, nextToken } = readEntries(xml, reading.entry)
      if (nextToken !== undefined && nextToken === sent) throw unreadable('it repeats a continuation token')
      requireOrder(before, entries)
      return { page: reading.page(entries), nextToken }
    })
    last = reading.lastKey(page) ?? last
    yield page
    token = nextToken
  } while (token !== undefined)
}

function requireOrder(before: string | undefined, entries: readonly { readonly key: string }[]): void {
  let last = before
  for (const { key } of entries) {
    if (last !== undefined && compareObjectKeys(last, key) >= 0) throw unreadable('its keys are not in order')
    last = key
  }
}

/** One page of ListObjectsV2 with `encoding-type=url`. @throws {KeepsakeError} `store_unavailable` for anything else. */
export function parseListPage(xml: string): ListPage {
  const { entries, nextToken } = readEntries(xml, toObject)
  return { objects: entries, nextToken }
}

function readEntries<Entry>(
  xml: string,
  toEntry: (item: Item, texts: Texts) => Entry,
): { readonly entries: readonly Entry[]; readonly nextToken: string | undefined } {
  const plain = plainItems(xml)
  const items: Item[] = plain?.items ?? []
  let root: string | undefined
  let isEncoded = false
  let isTruncated = false
  let nextToken: string | undefined
  let item: Item | undefined
  try {
    readXml(plain?.rest ?? xml, {
      open(name) {
        root ??= name
        if (name === 'Contents') item = {}
      },
      close(name, text) {
        if (name === 'Contents') {
          items.push(item ?? {})
          item = undefined
        } else if (item) {
          const known = wanted.find((it) => it === name)
          if (known) item[known] = text
        } else if (name === 'EncodingType') isEncoded = text === 'url'
        else if (name === 'IsTruncated') isTruncated = text === 'true'
        else if (name === 'NextContinuationToken') nextToken = text
      },
    })
  } catch (cause) {
    throw unreadable('it is malformed or cut off', cause)
  }
  if (root !== 'ListBucketResult') throw unreadable('it is not a list')
  if (isTruncated && !nextToken) throw unreadable('it goes on without a continuation token')
  const texts: Texts = { isRaw: plain !== undefined, isEncoded }
  return { entries: items.map((found) => toEntry(found, texts)), nextToken: isTruncated ? nextToken : undefined }
}

const wanted = ['Key', 'LastModified', 'ETag', 'Size'] as const
type Item = Partial<Record<(typeof wanted)[number], string>>
/** How the texts of the items are: with XML's entities still in them or not, keys encoded as in a URL or not. */
type Texts = { readonly isRaw: boolean; readonly isEncoded: boolean }

/**
 * The entries of a page that is written as every store writes it, taken out by looking for their tags: a fourth of the
 * time of reading them as XML, and a list of a million objects is mostly this. What is left of the page is small and is
 * read as XML. Undefined where anything is unusual (comments, CDATA, attributes or prefixes, entries apart from each
 * other): then all of it is.
 */
function plainItems(xml: string): { readonly items: Item[]; readonly rest: string } | undefined {
  const first = xml.indexOf('<Contents>')
  if (first === -1 || xml.includes('<!')) return undefined
  const items: Item[] = []
  let position = first
  while (xml.startsWith('<Contents>', position)) {
    const end = xml.indexOf('</Contents>', position)
    if (end === -1) return undefined
    const item: Item = {}
    let at = position + 10
    while (at < end) {
      if (xml.charCodeAt(at) !== 0x3c /* < */) return undefined
      const open = xml.indexOf('>', at)
      const name = wanted.find((it) => it.length === open - at - 1 && xml.startsWith(it, at + 1))
      if (name === undefined) {
        // Of no interest, with whatever is in it.
        const other = xml.slice(at + 1, open)
        const close = xml.indexOf(`</${other}>`, open)
        if (!/^[A-Za-z]+$/.test(other) || close === -1 || close > end) {
          return undefined
        }
        at = close + other.length + 3
        continue
      }
      const close = xml.indexOf('<', open)
      const tail = close + 2 + name.length
      if (xml.charCodeAt(close + 1) !== 0x2f /* / */ || !xml.startsWith(name, close + 2)) return undefined
      if (xml.charCodeAt(tail) !== 0x3e /* > */) return undefined
      item[name] = xml.slice(open + 1, close)
      at = tail + 1
    }
    if (at !== end) return undefined
    items.push(item)
    position = end + 11
  }
  if (xml.includes('Contents', position)) return undefined
  return { items, rest: xml.slice(0, first) + xml.slice(position) }
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

function toKeyAndSize(item: Item, { isRaw, isEncoded }: Texts): Pick<ListedObject, 'key' | 'size'> {
  const { Key: key = '', Size: size = '' } = item
  if (key === '' || !/^\d{1,15}$/.test(size)) throw unreadable('an entry has no proper Key or Size')
  const text = isRaw ? plainText(key) : key
  return { key: isEncoded ? decodeKey(text) : text, size: Number(size) }
}

function toObject(item: Item, texts: Texts): ListedObject {
  const { ETag: etag = '', LastModified: modified = '' } = item
  const lastModified = new Date(modified)
  if (Number.isNaN(lastModified.getTime())) throw unreadable('an entry has no proper LastModified')
  return { ...toKeyAndSize(item, texts), etag: texts.isRaw ? plainText(etag) : etag, lastModified }
}

/** S3 encodes as HTML forms do, so a plus sign is a space (a real one comes as %2B). */
export function decodeKey(key: string): string {
  if (!key.includes('%') && !key.includes('+')) return key
  try {
    return decodeURIComponent(key.replaceAll('+', ' '))
  } catch (cause) {
    throw unreadable('a key is not encoded properly', cause)
  }
}

function unreadable(why: string, cause?: unknown): KeepsakeError {
  return new KeepsakeError('store_unavailable', `The object store sent a list that cannot be used: ${why}.`, {
    ...(cause === undefined ? {} : { cause }),
  })
}
