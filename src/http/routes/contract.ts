import { type RouteConfig, z } from '@hono/zod-openapi'
import { isAssetId, KeepsakeError } from '../../media/index.ts'
import { problemOutput, strict } from '../schema.ts'

/** What the descriptions of the routes share. */

export const bearer: RouteConfig['security'] = [{ bearer: [] }]

export const noQuery = strict({})

/** Any text: what cannot be an id is an asset that is not there, see {@link requireAssetId}. */
export const assetParams = z.object({
  id: z.string().openapi({
    param: { name: 'id', in: 'path', description: 'The asset’s id.' },
    format: 'uuid',
    example: '0198c0de-7a11-7b52-8c3d-0123456789ab',
  }),
})

export const collectionParams = z.object({
  collection: z.string().openapi({
    param: { name: 'collection', in: 'path', description: 'A declared collection.' },
    example: 'generations',
  }),
})

/** @throws {KeepsakeError} `asset_not_found`: a stranger learns no more from an odd id than from an unknown one. */
export function requireAssetId(id: string): string {
  if (isAssetId(id)) return id
  throw new KeepsakeError('asset_not_found', 'There is no such asset, or it belongs to somebody else.')
}

export function json<Schema extends z.ZodType>(schema: Schema, description: string) {
  return { description, content: { 'application/json': { schema } } }
}

export function problem(description: string) {
  return { description, content: { 'application/problem+json': { schema: problemOutput } } }
}

/** What any authenticated call may answer. */
export const commonProblems = {
  400: problem('`invalid_request`'),
  401: problem('`unauthenticated`'),
  502: problem('`store_denied`'),
  503: problem('`catalogue_unavailable`, `store_unavailable`, `identity_unavailable`, `stopping`'),
  504: problem('`timeout`'),
}
