import { createRoute, z } from '@hono/zod-openapi'
import {
  assetJson,
  assetOutput,
  bearer,
  commonProblems,
  type HttpContext,
  type HttpExtension,
  json,
  jsonBodyLimit,
  problem,
  readJsonBody,
  refuseOtherOwner,
  requireService,
  uploadJson,
  uploadTicketOutput,
} from '../../http/index.ts'
import { type Asset, type ImportSource, KeepsakeError } from '../../index.ts'
import { testConnection } from './connection.ts'
import { checkParents, lineage, type StageOptions, saveStage, stageUrl } from './pipeline.ts'
import { collectionNames, collectionOf, jobPattern, stages } from './stages.ts'
import { saveThumb } from './thumb.ts'

const tags = ['Recipe: product photos']

const stage = z.enum([...stages, 'temp']).openapi({ param: { name: 'stage', in: 'path' }, example: 'originals' })
const job = z
  .string()
  .regex(jobPattern, 'must have 1 to 128 letters, digits and the characters . _ -')
  .openapi({ param: { name: 'job', in: 'path' }, example: 'job_7' })
const asset = z.object({ id: z.string().openapi({ param: { name: 'id', in: 'path' }, format: 'uuid' }) })
const expiresIn = z.coerce.number().int().min(1).max(3600).optional().openapi({ description: 'Seconds.' })

const made = {
  parents: z.array(z.string().max(255)).max(1000).optional().openapi({
    description: 'Ids of what it was made from: of a composite its original, mask and background.',
  }),
  provenance: z
    .strictObject({
      provider: z.string().optional(),
      model: z.string().optional(),
      prompt: z.string().optional(),
      settings: z.record(z.string(), z.json()).optional().openapi({ type: 'object', additionalProperties: true }),
      seed: z.union([z.string(), z.number()]).optional(),
      requestId: z.string().optional(),
    })
    .optional(),
  owner: z.string().min(1).max(256).optional(),
  filename: z.string().max(1024).optional(),
}

const sources = ['url', 'base64', 'dataUri'] as const
const saveInput = z
  .strictObject({ ...made, url: z.string().optional(), base64: z.string().optional(), dataUri: z.string().optional() })
  .refine((body) => sources.filter((name) => body[name] !== undefined).length === 1, {
    message: `needs exactly one of ${sources.join(', ')}`,
  })
  .openapi('StageInput')

const body = <Schema extends z.ZodType>(schema: Schema) => ({
  required: true as const,
  content: { 'application/json': { schema } },
})

/** For an API key: another user's job may be called the same. */
const owner = z.string().min(1).max(256).optional().openapi({ description: 'For an API key: whose job.' })

const refusals = {
  ...commonProblems,
  403: problem('`forbidden`, `quota_exceeded`'),
  404: problem('`asset_not_found`'),
  413: problem('`request_too_large`, `content_too_large`'),
  422: problem('`content_type_refused`, `source_gone`, `source_forbidden` …'),
}

const saveRoute = (limit: number) =>
  createRoute({
    method: 'post',
    path: '/jobs/{job}/{stage}',
    operationId: 'saveStage',
    tags,
    summary: 'Keep what a stage of a job made',
    description: 'Masks, composites and thumbs name their `parents`. What goes to `temp` is kept for seven days.',
    security: bearer,
    middleware: [readJsonBody(limit)] as const,
    request: { params: z.object({ job, stage }), body: body(saveInput) },
    responses: { 201: json(assetOutput, 'Stored.'), 202: json(assetOutput, 'Pending.'), ...refusals },
  })

const uploadInput = z
  .strictObject({ ...made, contentType: z.string().min(1).max(300), size: z.int().min(0) })
  .openapi('StageUpload')

const uploadRoute = createRoute({
  method: 'post',
  path: '/jobs/{job}/{stage}/uploads',
  operationId: 'uploadStage',
  tags,
  summary: 'A presigned link to upload to a stage',
  description: 'Send the file as `upload` says, then `POST /v1/uploads/{id}/complete`.',
  security: bearer,
  middleware: [readJsonBody(256 * 1024)] as const,
  request: { params: z.object({ job, stage }), body: body(uploadInput) },
  responses: {
    201: json(z.strictObject({ asset: assetOutput, upload: uploadTicketOutput }), 'A ticket.'),
    ...refusals,
  },
})

const jobRoute = createRoute({
  method: 'get',
  path: '/jobs/{job}',
  operationId: 'getJob',
  tags,
  summary: 'What a job made, by stage, newest first',
  security: bearer,
  request: { params: z.object({ job }), query: z.strictObject({ owner }) },
  responses: {
    200: json(z.strictObject({ job: z.string(), stages: z.record(z.string(), z.array(assetOutput)) }), 'The stages.'),
    ...commonProblems,
  },
})

const urlRoute = createRoute({
  method: 'get',
  path: '/jobs/{job}/{stage}/url',
  operationId: 'stageUrl',
  tags,
  summary: 'A link that opens the newest image of a stage',
  security: bearer,
  request: { params: z.object({ job, stage }), query: z.strictObject({ expiresIn, owner }) },
  responses: {
    200: json(z.strictObject({ id: z.string(), url: z.string(), expiresAt: z.string() }), 'The link.'),
    ...commonProblems,
    404: problem('`asset_not_found`'),
  },
})

