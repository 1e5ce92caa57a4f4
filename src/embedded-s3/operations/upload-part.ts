import { algorithmOf, findUpload, noSuchUpload, partNumber } from '../multipart.ts'
import { checksumHeaders } from '../object-headers.ts'
import type { Operation } from '../operation.ts'
import { PAYLOAD_HEADERS } from '../payload.ts'
import { MAX_SIZE } from './put-object.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html */
export const uploadPart: Operation = {
  name: 'UploadPart',
  method: 'PUT',
  action: 's3:PutObject',
  target: 'object',
  subresource: 'uploadId',
  query: ['partNumber'],
  headers: PAYLOAD_HEADERS,
  takesBody: true,
  async handle(context) {
    const { request, store, payload, now } = context
    const number = partNumber(request)
    const multipart = findUpload(context)
    const body = payload(MAX_SIZE, { compute: algorithmOf(multipart) })
    const upload = store.upload()
    try {
      for await (const chunk of body.read()) await upload.write(chunk)
      const { size, md5, checksums } = body.verify()
      const part = { number, size, etag: md5.toString('hex'), modified: now(), checksums }
      if (!(await store.multipart.putPart(request.bucket, multipart.id, upload, part))) throw noSuchUpload(request)
      const { 'x-amz-checksum-type': _, ...headers } = checksumHeaders(part)
      return { status: 200, headers: { etag: `"${part.etag}"`, ...headers } }
    } catch (error) {
      await upload.discard()
      throw error
    }
  },
}
