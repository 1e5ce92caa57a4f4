import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { KeepsakeError } from '../../media/index.ts'
import { assetJson } from '../asset-json.ts'
import { readJsonBody } from '../body.ts'
import { type HttpEnv, refuseOtherOwner } from '../env.ts'
import type { Metrics } from '../metrics.ts'
import { assetOutput, idempotencyKeyText, importInput } from '../schema.ts'
import { bearer, collectionParams, commonProblems, json, noQuery, problem } from './contract.ts'

/** Seconds after which it makes sense to look at a pending asset again. */
const pendingRetryAfter = 5

const importRoute = (bodyLimit: number) =>
  createRoute({
    method: 'post',
    path: '/v1/collections/{collection}/imports',
    operationId: 'import',
    tags: ['Assets'],
    summary: 'Keep a piece of media',
    description:
      'From a URL that may soon die, a data URI or base64. Answers once the bytes are safe in the bucket and known to ' +
      'the catalogue (201). When the source or the store is failing it answers 202: the asset is `pending`, its `url` ' +
      'is the original one, and Keepsake goes on trying.',
    security: bearer,
    middleware: [readJsonBody(bodyLimit)] as const,
    request: {
      params: collectionParams,
      query: noQuery,
      headers: z.object({ 'Idempotency-Key': idempotencyKeyText.optional() }),
      body: { required: true, content: { 'application/json': { schema: importInput } } },
    },
    responses: {
      201: { ...json(assetOutput, 'Stored.'), headers: { Location: { schema: { type: 'string' } } } },
      202: {
        ...json(assetOutput, 'Pending: Keepsake goes on trying.'),
        headers: { Location: { schema: { type: 'string' } }, 'Retry-After': { schema: { type: 'integer' } } },
      },
      ...commonProblems,
      400: problem('`invalid_request`, `invalid_source`'),
      403: problem('`forbidden`, `quota_exceeded`'),
      404: problem('`collection_not_found`'),
      409: problem('`idempotency_conflict`'),
      410: problem('`asset_gone`: the idempotency key’s asset was deleted'),
      413: problem('`request_too_large`, `content_too_large`'),
      415: problem('`unsupported_media_type`'),
      422: problem('`content_type_refused`, `content_empty`, `content_truncated`, `source_forbidden`, `source_gone`'),
      502: problem('`source_unavailable`, `store_denied`'),
    },
  })

export function addImportRoute(app: OpenAPIHono<HttpEnv>, options: { bodyLimit: number; metrics: Metrics }): void {
  app.openapi(importRoute(options.bodyLimit), async (c) => {
    const { collection } = c.req.valid('param')
    const { source, filename, ...rest } = c.req.valid('json')
    const request = { ...rest, filename: filename === '' ? undefined : filename }
    const idempotencyKey = c.req.valid('header')['Idempotency-Key']
    refuseOtherOwner(c.get('actor'), request.owner)
    try {
      const asset = await c
        .get('verbs')
        .import(collection, { ...request, idempotencyKey, source: importSource(source) })
      options.metrics.countImport(asset.state)
      c.header('Location', `/v1/assets/${asset.id}`)
      if (asset.state === 'stored') return c.json(assetJson(asset), 201)
      c.header('Retry-After', String(pendingRetryAfter))
      return c.json(assetJson(asset), 202)
    } catch (error) {
      options.metrics.countImport(KeepsakeError.from(error).code)
      throw error
    }
  })
}

function importSource(source: z.output<typeof importInput>['source']) {
  if (source.url !== undefined) return { url: source.url, ...(source.expiresAt && { expiresAt: source.expiresAt }) }
  return source.dataUri === undefined ? { base64: source.base64 ?? '' } : { dataUri: source.dataUri }
}
