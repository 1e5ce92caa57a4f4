import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import type { Keepsake } from '../../verbs.ts'
import { readJsonBody } from '../body.ts'
import { type HttpEnv, requireService } from '../env.ts'
import { answerLines, lines } from '../lines.ts'
import { replicaJson, replicaOutput } from '../replica-json.ts'
import { strict } from '../schema.ts'
import { bearer, commonProblems, json, noQuery, problem } from './contract.ts'

/** Bytes. */
const bodyLimit = 16 * 1024

const statusOutput = z
  .strictObject({ replica: replicaOutput.nullable().openapi({ description: 'null: none is set.' }) })
  .openapi('ReplicaAnswer')

const statusRoute = createRoute({
  method: 'get',
  path: '/v1/replica',
  operationId: 'replica',
  tags: ['Upkeep'],
  summary: 'How far the copy of the bucket is',
  description: 'What is there, what waits and for how long, and why. For an API key.',
  security: bearer,
  request: { query: noQuery },
  responses: { 200: json(statusOutput, 'The replica.'), ...commonProblems, 403: problem('`forbidden`') },
})

const restoreInput = strict({
  all: z.boolean().optional().openapi({
    description: 'Look at every asset with a copy, not only at those that are known to be missing or corrupt.',
  }),
  dryRun: z.boolean().optional().openapi({ description: 'Only say what would be done.' }),
}).openapi('ReplicaRestoreRequest')

const count = z.int()

const restoreLine = z.union([
  z.strictObject({ type: z.literal('progress'), looked: count, restored: count }),
  z.strictObject({
    type: z.literal('result'),
    dryRun: z.boolean(),
    looked: count.openapi({ description: 'Objects of the bucket that were looked at.' }),
    restored: count,
    bytes: count,
    well: count.openapi({ description: 'There, and right.' }),
    failed: count,
    failures: z.array(z.strictObject({ asset: z.string(), code: z.string(), message: z.string() })),
  }),
])

const restoreRoute = createRoute({
  method: 'post',
  path: '/v1/replica/restore',
  operationId: 'restoreFromReplica',
  tags: ['Upkeep'],
  summary: 'Bring lost objects back from the replica',
  description:
    'What is missing from the bucket, and what was found corrupt there; each held against its SHA-256. It can be broken ' +
    'off and run again. For an API key.',
  security: bearer,
  middleware: [readJsonBody(bodyLimit)] as const,
  request: { query: noQuery, body: { required: true, content: { 'application/json': { schema: restoreInput } } } },
  responses: {
    200: lines('Progress line by line, then the result or a problem.', restoreLine),
    ...commonProblems,
    403: problem('`forbidden`'),
    415: problem('`unsupported_media_type`'),
  },
})

export function addReplicaRoutes(app: OpenAPIHono<HttpEnv>, { replica }: Pick<Keepsake, 'replica'>): void {
  app.openapi(statusRoute, async (c) => {
    requireService(c.get('actor'), 'The replica')
    const status = await replica.status()
    return c.json({ replica: status && replicaJson(status) }, 200)
  })
  app.openapi(restoreRoute, (c) => {
    const actor = c.get('actor')
    requireService(actor, 'Restoring')
    const request = c.req.valid('json')
    return answerLines(c, async (emit, signal) => ({
      ...(await replica.restore(request, { actor, signal, onProgress: (progress) => void emit(progress) })),
    }))
  })
}
