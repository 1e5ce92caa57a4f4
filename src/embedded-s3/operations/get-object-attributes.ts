import { S3Error } from '../errors.ts'
import { checksumElements, pageSize } from '../multipart.ts'
import { type Operation, xmlReply } from '../operation.ts'
import type { ObjectRecord } from '../store/object-file.ts'
import { refuseVersion } from '../versions.ts'
import { element, S3_NAMESPACE, XML_DECLARATION } from '../xml.ts'

const WANTED = 'x-amz-object-attributes'
const MAX_PARTS = 'x-amz-max-parts'
const MARKER = 'x-amz-part-number-marker'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html */
export const getObjectAttributes: Operation = {
  name: 'GetObjectAttributes',
  method: 'GET',
  action: 's3:GetObjectAttributes',
  target: 'object',
  subresource: 'attributes',
  query: ['versionId'],
  headers: [WANTED, MAX_PARTS, MARKER],
  handle({ request, store }) {
    refuseVersion(request)
    const wanted = (request.headers.get(WANTED) ?? '').split(',').map((name) => name.trim())
    const known = ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize']
    if (wanted.some((name) => !known.includes(name))) {
      throw new S3Error('InvalidArgument', 'Invalid attribute name specified.', { ArgumentName: WANTED })
    }
    const record = store.record(request.bucket, request.key)
    if (record === undefined) throw new S3Error('NoSuchKey', undefined, { Key: request.key })
    const text = (name: string) => request.headers.get(name)
    const page = { query: [...paging(text(MAX_PARTS))] }
    const max = pageSize({ ...request, ...page }, 'max-parts', 1000)
    const marker = Number(text(MARKER) ?? '') || 0
    const parts: Readonly<Record<string, () => string>> = {
      ETag: () => element('ETag', record.etag),
      Checksum: () => checksum(record),
      ObjectParts: () => objectParts(record, max, marker),
      StorageClass: () => element('StorageClass', 'STANDARD'),
      ObjectSize: () => element('ObjectSize', String(record.size)),
    }
    const body = known.map((name) => (wanted.includes(name) ? parts[name]?.() : '')).join('')
    return xmlReply(
      `${XML_DECLARATION}<GetObjectAttributesResponse xmlns="${S3_NAMESPACE}">${body}</GetObjectAttributesResponse>`,
      { 'last-modified': new Date(record.modified).toUTCString() },
    )
  },
}

function paging(value: string | undefined) {
  return value === undefined ? [] : [{ name: 'max-parts', value }]
}

function checksum(record: ObjectRecord): string {
  const elements = checksumElements(record.checksums)
  if (elements === '') return ''
  return `<Checksum>${elements}${element('ChecksumType', record.checksumType ?? 'FULL_OBJECT')}</Checksum>`
}

function objectParts({ parts }: ObjectRecord, max: number, marker: number): string {
  if (parts === undefined) return ''
  const after = parts.filter(({ number }) => number > marker)
  const page = after.slice(0, max)
  return (
    `<ObjectParts>${element('PartsCount', String(parts.length))}${element('PartNumberMarker', String(marker))}` +
    element('NextPartNumberMarker', String(page.at(-1)?.number ?? 0)) +
    element('MaxParts', String(max)) +
    element('IsTruncated', String(after.length > page.length)) +
    page
      .map(
        ({ number, size, checksums }) =>
          `<Part>${element('PartNumber', String(number))}${element('Size', String(size))}${checksumElements(checksums)}</Part>`,
      )
      .join('') +
    '</ObjectParts>'
  )
}
