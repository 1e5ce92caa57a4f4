import { asSet } from '../canonical.ts'
import type { CorsRule } from '../live/cors.ts'

/** What browsers send with signed uploads and ranged reads. */
const requestHeaders = [
  'cache-control',
  'content-disposition',
  'content-md5',
  'content-type',
  'if-match',
  'if-none-match',
  'if-range',
  'range',
  'x-amz-*',
]

/** What pages may read of an answer besides what every page may. S3 takes no wildcard here. */
const exposedHeaders = [
  'accept-ranges',
  'content-disposition',
  'content-range',
  'etag',
  'x-amz-checksum-crc32',
  'x-amz-checksum-crc32c',
  'x-amz-checksum-crc64nvme',
  'x-amz-checksum-sha1',
  'x-amz-checksum-sha256',
  'x-amz-checksum-type',
  'x-amz-request-id',
  'x-amz-server-side-encryption',
  'x-amz-version-id',
]

/** One rule for all origins: signed links carry the permission, so a page needs no DELETE. */
export function corsRules(origins: readonly string[]): CorsRule[] {
  if (origins.length === 0) return []
  return [
    {
      id: 'keepsake-browser',
      origins: asSet(origins),
      methods: ['GET', 'HEAD', 'POST', 'PUT'],
      headers: asSet(requestHeaders),
      exposed: asSet(exposedHeaders),
      maxAgeSeconds: 3600,
    },
  ]
}
