import { checksumHeaders, storedHeaders, WRITE_HEADERS } from '../object-headers.ts'
import type { Operation } from '../operation.ts'
import { PAYLOAD_HEADERS } from '../payload.ts'
import { writeCondition } from '../preconditions.ts'

/** "Upload an object in a single operation … up to 5 GB in size." */
export const MAX_SIZE = 5 * 1024 ** 3

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html */
export const putObject: Operation = {
  name: 'PutObject',
  method: 'PUT',
  action: 's3:PutObject',
  target: 'object',
  headers: [...PAYLOAD_HEADERS, ...WRITE_HEADERS],
  takesBody: true,
  async handle({ request, store, payload, now }) {
    const condition = writeCondition(request)
    const stored = storedHeaders(request)
    const body = payload(MAX_SIZE)
    // Early, so that a body is not sent for nothing; what decides is the same check with the key's lock held.
    if (condition !== undefined) condition(store.record(request.bucket, request.key))

    const upload = store.upload()
    try {
      for (let chunk = await body.next(); chunk !== undefined; chunk = await body.next()) {
        const writing = upload.write(chunk)
        if (writing !== undefined) await writing
      }
      const { size, md5, checksums } = body.verify()
      const etag = md5.toString('hex')
      const record = { key: request.key, size, etag, modified: now(), ...stored, checksums }
      await store.commit(request.bucket, upload, record, condition)
      return { status: 200, headers: { etag: `"${etag}"`, ...checksumHeaders(record) } }
    } catch (error) {
      await upload.discard()
      throw error
    }
  },
}
