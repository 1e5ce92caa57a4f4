import { S3Error } from '../errors.ts'
import { expirationHeader } from '../lifecycle.ts'
import { partNumber } from '../multipart.ts'
import { objectHeaders, RESPONSE_OVERRIDES } from '../object-headers.ts'
import type { Context, Operation, Reply } from '../operation.ts'
import { isNotModified, rangeApplies } from '../preconditions.ts'
import { type ByteRange, parseRange } from '../range.ts'
import { queryValue, type S3Request } from '../request.ts'
import type { FolderStore } from '../store/folder-store.ts'
import type { ObjectRecord } from '../store/object-file.ts'
import { refuseVersion } from '../versions.ts'

const QUERY = [...RESPONSE_OVERRIDES, 'partNumber', 'versionId']
const HEADERS = ['x-amz-checksum-mode']

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html */
export const getObject: Operation = {
  name: 'GetObject',
  method: 'GET',
  action: 's3:GetObject',
  target: 'object',
  query: QUERY,
  headers: HEADERS,
  handle(context): Reply {
    const { request, store } = context
    refuseVersion(request)
    const object = store.open(request.bucket, request.key)
    if (object === undefined) throw noSuchKey(context)
    try {
      const { range, ...reply } = describe(request, store, object.record)
      if (reply.status === 304) {
        object.close()
        return reply
      }
      return { ...reply, body: { object, start: range?.start ?? 0, length: range?.length ?? object.record.size } }
    } catch (error) {
      object.close()
      throw error
    }
  },
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html */
export const headObject: Operation = {
  name: 'HeadObject',
  method: 'HEAD',
  action: 's3:GetObject',
  target: 'object',
  query: QUERY,
  headers: HEADERS,
  handle(context): Reply {
    const { request, store } = context
    refuseVersion(request)
    const record = store.record(request.bucket, request.key)
    if (record === undefined) throw noSuchKey(context)
    const { status, headers } = describe(request, store, record)
    return { status, headers }
  },
}

type Description = {
  readonly status: number
  readonly headers: Record<string, string>
  readonly range: ByteRange | undefined
}

/** Status and headers of the answer, from conditions and range; the same for both. */
function describe(request: S3Request, store: FolderStore, record: ObjectRecord): Description {
  const headers = objectHeaders(record, request)
  const tags = store.tags(request.bucket, record)
  if (Object.keys(tags).length > 0) headers['x-amz-tagging-count'] = String(Object.keys(tags).length)
  const lifecycle = store.bucket(request.bucket)?.settings.lifecycle
  const expiration = lifecycle === undefined ? undefined : expirationHeader(lifecycle, { ...record, tags: () => tags })
  if (expiration !== undefined) headers['x-amz-expiration'] = expiration
  if (isNotModified(request, record)) {
    const kept = ['etag', 'last-modified', 'cache-control', 'expires']
    const some = Object.entries(headers).filter(([name]) => kept.includes(name))
    return { status: 304, headers: Object.fromEntries(some), range: undefined }
  }
  const part = partRange(request, record)
  if (part !== undefined && record.parts !== undefined) headers['x-amz-mp-parts-count'] = String(record.parts.length)
  const range =
    part ?? (rangeApplies(request, record) ? parseRange(request.headers.get('range'), record.size) : undefined)
  headers['content-length'] = String(range?.length ?? record.size)
  if (range === undefined) return { status: 200, headers, range }
  if (range.length > 0)
    headers['content-range'] = `bytes ${range.start}-${range.start + range.length - 1}/${record.size}`
  // The stored checksum is of the whole object; a client would hold it against the part.
  for (const name of Object.keys(headers)) if (name.startsWith('x-amz-checksum-')) delete headers[name]
  return { status: 206, headers, range }
}

/** The bytes that `?partNumber` asks for. A whole put is one part. */
function partRange(request: S3Request, record: ObjectRecord): ByteRange | undefined {
  if (queryValue(request, 'partNumber') === undefined) return undefined
  const number = partNumber(request)
  if (request.headers.has('range')) {
    throw new S3Error('InvalidRequest', 'Cannot specify both Range header and partNumber query parameter')
  }
  const parts = record.parts ?? [{ size: record.size }]
  const part = parts[number - 1]
  if (part === undefined) {
    throw new S3Error('InvalidPartNumber', undefined, {
      PartNumberRequested: String(number),
      ActualPartCount: String(parts.length),
    })
  }
  const start = parts.slice(0, number - 1).reduce((sum, { size }) => sum + size, 0)
  return { start, length: part.size }
}

/** "If you don't have the s3:ListBucket permission, Amazon S3 returns an HTTP status code 403" for a key that is not there. */
function noSuchKey({ request, authorize }: Context): S3Error {
  authorize('s3:ListBucket', { key: '' })
  return new S3Error('NoSuchKey', undefined, { Key: request.key })
}
