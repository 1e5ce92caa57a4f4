import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import type { Keepsake } from '../../verbs.ts'
import { type HttpEnv, requireService } from '../env.ts'
import { answerLines, lines } from '../lines.ts'
import { bearer, commonProblems, noQuery, problem } from './contract.ts'

const count = z.int()
const counts = {
  promoted: count.openapi({ description: 'Assets that are in the bucket now.' }),
  bytes: count.openapi({ description: 'Bytes in them.' }),
  gone: count.openapi({ description: 'Deleted, or moved by somebody else, in between.' }),
  failed: count.openapi({ description: 'Whose own copy could not be moved; tried again a minute later.' }),
}

const promotionLine = z.union([
  z.strictObject({ type: z.literal('progress'), ...counts }),
  z.strictObject({ type: z.literal('result'), ...counts }),
])

const promotionRoute = createRoute({
  method: 'post',
  path: '/v1/promotions',
  operationId: 'promote',
  tags: ['Upkeep'],
  summary: 'Move to the bucket what fell back to the local store',
  description:
    'It happens by itself as soon as the bucket is back; this does it now, for the local store of the instance that answers. ' +
    'For an API key.',
  security: bearer,
  request: { query: noQuery },
  responses: {
    200: lines('Progress line by line, then the result or a problem.', promotionLine),
    ...commonProblems,
    403: problem('`forbidden`'),
  },
})

export function addPromotionRoute(app: OpenAPIHono<HttpEnv>, keepsake: Pick<Keepsake, 'promote'>): void {
  app.openapi(promotionRoute, (c) => {
    requireService(c.get('actor'), 'Promotion')
    return answerLines(c, (emit, signal) => keepsake.promote({ signal, onProgress: emit }))
  })
}
