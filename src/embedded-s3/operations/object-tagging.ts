import { S3Error } from '../errors.ts'
import { type Operation, xmlReply } from '../operation.ts'
import { PAYLOAD_HEADERS } from '../payload.ts'
import type { S3Request } from '../request.ts'
import { MAX_OBJECT_TAGS, parseTags, tagsXml } from '../tags.ts'
import { refuseVersion } from '../versions.ts'
import { parseXml } from '../xml.ts'

const MAX_BODY = 64 * 1024
const common = { target: 'object', subresource: 'tagging', query: ['versionId'] } as const

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectTagging.html */
export const getObjectTagging: Operation = {
  ...common,
  name: 'GetObjectTagging',
  method: 'GET',
  action: 's3:GetObjectTagging',
  handle({ request, store }) {
    refuseVersion(request)
    const record = store.record(request.bucket, request.key)
    if (record === undefined) throw noSuchKey(request)
    return xmlReply(tagsXml(store.tags(request.bucket, record)))
  },
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html */
export const putObjectTagging: Operation = {
  ...common,
  name: 'PutObjectTagging',
  method: 'PUT',
  action: 's3:PutObjectTagging',
  headers: PAYLOAD_HEADERS,
  takesBody: true,
  async handle({ request, store, payload }) {
    refuseVersion(request)
    const tags = parseTags(parseXml((await payload(MAX_BODY).readAll()).toString()), MAX_OBJECT_TAGS)
    if (!(await store.setTags(request.bucket, request.key, tags))) throw noSuchKey(request)
    return { status: 200 }
  },
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjectTagging.html */
export const deleteObjectTagging: Operation = {
  ...common,
  name: 'DeleteObjectTagging',
  method: 'DELETE',
  action: 's3:DeleteObjectTagging',
  async handle({ request, store }) {
    refuseVersion(request)
    if (!(await store.setTags(request.bucket, request.key, {}))) throw noSuchKey(request)
    return { status: 204 }
  },
}

function noSuchKey(request: S3Request): S3Error {
  return new S3Error('NoSuchKey', undefined, { Key: request.key })
}