const lineageRoute = createRoute({
  method: 'get',
  path: '/assets/{id}/lineage',
  operationId: 'lineage',
  tags,
  summary: 'What an image was made from, and what came of it',
  security: bearer,
  request: { params: asset },
  responses: {
    200: json(
      z.strictObject({
        asset: assetOutput,
        ancestors: z.array(assetOutput),
        descendants: z.array(assetOutput),
        gone: z.array(z.string()).openapi({ description: 'Ids of ancestors that were deleted since.' }),
      }),
      'The lineage.',
    ),
    ...commonProblems,
    404: problem('`asset_not_found`'),
  },
})

const thumbRoute = createRoute({
  method: 'post',
  path: '/assets/{id}/thumb',
  operationId: 'makeThumb',
  tags,
  summary: 'Make a thumb of an image',
  security: bearer,
  request: {
    params: asset,
    query: z.strictObject({
      size: z.coerce.number().int().min(16).max(2048).optional().openapi({ description: 'Pixels of the longer side.' }),
    }),
  },
  responses: { 201: json(assetOutput, 'The thumb.'), ...refusals, 409: problem('`asset_not_stored`') },
})

const connectionRoute = createRoute({
  method: 'get',
  path: '/connection',
  operationId: 'testConnection',
  tags,
  summary: 'Whether the bucket can be written and read',
  description: 'The document’s connection test, for an API key.',
  security: bearer,
  responses: {
    200: json(z.strictObject({ ok: z.boolean(), message: z.string() }), 'What its script prints.'),
    ...commonProblems,
    403: problem('`forbidden`'),
  },
})

export const addProductRoutes: HttpExtension['routes'] = (app, keepsake) => {
  const limit = jsonBodyLimit(keepsake.collections.get(collectionOf('originals'))?.maxSize ?? 0)

  app.openapi(saveRoute(limit), async (c) => {
    const { job, stage } = c.req.valid('param')
    const { url, base64, dataUri, ...given } = c.req.valid('json')
    const source: ImportSource =
      url !== undefined ? { url } : dataUri === undefined ? { base64: base64 ?? '' } : { dataUri }
    const saved = await saveStage(c.get('verbs'), job, stage, source, optionsOf(c, given))
    return c.json(assetJson(saved), saved.state === 'stored' ? 201 : 202)
  })

  app.openapi(uploadRoute, async (c) => {
    const { job, stage } = c.req.valid('param')
    const { contentType, size, ...given } = c.req.valid('json')
    const { parents = [], provenance, ...rest } = optionsOf(c, given)
    await checkParents(c.get('verbs'), stage, parents)
    const request = { contentType, size, attributes: { job }, provenance: { ...provenance, parents }, ...rest }
    const { asset, upload } = await c.get('verbs').upload(collectionOf(stage), request)
    if (upload === null) throw new KeepsakeError('upload_closed', 'This upload is over: its image is stored.')
    return c.json({ asset: assetJson(asset), upload: uploadJson(upload) }, 201)
  })

  app.openapi(jobRoute, async (c) => {
    const { job } = c.req.valid('param')
    const { owner } = c.req.valid('query')
    refuseOtherOwner(c.get('actor'), owner)
    const found = await Promise.all(
      [...stages, 'temp' as const].map(async (name) => {
        const { assets } = await c.get('verbs').list(collectionOf(name), { owner, attributes: { job }, limit: 1000 })
        return [name, assets.map(assetJson)] as const
      }),
    )
    return c.json({ job, stages: Object.fromEntries(found) }, 200)
  })

  app.openapi(urlRoute, async (c) => {
    const { job, stage } = c.req.valid('param')
    const { expiresIn, owner } = c.req.valid('query')
    refuseOtherOwner(c.get('actor'), owner)
    const link = await stageUrl(c.get('verbs'), job, stage, { expiresIn, owner })
    return c.json({ id: link.id, url: link.url, expiresAt: link.expiresAt.toISOString() }, 200)
  })

  app.openapi(lineageRoute, async (c) => {
    const { asset, ancestors, descendants, gone } = await lineage(c.get('verbs'), (await find(c)).id)
    const all = { ancestors: ancestors.map(assetJson), descendants: descendants.map(assetJson), gone: [...gone] }
    return c.json({ asset: assetJson(asset), ...all }, 200)
  })

  app.openapi(thumbRoute, async (c) => {
    const thumb = await saveThumb(c.get('verbs'), (await find(c)).id, c.req.valid('query').size)
    return c.json(assetJson(thumb), 201)
  })

  app.openapi(connectionRoute, async (c) => {
    requireService(c.get('actor'), 'The connection test')
    return c.json(await testConnection(keepsake), 200)
  })
}

type Given = Omit<z.output<typeof saveInput>, (typeof sources)[number]>

function optionsOf(c: HttpContext, { parents, provenance, owner, filename }: Given): StageOptions {
  refuseOtherOwner(c.get('actor'), owner)
  return { parents, provenance, owner, filename, idempotencyKey: c.req.header('idempotency-key') }
}

/** @throws `asset_not_found`, also for an asset of another collection. */
async function find(c: HttpContext): Promise<Asset> {
  const asset = await c.get('verbs').get(c.req.param('id') ?? '')
  if (collectionNames.some((name) => name === asset.collection)) return asset
  throw new KeepsakeError('asset_not_found', 'There is no such product photo.')
}
