import { S3Error } from '../errors.ts'
import type { Operation } from '../operation.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html */
export const deleteObject: Operation = {
  name: 'DeleteObject',
  method: 'DELETE',
  target: 'object',
  async handle({ request, store }) {
    for (const name of ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since']) {
      if (request.headers.has(name)) throw new S3Error('NotImplemented', undefined, { Header: name })
    }
    await store.delete(request.bucket, request.key)
    return { status: 204 }
  },
}
