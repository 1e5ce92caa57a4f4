import { z } from '@hono/zod-openapi'
import { type Asset, KeepsakeError } from '../../index.ts'

/** The document's own words on the wire. */

const text = (max: number) => z.string().trim().min(1, 'must not be empty').max(max)

const userId = text(256).optional().openapi({
  description: 'Whose it is: needed with an API key. A token’s is its own `sub`.',
  example: 'user123',
})

export const uploadUrlInput = z
  .object({
    file_extension: text(10).openapi({ example: 'webm' }),
    content_type: text(200).openapi({ example: 'audio/webm' }),
    file_size: z
      .int()
      .min(1)
      .optional()
      .openapi({ description: 'Bytes. Where it is said, the link takes a body of that length alone.' }),
    user_id: userId,
  })
  .openapi('EchoUploadUrlRequest')

export const uploadUrlOutput = z
  .strictObject({
    upload_url: z
      .string()
      .openapi({ description: 'PUT the file here, with the headers below and no other `x-amz-` one.' }),
    echo_id: z.string().openapi({ format: 'uuid' }),
    s3_key: z.string().openapi({ example: 'user123/2025/06/28/0197b7a2-7a11-7b52-8c3d-0123456789ab.webm' }),
    expires_in: z.int().openapi({ description: 'Seconds.', example: 3600 }),
    headers: z.record(z.string(), z.string()).openapi({ example: { 'Content-Type': 'audio/webm' } }),
    max_file_size: z.int().openapi({ description: 'Bytes.', example: 10_485_760 }),
  })
  .openapi('EchoUploadUrl')

const location = z
  .strictObject({ lat: z.number().min(-90).max(90), lng: z.number().min(-180).max(180), address: text(200).optional() })
  .openapi('EchoLocation')

export const createInput = z
  .object({
    echo_id: text(64).optional().openapi({ description: 'Of the upload URL; may stand in the query.' }),
    s3_key: text(1024).optional().openapi({ description: 'In place of the id.' }),
    emotion: text(50).optional(),
    tags: z
      .array(z.string())
      .max(10)
      .transform((tags) =>
        [...new Set(tags.map((tag) => tag.trim().toLowerCase().slice(0, 50)))].filter((tag) => tag !== ''),
      )
      .optional(),
    transcript: text(1000).optional(),
    detected_mood: text(50).optional(),
    location: location.optional(),
    file_extension: text(10).optional(),
    duration_seconds: z.number().min(0).optional().openapi({ description: 'Taken, and measured anew by the file.' }),
  })
  .openapi('EchoCreate')

export const createQuery = z.object({ echo_id: text(64).optional() })

const time = z.string().openapi({ format: 'date-time', example: '2025-06-28T15:00:00.000Z' })

export const echoOutput = z
  .strictObject({
    echo_id: z.string().openapi({ format: 'uuid' }),
    user_id: z.string(),
    s3_key: z.string(),
    s3_url: z.string().openapi({ example: 's3://echoes-audio-dev/user123/2025/06/28/0197….webm' }),
    audio_url: z.string().nullable().openapi({ description: 'A signed link that opens the sound now.' }),
    content_type: z.string().nullable(),
    file_size: z.int().nullable().openapi({ description: 'Bytes.' }),
    duration_seconds: z.number().nullable(),
    emotion: z.string().nullable(),
    tags: z.array(z.string()),
    transcript: z.string().nullable(),
    detected_mood: z.string().nullable(),
    location: location.nullable(),
    timestamp: time,
    created_at: time,
  })
  .openapi('Echo')

export const echoListOutput = z
  .strictObject({
    echoes: z.array(echoOutput),
    page_size: z.int(),
    has_more: z.boolean(),
    next_key: z.string().nullable(),
  })
  .openapi('EchoList')

const date = z.iso
  .datetime({ local: true, offset: true, error: 'must be an ISO time such as 2025-06-28T15:00:00Z' })
  .transform((value) => new Date(/(?:Z|[+-]\d\d:?\d\d)$/.test(value) ? value : `${value}Z`))
  .openapi({ type: 'string', format: 'date-time', description: 'UTC where it has no zone.' })

export const listQuery = z.object({
  user_id: userId,
  emotion: text(50).optional(),
  start_date: date.optional(),
  end_date: date.optional(),
  page_size: z
    .string()
    .regex(/^([1-9]\d?|100)$/, 'must be an integer from 1 to 100')
    .transform(Number)
    .optional()
    .openapi({ type: 'integer', minimum: 1, maximum: 100, default: 20 }),
  next_key: z
    .string()
    .regex(/^[\x21-\x7e]{1,2048}$/, 'must be the next_key of the page before')
    .optional(),
})

export const healthOutput = z
  .strictObject({
    service: z.literal('Echoes'),
    status: z.enum(['healthy', 'unhealthy']),
    bucket: z.string(),
    region: z.string(),
    error: z.string().optional(),
  })
  .openapi('EchoesHealth')

/** What is told of an echo, as attributes. */
export function attributesOf(given: z.output<typeof createInput>): Record<string, string> {
  const { emotion, tags, transcript, detected_mood, location: place } = given
  return {
    ...(emotion === undefined ? {} : { emotion }),
    ...(tags === undefined || tags.length === 0 ? {} : { tags: JSON.stringify(tags) }),
    ...(transcript === undefined ? {} : { transcript }),
    ...(detected_mood === undefined ? {} : { detected_mood }),
    ...(place === undefined ? {} : { location: JSON.stringify(place) }),
  }
}

export function echoJson(asset: Asset, bucket: string): z.infer<typeof echoOutput> {
  const { attributes, key } = asset
  if (key === null) throw new KeepsakeError('asset_not_stored', 'The echo has no file.')
  return {
    echo_id: asset.id,
    user_id: asset.owner,
    s3_key: key,
    s3_url: `s3://${bucket}/${key}`,
    audio_url: asset.url,
    content_type: asset.contentType,
    file_size: asset.size,
    duration_seconds: asset.duration,
    emotion: attributes.emotion ?? null,
    tags: z.array(z.string()).catch([]).parse(parsed(attributes.tags)),
    transcript: attributes.transcript ?? null,
    detected_mood: attributes.detected_mood ?? null,
    location: location.nullable().catch(null).parse(parsed(attributes.location)),
    timestamp: asset.createdAt.toISOString(),
    created_at: (asset.storedAt ?? asset.createdAt).toISOString(),
  }
}

function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? null : JSON.parse(text)
  } catch {
    return null
  }
}
