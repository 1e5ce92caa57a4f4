import { createRoute, z } from '@hono/zod-openapi'
import {
  bearer,
  commonProblems,
  type HttpContext,
  type HttpExtension,
  invalidRequest,
  json,
  jsonBodyLimit,
  openForm,
  problem,
  readJsonBody,
  refuseOtherOwner,
  uploadJson,
  uploadTicketOutput,
} from '../../http/index.ts'
import { type Asset, type ImportSource, KeepsakeError } from '../../index.ts'
import { collectionName, generationJson, generationOutput, generationType } from './generation.ts'

/** Seconds after which it makes sense to look at a pending generation again. */
const retryAfter = 5

const tags = ['Recipe: generations']

/** What a generation is told to be, whatever brings its bytes. */
const described = {
  generation_type: generationType,
  prompt: z.string().max(32_768).optional().openapi({ example: 'a lighthouse at dusk' }),
  settings: z
    .record(z.string(), z.json())
    .optional()
    .openapi({ type: 'object', additionalProperties: true, example: { steps: 28 } }),
  user_id: z.string().min(1).max(256).optional().openapi({ description: 'For an API key: whose it is.' }),
  filename: z.string().max(1024).optional(),
}

const uploadInput = z
  .strictObject({
    ...described,
    content_type: z.string().min(1).max(300).openapi({ example: 'image/png' }),
    file_size: z.int().min(0).openapi({ description: 'Bytes, exactly.' }),
  })
  .openapi('GenerationUpload')

const fileInput = z.strictObject({
  ...described,
  settings: z
    .string()
    .transform((text, context) => {
      try {
        return JSON.parse(text)
      } catch {
        context.addIssue({ code: 'custom', message: 'is not JSON' })
        return z.NEVER
      }
    })
    .pipe(z.record(z.string(), z.json()))
    .optional(),
})

const sources = ['url', 'base64', 'data_uri'] as const

const createInput = z
  .strictObject({
    ...described,
    url: z.string().min(1).max(16_384).optional().openapi({ description: 'Of the AI provider; it may die soon.' }),
    base64: z.string().optional(),
    data_uri: z.string().optional(),
  })
  .refine((body) => sources.filter((name) => body[name] !== undefined).length === 1, {
    message: `needs exactly one of ${sources.join(', ')}, or upload by itself`,
  })
  .openapi('NewGeneration')

/** An upload said everything else when it was begun. */
const uploadedInput = z.strictObject({ upload: z.string().min(1).max(255) }).openapi('UploadedGeneration')

const createDescription = {
  method: 'post' as const,
  path: '/',
  operationId: 'createGeneration',
  tags,
  summary: 'Keep a generation',
  description:
    'From the URL of a provider, base64 or a data URI; a file in a form (`multipart/form-data`, its fields before the ' +
    'file, `settings` as JSON); or `{"upload": id}` after a direct upload. 202 while the source or the store is failing.',
  security: bearer,
  request: {
    body: {
      required: true,
      content: {
        'application/json': { schema: z.union([createInput, uploadedInput]) },
        'multipart/form-data': {
          schema: z.object({
            ...described,
            settings: z.string().optional(),
            file: z.string().openapi({ format: 'binary' }),
          }),
        },
      },
    },
  },
  responses: {
    201: json(generationOutput, 'Stored.'),
    202: json(generationOutput, 'Pending: Keepsake goes on trying.'),
    ...commonProblems,
    403: problem('`forbidden`, `quota_exceeded`'),
    409: problem('`idempotency_conflict`, `upload_incomplete`, `upload_closed`'),
    413: problem('`request_too_large`, `content_too_large`'),
    422: problem('`content_type_refused`, `content_empty`, `content_truncated`, `source_forbidden`, `source_gone`'),
  },
}

const uploadRoute = (bodyLimit: number) =>
  createRoute({
    method: 'post',
    path: '/uploads',
    operationId: 'uploadGeneration',
    tags,
    summary: 'Begin a direct upload',
    description: 'Send the file as `upload` says, then `POST /api/generations` with `{"upload": id}`.',
    security: bearer,
    middleware: [readJsonBody(bodyLimit)] as const,
    request: { body: { required: true, content: { 'application/json': { schema: uploadInput } } } },
    responses: {
      201: json(z.strictObject({ generation: generationOutput, upload: uploadTicketOutput }), 'A ticket.'),
      ...commonProblems,
      403: problem('`forbidden`, `quota_exceeded`'),
      413: problem('`content_too_large`'),
      422: problem('`content_type_refused`'),
    },
  })

const listRoute = createRoute({
  method: 'get',
  path: '/',
  operationId: 'listGenerations',
  tags,
  summary: 'The user’s generations, newest first',
  security: bearer,
  request: {
    query: z.strictObject({
      user_id: described.user_id,
      type: generationType.optional(),
      limit: z.coerce.number().int().min(1).max(1000).optional(),
      cursor: z.string().max(2048).optional(),
    }),
  },
  responses: {
    200: json(
      z.strictObject({ generations: z.array(generationOutput), next_cursor: z.string().nullable() }),
      'A page.',
    ),
    ...commonProblems,
    403: problem('`forbidden`'),
  },
})

const params = z.object({ id: z.string().openapi({ param: { name: 'id', in: 'path' }, format: 'uuid' }) })

