import { createHash } from 'node:crypto'
import { createChecksum } from '../checksums.ts'
import { openSource, SOURCE_HEADERS } from '../copy-source.ts'
import { S3Error } from '../errors.ts'
import { algorithmOf, checksumElements, findUpload, noSuchUpload, partNumber } from '../multipart.ts'
import { type Operation, xmlReply } from '../operation.ts'
import type { ByteRange } from '../range.ts'
import { readSection } from '../store/read-section.ts'
import { element, S3_NAMESPACE, XML_DECLARATION } from '../xml.ts'
import { MAX_SIZE } from './put-object.ts'

const RANGE = 'x-amz-copy-source-range'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html */
export const uploadPartCopy: Operation = {
  name: 'UploadPartCopy',
  method: 'PUT',
  action: 's3:PutObject',
  target: 'object',
  subresource: 'uploadId',
  copies: true,
  query: ['partNumber'],
  headers: [...SOURCE_HEADERS, RANGE],
  takesLong: true,
  async handle(context) {
    const { request, store, now } = context
    const number = partNumber(request)
    const multipart = findUpload(context)
    const algorithm = algorithmOf(multipart)
    const { object } = openSource(context)
    const upload = store.upload()
    try {
      const { start, length } = sourceRange(request.headers.get(RANGE), object.record.size)
      const md5 = createHash('md5')
      const checksum = algorithm === undefined ? undefined : createChecksum(algorithm)
      for await (const bytes of readSection(object, start, length)) {
        md5.update(bytes)
        checksum?.update(bytes)
        await upload.write(bytes)
      }
      const checksums = algorithm && checksum ? { [algorithm]: checksum.digest().toString('base64') } : {}
      const part = { number, size: length, etag: md5.digest('hex'), modified: now(), checksums }
      if (!(await store.multipart.putPart(request.bucket, multipart.id, upload, part))) throw noSuchUpload(request)
      return xmlReply(
        `${XML_DECLARATION}<CopyPartResult xmlns="${S3_NAMESPACE}">` +
          element('LastModified', new Date(part.modified).toISOString()) +
          element('ETag', `"${part.etag}"`) +
          checksumElements(checksums) +
          '</CopyPartResult>',
      )
    } catch (error) {
      await upload.discard()
      throw error
    } finally {
      object.close()
    }
  },
}

/** "The range value must use the form bytes=first-last, where the first and last are the zero-based byte offsets." */
function sourceRange(header: string | undefined, size: number): ByteRange {
  if (header === undefined) {
    if (size <= MAX_SIZE) return { start: 0, length: size }
    throw new S3Error('InvalidRequest', 'The specified copy source is larger than the maximum allowable size.')
  }
  const [, first, last] = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(header) ?? []
  const [start, end] = [Number(first), Number(last)]
  if (first === undefined || start > end || end - start >= MAX_SIZE) {
    throw new S3Error('InvalidArgument', `The ${RANGE} value must be of the form bytes=first-last.`, {
      ArgumentName: RANGE,
      ArgumentValue: header,
    })
  }
  if (end >= size)
    throw new S3Error('InvalidRange', undefined, { RangeRequested: header, ActualObjectSize: String(size) })
  return { start, length: end - start + 1 }
}
