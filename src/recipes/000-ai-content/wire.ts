import { z } from '@hono/zod-openapi'

/** The document's own words on the wire, and what they are where something is wrong. */

export const requestText = (max: number) => z.string().trim().min(1, 'must not be empty').max(max)

/** UTC with microseconds and no zone, as the document's service writes times. */
export function isoTime(time: Date): string {
  return `${time.toISOString().slice(0, -1)}000`
}

export const time = z.string().openapi({ description: 'UTC.', example: '2024-01-15T15:30:52.123000' })
export const seconds = z.int().openapi({ example: 3600 })

export const healthOutput = z
  .strictObject({
    service: z.literal('S3 Storage'),
    status: z.enum(['healthy', 'unhealthy']),
    details: z.strictObject({
      success: z.boolean(),
      message: z.string().openapi({ example: 'Successfully connected to S3 bucket: burnie-content-storage' }),
      bucket: z.string(),
      region: z.string(),
      error: z.string().optional().openapi({ description: 'The code of what is wrong.', example: 'store_unavailable' }),
    }),
  })
  .openapi('AiContentHealth')

export const configurationOutput = z
  .strictObject({
    configuration: z.literal('S3 Bucket Configuration'),
    status: z.enum(['info', 'warning']),
    message: z.string(),
    details: z.strictObject({
      access_method: z.literal('pre-signed URLs only'),
      bucket: z.string(),
      region: z.string(),
      max_url_expiration: z.literal('1 hour (3600 seconds)'),
      security: z.string(),
      findings: z.array(z.strictObject({ id: z.string(), title: z.string(), fix: z.string() })).optional(),
    }),
  })
  .openapi('AiContentConfiguration')

const expirationMessage = 'must be an integer from 1 to 3600 (seconds)'

export const presignInput = z
  .object({
    s3_key: requestText(1024),
    expiration: z.int(expirationMessage).min(1, expirationMessage).max(3600, expirationMessage).default(3600),
  })
  .openapi('AiContentPresignRequest')

export const presignOutput = z
  .strictObject({
    presigned_url_generation: z.literal('Success'),
    status: z.literal('success'),
    presigned_url: z.string(),
    details: z.strictObject({
      s3_key: z.string(),
      bucket: z.string(),
      expires_in_seconds: seconds,
      expires_at: time,
      generated_at: time,
    }),
  })
  .openapi('AiContentPresigned')

export const presignFailure = z
  .strictObject({
    presigned_url_generation: z.literal('Failed'),
    status: z.literal('failed'),
    error: z.string(),
    code: z.string(),
  })
  .openapi('AiContentPresignFailure')

export const ownerInput = requestText(256).optional().openapi({
  description: 'For an API key: whose it is, as the `sub` of that user’s tokens says it. Default: the wallet.',
})

export const uploadInput = z
  .object({
    test_url: requestText(16_384),
    wallet_address: requestText(256),
    agent_id: requestText(256),
    model_name: requestText(256),
    owner: ownerInput,
    content_type: z
      .enum(['image', 'video'])
      .optional()
      .openapi({ description: 'What is expected; the bytes decide the folder, and other content is refused.' }),
  })
  .openapi('AiContentUploadRequest')

export const uploadOutput = z
  .strictObject({
    test: z.literal('S3 Upload Test'),
    status: z.literal('success'),
    original_url: z.string(),
    presigned_url: z.string(),
    details: z.strictObject({
      s3_key: z.string(),
      bucket: z.string(),
      file_size: z.int().openapi({ description: 'Bytes.', example: 245_760 }),
      uploaded_at: time,
      expires_at: time,
      expires_in_seconds: seconds,
      access_method: z.literal('pre-signed URL (private bucket)'),
    }),
  })
  .openapi('AiContentUploaded')

export const uploadPending = z
  .strictObject({
    test: z.literal('S3 Upload Test'),
    status: z.literal('pending'),
    original_url: z.string(),
    presigned_url: z.string().openapi({ description: 'The original URL, for as long as it lives.' }),
    details: z.strictObject({
      asset_id: z.string(),
      bucket: z.string(),
      message: z.string(),
      access_method: z.literal('original URL (fallback)'),
    }),
  })
  .openapi('AiContentPending')

export const uploadFailure = z
  .strictObject({
    test: z.literal('S3 Upload Test'),
    status: z.literal('failed'),
    original_url: z.string().nullable(),
    error: z.string(),
    code: z.string(),
  })
  .openapi('AiContentUploadFailure')
