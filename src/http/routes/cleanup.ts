import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import type { Keepsake } from '../../verbs.ts'
import { readJsonBody } from '../body.ts'
import { type HttpEnv, requireService } from '../env.ts'
import { answerLines, lines } from '../lines.ts'
import { ownerText, strict } from '../schema.ts'
import { bearer, commonProblems, noQuery, problem } from './contract.ts'

/** Bytes. */
const bodyLimit = 16 * 1024

const cleanupInput = strict({
  olderThan: z.union([z.number(), z.string().min(1).max(64)]).openapi({
    description: 'How old, counted from when it was made; at least a day. Seconds or a text.',
    example: '90d',
  }),
  owner: ownerText.optional(),
  collection: z.string().min(1).max(255).optional(),
  dryRun: z.boolean().optional().openapi({ description: 'Only count.' }),
  expect: z
    .int()
    .min(0)
    .optional()
    .openapi({ description: 'The most assets that may be deleted: the count of a dry run. Without it none is.' }),
}).openapi('CleanupRequest')

const count = z.int()
const time = z.string().openapi({ format: 'date-time' })

const cleanupLine = z.union([
  z.strictObject({ type: z.literal('progress'), assets: count, deleted: count }),
  z.strictObject({
    type: z.literal('result'),
    dryRun: z.boolean(),
    before: time.openapi({ description: 'What was made before this counts as old.' }),
    assets: count.openapi({ description: 'Old ones that were found.' }),
    bytes: count,
    pinned: count.openapi({ description: 'As old, and left alone because they are pinned.' }),
    oldest: time.nullable(),
    deleted: count,
    deletedBytes: count,
    unfinished: count,
  }),
])

const cleanupRoute = createRoute({
  method: 'post',
  path: '/v1/cleanup',
  operationId: 'cleanup',
  tags: ['Upkeep'],
  summary: 'Delete what is older than so many days',
  description:
    'Of an owner, of a collection, or of all; pinned assets stay. First with `dryRun`, then with the count as `expect`: ' +
    'where there are more than that, nothing is deleted (`upkeep_refused`). For an API key.',
  security: bearer,
  middleware: [readJsonBody(bodyLimit)] as const,
  request: { query: noQuery, body: { required: true, content: { 'application/json': { schema: cleanupInput } } } },
  responses: {
    200: lines('Progress line by line, then the result or a problem.', cleanupLine),
    ...commonProblems,
    403: problem('`forbidden`'),
    415: problem('`unsupported_media_type`'),
  },
})

export function addCleanupRoute(app: OpenAPIHono<HttpEnv>, keepsake: Pick<Keepsake, 'cleanup'>): void {
  app.openapi(cleanupRoute, (c) => {
    const actor = c.get('actor')
    requireService(actor, 'The clean-up')
    const request = c.req.valid('json')
    return answerLines(c, (emit, signal) => keepsake.cleanup(request, { actor, signal, onProgress: emit }))
  })
}
