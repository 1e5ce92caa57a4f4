import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import {
  bearer,
  type HttpEnv,
  type HttpExtension,
  json,
  jsonBodyLimit,
  readJsonBody,
  refuseOtherOwner,
} from '../../http/index.ts'
import type { Verbs } from '../../index.ts'
import { collectionName, ownerFor } from './collection.ts'
import { inShape, pendingRetryAfter, refuseInvalid, tags } from './in-shape.ts'
import { type KeptGenerated, keepGenerated } from './keep-generated.ts'
import { isoTime, ownerInput, requestText, seconds, time } from './wire.ts'

type Served = Parameters<HttpExtension['routes']>[1]

const expiresIn = 3600

const input = z
  .object({
    response: z.unknown().openapi({
      type: 'object',
      description: 'Of the image API, as it came: OpenAI’s, Gemini’s or Imagen’s, Replicate’s.',
      example: { data: [{ url: 'https://provider.example/out/7f3a.png' }] },
    }),
    wallet_address: requestText(256),
    agent_id: requestText(256),
    model_name: requestText(256).optional().openapi({ description: 'Default: the one that the answer names.' }),
    prompt: z.string().max(32_768).optional(),
    owner: ownerInput,
  })
  .openapi('AiContentGenerated')

const keptOutput = z
  .discriminatedUnion('status', [
    z.strictObject({
      status: z.literal('success'),
      presigned_url: z.string(),
      s3_key: z.string(),
      content_type: z.string(),
      file_size: z.int(),
      expires_at: time,
      expires_in_seconds: seconds,
    }),
    z.strictObject({
      status: z.literal('pending'),
      presigned_url: z.string().nullable().openapi({ description: 'The original URL; null where it came as base64.' }),
      asset_id: z.string(),
      message: z.string(),
    }),
    z.strictObject({
      status: z.literal('failed'),
      original_url: z.string().nullable(),
      error: z.string(),
      code: z.string(),
    }),
  ])
  .openapi('AiContentKept')

const output = z
  .strictObject({
    status: z.enum(['success', 'pending', 'partial']),
    bucket: z.string(),
    results: z.array(keptOutput).openapi({ description: 'In the order of the answer; each by itself.' }),
  })
  .openapi('AiContentGeneratedKept')

const failure = z
  .strictObject({ status: z.literal('failed'), error: z.string(), code: z.string() })
  .openapi('AiContentGeneratedFailure')

const route = (limit: number) =>
  createRoute({
    method: 'post',
    path: '/keep-generated',
    operationId: 'aiContentKeepGenerated',
    tags,
    summary: 'Keep what an image API answered',
    description:
      'Its answer as it came, with URLs or base64. The same answer again gives the same assets. 202 where some of it is ' +
      'pending: `presigned_url` is the original URL then. Where nothing of it can be kept, that is what is answered.',
    security: bearer,
    middleware: [
      inShape(({ code, message: error }): z.infer<typeof failure> => ({ status: 'failed', error, code })),
      readJsonBody(limit),
    ] as const,
    request: { body: { required: true, content: { 'application/json': { schema: input } } } },
    responses: {
      200: json(output, 'Kept.'),
      202: json(output, 'Some of it is pending.'),
      400: json(failure, '`invalid_request`, `invalid_source`: no known shape, or no media in it'),
      403: json(failure, '`forbidden`, `quota_exceeded`'),
      413: json(failure, '`request_too_large`, `content_too_large`'),
      422: json(failure, '`source_forbidden`, `source_gone`, `content_type_refused` …'),
      502: json(failure, '`source_unavailable`'),
    },
  })

/** Beside the document's calls: its generators, for backends in any language. */
export function addGeneratedRoute(app: OpenAPIHono<HttpEnv>, keepsake: Served): void {
  const limit = jsonBodyLimit(keepsake.collections.get(collectionName)?.maxSize ?? 0)
  app.openapi(
    route(limit),
    async (c) => {
      const {
        response,
        wallet_address: wallet,
        agent_id: agent,
        model_name: model,
        prompt,
        ...given
      } = c.req.valid('json')
      refuseOtherOwner(c.get('actor'), given.owner)
      const verbs = c.get('verbs')
      const owner = ownerFor(c.get('actor'), wallet, given.owner)
      const kept = await keepGenerated(verbs, response, {
        wallet,
        agent,
        ...(model === undefined ? {} : { model }),
        ...(prompt === undefined ? {} : { prompt }),
        ...(owner === undefined ? {} : { owner }),
      })
      const [first] = kept
      if (first && 'error' in first && kept.every((one) => 'error' in one)) throw first.error
      const results = await Promise.all(kept.map((one) => resultOf(verbs, one)))
      const all = new Set(results.map(({ status }) => status))
      const status = all.has('failed') ? 'partial' : all.has('pending') ? 'pending' : 'success'
      if (all.has('pending')) c.header('Retry-After', String(pendingRetryAfter))
      return c.json({ status, bucket: keepsake.place.bucket, results } as const, all.has('pending') ? 202 : 200)
    },
    refuseInvalid,
  )
}

async function resultOf(verbs: Verbs, one: KeptGenerated): Promise<z.infer<typeof keptOutput>> {
  if ('error' in one) {
    return { status: 'failed', original_url: one.url, error: one.error.message, code: one.error.code }
  }
  const { id, state, key, url: original, contentType, size, problem } = one.asset
  if (state !== 'stored' || key === null) {
    const message = `Not in the bucket yet: ${problem?.message ?? 'It takes long.'} Keepsake goes on trying.`
    return { status: 'pending', presigned_url: original, asset_id: id, message }
  }
  const { url, expiresAt } = await verbs.url(id, { expiresIn, fresh: true })
  return {
    status: 'success',
    presigned_url: url,
    s3_key: key,
    content_type: contentType ?? '',
    file_size: size ?? 0,
    expires_at: isoTime(expiresAt),
    expires_in_seconds: expiresIn,
  }
}
