import { z } from '@hono/zod-openapi'
import type { Asset } from '../../index.ts'

/** The collection that generations are kept in. */
export const collectionName = 'user-generations'

export const generationType = z
  .string()
  .trim()
  .min(1)
  .max(50)
  .openapi({ description: 'What kind of generation it is, in the app’s own words.', example: 'image' })

const timestamp = z.string().openapi({ format: 'date-time', example: '2026-01-31T12:00:00.000Z' })

/** A row of the document's table, with a link that opens the file now. */
export const generationOutput = z
  .strictObject({
    id: z.string().openapi({ format: 'uuid' }),
    user_id: z.string().openapi({ description: 'Who it belongs to: the `sub` of a JWT.' }),
    generation_type: generationType,
    s3_key: z.string().nullable().openapi({ description: 'Null until the first bytes were seen.' }),
    s3_url: z.string().nullable().openapi({
      description: 'Opens the file now: a signed link, a public one, or, while it is pending, the original.',
    }),
    prompt: z.string().nullable(),
    settings: z.looseObject({}).nullable().openapi({ type: 'object' }),
    file_size: z.int().nullable().openapi({ description: 'Bytes.' }),
    content_type: z.string().nullable().openapi({ description: 'What the bytes are.', example: 'image/png' }),
    created_at: timestamp,
    updated_at: timestamp.openapi({ description: 'When the file was stored.' }),
    state: z.enum(['pending', 'stored', 'failed', 'deleting']),
    s3_url_expires_at: timestamp.nullable().openapi({ description: 'Null for a public link.' }),
  })
  .openapi('Generation')

export function generationJson(asset: Asset): z.output<typeof generationOutput> {
  return {
    id: asset.id,
    user_id: asset.owner,
    generation_type: asset.attributes.generation_type ?? '',
    s3_key: asset.key,
    s3_url: asset.url,
    prompt: asset.provenance.prompt ?? null,
    settings: asset.provenance.settings === undefined ? null : { ...asset.provenance.settings },
    file_size: asset.size,
    content_type: asset.contentType,
    created_at: asset.createdAt.toISOString(),
    updated_at: (asset.storedAt ?? asset.createdAt).toISOString(),
    state: asset.state,
    s3_url_expires_at: asset.urlExpiresAt?.toISOString() ?? null,
  }
}
