import { S3Error } from './errors.ts'
import type { Context } from './operation.ts'
import { requireSourceConditions } from './preconditions.ts'
import { percentDecode } from './request.ts'
import type { OpenObject } from './store/object-file.ts'
import { NULL_VERSION, noSuchVersion } from './versions.ts'

/** The headers that say something about the source of a copy. */
export const SOURCE_HEADERS: readonly string[] = [
  'x-amz-copy-source-if-match',
  'x-amz-copy-source-if-none-match',
  'x-amz-copy-source-if-modified-since',
  'x-amz-copy-source-if-unmodified-since',
]

export type CopySource = { readonly bucket: string; readonly key: string; readonly object: OpenObject }

/** Opens what x-amz-copy-source names, if its conditions let it; the caller closes it. */
export function openSource({ request, store, authorize }: Context): CopySource {
  const { bucket, key } = parseSource(request.headers.get('x-amz-copy-source') ?? '')
  if (store.bucket(bucket) === undefined) throw new S3Error('NoSuchBucket', undefined, { BucketName: bucket })
  authorize('s3:GetObject', { bucket, key })
  const object = store.open(bucket, key)
  if (object === undefined) throw new S3Error('NoSuchKey', undefined, { Key: key })
  try {
    requireSourceConditions(request, object.record)
  } catch (error) {
    object.close()
    throw error
  }
  return { bucket, key, object }
}

/** `/bucket/key?versionId=…`, percent-encoded, with or without the first slash. */
function parseSource(header: string): { bucket: string; key: string } {
  const mark = header.lastIndexOf('?versionId=')
  const version = mark < 0 ? NULL_VERSION : header.slice(mark + '?versionId='.length)
  const [, bucket, key] = /^\/?([^/]+)\/(.+)$/s.exec(decode(mark < 0 ? header : header.slice(0, mark))) ?? []
  if (bucket === undefined || key === undefined) {
    throw new S3Error('InvalidArgument', 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey', {
      ArgumentName: 'x-amz-copy-source',
    })
  }
  if (version !== NULL_VERSION) throw noSuchVersion(key, version)
  return { bucket, key }
}

/** Header bytes are one character a byte; those that some clients leave unencoded are encoded first. */
function decode(header: string): string {
  const escaped = header.replace(/[^\x21-\x7e]/g, (char) => `%${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
  return percentDecode(escaped)
}
