import { findUpload } from '../multipart.ts'
import type { Operation } from '../operation.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html */
export const abortMultipartUpload: Operation = {
  name: 'AbortMultipartUpload',
  method: 'DELETE',
  action: 's3:AbortMultipartUpload',
  target: 'object',
  subresource: 'uploadId',
  async handle(context) {
    const { request, store } = context
    const { id } = findUpload(context)
    await store.multipart.hold(id, async () => {
      findUpload(context)
      await store.multipart.remove(request.bucket, id)
    })
    return { status: 204 }
  },
}
