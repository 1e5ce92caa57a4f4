import { checksumElements, findUpload, pageSize } from '../multipart.ts'
import { type Operation, xmlReply } from '../operation.ts'
import { queryValue } from '../request.ts'
import { element, S3_NAMESPACE, XML_DECLARATION } from '../xml.ts'

const MAX = 1000

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html */
export const listParts: Operation = {
  name: 'ListParts',
  method: 'GET',
  action: 's3:ListMultipartUploadParts',
  target: 'object',
  subresource: 'uploadId',
  query: ['max-parts', 'part-number-marker'],
  async handle(context) {
    const { request, store, ownerId } = context
    const upload = findUpload(context)
    const max = pageSize(request, 'max-parts', MAX)
    const marker = Number(queryValue(request, 'part-number-marker') ?? '') || 0
    const after = (await store.multipart.parts(request.bucket, upload.id)).filter(({ number }) => number > marker)
    const page = after.slice(0, max)
    const truncated = after.length > page.length
    const parts = page.map(
      (part) =>
        `<Part>${element('PartNumber', String(part.number))}${element('LastModified', new Date(part.modified).toISOString())}` +
        `${element('ETag', `"${part.etag}"`)}${element('Size', String(part.size))}${checksumElements(part.checksums)}</Part>`,
    )
    const algorithm =
      upload.algorithm === undefined
        ? ''
        : element('ChecksumAlgorithm', upload.algorithm.toUpperCase()) +
          element('ChecksumType', upload.checksumType ?? 'COMPOSITE')
    return xmlReply(
      `${XML_DECLARATION}<ListPartsResult xmlns="${S3_NAMESPACE}">` +
        element('Bucket', request.bucket) +
        element('Key', request.key) +
        element('UploadId', upload.id) +
        `<Initiator>${element('ID', ownerId)}</Initiator><Owner>${element('ID', ownerId)}</Owner>` +
        element('StorageClass', 'STANDARD') +
        algorithm +
        element('PartNumberMarker', String(marker)) +
        (truncated ? element('NextPartNumberMarker', String(page.at(-1)?.number ?? marker)) : '') +
        element('MaxParts', String(max)) +
        element('IsTruncated', String(truncated)) +
        parts.join('') +
        '</ListPartsResult>',
    )
  },
}
