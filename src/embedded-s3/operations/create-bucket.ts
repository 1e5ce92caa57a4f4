import { S3Error } from '../errors.ts'
import { isBucketName } from '../keys.ts'
import { refuseOtherThanDefaults } from '../object-headers.ts'
import type { Operation } from '../operation.ts'
import { PAYLOAD_HEADERS } from '../payload.ts'
import { parseXml } from '../xml.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html */
export const createBucket: Operation = {
  name: 'CreateBucket',
  method: 'PUT',
  action: 's3:CreateBucket',
  target: 'bucket',
  headers: [...PAYLOAD_HEADERS, 'x-amz-acl', 'x-amz-object-ownership'],
  withoutBucket: true,
  takesBody: true,
  async handle({ request, store, region, payload, bucketDefaults }) {
    if (!isBucketName(request.bucket)) throw new S3Error('InvalidBucketName', undefined, { BucketName: request.bucket })
    refuseOtherThanDefaults(request)
    const ownership = request.headers.get('x-amz-object-ownership') ?? 'BucketOwnerEnforced'
    if (ownership !== 'BucketOwnerEnforced') {
      throw new S3Error('NotImplemented', undefined, { Header: 'x-amz-object-ownership' })
    }
    const hasBody = request.headers.has('transfer-encoding') || (request.headers.get('content-length') ?? '0') !== '0'
    if (hasBody) requireRegion((await payload(64 * 1024).readAll()).toString(), region)
    const isNew = await store.createBucket(request.bucket, bucketDefaults)
    // "For legacy compatibility, if you re-create an existing bucket that you already own in us-east-1, S3 returns 200 OK."
    if (!isNew && region !== 'us-east-1') {
      throw new S3Error('BucketAlreadyOwnedByYou', undefined, { BucketName: request.bucket })
    }
    return { status: 200, headers: { location: `/${request.bucket}` } }
  },
}

function requireRegion(document: string, region: string): void {
  const root = parseXml(document)
  if (root.name !== 'CreateBucketConfiguration') throw new S3Error('MalformedXML')
  for (const { name, text } of root.children) {
    if (name !== 'LocationConstraint') throw new S3Error('NotImplemented', `${name} is not implemented.`)
    if (text.trim() !== region) {
      throw new S3Error(
        'IllegalLocationConstraintException',
        `The ${text.trim()} location constraint is incompatible for the region specific endpoint this request was sent to.`,
      )
    }
  }
}
