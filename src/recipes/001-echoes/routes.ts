import { isDeepStrictEqual } from 'node:util'
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import {
  bearer,
  commonProblems,
  type HttpContext,
  type HttpEnv,
  type HttpExtension,
  json,
  problem,
  readJsonBody,
} from '../../http/index.ts'
import { type Actor, type Asset, KeepsakeError, type Verbs } from '../../index.ts'
import { collectionName, validateAudioFile } from './audio.ts'
import {
  attributesOf,
  createInput,
  createQuery,
  echoJson,
  echoListOutput,
  echoOutput,
  healthOutput,
  listQuery,
  uploadUrlInput,
  uploadUrlOutput,
} from './wire.ts'

type Served = Parameters<HttpExtension['routes']>[1]

/** Bytes: ten tags and a transcript fit in many times. */
const bodyLimit = 64 * 1024
const tags = ['Echoes']
/** Seconds after which it makes sense to ask again. */
const retryAfter = 5
const defaultPageSize = 20

const healthRoute = createRoute({
  method: 'get',
  path: '/health',
  operationId: 'echoesHealth',
  tags,
  summary: 'Whether the bucket answers',
  security: bearer,
  responses: { ...commonProblems, 200: json(healthOutput, 'It does.'), 503: json(healthOutput, 'It does not.') },
})

const uploadUrlRoute = (path: '/upload-url' | '/init-upload') =>
  createRoute({
    method: 'post',
    path,
    operationId: path === '/upload-url' ? 'echoUploadUrl' : 'echoInitUpload',
    tags,
    summary: path === '/upload-url' ? 'A link to send a sound to' : 'The same, under its older name',
    description:
      'PUT the file to `upload_url` with its `Content-Type`, then create the echo. What is too large, or of another type ' +
      'than was said, is removed then.',
    security: bearer,
    middleware: [readJsonBody(bodyLimit)] as const,
    request: { body: { required: true, content: { 'application/json': { schema: uploadUrlInput } } } },
    responses: {
      201: json(uploadUrlOutput, 'The link.'),
      ...commonProblems,
      403: problem('`forbidden`, `quota_exceeded`'),
      413: problem('`content_too_large`'),
    },
  })

const createEchoRoute = createRoute({
  method: 'post',
  path: '/',
  operationId: 'echoCreate',
  tags,
  summary: 'Create an echo out of what was uploaded',
  description: 'Reads the file and keeps it with what is told of it. The same again gives the same echo.',
  security: bearer,
  middleware: [readJsonBody(bodyLimit)] as const,
  request: {
    query: createQuery,
    body: { required: true, content: { 'application/json': { schema: createInput } } },
  },
  responses: {
    201: json(echoOutput, 'Created.'),
    202: json(z.strictObject({ echo_id: z.string(), status: z.literal('pending') }), 'Being read; send it again.'),
    ...commonProblems,
    404: problem('`asset_not_found`'),
    409: problem('`upload_incomplete`: the file is not there yet; `upload_closed`: it was created with other words'),
    413: problem('`content_too_large`'),
    422: problem('`content_type_refused`, `content_mismatch`, `content_empty`'),
  },
})

const listRoute = createRoute({
  method: 'get',
  path: '/',
  operationId: 'echoList',
  tags,
  summary: 'Echoes, newest first',
  security: bearer,
  request: { query: listQuery },
  responses: { 200: json(echoListOutput, 'A page.'), ...commonProblems, 403: problem('`forbidden`') },
})

const params = z.object({ echo_id: z.string().openapi({ param: { name: 'echo_id', in: 'path' }, format: 'uuid' }) })

const getRoute = createRoute({
  method: 'get',
  path: '/{echo_id}',
  operationId: 'echoGet',
  tags,
  summary: 'One echo',
  security: bearer,
  request: { params },
  responses: { 200: json(echoOutput, 'The echo.'), ...commonProblems, 404: problem('`asset_not_found`') },
})

const deleteRoute = createRoute({
  method: 'delete',
  path: '/{echo_id}',
  operationId: 'echoDelete',
  tags,
  summary: 'Delete an echo and its file',
  security: bearer,
  request: { params },
  responses: {
    202: { description: 'The store is failing; Keepsake goes on trying.' },
    204: { description: 'Gone.' },
    ...commonProblems,
    404: problem('`asset_not_found`'),
  },
})

