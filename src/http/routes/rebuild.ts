import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import type { Keepsake } from '../../verbs.ts'
import { readJsonBody } from '../body.ts'
import { type HttpEnv, requireService } from '../env.ts'
import { answerLines, lines } from '../lines.ts'
import { strict } from '../schema.ts'
import { bearer, commonProblems, noQuery, problem } from './contract.ts'

const rebuildInput = strict({
  dryRun: z.boolean().optional().openapi({ description: 'Only say what would be done. Default: true.' }),
  intoExisting: z
    .boolean()
    .optional()
    .openapi({ description: 'Add what is absent to a catalogue that is in use. Default: false.' }),
  hash: z
    .boolean()
    .optional()
    .openapi({ description: 'Read objects that nobody hashed, to hash them; else leave them out. Default: true.' }),
}).openapi('RebuildRequest')

const count = z.int()

const rebuildOutput = z
  .looseObject({
    type: z.enum(['progress', 'alive', 'result', 'problem']),
    phase: z.enum(['list', 'look', 'judge']).optional(),
    dryRun: z.boolean().optional(),
    listed: count.optional(),
    added: count.optional(),
    bytes: count.optional(),
    verdicts: z.record(z.string(), count).optional().openapi({ description: 'Objects by what becomes of them.' }),
  })
  .openapi('RebuildLine')

const rebuildRoute = createRoute({
  method: 'post',
  path: '/v1/rebuild',
  operationId: 'rebuild',
  tags: ['Upkeep'],
  summary: 'Make a lost catalogue anew out of the bucket',
  description:
    'Every object says which asset it holds, whose it is, and what it hashes to. A dry run unless `dryRun` is false. ' +
    'Refused where the catalogue is in use, unless `intoExisting` only adds what is absent. It can be broken off and ' +
    'sent again. For an API key.',
  security: bearer,
  middleware: [readJsonBody(64 * 1024)] as const,
  request: {
    query: noQuery,
    body: { required: true, content: { 'application/json': { schema: rebuildInput } } },
  },
  responses: {
    200: lines('Progress, then the result.', rebuildOutput),
    ...commonProblems,
    403: problem('`forbidden`'),
    413: problem('`request_too_large`'),
    415: problem('`unsupported_media_type`'),
  },
})

export function addRebuildRoute(app: OpenAPIHono<HttpEnv>, keepsake: Keepsake): void {
  app.openapi(rebuildRoute, (c) => {
    requireService(c.get('actor'), 'A rebuild')
    const request = c.req.valid('json')
    return answerLines(c, (emit, signal) => keepsake.rebuild(request, { signal, onProgress: emit }))
  })
}
