import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { assetHealths } from '../../media/index.ts'
import { verifyLevels } from '../../upkeep/index.ts'
import type { Keepsake } from '../../verbs.ts'
import { readJsonBody } from '../body.ts'
import { type HttpEnv, requireService } from '../env.ts'
import { answerLines, lines } from '../lines.ts'
import { ownerText, strict } from '../schema.ts'
import { bearer, commonProblems, noQuery, problem } from './contract.ts'

/** Bytes. */
const bodyLimit = 16 * 1024

const amount = z.union([z.number().min(1), z.string().min(1).max(64)])

const verifyInput = strict({
  level: z.enum(verifyLevels).optional().openapi({
    description:
      '`exists`: there, and of its size. `checksum`: and of the hash that the store keeps. `full`: read and hashed.',
  }),
  budget: amount
    .optional()
    .openapi({ description: 'How long new looks are begun: seconds or a text.', example: '10m' }),
  bandwidth: amount.optional().openapi({ description: 'Bytes a second at most, or a text.', example: '10 MB' }),
  owner: ownerText.optional(),
  collection: z.string().min(1).max(255).optional(),
  force: z.boolean().optional().openapi({ description: 'Believe the bucket although most objects are missing.' }),
}).openapi('VerifyRequest')

const count = z.int()

const verifyLine = z.union([
  z.strictObject({
    type: z.literal('progress'),
    checked: count,
    missing: count,
    corrupt: count,
    unknown: count,
    found: z
      .strictObject({ asset: z.string(), owner: z.string(), key: z.string(), health: z.enum(assetHealths) })
      .optional()
      .openapi({ description: 'An asset that is not well.' }),
  }),
  z.strictObject({
    type: z.literal('result'),
    level: z.enum(verifyLevels),
    checked: count.openapi({ description: 'Looked at with an outcome.' }),
    ok: count,
    missing: count,
    corrupt: count,
    marked: count.openapi({ description: 'Whose health was changed for the worse.' }),
    recovered: count,
    unknown: count.openapi({ description: 'The store refused or failed; their health is as it was.' }),
    unproven: count.openapi({ description: 'At the level `checksum`: the store keeps no hash of the bytes.' }),
    bytesRead: count,
    complete: z.boolean().openapi({ description: 'Every asset had its turn before the budget was spent.' }),
  }),
])

const verifyRoute = createRoute({
  method: 'post',
  path: '/v1/verify',
  operationId: 'verify',
  tags: ['Upkeep'],
  summary: 'Look whether stored objects are there and right',
  description:
    'What was looked at longest ago comes first, so that runs with a budget go round. A store that is failing or refuses ' +
    'marks nothing, and what looks missing is looked at twice. For an API key.',
  security: bearer,
  middleware: [readJsonBody(bodyLimit)] as const,
  request: { query: noQuery, body: { required: true, content: { 'application/json': { schema: verifyInput } } } },
  responses: {
    200: lines('Progress line by line, then the result or a problem.', verifyLine),
    ...commonProblems,
    403: problem('`forbidden`'),
    415: problem('`unsupported_media_type`'),
  },
})

export function addVerifyRoute(app: OpenAPIHono<HttpEnv>, keepsake: Pick<Keepsake, 'verify'>): void {
  app.openapi(verifyRoute, (c) => {
    const actor = c.get('actor')
    requireService(actor, 'Verify')
    const request = c.req.valid('json')
    return answerLines(c, (emit, signal) => keepsake.verify(request, { actor, signal, onProgress: emit }))
  })
}
