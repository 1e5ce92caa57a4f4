import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import type { Keepsake } from '../../verbs.ts'
import { collectionJson } from '../asset-json.ts'
import type { HttpEnv } from '../env.ts'
import { collectionsOutput } from '../schema.ts'
import { bearer, commonProblems, json, noQuery } from './contract.ts'

const collectionsRoute = createRoute({
  method: 'get',
  path: '/v1/collections',
  operationId: 'collections',
  tags: ['Collections'],
  summary: 'The collections and their policies',
  security: bearer,
  request: { query: noQuery },
  responses: { 200: json(collectionsOutput, 'All of them.'), ...commonProblems },
})

export function addCollectionRoutes(app: OpenAPIHono<HttpEnv>, keepsake: Pick<Keepsake, 'collections'>): void {
  app.openapi(collectionsRoute, (c) =>
    c.json({ collections: [...keepsake.collections.values()].map(collectionJson) }, 200),
  )
}
