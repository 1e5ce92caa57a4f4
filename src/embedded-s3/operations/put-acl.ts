import { S3Error } from '../errors.ts'
import { refuseOtherThanDefaults } from '../object-headers.ts'
import type { Context, Operation } from '../operation.ts'
import { PAYLOAD_HEADERS } from '../payload.ts'
import { refuseVersion } from '../versions.ts'

const common = {
  method: 'PUT',
  subresource: 'acl',
  headers: [...PAYLOAD_HEADERS, 'x-amz-acl'],
  takesBody: true,
} as const

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAcl.html */
export const putBucketAcl: Operation = {
  ...common,
  name: 'PutBucketAcl',
  target: 'bucket',
  action: 's3:PutBucketAcl',
  async handle(context) {
    await requireWhatHolds(context)
    return { status: 200 }
  },
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html */
export const putObjectAcl: Operation = {
  ...common,
  name: 'PutObjectAcl',
  target: 'object',
  query: ['versionId'],
  action: 's3:PutObjectAcl',
  async handle(context) {
    const { request, store } = context
    refuseVersion(request)
    await requireWhatHolds(context)
    if (!store.exists(request.bucket, request.key)) throw new S3Error('NoSuchKey', undefined, { Key: request.key })
    return { status: 200 }
  },
}

/** Only the canned ACLs that say what holds anyway; grants are NotImplemented. */
async function requireWhatHolds({ request, payload }: Context): Promise<void> {
  refuseOtherThanDefaults(request)
  const grants = await payload(64 * 1024).readAll()
  if (grants.length > 0 || !request.headers.has('x-amz-acl')) {
    throw new S3Error('NotImplemented', 'There are no grants here: bucket policies say who may do what.')
  }
}
