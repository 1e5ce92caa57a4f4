import { S3Error } from '../errors.ts'
import { type Operation, xmlReply } from '../operation.ts'
import { queryValue, type S3Request } from '../request.ts'
import type { IndexRow } from '../store/listing-index.ts'
import { element, escapeXml, S3_NAMESPACE, XML_DECLARATION } from '../xml.ts'

const MAX_KEYS = 1000
/** How long a listing waits while the index is being rebuilt, in milliseconds. */
const REBUILD_PATIENCE = 20_000

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html */
export const listObjectsV2: Operation = {
  name: 'ListObjectsV2',
  method: 'GET',
  target: 'bucket',
  subresource: 'list-type',
  query: ['prefix', 'delimiter', 'start-after', 'continuation-token', 'max-keys', 'encoding-type', 'fetch-owner'],
  async handle({ request, store, ownerId }) {
    const { prefix, delimiter, startAfter, token, maxKeys, encode, encodingType, fetchOwner } = parseList(request)
    if (!store.listable) await within(store.whenListable(), REBUILD_PATIENCE)
    const page = store.list({
      bucket: request.bucket,
      prefix,
      delimiter,
      startAfter,
      from: token === undefined ? undefined : decodeToken(token),
      limit: maxKeys,
    })
    const owner = fetchOwner ? `<Owner>${element('ID', ownerId)}</Owner>` : ''
    const optional = (name: string, value: string | undefined) => (value ? element(name, value) : '')
    return xmlReply(
      `${XML_DECLARATION}<ListBucketResult xmlns="${S3_NAMESPACE}">` +
        element('Name', request.bucket) +
        element('Prefix', encode(prefix)) +
        optional('Delimiter', encode(delimiter)) +
        optional('StartAfter', encode(startAfter)) +
        optional('ContinuationToken', token) +
        optional('NextContinuationToken', page.next && encodeToken(page.next)) +
        optional('EncodingType', encodingType) +
        element('KeyCount', String(page.objects.length + page.commonPrefixes.length)) +
        element('MaxKeys', String(maxKeys)) +
        element('IsTruncated', String(page.next !== undefined)) +
        page.objects.map((row) => contents(row, encode, owner)).join('') +
        page.commonPrefixes
          .map((common) => `<CommonPrefixes>${element('Prefix', encode(common))}</CommonPrefixes>`)
          .join('') +
        '</ListBucketResult>',
    )
  },
}

function contents({ key, size, etag, modified }: IndexRow, encode: (text: string) => string, owner: string): string {
  return (
    `<Contents><Key>${escapeXml(encode(key.toString()))}</Key><LastModified>${toSeconds(modified)}</LastModified>` +
    `<ETag>&quot;${etag}&quot;</ETag><Size>${size}</Size>${owner}<StorageClass>STANDARD</StorageClass></Contents>`
  )
}

/** S3 knows times to the second only; so a listing says the same as Last-Modified. */
function toSeconds(modified: number): string {
  return `${new Date(modified).toISOString().slice(0, 19)}.000Z`
}

function parseList(request: S3Request) {
  const invalid = (name: string, message: string) =>
    new S3Error('InvalidArgument', message, { ArgumentName: name, ArgumentValue: queryValue(request, name) ?? '' })
  if (queryValue(request, 'list-type') !== '2') throw invalid('list-type', 'Invalid List Type specified in Request')
  const encodingType = queryValue(request, 'encoding-type')
  if (encodingType !== undefined && encodingType !== 'url') {
    throw invalid('encoding-type', 'Invalid Encoding Method specified in Request')
  }
  const maxKeys = queryValue(request, 'max-keys') || String(MAX_KEYS)
  if (!/^\d{1,10}$/.test(maxKeys) || Number(maxKeys) > 0x7fffffff) {
    throw invalid('max-keys', 'Argument maxKeys must be an integer between 0 and 2147483647')
  }
  const token = queryValue(request, 'continuation-token')
  if (token !== undefined && decodeToken(token) === undefined) {
    throw invalid('continuation-token', 'The continuation token provided is incorrect')
  }
  return {
    prefix: queryValue(request, 'prefix') ?? '',
    delimiter: queryValue(request, 'delimiter') ?? '',
    startAfter: queryValue(request, 'start-after') ?? '',
    token,
    maxKeys: Math.min(Number(maxKeys), MAX_KEYS),
    encodingType,
    encode: encodingType === 'url' ? urlEncode : (text: string) => text,
    fetchOwner: queryValue(request, 'fetch-owner') === 'true',
  }
}

/** A token is the place where the next page starts, as bytes; the leading 1 is the form's version. */
function encodeToken(from: Buffer): string {
  return `1${from.toString('base64url')}`
}

function decodeToken(token: string): Buffer | undefined {
  const bytes = Buffer.from(token.slice(1), 'base64url')
  return token.length > 1 && encodeToken(bytes) === token ? bytes : undefined
}

function urlEncode(text: string): string {
  return encodeURIComponent(text)
    .replaceAll('%2F', '/')
    .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}

async function within(ready: Promise<void>, milliseconds: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new S3Error('ServiceUnavailable', 'The listing index is being rebuilt after an unclean stop; try again.'))
    }, milliseconds)
  })
  try {
    await Promise.race([ready, late])
  } finally {
    clearTimeout(timer)
  }
}