const getRoute = createRoute({
  method: 'get',
  path: '/{id}',
  operationId: 'getGeneration',
  tags,
  summary: 'One generation',
  security: bearer,
  request: { params },
  responses: { 200: json(generationOutput, 'The generation.'), ...commonProblems, 404: problem('`asset_not_found`') },
})

const deleteRoute = createRoute({
  method: 'delete',
  path: '/{id}',
  operationId: 'deleteGeneration',
  tags,
  summary: 'Delete a generation and its file',
  security: bearer,
  request: { params },
  responses: {
    202: { description: 'Unreadable; the store is failing, and Keepsake goes on trying.' },
    204: { description: 'Gone.' },
    ...commonProblems,
    404: problem('`asset_not_found`'),
  },
})

export const addGenerationRoutes: HttpExtension['routes'] = (app, keepsake) => {
  const limit = jsonBodyLimit(keepsake.collections.get(collectionName)?.maxSize ?? 0)
  const readBody = readJsonBody(limit)

  app.openAPIRegistry.registerPath(createDescription)
  app.post('/', async (c) => {
    if (/^multipart\/form-data\b/i.test(c.req.header('content-type') ?? '')) return answer(c, await fromForm(c))
    let asset: Asset | undefined
    // Within, so that the body counts among those in memory until it is done with.
    await readBody(c, async () => {
      const body: unknown = await c.req.json().catch((cause: unknown) => {
        throw new KeepsakeError('invalid_request', 'The body is not JSON.', { cause })
      })
      asset = isUploaded(body) ? await fromUpload(c, body) : await fromSource(c, body)
    })
    if (asset === undefined) throw new KeepsakeError('internal', 'A body that was read was not answered.')
    return answer(c, asset)
  })

  app.openapi(uploadRoute(64 * 1024), async (c) => {
    const { content_type: contentType, file_size: size, ...rest } = c.req.valid('json')
    const { asset, upload } = await c.get('verbs').upload(collectionName, { contentType, size, ...requestOf(c, rest) })
    if (upload === null) throw new KeepsakeError('upload_closed', 'This upload is over: its generation is stored.')
    return c.json({ generation: generationJson(asset), upload: uploadJson(upload) }, 201)
  })

  app.openapi(listRoute, async (c) => {
    const { user_id: owner, type, limit: count, cursor } = c.req.valid('query')
    refuseOtherOwner(c.get('actor'), owner)
    const { assets, nextCursor } = await c.get('verbs').list(collectionName, {
      owner,
      attributes: type === undefined ? {} : { generation_type: type },
      limit: count,
      cursor,
    })
    return c.json({ generations: assets.map(generationJson), next_cursor: nextCursor }, 200)
  })

  app.openapi(getRoute, async (c) => c.json(generationJson(await find(c, c.req.valid('param').id)), 200))

  app.openapi(deleteRoute, async (c) => {
    const { id } = await find(c, c.req.valid('param').id)
    const { done } = await c.get('verbs').delete(id)
    return c.body(null, done ? 204 : 202)
  })
}

type Described = {
  readonly generation_type: string
  readonly prompt?: string | undefined
  readonly settings?: Readonly<Record<string, unknown>> | undefined
  readonly user_id?: string | undefined
  readonly filename?: string | undefined
}

function requestOf(c: HttpContext, { generation_type, prompt, settings, user_id: owner, filename }: Described) {
  refuseOtherOwner(c.get('actor'), owner)
  const idempotencyKey = c.req.header('idempotency-key')
  return { attributes: { generation_type }, provenance: { prompt, settings }, owner, filename, idempotencyKey }
}

async function fromSource(c: HttpContext, given: unknown): Promise<Asset> {
  const { url, base64, data_uri: dataUri, ...rest } = parse(createInput, given)
  const source: ImportSource =
    url !== undefined ? { url } : dataUri === undefined ? { base64: base64 ?? '' } : { dataUri }
  return c.get('verbs').import(collectionName, { source, ...requestOf(c, rest) })
}

async function fromForm(c: HttpContext): Promise<Asset> {
  const { fields, filename, file } = await openForm(c.req.header('content-type') ?? '', c.req.raw.body)
  const rest = parse(fileInput, Object.fromEntries(fields), 'form, whose fields stand before the file,')
  return c.get('verbs').import(collectionName, {
    source: { bytes: file },
    ...requestOf(c, { ...rest, filename: rest.filename ?? filename ?? undefined }),
  })
}

async function fromUpload(c: HttpContext, given: unknown): Promise<Asset> {
  const { id } = await find(c, parse(uploadedInput, given).upload)
  return c.get('verbs').completeUpload(id)
}

function isUploaded(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'upload' in body
}

/** @throws `asset_not_found`, also for an asset of another collection. */
async function find(c: HttpContext, id: string): Promise<Asset> {
  const asset = await c.get('verbs').get(id)
  if (asset.collection === collectionName) return asset
  throw new KeepsakeError('asset_not_found', 'There is no such generation.')
}

function answer(c: HttpContext, asset: Asset): Response {
  c.header('Location', `/api/generations/${asset.id}`)
  if (asset.state === 'stored') return c.json(generationJson(asset), 201)
  c.header('Retry-After', String(retryAfter))
  return c.json(generationJson(asset), 202)
}

function parse<T>(schema: z.ZodType<T>, given: unknown, place = 'json'): T {
  const parsed = schema.safeParse(given)
  if (parsed.success) return parsed.data
  throw invalidRequest(place, parsed.error)
}
