import { KeepsakeError } from '../../media/index.ts'
import { checkObjectKey } from '../object-key.ts'
import type { HeadOptions, ObjectHead } from '../object-store.ts'
import { emptySha256 } from './canonical.ts'
import type { S3Client, S3Request } from './client.ts'
import { isWordless } from './errors.ts'
import { decodeMetadata } from './metadata.ts'
import { hexSha256 } from './object-headers.ts'

/** An object's head with the headers that the port does not know. */
export type HeadWithHeaders = ObjectHead & { readonly headers: Readonly<Record<string, string>> }

/** A success within this time (milliseconds) proves well enough that the bucket exists. */
const bucketSeenMillis = 60_000

/** AWS, HeadObject. Undefined where there is no object, in a bucket that is there. */
export async function headObject(
  client: S3Client,
  key: string,
  { signal, checksum = false }: HeadOptions,
): Promise<HeadWithHeaders | undefined> {
  checkObjectKey(key)
  // AWS, HeadObject, x-amz-checksum-mode: asked for only on demand, since an object under KMS then needs kms:Decrypt.
  const asks = checksum && (await client.learnCapabilities(signal)).checksums
  const request: S3Request = {
    method: 'HEAD',
    key,
    payloadHash: emptySha256,
    signal,
    ...(asks ? { headers: { 'x-amz-checksum-mode': 'ENABLED' } } : {}),
  }
  const headers = await headersOf(client, request)
  if (headers === undefined) return undefined
  const { contentLength: _, ...head } = parseHead(key, headers)
  // One made of the parts' hashes ends in their number and says nothing of the whole ("Checking object integrity").
  const sha256 = asks ? hexSha256(headers['x-amz-checksum-sha256']) : undefined
  return { ...head, ...(sha256 === undefined ? {} : { sha256 }), headers }
}

async function headersOf(client: S3Client, request: S3Request): Promise<HeadWithHeaders['headers'] | undefined> {
  try {
    return await client.sendForHeaders(request).catch(async (error: unknown) => {
      if (!KeepsakeError.is(error) || !isWordless(error) || isMissing(error)) throw error
      await askForWords(client, request)
      return await client.sendForHeaders(request)
    })
  } catch (error) {
    if (!isMissing(error)) throw error
  }
  await makeSureOfBucket(client, request.signal)
  return undefined
}

function isMissing(error: unknown): boolean {
  return KeepsakeError.is(error) && error.details.httpStatus === 404
}

/**
 * S3 says to GET, which needs the same permission, what it does not say to HEAD: that the secret is wrong, or the token
 * over. The latter is put right on the way, where there is another.
 */
async function askForWords(client: S3Client, request: S3Request): Promise<void> {
  try {
    await client.sendForHeaders({ ...request, method: 'GET', headers: { range: 'bytes=0-0' } })
  } catch (error) {
    if (KeepsakeError.is(error, 'store_denied')) throw error
  }
}

/** HEAD of an object is 404 without a word also where the bucket is missing, and then nothing is known of objects. */
async function makeSureOfBucket(client: S3Client, signal: AbortSignal | undefined): Promise<void> {
  if (performance.now() - client.lastSuccess < bucketSeenMillis) return
  try {
    await client.sendForHeaders({ method: 'HEAD', payloadHash: emptySha256, signal })
  } catch (error) {
    // Who may read objects may still not be allowed to ask for the bucket; a 403 says that it exists.
    if (!KeepsakeError.is(error) || error.details.httpStatus !== 403) throw error
  }
}

/** What the headers of HEAD and GET say of an object. @throws {KeepsakeError} `store_unavailable` where they do not. */
export function parseHead(
  key: string,
  headers: Readonly<Record<string, string>>,
): ObjectHead & { readonly contentLength: number } {
  const contentLength = wholeNumber(headers['content-length'])
  const total = wholeNumber(/^bytes \d+-\d+\/(\d+)$/.exec(headers['content-range'] ?? '')?.[1])
  const size = headers['content-range'] === undefined ? contentLength : total
  const lastModified = new Date(headers['last-modified'] ?? Number.NaN)
  if (contentLength === undefined || size === undefined || Number.isNaN(lastModified.getTime())) {
    throw new KeepsakeError(
      'store_unavailable',
      `The object store described '${key}' without a proper Content-Length, Content-Range or Last-Modified.`,
    )
  }
  return {
    key,
    size,
    contentLength,
    etag: headers.etag ?? '',
    contentType: headers['content-type'] ?? 'application/octet-stream',
    lastModified,
    metadata: decodeMetadata(headers),
  }
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
