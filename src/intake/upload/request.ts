import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Actor } from '../../catalogue/index.ts'
import {
  acceptsContentType,
  type Collection,
  formatSize,
  KeepsakeError,
  normalizeContentType,
} from '../../media/index.ts'
import { multipartLimits } from '../../stores/index.ts'
import { type CommonFacts, type CommonRequest, checkCommon, commonFields, type Idempotency } from '../request.ts'
import { tooLarge } from '../source-limit.ts'

const uploadSchema = z.strictObject({
  contentType: z.string().regex(/^[\w!#$&^.+-]{1,127}\/[\w!#$&^.+-]{1,127}\s*(;.{0,200})?$/, 'must be a content type'),
  size: z.int('must be a whole number of bytes').min(0).optional(),
  plain: z.boolean().optional(),
  sameType: z.boolean().optional(),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hex digits')
    .optional(),
  partSize: z.int().min(multipartLimits.minPartSize).max(multipartLimits.maxPartSize).optional(),
  ...commonFields,
})

/** Bytes of one PUT (AWS, "Uploading objects"). */
const largestWhole = multipartLimits.maxPartSize

/** What a client announces of a file that it wants to send straight to the bucket. */
export type UploadRequest = CommonRequest & {
  /** What the file is said to be. The bytes decide, once they are here. */
  readonly contentType: string
  /** Bytes, exactly. Only a `plain` upload may do without: it then has as many as the collection takes, at most. */
  readonly size?: number
  /**
   * A ticket for clients that send a file and its `Content-Type`, and know of no other header. What they send waits under
   * `temp/uploads/` and is moved to the asset's key by the completion, so that a link that still lives changes nothing
   * that is stored. Always in one piece. Default: false.
   */
  readonly plain?: boolean
  /** Refuse bytes of another type than was announced, although the collection takes it. Default: false. */
  readonly sameType?: boolean
  /** SHA-256 of the file, 64 lower-case hex digits, where it is known. */
  readonly sha256?: string
  /** Bytes of a part, 5 MiB to 5 GiB: the file then goes in parts, whatever its size. Default: by the settings. */
  readonly partSize?: number
}

/** A checked upload request. */
export type Upload = CommonFacts & {
  readonly contentType: string
  /** Bytes; at most, where `atMost`. */
  readonly size: number
  readonly atMost: boolean
  readonly plain: boolean
  readonly sameType: boolean
  readonly sha256: string | null
  readonly partSize: number | null
  readonly idempotency: Idempotency | null
}

/**
 * Checks an upload request against the collection, as far as the client's word goes.
 *
 * @throws `invalid_request`, `content_type_refused`, `content_too_large`, `content_empty`; `forbidden` where a user
 * names another owner.
 */
export function parseUpload(collection: Collection, request: UploadRequest, actor: Actor): Upload {
  const parsed = uploadSchema.safeParse(request)
  if (!parsed.success) {
    throw new KeepsakeError('invalid_request', `The upload is not valid: ${z.prettifyError(parsed.error)}`)
  }
  const { sha256 = null, partSize = null, plain = false, sameType = false, idempotencyKey } = parsed.data
  const atMost = parsed.data.size === undefined
  if (atMost && !plain) {
    throw new KeepsakeError(
      'invalid_request',
      'The upload is not valid: size is missing. Only a plain upload has none.',
    )
  }
  if (plain && partSize !== null) {
    throw new KeepsakeError('invalid_request', 'A plain upload comes in one piece. Leave partSize out.')
  }
  const { size = Math.min(collection.maxSize, largestWhole) } = parsed.data
  const contentType = normalizeContentType(parsed.data.contentType)
  if (!acceptsContentType(collection.accept, contentType)) {
    throw new KeepsakeError(
      'content_type_refused',
      `The file is announced as ${contentType}. The collection '${collection.name}' accepts: ${collection.accept.join(', ')}.`,
      { details: { contentType } },
    )
  }
  if (size === 0) throw new KeepsakeError('content_empty', 'The file has no bytes. There is nothing to upload.')
  if (size > collection.maxSize) throw tooLarge(collection.maxSize, size)
  if (size > (plain ? largestWhole : multipartLimits.maxSize)) {
    throw new KeepsakeError('content_too_large', `The file has ${formatSize(size)}, more than an object can have.`)
  }
  const facts = { ...checkCommon(collection, parsed.data, actor), contentType, size, sha256, partSize }
  const manner = { atMost, plain, sameType }
  if (idempotencyKey === undefined) return { ...facts, ...manner, idempotency: null }
  const fingerprint = createHash('sha256')
    // What is usual goes unsaid, as in the fingerprints of 0.1.
    .update(JSON.stringify(['upload', collection.name, facts, ...(plain || sameType ? [manner] : [])]))
    .digest('hex')
  return { ...facts, ...manner, idempotency: { key: idempotencyKey, fingerprint } }
}
