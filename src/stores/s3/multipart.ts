import { hash } from 'node:crypto'
import { KeepsakeError } from '../../media/index.ts'
import { checkPartNumber, checkParts, checkUpload } from '../multipart-checks.ts'
import { multipartEtag } from '../multipart-etag.ts'
import { checkObjectKey } from '../object-key.ts'
import type {
  CallOptions,
  CompleteMultipartOptions,
  CreateMultipartRequest,
  MultipartPart,
  MultipartUpload,
  PutPartRequest,
} from '../object-store.ts'
import { quotedEtag, sendForAnswer, unreadable } from './answers.ts'
import { emptySha256 } from './canonical.ts'
import type { S3Client, S3Request } from './client.ts'
import { createOnlyHeaders } from './create-only.ts'
import { headObject } from './head.ts'
import { listParts } from './multipart-list.ts'
import { base64Sha256, checkSha256, settingsHeaders } from './object-headers.ts'
import { escapeXml } from './xml.ts'

/**
 * AWS: "Processing of a CompleteMultipartUpload request could take several minutes to finalize." Other stores join the
 * parts before they say a word.
 */
const completeMillis = 5 * 60_000

/** @param kept further headers, of an object that is copied */
export async function createMultipart(
  client: S3Client,
  request: CreateMultipartRequest,
  kept: Readonly<Record<string, string>> = {},
): Promise<MultipartUpload> {
  const { key, signal } = request
  checkObjectKey(key)
  const headers: Record<string, string> = { ...kept, ...settingsHeaders(request) }
  const keepsSha256 = (request.keepSha256 ?? false) && (await client.learnCapabilities(signal)).checksums
  if (keepsSha256) headers['x-amz-checksum-algorithm'] = 'SHA256'
  const sent: S3Request = {
    method: 'POST',
    key,
    query: [['uploads', '']],
    headers,
    payloadHash: emptySha256,
    signal,
  }
  const { fields } = await sendForAnswer(client, sent, 'InitiateMultipartUploadResult')
  const { UploadId: uploadId } = fields
  if (!uploadId) throw unreadable(sent, 'it has no UploadId')
  return { key, uploadId, keepsSha256 }
}

export async function putPart(
  client: S3Client,
  upload: MultipartUpload,
  request: PutPartRequest,
): Promise<MultipartPart> {
  const { partNumber, body, size, sha256, signal } = request
  checkUpload(upload)
  checkPartNumber(partNumber)
  checkSha256(request)
  const received = await client.sendForHeaders({
    method: 'PUT',
    key: upload.key,
    query: partQuery(upload, partNumber),
    headers: upload.keepsSha256 ? { 'x-amz-checksum-sha256': base64Sha256(sha256) } : {},
    body: { content: body, size },
    payloadHash: sha256,
    signal,
  })
  return { partNumber, etag: quotedEtag(received.etag), ...(upload.keepsSha256 ? { sha256 } : {}) }
}

export async function completeMultipart(
  client: S3Client,
  upload: MultipartUpload,
  parts: readonly MultipartPart[],
  options: CompleteMultipartOptions,
): Promise<{ readonly etag: string }> {
  checkUpload(upload)
  checkParts(upload.key, parts)
  const { key } = upload
  const { signal, size, createOnly = true } = options
  const headers: Record<string, string> = { 'content-type': 'application/xml' }
  if (createOnly) Object.assign(headers, await createOnlyHeaders(client, 'complete', key, signal))
  const { completeSize } = await client.learnCapabilities(signal)
  if (size !== undefined && completeSize) headers['x-amz-mp-object-size'] = String(size)
  const content = Buffer.from(completeXml(parts))
  const request: S3Request = {
    method: 'POST',
    key,
    query: [['uploadId', upload.uploadId]],
    headers,
    body: { content, size: content.length },
    payloadHash: hash('sha256', content, 'hex'),
    stallMillis: Math.max(completeMillis, client.stallMillis),
    signal,
  }
  try {
    if (size !== undefined && !completeSize) await makeSureOfSize(client, upload, parts, size, signal)
    const { fields } = await sendForAnswer(client, request, 'CompleteMultipartUploadResult')
    // radosgw 16 leaves the tag empty.
    return { etag: quotedEtag(fields.ETag) || (multipartEtag(parts) ?? '') }
  } catch (error) {
    const etag = await completedBefore(client, upload, parts, error, signal)
    if (etag !== undefined) return { etag }
    // AWS, x-amz-mp-object-size: a mismatch is an InvalidRequest, as much else is.
    if (size !== undefined && KeepsakeError.is(error) && error.details.s3Code === 'InvalidRequest') {
      await makeSureOfSize(client, upload, parts, size, signal)
    }
    // radosgw 16 has no better word for an upload that is not there.
    if (KeepsakeError.is(error) && error.details.s3Code === 'InternalError')
      await makeSureOfUpload(client, upload, signal)
    throw error
  }
}

async function makeSureOfUpload(
  client: S3Client,
  upload: MultipartUpload,
  signal: AbortSignal | undefined,
): Promise<void> {
  for await (const _ of listParts(client, upload, { pageSize: 1, ...(signal ? { signal } : {}) })) return
}

/** @throws {KeepsakeError} `content_mismatch` where the parts that are named make up another size. */
async function makeSureOfSize(
  client: S3Client,
  upload: MultipartUpload,
  parts: readonly MultipartPart[],
  size: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const named = new Set(parts.map(({ partNumber }) => partNumber))
  let found = 0
  for await (const part of listParts(client, upload, signal ? { signal } : {})) {
    if (named.has(part.partNumber)) found += part.size
  }
  if (found === size) return
  throw new KeepsakeError(
    'content_mismatch',
    `The parts of '${upload.key}' make up ${found} bytes; ${size} were announced. Nothing was written.`,
  )
}

/** An answer may be lost, and the same request then meets no upload any more. The object tells whether it was ours. */
async function completedBefore(
  client: S3Client,
  { key }: MultipartUpload,
  parts: readonly MultipartPart[],
  error: unknown,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const expected = multipartEtag(parts)
  if (!KeepsakeError.is(error, 'object_missing', 'store_unavailable') || expected === undefined) return undefined
  const head = await headObject(client, key, signal ? { signal } : {})
  return head?.etag === expected ? expected : undefined
}

export async function abortMultipart(
  client: S3Client,
  upload: MultipartUpload,
  { signal }: CallOptions,
): Promise<void> {
  checkUpload(upload)
  const { key, uploadId } = upload
  try {
    await client.sendForHeaders({
      method: 'DELETE',
      key,
      query: [['uploadId', uploadId]],
      payloadHash: emptySha256,
      signal,
    })
  } catch (error) {
    if (!KeepsakeError.is(error, 'object_missing')) throw error
  }
}

export function partQuery({ uploadId }: MultipartUpload, partNumber: number): [name: string, value: string][] {
  return [
    ['partNumber', String(partNumber)],
    ['uploadId', uploadId],
  ]
}

function completeXml(parts: readonly MultipartPart[]): string {
  const inside = parts.map(({ partNumber, etag, sha256 }) => {
    const checksum = sha256 === undefined ? '' : `<ChecksumSHA256>${base64Sha256(sha256)}</ChecksumSHA256>`
    return `<Part>${checksum}<ETag>${escapeXml(etag)}</ETag><PartNumber>${partNumber}</PartNumber></Part>`
  })
  return `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inside.join('')}</CompleteMultipartUpload>`
}
