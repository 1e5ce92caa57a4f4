import { KeepsakeError } from '../../media/index.ts'
import { checkObjectKey, compareObjectKeys } from '../object-key.ts'
import type { ListedObject, ListOptions } from '../object-store.ts'
import { emptySha256 } from './canonical.ts'
import type { S3Client } from './client.ts'
import { readXml } from './xml.ts'

const pageLimit = 16 * 1024 * 1024

export type ListPage = { readonly objects: readonly ListedObject[]; readonly nextToken: string | undefined }

/** AWS, ListObjectsV2: keys in UTF-8 binary order. The order is checked, since reconcile stands on it. */
export async function* listObjects(client: S3Client, options: ListOptions): AsyncGenerator<ListedObject> {
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
    const page = await client.sendForText(request, pageLimit, parseListPage)
    if (page.nextToken !== undefined && page.nextToken === token) throw unreadable('it repeats a continuation token')
    for (const object of page.objects) {
      if (last !== undefined && compareObjectKeys(last, object.key) >= 0) throw unreadable('its keys are not in order')
      last = object.key
      yield object
    }
    token = page.nextToken
  } while (token !== undefined)
}

/** One page of ListObjectsV2 with `encoding-type=url`. @throws {KeepsakeError} `store_unavailable` for anything else. */
export function parseListPage(xml: string): ListPage {
  const objects: ListedObject[] = []
  let root: string | undefined
  let isEncoded = false
  let isTruncated = false
  let nextToken: string | undefined
  let item: Partial<Record<'Key' | 'Size' | 'ETag' | 'LastModified', string>> | undefined
  const raw: (typeof item)[] = []
  try {
    readXml(xml, {
      open(name) {
        root ??= name
        if (name === 'Contents') item = {}
      },
      close(name, text) {
        if (name === 'Contents') {
          raw.push(item)
          item = undefined
        } else if (item) {
          if (name === 'Key' || name === 'Size' || name === 'ETag' || name === 'LastModified') item[name] = text
        } else if (name === 'EncodingType') isEncoded = text === 'url'
        else if (name === 'IsTruncated') isTruncated = text === 'true'
        else if (name === 'NextContinuationToken') nextToken = text
      },
    })
  } catch (cause) {
    throw unreadable('it is malformed or cut off', cause)
  }
  if (root !== 'ListBucketResult') throw unreadable('it is not a list')
  for (const found of raw) objects.push(parseItem(found ?? {}, isEncoded))
  if (isTruncated && !nextToken) throw unreadable('it goes on without a continuation token')
  return { objects, nextToken: isTruncated ? nextToken : undefined }
}

function parseItem(
  item: { Key?: string; Size?: string; ETag?: string; LastModified?: string },
  isEncoded: boolean,
): ListedObject {
  const { Key: key = '', Size: size = '', ETag: etag = '', LastModified: modified = '' } = item
  const lastModified = new Date(modified)
  if (key === '' || !/^\d{1,15}$/.test(size) || Number.isNaN(lastModified.getTime())) {
    throw unreadable('an entry has no proper Key, Size or LastModified')
  }
  return { key: isEncoded ? decodeKey(key) : key, size: Number(size), etag, lastModified }
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
