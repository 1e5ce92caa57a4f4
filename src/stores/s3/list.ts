import { KeepsakeError } from '../../media/index.ts'
import { ListedPage } from '../listed-page.ts'
import { checkObjectKey, compareObjectKeys } from '../object-key.ts'
import type { ListedObject, ListOptions } from '../object-store.ts'
import { emptySha256 } from './canonical.ts'
import type { S3Client } from './client.ts'
import { type ItemField, type Items, itemFields, noItems, plainItems, plainText } from './plain-items.ts'
import { readXml } from './xml.ts'

const pageLimit = 16 * 1024 * 1024

export type ListPage = { readonly objects: readonly ListedObject[]; readonly nextToken: string | undefined }

/** What is made of a page. Nothing of its XML may be kept in `Page`, where that is to be small. */
type Reading<Page> = {
  readonly fields: readonly ItemField[]
  /** @param keys Decoded, as many as there are items. */
  readonly page: (keys: readonly string[], items: Items, isRaw: boolean) => Page
  readonly lastKey: (page: Page) => string | undefined
}

const asObjects: Reading<readonly ListedObject[]> = {
  fields: itemFields,
  page: (keys, items, isRaw) =>
    keys.map((key, index) => {
      const lastModified = new Date(items.LastModified[index] ?? '')
      if (Number.isNaN(lastModified.getTime())) throw unreadable('an entry has no proper LastModified')
      const etag = items.ETag[index] ?? ''
      return { key, size: sizeOf(items, index), etag: isRaw ? plainText(etag) : etag, lastModified }
    }),
  lastKey: (objects) => objects.at(-1)?.key,
}

const asKeys: Reading<ListedPage> = {
  fields: ['Key', 'Size'],
  page: (keys, items) =>
    ListedPage.of(
      keys,
      Float64Array.from(keys, (_, index) => sizeOf(items, index)),
    ),
  lastKey: (page) => page.key(page.length - 1),
}

function sizeOf(items: Items, index: number): number {
  const size = items.Size[index] ?? ''
  if (!/^\d{1,15}$/.test(size)) throw unreadable('an entry has no proper Size')
  return Number(size)
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
      const { keys, items, isRaw, nextToken } = readItems(xml, reading.fields)
      if (nextToken !== undefined && nextToken === sent) throw unreadable('it repeats a continuation token')
      requireOrder(before, keys)
      return { page: reading.page(keys, items, isRaw), nextToken }
    })
    last = reading.lastKey(page) ?? last
    yield page
    token = nextToken
  } while (token !== undefined)
}

function requireOrder(before: string | undefined, keys: readonly string[]): void {
  let last = before
  for (const key of keys) {
    if (last !== undefined && compareObjectKeys(last, key) >= 0) throw unreadable('its keys are not in order')
    last = key
  }
}

/** One page of ListObjectsV2 with `encoding-type=url`. @throws {KeepsakeError} `store_unavailable` for anything else. */
export function parseListPage(xml: string): ListPage {
  const { keys, items, isRaw, nextToken } = readItems(xml, asObjects.fields)
  return { objects: asObjects.page(keys, items, isRaw), nextToken }
}

type ReadItems = {
  readonly keys: readonly string[]
  readonly items: Items
  /** Whether XML's entities are still in the items. */
  readonly isRaw: boolean
  readonly nextToken: string | undefined
}

function readItems(xml: string, fields: readonly ItemField[]): ReadItems {
  const plain = plainItems(xml, fields)
  const items = plain?.items ?? noItems()
  let root: string | undefined
  let isEncoded = false
  let isTruncated = false
  let nextToken: string | undefined
  let isInside = false
  try {
    readXml(plain?.rest ?? xml, {
      open(name) {
        root ??= name
        if (name !== 'Contents') return
        isInside = true
        for (const field of itemFields) items[field].push(undefined)
      },
      close(name, text) {
        if (name === 'Contents') isInside = false
        else if (isInside) {
          const known = itemFields.find((it) => it === name)
          if (known) items[known][items[known].length - 1] = text
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
  const isRaw = plain !== undefined
  const keys = items.Key.map((key) => {
    if (!key) throw unreadable('an entry has no proper Key')
    const text = isRaw ? plainText(key) : key
    return isEncoded ? decodeKey(text) : text
  })
  return { keys, items, isRaw, nextToken: isTruncated ? nextToken : undefined }
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
