import { S3Error } from './errors.ts'
import { pageSize } from './multipart.ts'
import { queryValue, type S3Request } from './request.ts'
import type { FolderStore } from './store/folder-store.ts'
import type { ListPage } from './store/listing.ts'
import type { IndexRow } from './store/listing-index.ts'
import { element, escapeXml, urlEncode } from './xml.ts'

const MAX_KEYS = 1000
/** How long a listing waits while the index is being rebuilt, in milliseconds. */
const REBUILD_PATIENCE = 20_000

/** What all ways of listing objects understand. */
export const LIST_QUERY: readonly string[] = ['prefix', 'delimiter', 'max-keys', 'encoding-type']

export type ListParameters = {
  readonly bucket: string
  readonly prefix: string
  readonly delimiter: string
  readonly limit: number
  readonly encodingType: string | undefined
  readonly encode: (text: string) => string
}

export function parseListParameters(request: S3Request): ListParameters {
  const encodingType = queryValue(request, 'encoding-type')
  if (encodingType !== undefined && encodingType !== 'url') {
    throw new S3Error('InvalidArgument', 'Invalid Encoding Method specified in Request', {
      ArgumentName: 'encoding-type',
      ArgumentValue: encodingType,
    })
  }
  return {
    bucket: request.bucket,
    prefix: queryValue(request, 'prefix') ?? '',
    delimiter: queryValue(request, 'delimiter') ?? '',
    limit: pageSize(request, 'max-keys', MAX_KEYS),
    encodingType,
    encode: encodingType === 'url' ? urlEncode : (text: string) => text,
  }
}

/** Waits for the index, if it is being rebuilt; ServiceUnavailable when that takes long. */
export async function requireListable(store: FolderStore): Promise<void> {
  if (store.listable) return
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new S3Error('ServiceUnavailable', 'The listing index is being rebuilt after an unclean stop; try again.'))
    }, REBUILD_PATIENCE)
  })
  try {
    await Promise.race([store.whenListable(), late])
  } finally {
    clearTimeout(timer)
  }
}

/** The elements at the beginning that say what was asked for; empty ones that are optional are left out. */
export function parametersXml({ bucket, prefix, delimiter, limit, encodingType, encode }: ListParameters): string {
  return (
    element('Name', bucket) +
    element('Prefix', encode(prefix)) +
    (delimiter === '' ? '' : element('Delimiter', encode(delimiter))) +
    (encodingType === undefined ? '' : element('EncodingType', encodingType)) +
    element('MaxKeys', String(limit))
  )
}

/** What a listing says of an object, inside an element of a name that depends. */
export function objectXml({ key, size, etag, modified }: IndexRow, encode: (text: string) => string): string {
  return (
    `<Key>${escapeXml(encode(key.toString()))}</Key><LastModified>${toSeconds(modified)}</LastModified>` +
    `<ETag>&quot;${etag}&quot;</ETag><Size>${size}</Size><StorageClass>STANDARD</StorageClass>`
  )
}

export function commonPrefixesXml({ commonPrefixes }: ListPage, encode: (text: string) => string): string {
  const xml = commonPrefixes.map((one) => `<CommonPrefixes>${element('Prefix', encode(one))}</CommonPrefixes>`)
  return xml.join('')
}

/** The last thing on a page, a key or a common prefix: where the markers of the older listings continue. */
export function lastOf({ objects, commonPrefixes }: ListPage): string {
  const key = objects.at(-1)?.key ?? Buffer.of()
  const common = Buffer.from(commonPrefixes.at(-1) ?? '')
  return (Buffer.compare(key, common) > 0 ? key : common).toString()
}

/** S3 knows times to the second only; so a listing says the same as Last-Modified. */
function toSeconds(modified: number): string {
  return `${new Date(modified).toISOString().slice(0, 19)}.000Z`
}
