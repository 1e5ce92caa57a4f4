import { createHash } from 'node:crypto'
import { createChecksum, isChecksumAlgorithm } from '../checksums.ts'
import { openSource, SOURCE_HEADERS } from '../copy-source.ts'
import { S3Error } from '../errors.ts'
import { checksumElements } from '../multipart.ts'
import { storedHeaders, WRITE_HEADERS } from '../object-headers.ts'
import { type Context, type Operation, xmlReply } from '../operation.ts'
import { writeCondition } from '../preconditions.ts'
import { headerValue, type S3Request } from '../request.ts'
import type { ObjectRecord, OpenObject } from '../store/object-file.ts'
import { readSection } from '../store/read-section.ts'
import { element, S3_NAMESPACE, XML_DECLARATION } from '../xml.ts'
import { MAX_SIZE } from './put-object.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html */
export const copyObject: Operation = {
  name: 'CopyObject',
  method: 'PUT',
  action: 's3:PutObject',
  target: 'object',
  copies: true,
  headers: [
    ...WRITE_HEADERS,
    ...SOURCE_HEADERS,
    'x-amz-metadata-directive',
    'x-amz-tagging-directive',
    'x-amz-checksum-algorithm',
  ],
  takesLong: true,
  async handle(context) {
    const source = openSource(context)
    try {
      const { request } = context
      const replaces = directive(request, 'x-amz-metadata-directive')
      const retags = directive(request, 'x-amz-tagging-directive')
      if (source.bucket === request.bucket && source.key === request.key && !replaces) {
        throw new S3Error(
          'InvalidRequest',
          "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
        )
      }
      if (source.object.record.size > MAX_SIZE) {
        throw new S3Error('InvalidRequest', 'The specified copy source is larger than the maximum allowable size.')
      }
      const given = storedHeaders(request)
      const { headers, metadata } = replaces ? given : source.object.record
      const tags = retags ? given.tags : context.store.tags(source.bucket, source.object.record)
      const record = await copy(context, source.object, { headers, metadata, tags })
      return xmlReply(
        `${XML_DECLARATION}<CopyObjectResult xmlns="${S3_NAMESPACE}">` +
          element('LastModified', new Date(record.modified).toISOString()) +
          element('ETag', `"${record.etag}"`) +
          checksumElements(record.checksums) +
          '</CopyObjectResult>',
      )
    } finally {
      source.object.close()
    }
  },
}

async function copy(
  { request, store, now }: Context,
  source: OpenObject,
  stored: Pick<ObjectRecord, 'headers' | 'metadata' | 'tags'>,
): Promise<ObjectRecord> {
  const condition = writeCondition(request)
  // Early, so that nothing is copied in vain; what decides is the same check with the key's lock held.
  condition?.(store.record(request.bucket, request.key))
  const algorithm = checksumAlgorithm(request, source.record)
  const checksum = algorithm === undefined ? undefined : createChecksum(algorithm)
  const md5 = createHash('md5')
  const { size } = source.record
  const upload = store.upload()
  try {
    for await (const bytes of readSection(source, 0, size)) {
      md5.update(bytes)
      checksum?.update(bytes)
      await upload.write(bytes)
    }
    const checksums = algorithm && checksum ? { [algorithm]: checksum.digest().toString('base64') } : {}
    const record = { key: request.key, size, etag: md5.digest('hex'), modified: now(), ...stored, checksums }
    await store.commit(request.bucket, upload, record, condition)
    return record
  } catch (error) {
    await upload.discard()
    throw error
  }
}

/** COPY, the default, or REPLACE. */
function directive(request: S3Request, name: string): boolean {
  const value = headerValue(request, name) ?? 'COPY'
  if (value === 'COPY' || value === 'REPLACE') return value === 'REPLACE'
  throw new S3Error('InvalidArgument', `Unknown ${name}; it must be COPY or REPLACE.`, {
    ArgumentName: name,
    ArgumentValue: value,
  })
}

/** The one asked for, or else of the kind that the source has; the copy is whole, so it is of the whole. */
function checksumAlgorithm(request: S3Request, source: ObjectRecord) {
  const asked = headerValue(request, 'x-amz-checksum-algorithm')?.toLowerCase()
  if (asked !== undefined && !isChecksumAlgorithm(asked)) {
    throw new S3Error('NotImplemented', undefined, { Header: 'x-amz-checksum-algorithm' })
  }
  return asked ?? Object.keys(source.checksums).find(isChecksumAlgorithm)
}
