import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { assetJson } from '../asset-json.ts'
import { readJsonBody } from '../body.ts'
import { type HttpEnv, refuseOtherOwner } from '../env.ts'
import {
  assetOutput,
  completeUploadInput,
  deletingOutput,
  idempotencyKeyText,
  uploadInput,
  uploadOutput,
  uploadPartsInput,
  uploadPartsOutput,
  uploadStatusOutput,
} from '../schema.ts'
import { partJson, ticketJson } from '../upload-json.ts'
import {
  assetParams,
  bearer,
  collectionParams,
  commonProblems,
  json,
  noQuery,
  problem,
  requireAssetId,
} from './contract.ts'

/** Bytes; room for the tags of 10000 parts. */
const bodyLimit = 2 * 1024 * 1024
/** Seconds after which it makes sense to look at a pending asset again. */
const pendingRetryAfter = 5

const ticketRoute = createRoute({
  method: 'post',
  path: '/v1/collections/{collection}/uploads',
  operationId: 'upload',
  tags: ['Uploads'],
  summary: 'A ticket to send a file straight to the bucket',
  description:
    'The file’s bytes do not pass through this server. Up to 16 MiB (the server’s setting) it goes by one signed PUT, ' +
    'larger ones in parts. The asset is `pending` until it is completed; its size counts against the quota at once. ' +
    'The same request under the same `Idempotency-Key` gives fresh links.',
  security: bearer,
  middleware: [readJsonBody(bodyLimit)] as const,
  request: {
    params: collectionParams,
    query: noQuery,
    headers: z.object({ 'Idempotency-Key': idempotencyKeyText.optional() }),
    body: { required: true, content: { 'application/json': { schema: uploadInput } } },
  },
  responses: {
    201: { ...json(uploadOutput, 'The ticket.'), headers: { Location: { schema: { type: 'string' } } } },
    ...commonProblems,
    403: problem('`forbidden`, `quota_exceeded`'),
    404: problem('`collection_not_found`'),
    409: problem('`idempotency_conflict`'),
    410: problem('`asset_gone`: the idempotency key’s upload was aborted'),
    413: problem('`request_too_large`, `content_too_large`'),
    415: problem('`unsupported_media_type`'),
    422: problem('`content_type_refused`, `content_empty`'),
  },
})

const statusRoute = createRoute({
  method: 'get',
  path: '/v1/uploads/{id}',
  operationId: 'uploadStatus',
  tags: ['Uploads'],
  summary: 'What has arrived of an upload, with fresh links',
  description: 'For a client that goes on after a reload. The id is the asset’s.',
  security: bearer,
  request: { params: assetParams, query: noQuery },
  responses: {
    200: json(uploadStatusOutput, 'How far it is.'),
    ...commonProblems,
    404: problem('`asset_not_found`'),
    409: problem('`upload_closed`'),
  },
})

const partsRoute = createRoute({
  method: 'post',
  path: '/v1/uploads/{id}/parts',
  operationId: 'uploadParts',
  tags: ['Uploads'],
  summary: 'Links for more parts',
  security: bearer,
  middleware: [readJsonBody(bodyLimit)] as const,
  request: {
    params: assetParams,
    query: noQuery,
    body: { required: true, content: { 'application/json': { schema: uploadPartsInput } } },
  },
  responses: {
    200: json(uploadPartsOutput, 'The links, in the order asked.'),
    ...commonProblems,
    404: problem('`asset_not_found`'),
    409: problem('`upload_closed`'),
  },
})

const completeRoute = createRoute({
  method: 'post',
  path: '/v1/uploads/{id}/complete',
  operationId: 'completeUpload',
  tags: ['Uploads'],
  summary: 'Verify and store what was sent',
  description:
    'The object is read: its size, its type by its first bytes, its SHA-256. What is wrong is removed, and the asset is ' +
    '`failed`. A body is not needed. 202: reading takes long and goes on by itself; ask for the asset, or complete again. ' +
    'Harmless when repeated.',
  security: bearer,
  middleware: [readJsonBody(bodyLimit, { optional: true })] as const,
  request: {
    params: assetParams,
    query: noQuery,
    body: { required: false, content: { 'application/json': { schema: completeUploadInput } } },
  },
  responses: {
    200: json(assetOutput, 'Stored.'),
    202: {
      ...json(assetOutput, 'Pending: it is being read.'),
      headers: { 'Retry-After': { schema: { type: 'integer' } } },
    },
    ...commonProblems,
    404: problem('`asset_not_found`'),
    409: problem('`upload_incomplete`, with what is missing; `upload_closed`'),
    410: problem('`asset_gone`'),
    422: problem('`content_type_refused`, `content_mismatch`'),
  },
})

const abortRoute = createRoute({
  method: 'delete',
  path: '/v1/uploads/{id}',
  operationId: 'abortUpload',
  tags: ['Uploads'],
  summary: 'Give an upload up',
  description: 'Removes what has arrived. A stored asset is not touched.',
  security: bearer,
  request: { params: assetParams, query: noQuery },
  responses: {
    202: json(deletingOutput, 'The store is failing; Keepsake goes on trying.'),
    204: { description: 'Gone.' },
    ...commonProblems,
    404: problem('`asset_not_found`'),
    409: problem('`upload_closed`: the asset is stored'),
  },
})

export function addUploadRoutes(app: OpenAPIHono<HttpEnv>): void {
  app.openapi(ticketRoute, async (c) => {
    const { filename, ...rest } = c.req.valid('json')
    const idempotencyKey = c.req.valid('header')['Idempotency-Key']
    refuseOtherOwner(c.get('actor'), rest.owner)
    const request = { ...rest, filename: filename === '' ? undefined : filename, idempotencyKey }
    const { asset, upload } = await c.get('verbs').upload(c.req.valid('param').collection, request)
    c.header('Location', `/v1/uploads/${asset.id}`)
    return c.json({ asset: assetJson(asset), upload: upload && ticketJson(upload) }, 201)
  })

  app.openapi(statusRoute, async (c) => {
    const { asset, upload, uploadedParts } = await c.get('verbs').uploadStatus(requireAssetId(c.req.valid('param').id))
    return c.json(
      { asset: assetJson(asset), upload: upload && ticketJson(upload), uploadedParts: [...uploadedParts] },
      200,
    )
  })

  app.openapi(partsRoute, async (c) => {
    const id = requireAssetId(c.req.valid('param').id)
    const parts = await c.get('verbs').uploadParts(id, c.req.valid('json').partNumbers)
    return c.json({ parts: parts.map(partJson) }, 200)
  })

  app.openapi(completeRoute, async (c) => {
    const id = requireAssetId(c.req.valid('param').id)
    const asset = await c.get('verbs').completeUpload(id, c.req.valid('json'))
    if (asset.state === 'stored') return c.json(assetJson(asset), 200)
    c.header('Retry-After', String(pendingRetryAfter))
    return c.json(assetJson(asset), 202)
  })

  app.openapi(abortRoute, async (c) => {
    const id = requireAssetId(c.req.valid('param').id)
    const { done } = await c.get('verbs').abortUpload(id)
    if (done) return c.body(null, 204)
    c.header('Retry-After', String(pendingRetryAfter))
    return c.json({ id, state: 'deleting' as const }, 202)
  })
}
