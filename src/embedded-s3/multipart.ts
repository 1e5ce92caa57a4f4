import { type ChecksumAlgorithm, isChecksumAlgorithm } from './checksums.ts'
import { S3Error } from './errors.ts'
import type { Context } from './operation.ts'
import { queryValue, type S3Request } from './request.ts'
import type { MultipartUpload } from './store/multipart-store.ts'
import { element } from './xml.ts'

/** "Part numbers: 1 to 10,000 (inclusive)." */
export const MAX_PARTS = 10_000

/** The upload that a request names. Throws NoSuchUpload, also where it is one of another key. */
export function findUpload({ request, store }: Pick<Context, 'request' | 'store'>): MultipartUpload {
  const upload = store.multipart.find(request.bucket, queryValue(request, 'uploadId') ?? '')
  if (upload === undefined || upload.key !== request.key) throw noSuchUpload(request)
  return upload
}

export function noSuchUpload(request: S3Request): S3Error {
  return new S3Error('NoSuchUpload', undefined, { UploadId: queryValue(request, 'uploadId') ?? '' })
}

export function partNumber(request: S3Request): number {
  const text = queryValue(request, 'partNumber') ?? ''
  if (/^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= MAX_PARTS) return Number(text)
  throw new S3Error('InvalidArgument', 'Part number must be an integer between 1 and 10000, inclusive', {
    ArgumentName: 'partNumber',
    ArgumentValue: text,
  })
}

export function algorithmOf(upload: MultipartUpload): ChecksumAlgorithm | undefined {
  return upload.algorithm !== undefined && isChecksumAlgorithm(upload.algorithm) ? upload.algorithm : undefined
}

/** `<ChecksumCRC32>` and its like. */
export function checksumElements(checksums: Readonly<Record<string, string>>): string {
  return Object.entries(checksums)
    .map(([algorithm, value]) => element(`Checksum${algorithm.toUpperCase()}`, value))
    .join('')
}

/** A number out of the query, for a page of a listing. */
export function pageSize(request: S3Request, name: string, max: number): number {
  const text = queryValue(request, name) || String(max)
  if (/^\d{1,10}$/.test(text) && Number(text) <= 0x7fffffff) return Math.min(Number(text), max)
  throw new S3Error('InvalidArgument', `Argument ${name} must be an integer between 0 and 2147483647`, {
    ArgumentName: name,
    ArgumentValue: text,
  })
}
