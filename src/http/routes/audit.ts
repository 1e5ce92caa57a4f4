import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import { auditEntryJson } from '../asset-json.ts'
import { type HttpEnv, refuseOtherOwner } from '../env.ts'
import { assetIdText, auditPageOutput, cursorText, limitText, ownerText, strict, timestampText } from '../schema.ts'
import { bearer, commonProblems, json, problem } from './contract.ts'

const auditRoute = createRoute({
  method: 'get',
  path: '/v1/audit',
  operationId: 'audit',
  tags: ['Audit'],
  summary: 'Who did what, newest first',
  description: 'Every change of every asset, and every link that was issued.',
  security: bearer,
  request: {
    query: strict({
      asset: assetIdText.optional(),
      owner: ownerText.optional(),
      from: timestampText.optional().openapi({ description: 'At or after.' }),
      to: timestampText.optional().openapi({ description: 'Before.' }),
      limit: limitText.optional(),
      cursor: cursorText.optional(),
    }),
  },
  responses: { 200: json(auditPageOutput, 'A page.'), ...commonProblems, 403: problem('`forbidden`') },
})

export function addAuditRoute(app: OpenAPIHono<HttpEnv>): void {
  app.openapi(auditRoute, async (c) => {
    const filter = c.req.valid('query')
    refuseOtherOwner(c.get('actor'), filter.owner)
    const { entries, nextCursor } = await c.get('verbs').audit(filter)
    return c.json({ entries: entries.map(auditEntryJson), nextCursor }, 200)
  })
}
