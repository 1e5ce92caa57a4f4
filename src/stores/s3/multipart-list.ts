import { KeepsakeError } from '../../media/index.ts'
import { checkUpload } from '../multipart-checks.ts'
import { checkObjectKey, compareObjectKeys } from '../object-key.ts'
import type {
  ListedMultipart,
  ListedPart,
  ListMultipartOptions,
  ListPartsOptions,
  MultipartUpload,
} from '../object-store.ts'
import { quotedEtag, sendForAnswer, unreadable } from './answers.ts'
import { emptySha256 } from './canonical.ts'
import type { S3Client, S3Request } from './client.ts'
import { decodeKey } from './list.ts'
import { hexSha256 } from './object-headers.ts'

/** AWS, ListParts. */
export async function* listParts(
  client: S3Client,
  upload: MultipartUpload,
  { pageSize = 1000, signal }: ListPartsOptions,
): AsyncGenerator<ListedPart> {
  checkUpload(upload)
  checkPageSize(pageSize, 'parts')
  let marker = 0
  for (;;) {
    const query: [string, string][] = [
      ['max-parts', String(pageSize)],
      ['uploadId', upload.uploadId],
    ]
    if (marker > 0) query.push(['part-number-marker', String(marker)])
    const request: S3Request = { method: 'GET', key: upload.key, query, payloadHash: emptySha256, signal }
    const { fields, items } = await sendForAnswer(client, request, 'ListPartsResult', 'Part').catch(noSuchUpload)
    for (const item of items) {
      const part = parsePart(request, item)
      if (part.partNumber <= marker) throw unreadable(request, 'its parts are not in order')
      marker = part.partNumber
      yield part
    }
    if (fields.IsTruncated !== 'true') return
    const next = Number(fields.NextPartNumberMarker)
    if (next !== marker || items.length === 0) throw unreadable(request, 'it goes on without a proper marker')
  }
}

/** radosgw 16 says NoSuchKey of an upload that is not there; the message would be about an object. */
function noSuchUpload(error: unknown): never {
  if (!KeepsakeError.is(error, 'object_missing') || error.details.s3Code === 'NoSuchUpload') throw error
  throw new KeepsakeError('object_missing', 'There is no such multipart upload: it was completed, aborted or swept.', {
    details: error.details,
    cause: error,
  })
}

function parsePart(request: S3Request, item: Readonly<Record<string, string>>): ListedPart {
  const partNumber = Number(item.PartNumber)
  const lastModified = new Date(item.LastModified ?? '')
  const sha256 = hexSha256(item.ChecksumSHA256)
  if (
    !Number.isInteger(partNumber) ||
    !item.ETag ||
    !/^\d{1,15}$/.test(item.Size ?? '') ||
    Number.isNaN(lastModified.getTime())
  ) {
    throw unreadable(request, 'a part has no proper PartNumber, ETag, Size or LastModified')
  }
  return {
    partNumber,
    etag: quotedEtag(item.ETag),
    size: Number(item.Size),
    lastModified,
    ...(sha256 === undefined ? {} : { sha256 }),
  }
}

/** AWS, ListMultipartUploads: by key, and those of one key by their start. */
export async function* listMultipart(
  client: S3Client,
  { prefix, startAfter, pageSize = 1000, signal }: ListMultipartOptions,
): AsyncGenerator<ListedMultipart> {
  if (prefix) checkObjectKey(prefix)
  checkPageSize(pageSize, 'uploads')
  const { encodesUploads } = await client.learnCapabilities(signal)
  // "If upload-id-marker is not specified, only the keys lexicographically greater than the specified key-marker will be
  // included in the list."
  let after: readonly [key: string, uploadId: string] | undefined = startAfter ? [startAfter, ''] : undefined
  /** Where pages began: a list that goes in circles would never end. */
  const begun = new Set([JSON.stringify(after)])
  for (;;) {
    const query: [string, string][] = [
      ['uploads', ''],
      ['max-uploads', String(pageSize)],
    ]
    if (encodesUploads) query.push(['encoding-type', 'url'])
    if (prefix) query.push(['prefix', prefix])
    if (after) query.push(['key-marker', after[0]])
    if (after?.[1]) query.push(['upload-id-marker', after[1]])
    const request: S3Request = { method: 'GET', query, payloadHash: emptySha256, signal }
    const { fields, items } = await sendForAnswer(client, request, 'ListMultipartUploadsResult', 'Upload')
    const isEncoded = fields.EncodingType === 'url'
    const decode = (key: string) => (isEncoded ? decodeKey(key) : key)
    for (const item of items) {
      const upload = parseUpload(request, item, decode)
      // radosgw 16 begins with the marker's own key.
      if (startAfter === undefined || compareObjectKeys(upload.key, startAfter) > 0) yield upload
    }
    if (fields.IsTruncated !== 'true') return
    const next = [decode(fields.NextKeyMarker ?? ''), fields.NextUploadIdMarker ?? ''] as const
    const marker = JSON.stringify(next)
    if (next[0] === '' || begun.has(marker)) {
      throw unreadable(request, 'it goes on without a proper marker')
    }
    begun.add(marker)
    after = next
  }
}

function parseUpload(
  request: S3Request,
  item: Readonly<Record<string, string>>,
  decode: (key: string) => string,
): ListedMultipart {
  const { Key: key, UploadId: uploadId } = item
  const initiated = new Date(item.Initiated ?? '')
  if (!key || !uploadId || Number.isNaN(initiated.getTime())) {
    throw unreadable(request, 'an upload has no proper Key, UploadId or Initiated')
  }
  return { key: decode(key), uploadId, initiated }
}

function checkPageSize(pageSize: number, what: string): void {
  if (Number.isInteger(pageSize) && pageSize >= 1 && pageSize <= 1000) return
  throw new KeepsakeError('invalid_request', `A page cannot have ${pageSize} ${what}. Allowed is 1 to 1000.`)
}
