import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import { readJsonBody } from '../body.ts'
import type { HttpEnv } from '../env.ts'
import { urlsInput, urlsOutput } from '../schema.ts'
import { bearer, commonProblems, json, noQuery, problem } from './contract.ts'

/** Bytes; room for 1000 ids with variants. */
const bodyLimit = 512 * 1024

const urlsRoute = createRoute({
  method: 'post',
  path: '/v1/urls',
  operationId: 'urls',
  tags: ['Links'],
  summary: 'Many signed links at once',
  description: 'Up to 1000, in the order asked. A link stays the same, and cacheable, for a quarter of its life.',
  security: bearer,
  middleware: [readJsonBody(bodyLimit)] as const,
  request: { query: noQuery, body: { required: true, content: { 'application/json': { schema: urlsInput } } } },
  responses: {
    200: json(urlsOutput, 'The links.'),
    ...commonProblems,
    413: problem('`request_too_large`'),
    415: problem('`unsupported_media_type`'),
  },
})

export function addLinkRoutes(app: OpenAPIHono<HttpEnv>): void {
  app.openapi(urlsRoute, async (c) => {
    const { assets, expiresIn } = c.req.valid('json')
    const urls = await c.get('verbs').urls(assets, { expiresIn })
    const entries = urls.map((entry) =>
      'code' in entry
        ? { id: entry.id, code: entry.code }
        : { id: entry.id, url: entry.url, expiresAt: entry.expiresAt.toISOString() },
    )
    return c.json({ urls: entries }, 200)
  })
}
