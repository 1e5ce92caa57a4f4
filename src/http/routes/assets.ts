import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { assetStates, mediaKinds } from '../../media/index.ts'
import { assetJson } from '../asset-json.ts'
import { readJsonBody } from '../body.ts'
import { type HttpEnv, refuseOtherOwner } from '../env.ts'
import {
  assetChangesInput,
  assetIdText,
  assetOutput,
  assetPageOutput,
  cursorText,
  deletingOutput,
  expiresInText,
  flagText,
  limitText,
  ownerText,
  strict,
  timestampText,
  variantText,
} from '../schema.ts'
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

const attributePrefix = 'attributes.'
const deletingRetryAfter = 5
/** Seconds by which a cached redirect ends before the link behind it does. */
const redirectMargin = 60
const redirectMaxAge = 900

const listRoute = (attributes: readonly string[]) =>
  createRoute({
    method: 'get',
    path: '/v1/collections/{collection}/assets',
    operationId: 'list',
    tags: ['Assets'],
    summary: 'List a collection, newest first',
    security: bearer,
    request: {
      params: collectionParams,
      query: strict({
        owner: ownerText.optional(),
        kind: z.enum(mediaKinds).optional(),
        state: z.enum(assetStates).optional(),
        parent: assetIdText.optional().openapi({
          description: 'Only what names this asset among the `parents` of its provenance.',
        }),
        from: timestampText.optional().openapi({ description: 'Created at or after.' }),
        to: timestampText.optional().openapi({ description: 'Created before.' }),
        limit: limitText.optional(),
        cursor: cursorText.optional(),
        ...attributeFilters(attributes),
      }),
    },
    responses: {
      200: json(assetPageOutput, 'A page.'),
      ...commonProblems,
      403: problem('`forbidden`'),
      404: problem('`collection_not_found`'),
    },
  })

function attributeFilters(names: readonly string[]): Record<`attributes.${string}`, z.ZodOptional<z.ZodString>> {
  const filter = z.string().max(1024).optional()
  return Object.fromEntries(
    names.map((name) => [
      `${attributePrefix}${name}`,
      filter.openapi({ description: `Only assets with this \`${name}\`.` }),
    ]),
  )
}

const getRoute = createRoute({
  method: 'get',
  path: '/v1/assets/{id}',
  operationId: 'get',
  tags: ['Assets'],
  summary: 'One asset',
  security: bearer,
  request: { params: assetParams, query: noQuery },
  responses: { 200: json(assetOutput, 'The asset.'), ...commonProblems, 404: problem('`asset_not_found`') },
})

const deleteRoute = createRoute({
  method: 'delete',
  path: '/v1/assets/{id}',
  operationId: 'delete',
  tags: ['Assets'],
  summary: 'Delete an asset',
  description: 'Unreadable in the catalogue at once, then the object goes, then the row.',
  security: bearer,
  request: { params: assetParams, query: noQuery },
  responses: {
    202: json(deletingOutput, 'The store is failing; Keepsake goes on trying.'),
    204: { description: 'Gone.' },
    ...commonProblems,
    404: problem('`asset_not_found`'),
  },
})

/** Bytes. */
const changesLimit = 16 * 1024

const updateRoute = createRoute({
  method: 'patch',
  path: '/v1/assets/{id}',
  operationId: 'update',
  tags: ['Assets'],
  summary: 'Keep an asset longer or shorter, or pin it',
  description: 'Of a stored asset. Its owner may only bring the end forward; longer, and pinned, is for an API key.',
  security: bearer,
  middleware: [readJsonBody(changesLimit)] as const,
  request: {
    params: assetParams,
    query: noQuery,
    body: { required: true, content: { 'application/json': { schema: assetChangesInput } } },
  },
  responses: {
    200: json(assetOutput, 'The asset as it is now.'),
    ...commonProblems,
    403: problem('`forbidden`'),
    404: problem('`asset_not_found`'),
    409: problem('`asset_not_stored`'),
    415: problem('`unsupported_media_type`'),
  },
})

const contentRoute = createRoute({
  method: 'get',
  path: '/v1/assets/{id}/content',
  operationId: 'content',
  tags: ['Links'],
  summary: 'The media itself',
  description: 'Redirects to a fresh signed link: the stable address that an app may store.',
  security: bearer,
  request: {
    params: assetParams,
    query: strict({
      variant: variantText.optional(),
      download: flagText.optional(),
      expiresIn: expiresInText.optional(),
    }),
  },
  responses: {
    302: { description: 'To the media.', headers: { Location: { schema: { type: 'string', format: 'uri' } } } },
    ...commonProblems,
    404: problem('`asset_not_found`'),
    409: problem('`asset_not_stored`'),
  },
})

export function addAssetRoutes(app: OpenAPIHono<HttpEnv>, options: { attributes: readonly string[] }): void {
  app.openapi(listRoute(options.attributes), async (c) => {
    const { collection } = c.req.valid('param')
    const { owner, kind, state, parent, from, to, limit, cursor, ...rest } = c.req.valid('query')
    refuseOtherOwner(c.get('actor'), owner)
    const attributes: Record<string, string> = {}
    for (const [name, value] of Object.entries(rest)) {
      if (typeof value === 'string') attributes[name.slice(attributePrefix.length)] = value
    }
    const request = { owner, kind, state, parent, from, to, limit, cursor, attributes }
    const page = await c.get('verbs').list(collection, request)
    return c.json({ assets: page.assets.map(assetJson), nextCursor: page.nextCursor }, 200)
  })

  app.openapi(getRoute, async (c) => {
    const asset = await c.get('verbs').get(requireAssetId(c.req.valid('param').id))
    return c.json(assetJson(asset), 200)
  })

  app.openapi(deleteRoute, async (c) => {
    const id = requireAssetId(c.req.valid('param').id)
    const { done } = await c.get('verbs').delete(id)
    if (done) return c.body(null, 204)
    c.header('Retry-After', String(deletingRetryAfter))
    return c.json({ id, state: 'deleting' as const }, 202)
  })

  app.openapi(updateRoute, async (c) => {
    const id = requireAssetId(c.req.valid('param').id)
    return c.json(assetJson(await c.get('verbs').update(id, c.req.valid('json'))), 200)
  })

  app.openapi(contentRoute, async (c) => {
    const id = requireAssetId(c.req.valid('param').id)
    const { url, expiresAt } = await c.get('verbs').url(id, c.req.valid('query'))
    const remaining = Math.floor((expiresAt.getTime() - Date.now()) / 1000) - redirectMargin
    // Private: the redirect is one caller's; and never longer than what it points to works.
    c.header('Cache-Control', `private, max-age=${Math.max(0, Math.min(remaining, redirectMaxAge))}`)
    c.header('Vary', 'Authorization')
    return c.redirect(url, 302)
  })
}