export function addRoutes(app: OpenAPIHono<HttpEnv>, keepsake: Served): void {
  const { bucket, region } = keepsake.place

  app.openapi(healthRoute, async (c) => {
    const primary = (await keepsake.check()).find(({ name }) => name === 'primary')
    const about = { service: 'Echoes', bucket, region } as const
    if (primary?.ok) return c.json({ ...about, status: 'healthy' as const }, 200)
    return c.json({ ...about, status: 'unhealthy' as const, error: primary?.code ?? 'store_unavailable' }, 503)
  })

  for (const path of ['/upload-url', '/init-upload'] as const) {
    app.openapi(uploadUrlRoute(path), async (c) => c.json(await uploadUrl(c, c.req.valid('json'), keepsake), 201))
  }

  app.openapi(createEchoRoute, async (c) => {
    const given = c.req.valid('json')
    const verbs = c.get('verbs')
    const upload = await find(verbs, given.echo_id ?? c.req.valid('query').echo_id, given.s3_key)
    const extension = upload.key?.split('.').at(-1)
    if (given.file_extension !== undefined && given.file_extension.toLowerCase().replace(/^\./, '') !== extension) {
      throw new KeepsakeError(
        'invalid_request',
        `file_extension is '${given.file_extension}'; .${extension} was uploaded.`,
      )
    }
    const attributes = attributesOf(given)
    const echo = await verbs.completeUpload(upload.id, { attributes })
    if (echo.state !== 'stored') {
      c.header('Retry-After', String(retryAfter))
      return c.json({ echo_id: echo.id, status: 'pending' as const }, 202)
    }
    if (!isDeepStrictEqual({ ...echo.attributes }, lowered(attributes))) {
      throw new KeepsakeError(
        'upload_closed',
        'The echo was created before, with other words, or its file was kept without them because nobody created it in ' +
          'time. Delete it and upload again.',
      )
    }
    return c.json(echoJson(echo, bucket), 201)
  })

  app.openapi(listRoute, async (c) => {
    const { user_id, emotion, start_date, end_date, page_size = defaultPageSize, next_key } = c.req.valid('query')
    const { assets, nextCursor } = await c.get('verbs').list(collectionName, {
      state: 'stored',
      limit: page_size,
      attributes: emotion === undefined ? {} : { emotion },
      ...owner(c, user_id),
      ...(start_date === undefined ? {} : { from: start_date }),
      ...(end_date === undefined ? {} : { to: end_date }),
      ...(next_key === undefined ? {} : { cursor: next_key }),
    })
    const echoes = assets.map((asset) => echoJson(asset, bucket))
    return c.json({ echoes, page_size, has_more: nextCursor !== null, next_key: nextCursor }, 200)
  })

  app.openapi(getRoute, async (c) => {
    const echo = await find(c.get('verbs'), c.req.valid('param').echo_id)
    if (echo.state !== 'stored') throw notFound()
    return c.json(echoJson(echo, bucket), 200)
  })

  app.openapi(deleteRoute, async (c) => {
    const verbs = c.get('verbs')
    const { id } = await find(verbs, c.req.valid('param').echo_id)
    const { done } = await verbs.delete(id)
    return c.body(null, done ? 204 : 202)
  })
}

async function uploadUrl(
  c: HttpContext,
  { file_extension, content_type, file_size, user_id }: z.output<typeof uploadUrlInput>,
  keepsake: Served,
): Promise<z.infer<typeof uploadUrlOutput>> {
  const max_file_size = keepsake.collections.get(collectionName)?.maxSize ?? 0
  validateAudioFile(file_extension, content_type, file_size, max_file_size)
  requireOwner(c.get('actor'), user_id)
  const { asset, upload } = await c.get('verbs').upload(collectionName, {
    contentType: content_type,
    plain: true,
    sameType: true,
    ...(file_size === undefined ? {} : { size: file_size }),
    ...owner(c, user_id),
  })
  if (upload?.strategy !== 'put' || asset.key === null) {
    throw new KeepsakeError('internal', 'A plain upload has one link.')
  }
  return {
    upload_url: upload.url,
    echo_id: asset.id,
    s3_key: asset.key,
    // Links are signed by the second.
    expires_in: Math.ceil((upload.expiresAt.getTime() - Date.now()) / 1000),
    headers: { 'Content-Type': content_type },
    max_file_size,
  }
}

/** One of this recipe's assets, whatever the way it is named. */
async function find(verbs: Verbs, id: string | undefined, key?: string): Promise<Asset> {
  if (id === undefined && key === undefined) throw new KeepsakeError('invalid_request', 'echo_id is missing.')
  const asset = await (id === undefined ? verbs.getByKey(key ?? '') : verbs.get(id))
  if (asset.collection !== collectionName) throw notFound()
  return asset
}

function notFound(): KeepsakeError {
  return new KeepsakeError('asset_not_found', 'There is no such echo, or it belongs to somebody else.')
}

/** An API key acts for any user, and has to say for which: what is kept for nobody would be in nobody's list. */
function requireOwner(actor: Actor, userId: string | undefined): void {
  if (actor.role === 'user' || userId !== undefined) return
  throw new KeepsakeError('invalid_request', 'user_id is missing: with an API key, say whose echo it is.')
}

function owner(c: HttpContext, userId: string | undefined): { owner?: string } {
  const actor = c.get('actor')
  if (actor.role === 'user' && userId !== undefined && userId !== actor.owner) {
    throw new KeepsakeError('forbidden', 'This token may only name its own subject as user_id. Leave it out.')
  }
  return userId === undefined ? {} : { owner: userId }
}

function lowered(attributes: Record<string, string>): Record<string, string> {
  const { emotion } = attributes
  return emotion === undefined ? attributes : { ...attributes, emotion: emotion.toLowerCase() }
}
