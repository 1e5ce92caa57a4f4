import { createRoute, type OpenAPIHono, type z } from '@hono/zod-openapi'
import {
  bearer,
  commonProblems,
  type HttpContext,
  type HttpEnv,
  type HttpExtension,
  json,
  readJsonBody,
  refuseOtherOwner,
} from '../../http/index.ts'
import { KeepsakeError } from '../../index.ts'
import { collectionName, ownerFor } from './collection.ts'
import { addGeneratedRoute } from './generated-route.ts'
import { inShape, pendingRetryAfter, refuseInvalid, tags } from './in-shape.ts'
import {
  configurationOutput,
  healthOutput,
  isoTime,
  presignFailure,
  presignInput,
  presignOutput,
  uploadFailure,
  uploadInput,
  uploadOutput,
  uploadPending,
} from './wire.ts'

type Served = Parameters<HttpExtension['routes']>[1]

/** Bytes: the longest URL and three names fit in many times. */
const bodyLimit = 64 * 1024
const expiresIn = 3600

const healthRoute = createRoute({
  method: 'get',
  path: '/health',
  operationId: 'aiContentHealth',
  tags,
  summary: 'Whether the bucket answers',
  description: '200 either way, as `status` tells: `healthy` or `unhealthy`. Load balancers ask `/readyz`.',
  security: bearer,
  responses: { 200: json(healthOutput, 'How it is.'), ...commonProblems },
})

const configureRoute = createRoute({
  method: 'post',
  path: '/configure-bucket',
  operationId: 'aiContentConfigureBucket',
  tags,
  summary: 'How the bucket is accessed',
  description:
    'Changes nothing: looks whether the bucket is private, and says `warning` with the findings where it is not. An API ' +
    'key’s. To set a bucket up: `keepsake bucket apply`.',
  security: bearer,
  responses: { 200: json(configurationOutput, 'How it is.'), ...commonProblems },
})

const presignRoute = createRoute({
  method: 'post',
  path: '/generate-presigned-url',
  operationId: 'aiContentPresign',
  tags,
  summary: 'A fresh signed URL for a key',
  description: 'Of a key that holds an asset now, and one that whoever asks may see. Every URL is in the audit.',
  security: bearer,
  middleware: [inShape(presignFailed), readJsonBody(bodyLimit)] as const,
  request: { body: { required: true, content: { 'application/json': { schema: presignInput } } } },
  responses: {
    200: json(presignOutput, 'The URL.'),
    400: json(presignFailure, '`invalid_request`'),
    404: json(presignFailure, '`asset_not_found`: unknown, or somebody else’s.'),
    409: json(presignFailure, '`asset_not_stored`'),
    503: json(presignFailure, '`catalogue_unavailable`'),
  },
})

const uploadRoute = createRoute({
  method: 'post',
  path: '/test-upload',
  operationId: 'aiContentTestUpload',
  tags,
  summary: 'Keep what is behind a URL',
  description:
    'Fetched through the guard: https, public addresses. 202 where the source or the store is failing: `presigned_url` ' +
    'is the original URL and Keepsake goes on trying.',
  security: bearer,
  middleware: [inShape(uploadFailed), readJsonBody(bodyLimit)] as const,
  request: { body: { required: true, content: { 'application/json': { schema: uploadInput } } } },
  responses: {
    200: json(uploadOutput, 'Stored.'),
    202: json(uploadPending, 'Pending.'),
    400: json(uploadFailure, '`invalid_request`, `invalid_source`'),
    403: json(uploadFailure, '`forbidden`, `quota_exceeded`'),
    413: json(uploadFailure, '`content_too_large`'),
    422: json(uploadFailure, '`source_forbidden`, `source_gone`, `content_type_refused`, `content_mismatch` …'),
    502: json(uploadFailure, '`source_unavailable`'),
  },
})

