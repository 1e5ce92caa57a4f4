import { KeepsakeError } from '../../media/index.ts'
import { checkObjectKey } from '../object-key.ts'
import type { CopyRequest, MultipartPart, ObjectSettings } from '../object-store.ts'
import { type PartRange, partRanges, planParts } from '../part-plan.ts'
import { sendParts } from '../send-parts.ts'
import { quotedEtag, sendForAnswer, unreadable } from './answers.ts'
import { emptySha256 } from './canonical.ts'
import type { S3Client, S3Request } from './client.ts'
import { createOnlyHeaders, refuseTaken } from './create-only.ts'
import { encodeKey } from './encode.ts'
import { type HeadWithHeaders, headObject } from './head.ts'
import { abortMultipart, completeMultipart, createMultipart, partQuery } from './multipart.ts'
import { settingsHeaders } from './object-headers.ts'

export type CopyLimits = {
  /** Bytes above which an object is copied in parts. */
  readonly threshold: number
  readonly partSize: number
  readonly parallel: number
}

/** AWS, CopyObject: "up to 5 GB in size in a single atomic action". */
export const copyLimits: CopyLimits = { threshold: 5 * 1024 ** 3, partSize: 512 * 1024 ** 2, parallel: 8 }

/** A copy is one request, however long the store takes for it; S3 sends blanks meanwhile, others nothing. */
const copyMillis = 5 * 60_000

export async function copyObject(
  client: S3Client,
  request: CopyRequest,
  limits: CopyLimits,
): Promise<{ readonly etag: string }> {
  checkObjectKey(request.source)
  checkObjectKey(request.key)
  const { createOnly = true, signal } = request
  const { createOnly: conditions } = await client.learnCapabilities(signal)
  // A completion of parts can be exact where a copy is not.
  const wantsParts = createOnly && conditions.copy !== 'exact' && conditions.complete === 'exact'
  if (!wantsParts && request.size !== undefined && request.size <= limits.threshold) return copyWhole(client, request)
  const head = await headObject(client, request.source, signal ? { signal } : {})
  if (!head || (request.sourceEtag !== undefined && head.etag !== request.sourceEtag)) {
    throw sourceMissing(client, request)
  }
  // An empty object has no range to copy.
  const inParts = head.size > limits.threshold || (wantsParts && head.size > 0)
  return inParts ? copyInParts(client, request, head, limits) : copyWhole(client, { ...request, sourceEtag: head.etag })
}

/** AWS, CopyObject. */
async function copyWhole(client: S3Client, request: CopyRequest): Promise<{ readonly etag: string }> {
  const { key, settings, createOnly = true, signal } = request
  const headers = sourceHeaders(client, request)
  if (settings) Object.assign(headers, settingsHeaders(settings), { 'x-amz-metadata-directive': 'REPLACE' })
  if (createOnly) Object.assign(headers, await createOnlyHeaders(client, 'copy', key, signal))
  const sent: S3Request = {
    method: 'PUT',
    key,
    headers,
    payloadHash: emptySha256,
    stallMillis: Math.max(copyMillis, client.stallMillis),
    signal,
  }
  try {
    const { fields } = await sendForAnswer(client, sent, 'CopyObjectResult')
    return { etag: quotedEtag(fields.ETag) }
  } catch (error) {
    throw await explain(client, request, error)
  }
}

/** AWS, UploadPartCopy, for what one CopyObject does not take. */
async function copyInParts(
  client: S3Client,
  request: CopyRequest,
  head: HeadWithHeaders,
  { partSize, parallel }: CopyLimits,
): Promise<{ readonly etag: string }> {
  const { key, createOnly = true, signal } = request
  const call = signal ? { signal } : {}
  if (createOnly) await refuseTaken(client, key, signal)
  const { settings = settingsOf(head) } = request
  const upload = await createMultipart(
    client,
    { key, ...settings, ...call },
    request.settings ? {} : furtherSettings(head),
  )
  const ranges = partRanges(head.size, planParts(head.size, partSize))
  const pinned = { ...request, sourceEtag: head.etag }
  return sendParts({
    parts: ranges,
    parallel,
    signal,
    send: (range, signal) => copyPart(client, pinned, partQuery(upload, range.partNumber), range, signal),
    complete: (parts) => completeMultipart(client, upload, parts, { size: head.size, createOnly, ...call }),
    abort: (signal) => abortMultipart(client, upload, { signal }),
  })
}

async function copyPart(
  client: S3Client,
  request: CopyRequest,
  query: [string, string][],
  { partNumber, start, end }: PartRange,
  signal: AbortSignal,
): Promise<MultipartPart> {
  const sent: S3Request = {
    method: 'PUT',
    key: request.key,
    query,
    headers: { ...sourceHeaders(client, request), 'x-amz-copy-source-range': `bytes=${start}-${end - 1}` },
    payloadHash: emptySha256,
    stallMillis: Math.max(copyMillis, client.stallMillis),
    signal,
  }
  const { fields } = await sendForAnswer(client, sent, 'CopyPartResult').catch(async (error: unknown) => {
    throw await explain(client, request, error)
  })
  if (!fields.ETag) throw unreadable(sent, 'it has no ETag')
  return { partNumber, etag: quotedEtag(fields.ETag) }
}

function sourceHeaders(client: S3Client, { source, sourceEtag }: CopyRequest): Record<string, string> {
  return {
    'x-amz-copy-source': `/${client.bucket}/${encodeKey(source)}`,
    ...(sourceEtag === undefined ? {} : { 'x-amz-copy-source-if-match': sourceEtag }),
  }
}

/** A 412 is about the source or about the target, and S3 does not say which; a 404 would name the target. */
async function explain(client: S3Client, request: CopyRequest, error: unknown): Promise<unknown> {
  if (KeepsakeError.is(error) && error.details.s3Code === 'NoSuchKey') return sourceMissing(client, request)
  if (!KeepsakeError.is(error, 'object_exists') || request.sourceEtag === undefined) return error
  const head = await headObject(client, request.source, request.signal ? { signal: request.signal } : {})
  return head?.etag === request.sourceEtag ? error : sourceMissing(client, request)
}

function sourceMissing(client: S3Client, { source, sourceEtag }: CopyRequest): KeepsakeError {
  const which = sourceEtag === undefined ? '' : ` with the tag ${sourceEtag}`
  return new KeepsakeError(
    'object_missing',
    `There is no object '${source}'${which} in ${client.storeName} to copy from. Nothing was written.`,
  )
}

/** What the port does not know, and a CopyObject keeps too: without its encoding, a compressed object is garbage. */
const further = ['content-encoding', 'content-language', 'expires', 'x-amz-website-redirect-location'] as const

function furtherSettings({ headers }: HeadWithHeaders): Record<string, string> {
  return Object.fromEntries(further.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]]])))
}

/** What a CopyObject would have kept by itself, but for tags. */
function settingsOf({ headers, contentType, metadata }: HeadWithHeaders): ObjectSettings {
  const { 'cache-control': cacheControl, 'content-disposition': contentDisposition } = headers
  return {
    contentType,
    metadata,
    ...(cacheControl === undefined ? {} : { cacheControl }),
    ...(contentDisposition === undefined ? {} : { contentDisposition }),
  }
}
