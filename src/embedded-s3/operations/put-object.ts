import { S3Error } from '../errors.ts'
import { checksumHeaders, storedHeaders } from '../object-headers.ts'
import type { Operation } from '../operation.ts'
import { PAYLOAD_HEADERS } from '../payload.ts'
import { writeCondition } from '../preconditions.ts'
import { headerValue, type S3Request } from '../request.ts'

/** "Upload an object in a single operation … up to 5 GB in size." */
const MAX_SIZE = 5 * 1024 ** 3

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html */
export const putObject: Operation = {
  name: 'PutObject',
  method: 'PUT',
  target: 'object',
  headers: [...PAYLOAD_HEADERS, 'x-amz-meta-', 'x-amz-acl', 'x-amz-storage-class', 'x-amz-server-side-encryption'],
  takesBody: true,
  async handle({ request, store, payload }) {
    refuseOtherThanDefaults(request)
    const condition = writeCondition(request)
    const stored = storedHeaders(request)
    const body = payload(MAX_SIZE)
    // Early, so that a body is not sent for nothing; what decides is the same check with the key's lock held.
    if (condition !== undefined) condition(store.record(request.bucket, request.key))

    const upload = store.upload()
    try {
      for await (const chunk of body.read()) await upload.write(chunk)
      const { size, md5, checksums } = body.verify()
      const etag = md5.toString('hex')
      const record = { key: request.key, size, etag, modified: Date.now(), ...stored, checksums }
      await store.commit(request.bucket, upload, record, condition)
      return { status: 200, headers: { etag: `"${etag}"`, ...checksumHeaders(checksums) } }
    } catch (error) {
      await upload.discard()
      throw error
    }
  },
}

/** Values that ask for what is done in any case are taken; all others are for what this server does not do. */
function refuseOtherThanDefaults(request: S3Request): void {
  const storageClass = headerValue(request, 'x-amz-storage-class')
  if (storageClass !== undefined && storageClass !== 'STANDARD') throw notImplemented('x-amz-storage-class')
  // One account owns everything, and there are no grants: only these two say what holds anyway.
  const acl = headerValue(request, 'x-amz-acl')
  if (acl !== undefined && acl !== 'private' && acl !== 'bucket-owner-full-control') throw notImplemented('x-amz-acl')
  const encryption = headerValue(request, 'x-amz-server-side-encryption')
  if (encryption !== undefined && encryption !== 'AES256') throw notImplemented('x-amz-server-side-encryption')
}

function notImplemented(header: string): S3Error {
  return new S3Error('NotImplemented', undefined, { Header: header })
}
