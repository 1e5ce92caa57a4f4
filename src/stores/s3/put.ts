import { KeepsakeError } from '../../media/index.ts'
import type { PutRequest } from '../object-store.ts'
import type { S3Client } from './client.ts'
import { createOnlyHeaders } from './create-only.ts'
import { base64Sha256, settingsHeaders } from './object-headers.ts'

/** AWS, "Uploading objects": a single PUT takes up to 5 GiB. */
export const maxPutBytes = 5 * 1024 ** 3

/** AWS, PutObject. The key and the hash are checked already. */
export async function putObject(client: S3Client, request: PutRequest): Promise<{ readonly etag: string }> {
  const { key, body, size, sha256, signal } = request
  if (size > maxPutBytes) {
    throw new KeepsakeError('content_too_large', `'${key}' has ${size} bytes; one PUT takes up to ${maxPutBytes}.`)
  }
  const headers = settingsHeaders(request)
  if (client.capabilities.checksums) headers['x-amz-checksum-sha256'] = base64Sha256(sha256)
  if (request.createOnly ?? true) Object.assign(headers, await createOnlyHeaders(client, 'put', key, signal))
  const received = await client.sendForHeaders({
    method: 'PUT',
    key,
    headers,
    body: { content: body, size },
    payloadHash: sha256,
    signal,
  })
  return { etag: received.etag ?? '' }
}
