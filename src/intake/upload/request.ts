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
  size: z.int('must be a whole number of bytes').min(0),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hex digits')
    .optional(),
  partSize: z.int().min(multipartLimits.minPartSize).max(multipartLimits.maxPartSize).optional(),
  ...commonFields,
})

/** What a client announces of a file that it wants to send straight to the bucket. */
export type UploadRequest = CommonRequest & {
  /** What the file is said to be. The bytes decide, once they are here. */
  readonly contentType: string
  /** Bytes, exactly. */
  readonly size: number
  /** SHA-256 of the file, 64 lower-case hex digits, where it is known. */
  readonly sha256?: string
  /** Bytes of a part, 5 MiB to 5 GiB: the file then goes in parts, whatever its size. Default: by the settings. */
  readonly partSize?: number
}

/** A checked upload request. */
export type Upload = CommonFacts & {
  readonly contentType: string
  readonly size: number
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
  const { size, sha256 = null, partSize = null, idempotencyKey } = parsed.data
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
  if (size > multipartLimits.maxSize) {
    throw new KeepsakeError('content_too_large', `The file has ${formatSize(size)}, more than an object can have.`)
  }
  const facts = { ...checkCommon(collection, parsed.data, actor), contentType, size, sha256, partSize }
  if (idempotencyKey === undefined) return { ...facts, idempotency: null }
  const fingerprint = createHash('sha256')
    .update(JSON.stringify(['upload', collection.name, facts]))
    .digest('hex')
  return { ...facts, idempotency: { key: idempotencyKey, fingerprint } }
}