export function addRoutes(app: OpenAPIHono<HttpEnv>, keepsake: Served): void {
  const { bucket, region } = keepsake.place

  app.openapi(healthRoute, async (c) => {
    const parts = await keepsake.check()
    const primary = parts.find(({ name }) => name === 'primary')
    const success = primary?.ok === true
    const message = success
      ? `Successfully connected to S3 bucket: ${bucket}`
      : `Cannot connect to S3 bucket: ${bucket}. ${primary?.message ?? 'It did not answer.'}`
    const error = success ? {} : { error: primary?.code ?? 'store_unavailable' }
    const details = { success, message, bucket, region, ...error }
    return c.json({ service: 'S3 Storage' as const, status: success ? 'healthy' : 'unhealthy', details } as const, 200)
  })

  app.openapi(configureRoute, async (c) => {
    if (c.get('actor').role === 'user') {
      throw new KeepsakeError('forbidden', 'The bucket’s settings are for an API key: they concern every owner.')
    }
    const exposed = await exposures(keepsake)
    const security = 'All content private by default'
    const details = {
      access_method: 'pre-signed URLs only',
      bucket,
      region,
      max_url_expiration: '1 hour (3600 seconds)',
      security,
    } as const
    const configuration = 'S3 Bucket Configuration' as const
    if (exposed.length > 0) {
      const message = `Bucket ${bucket} is not private: ${exposed.map(({ title }) => title).join('; ')}`
      const found = { ...details, security: 'Not private', findings: exposed }
      return c.json({ configuration, status: 'warning' as const, message, details: found }, 200)
    }
    const message = `Bucket ${bucket} is configured for private access with pre-signed URLs`
    return c.json({ configuration, status: 'info' as const, message, details }, 200)
  })

  app.openapi(
    presignRoute,
    async (c) => {
      const { s3_key, expiration } = c.req.valid('json')
      const verbs = c.get('verbs')
      const { id } = await verbs.getByKey(s3_key)
      const { url, expiresAt } = await verbs.url(id, { expiresIn: expiration, fresh: true })
      const details = {
        s3_key,
        bucket,
        expires_in_seconds: expiration,
        expires_at: isoTime(expiresAt),
        generated_at: isoTime(new Date(expiresAt.getTime() - expiration * 1000)),
      }
      const answer = { presigned_url_generation: 'Success', status: 'success', presigned_url: url } as const
      return c.json({ ...answer, details }, 200)
    },
    refuseInvalid,
  )

  app.openapi(
    uploadRoute,
    async (c) => {
      const { test_url, wallet_address, agent_id, model_name, content_type, owner: named } = c.req.valid('json')
      refuseOtherOwner(c.get('actor'), named)
      const verbs = c.get('verbs')
      const owner = ownerFor(c.get('actor'), wallet_address, named)
      const asset = await verbs.import(collectionName, {
        source: { url: test_url },
        attributes: { wallet: wallet_address, agent: agent_id, model: model_name },
        provenance: { model: model_name },
        ...(owner === undefined ? {} : { owner }),
      })
      if (asset.state !== 'stored' || asset.key === null) {
        c.header('Retry-After', String(pendingRetryAfter))
        const why = asset.problem?.message ?? 'It takes long.'
        const details = {
          asset_id: asset.id,
          bucket,
          message: `Not in the bucket yet: ${why} Keepsake goes on trying.`,
          access_method: 'original URL (fallback)',
        } as const
        const answer = { test: 'S3 Upload Test', status: 'pending', original_url: test_url } as const
        return c.json({ ...answer, presigned_url: asset.url ?? test_url, details }, 202)
      }
      // By the type and not the kind, which of an SVG is `other`.
      if (content_type !== undefined && !asset.contentType?.startsWith(`${content_type}/`)) {
        await verbs.delete(asset.id)
        throw new KeepsakeError(
          'content_mismatch',
          `The content is ${asset.contentType}, as its first bytes say; ${content_type} was announced.`,
        )
      }
      const { url, expiresAt } = await verbs.url(asset.id, { expiresIn, fresh: true })
      const details = {
        s3_key: asset.key,
        bucket,
        file_size: asset.size ?? 0,
        uploaded_at: isoTime(asset.storedAt ?? asset.createdAt),
        expires_at: isoTime(expiresAt),
        expires_in_seconds: expiresIn,
        access_method: 'pre-signed URL (private bucket)',
      } as const
      const answer = { test: 'S3 Upload Test', status: 'success', original_url: test_url } as const
      return c.json({ ...answer, presigned_url: url, details }, 200)
    },
    refuseInvalid,
  )

  addGeneratedRoute(app, keepsake)
}

/** Whether anybody may read or write the bucket, by AWS Security Hub's controls; what could not be seen is not counted. */
async function exposures(keepsake: Served) {
  const { findings } = await keepsake.doctor({ only: ['S3.2', 'S3.3'] })
  return findings.filter(({ status }) => status === 'fail').map(({ id, title, fix }) => ({ id, title, fix }))
}

function presignFailed({ code, message: error }: KeepsakeError): z.infer<typeof presignFailure> {
  return { presigned_url_generation: 'Failed', status: 'failed', error, code }
}

async function uploadFailed(
  { code, message: error }: KeepsakeError,
  c: HttpContext,
): Promise<z.infer<typeof uploadFailure>> {
  const body = uploadInput.pick({ test_url: true }).safeParse(await c.req.json().catch(() => undefined))
  return { test: 'S3 Upload Test', status: 'failed', original_url: body.data?.test_url ?? null, error, code }
}
