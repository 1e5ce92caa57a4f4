import type { Operation } from '../operation.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html */
export const headBucket: Operation = {
  name: 'HeadBucket',
  method: 'HEAD',
  action: 's3:ListBucket',
  target: 'bucket',
  handle: ({ region }) => ({ status: 200, headers: { 'x-amz-bucket-region': region } }),
}
