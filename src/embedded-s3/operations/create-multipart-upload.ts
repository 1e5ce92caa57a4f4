import { isChecksumAlgorithm } from '../checksums.ts'
import { S3Error } from '../errors.ts'
import { storedHeaders, WRITE_HEADERS } from '../object-headers.ts'
import { type Operation, xmlReply } from '../operation.ts'
import { headerValue, type S3Request } from '../request.ts'
import type { MultipartStart } from '../store/multipart-store.ts'
import { element, S3_NAMESPACE, XML_DECLARATION } from '../xml.ts'

const ALGORITHM = 'x-amz-checksum-algorithm'
const TYPE = 'x-amz-checksum-type'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html */
export const createMultipartUpload: Operation = {
  name: 'CreateMultipartUpload',
  method: 'POST',
  action: 's3:PutObject',
  target: 'object',
  subresource: 'uploads',
  headers: [...WRITE_HEADERS, ALGORITHM, TYPE],
  async handle({ request, store, now }) {
    const start = { key: request.key, ...storedHeaders(request), ...checksums(request) }
    const { id } = await store.multipart.begin(request.bucket, start, now())
    return xmlReply(
      `${XML_DECLARATION}<InitiateMultipartUploadResult xmlns="${S3_NAMESPACE}">` +
        element('Bucket', request.bucket) +
        element('Key', request.key) +
        element('UploadId', id) +
        '</InitiateMultipartUploadResult>',
      start.algorithm === undefined
        ? {}
        : { [ALGORITHM]: start.algorithm.toUpperCase(), [TYPE]: start.checksumType ?? 'COMPOSITE' },
    )
  },
}

/** Which checksum, and of what: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html */
function checksums(request: S3Request): Pick<MultipartStart, 'algorithm' | 'checksumType'> {
  const algorithm = headerValue(request, ALGORITHM)?.toLowerCase()
  const type = headerValue(request, TYPE)?.toUpperCase()
  if (algorithm === undefined) {
    if (type === undefined) return {}
    throw new S3Error('InvalidRequest', `The ${TYPE} header can only be used with the ${ALGORITHM} header.`)
  }
  if (!isChecksumAlgorithm(algorithm)) throw new S3Error('NotImplemented', undefined, { Header: ALGORITHM })
  const checksumType = type ?? (algorithm === 'crc64nvme' ? 'FULL_OBJECT' : 'COMPOSITE')
  const impossible = algorithm === 'crc64nvme' ? 'COMPOSITE' : algorithm.startsWith('sha') ? 'FULL_OBJECT' : undefined
  if (checksumType !== 'COMPOSITE' && checksumType !== 'FULL_OBJECT') {
    throw new S3Error('InvalidRequest', `Value for ${TYPE} header is invalid.`)
  }
  if (checksumType === impossible) {
    throw new S3Error(
      'InvalidRequest',
      `The ${checksumType} checksum type cannot be used with the ${algorithm} checksum algorithm.`,
    )
  }
  return { algorithm, checksumType }
}
