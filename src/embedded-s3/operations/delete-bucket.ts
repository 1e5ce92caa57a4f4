import { S3Error } from '../errors.ts'
import type { Operation } from '../operation.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html */
export const deleteBucket: Operation = {
  name: 'DeleteBucket',
  method: 'DELETE',
  action: 's3:DeleteBucket',
  target: 'bucket',
  async handle({ request, store }) {
    const outcome = await store.deleteBucket(request.bucket)
    if (outcome === 'removed') return { status: 204 }
    const code = outcome === 'not empty' ? 'BucketNotEmpty' : 'NoSuchBucket'
    throw new S3Error(code, undefined, { BucketName: request.bucket })
  },
}
