import { KeepsakeError } from '../../media/index.ts'
import { ListedPage } from '../listed-page.ts'
import { checkObjectKey, compareObjectKeys } from '../object-key.ts'
import type { ListedObject, ListOptions } from '../object-store.ts'
import { emptySha256 } from './canonical.ts'
import type { S3Client } from './client.ts'
import { type ListXml, readListXml } from './list-entries.ts'

const pageLimit = 16 * 1024 * 1024
/** One after the other. S3 may give an empty page where much was deleted; one that gives only such never ends. */
const mostEmptyPages = 1000

export type ListPage = { readonly objects: readonly ListedObject[]; readonly nextToken: string | undefined }

/** What is made of a page. Nothing of its bytes may be kept: they are used again. */
type Reading<Page> = {
  readonly page: (xml: ListXml) => Page
  readonly isInOrder: (page: Page, before: string | undefined) => boolean
  readonly lastKey: (page: Page) => string | undefined
}

const asObjects: Reading<readonly ListedObject[]> = {
  page: toObjects,
  isInOrder: (objects, before) => {
    let last = before
    return objects.every(({ key }) => {
      const isAfter = last === undefined || compareObjectKeys(last, key) < 0
      last = key
      return isAfter
    })
  },
  lastKey: (objects) => objects.at(-1)?.key,
}

const asKeys: Reading<ListedPage> = {
  page: toKeys,
  isInOrder: (page, before) => page.isInOrder(before),
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
async function* readPages<Page>(
  client: S3Client,
  options: ListOptions,
  reading: Reading<Page>,
): AsyncGenerator<Page, void, undefined> {
  const { prefix, startAfter, pageSize = 1000, signal } = options
  if (!Number.isInteger(pageSize) || pageSize < 1 || pageSize > 1000) {
    throw new KeepsakeError('invalid_request', `A page cannot have ${pageSize} objects. Allowed is 1 to 1000.`)
  }
  if (prefix) checkObjectKey(prefix)
  if (startAfter) checkObjectKey(startAfter)
  let token: string | undefined
  let last: string | undefined
  let empty = 0
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
    const { page, nextToken } = await client.sendForBytes(request, pageLimit, (bytes) => {
      const xml = readPage(bytes)
      if (xml.nextToken !== undefined && xml.nextToken === sent) throw unreadable('it repeats a continuation token')
      const page = reading.page(xml)
      if (!reading.isInOrder(page, before)) throw unreadable('its keys are not in order')
      return { page, nextToken: xml.nextToken }
    })
    const key = reading.lastKey(page)
    empty = key === undefined ? empty + 1 : 0
    if (empty > mostEmptyPages) throw unreadable('it goes on and on without an object')
    last = key ?? last
    yield page
    token = nextToken
  } while (token !== undefined)
}

/** One page of ListObjectsV2 with `encoding-type=url`. @throws {KeepsakeError} `store_unavailable` for anything else. */
export function parseListPage(text: string): ListPage {
  const xml = readPage(Buffer.from(text))
  return { objects: toObjects(xml), nextToken: xml.nextToken }
}

/** The same, of keys and sizes alone. */
export function parseKeysPage(text: string): ListedPage {
  return toKeys(readPage(Buffer.from(text)))
}

function readPage(bytes: Buffer): ListXml {
  let xml: ListXml
  try {
    xml = readListXml(bytes)
  } catch (cause) {
    throw unreadable('it is malformed or cut off', cause)
  }
  const { root, isTruncated, nextToken } = xml
  if (root !== 'ListBucketResult') throw unreadable('it is not a list')
  if (isTruncated && !nextToken) throw unreadable('it goes on without a continuation token')
  return isTruncated ? xml : { ...xml, nextToken: undefined }
}

function toObjects(xml: ListXml): ListedObject[] {
  const { entries } = xml
  const objects: ListedObject[] = []
  for (let index = 0; index < entries.count; index += 1) {
    const lastModified = new Date(entries.text('LastModified', index))
    if (Number.isNaN(lastModified.getTime())) throw unreadable('an entry has no proper LastModified')
    objects.push({
      key: keyOf(xml, index),
      size: sizeOf(xml, index),
      etag: entries.text('ETag', index),
      lastModified,
    })
  }
  return objects
}

function toKeys(xml: ListXml): ListedPage {
  const { count, keyBytes } = xml.entries
  const bytes = Buffer.allocUnsafeSlow(keyBytes)
  const starts = new Uint32Array(count + 1)
  const sizes = new Float64Array(count)
  let end = 0
  for (let index = 0; index < count; index += 1) {
    end += xml.entries.copyKey(index, bytes, end) || writeKey(keyOf(xml, index), bytes, end)
    starts[index + 1] = end
    sizes[index] = sizeOf(xml, index)
  }
  return ListedPage.of(bytes, starts, sizes)
}

function writeKey(key: string, target: Buffer, at: number): number {
  const written = target.write(key, at)
  // Only what is no UTF-8 gets longer by being read.
  if (written < Buffer.byteLength(key)) throw unreadable('a key is not encoded properly')
  return written
}

function keyOf({ entries, isEncoded }: ListXml, index: number): string {
  const key = entries.text('Key', index)
  if (key === '') throw unreadable('an entry has no proper Key')
  return isEncoded ? decodeKey(key) : key
}

function sizeOf({ entries }: ListXml, index: number): number {
  const size = entries.text('Size', index)
  if (!/^\d{1,15}$/.test(size)) throw unreadable('an entry has no proper Size')
  return Number(size)
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
