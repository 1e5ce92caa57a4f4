import { KeepsakeError } from '../../media/index.ts'
import type { CheckedBody, ObjectSettings } from '../object-store.ts'
import { encodeMetadata } from './metadata.ts'

/** What is kept beside the bytes, as headers of PutObject, CreateMultipartUpload and CopyObject. */
export function settingsHeaders(settings: ObjectSettings): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': settings.contentType,
    ...encodeMetadata(settings.metadata ?? {}),
  }
  if (settings.cacheControl !== undefined) headers['cache-control'] = settings.cacheControl
  if (settings.contentDisposition !== undefined) headers['content-disposition'] = settings.contentDisposition
  return headers
}

/** @throws {KeepsakeError} `invalid_request` */
export function checkSha256({ sha256 }: Pick<CheckedBody, 'sha256'>): void {
  if (/^[0-9a-f]{64}$/.test(sha256)) return
  throw new KeepsakeError('invalid_request', 'sha256 is not 64 lower-case hex digits.')
}

/** AWS writes checksums in base64. */
export function base64Sha256(sha256: string): string {
  return Buffer.from(sha256, 'hex').toString('base64')
}

export function hexSha256(base64: string | undefined): string | undefined {
  return base64 && /^[A-Za-z0-9+/]{43}=$/.test(base64) ? Buffer.from(base64, 'base64').toString('hex') : undefined
}
