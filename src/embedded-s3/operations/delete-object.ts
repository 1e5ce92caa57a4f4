import { S3Error } from '../errors.ts'
import type { Operation } from '../operation.ts'
import { deleteCondition } from '../preconditions.ts'
import { refuseVersion } from '../versions.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html */
export const deleteObject: Operation = {
  name: 'DeleteObject',
  method: 'DELETE',
  action: 's3:DeleteObject',
  target: 'object',
  query: ['versionId'],
  // Nothing is ever locked, so there is nothing to bypass.
  headers: ['x-amz-bypass-governance-retention'],
  async handle({ request, store }) {
    refuseVersion(request)
    for (const name of ['if-none-match', 'if-modified-since', 'if-unmodified-since']) {
      if (request.headers.has(name)) throw new S3Error('NotImplemented', undefined, { Header: name })
    }
    await store.delete(request.bucket, request.key, deleteCondition(request.headers.get('if-match')))
    return { status: 204 }
  },
}
