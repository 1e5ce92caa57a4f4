import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { parseEntries, type Reconcile } from '../../upkeep/index.ts'
import { readJsonBody } from '../body.ts'
import { type HttpContext, type HttpEnv, requireService } from '../env.ts'
import { answerLines, lines, linesType } from '../lines.ts'
import { strict } from '../schema.ts'
import { bearer, commonProblems, noQuery, problem } from './contract.ts'

const what = 'Reconciling'
const restoreLimit = 4 * 1024 ** 2

const flag = z.enum(['', 'true', 'false']).transform((value) => value !== 'false')
const seconds = z
  .string()
  .regex(/^\d{1,9}$/, 'must be whole seconds')
  .transform(Number)
const count = z
  .string()
  .regex(/^\d{1,12}$/, 'must be a whole number')
  .transform(Number)
const lineOutput = z.looseObject({ type: z.enum(['progress', 'alive', 'result', 'problem']) }).openapi('Line')
const linesBody = { content: { [linesType]: { schema: z.string() } } }

const scanRoute = createRoute({
  method: 'post',
  path: '/v1/reconcile',
  operationId: 'reconcile',
  tags: ['Upkeep'],
  summary: 'Compare the bucket with the catalogue',
  description:
    'Changes nothing. Lines of `progress` come with what was looked at (`objects`, `rows`, `findings`), then with the ' +
    'manifest, a `line` each; the `result` has the counts. Keep the manifest’s lines: `apply` takes them. For API keys.',
  security: bearer,
  request: {
    query: strict({
      prefix: z.string().max(1024).optional().openapi({ description: 'Only keys under it. It ends with a slash.' }),
      shards: z
        .string()
        .regex(/^\d{1,2}$/, 'must be an integer from 1 to 32')
        .transform(Number)
        .optional()
        .openapi({ description: 'Ranges of keys compared at the same time. Default: 4.' }),
      resume: flag.optional().openapi({ description: 'Go on with the latest scan that was cut off.' }),
      hashes: flag.optional().openapi({ description: 'Ask each object for the hash that it states: a request each.' }),
      inventoryAt: z.iso.datetime().optional().openapi({
        description: 'The body is an inventory made at this time, a line {key,size,etag,lastModified} for each object.',
      }),
      inventoryBucket: z
        .string()
        .max(255)
        .optional()
        .openapi({ description: 'The bucket that the inventory says it is of.' }),
    }),
    body: linesBody,
  },
  responses: {
    200: lines('Progress, the manifest, and the result.', lineOutput),
    ...commonProblems,
    403: problem('`forbidden`'),
    409: problem('`upkeep_refused`, `attempt_superseded`'),
  },
})

const applyRoute = createRoute({
  method: 'post',
  path: '/v1/reconcile/apply',
  operationId: 'reconcileApply',
  tags: ['Upkeep'],
  summary: 'Act upon a manifest',
  description:
    'The body is a manifest, line by line. It is read to its end and checked before anything is done. Orphans that were ' +
    'seen twice go to `quarantine/`, what is wrong with stored assets is marked and looked for, stale uploads are aborted. For API keys.',
  security: bearer,
  request: {
    query: strict({
      expect: count
        .optional()
        .openapi({ description: 'The number of orphans, where a brake would stop it otherwise.' }),
      expectMissing: count
        .optional()
        .openapi({ description: 'The number of missing objects, where more than half of what is stored is missing.' }),
      minAge: seconds.optional().openapi({ description: 'Seconds that an orphan must be old. Default: a day.' }),
      apart: seconds.optional().openapi({ description: 'Seconds between its two sightings. Default: a day.' }),
    }),
    body: { required: true, ...linesBody },
  },
  responses: {
    200: lines('A line of progress for each finding that was acted upon, and the result.', lineOutput),
    ...commonProblems,
    403: problem('`forbidden`'),
    409: problem('`upkeep_refused`'),
  },
})

const restoreRoute = createRoute({
  method: 'post',
  path: '/v1/reconcile/restore',
  operationId: 'reconcileRestore',
  tags: ['Upkeep'],
  summary: 'Bring objects back from quarantine',
  description: 'To where they were. For API keys.',
  security: bearer,
  middleware: [readJsonBody(restoreLimit)] as const,
  request: {
    query: noQuery,
    body: {
      required: true,
      content: {
        'application/json': {
          schema: strict({
            keys: z
              .array(z.string().min(1).max(1024))
              .max(1000)
              .optional()
              .openapi({ description: 'Where they were.' }),
            all: z.literal(true).optional(),
          })
            .refine(({ keys, all }) => (keys === undefined) !== (all === undefined), 'needs either keys or all')
            .openapi('RestoreRequest'),
        },
      },
    },
  },
  responses: {
    200: lines('A line of progress for each object, and the result.', lineOutput),
    ...commonProblems,
    403: problem('`forbidden`'),
    409: problem('`upkeep_refused`'),
  },
})

export function addReconcileRoutes(app: OpenAPIHono<HttpEnv>, { reconcile }: { readonly reconcile: Reconcile }): void {
  app.openapi(scanRoute, (c) => {
    requireService(c.get('actor'), what)
    const { inventoryAt, inventoryBucket: bucket, ...query } = c.req.valid('query')
    const inventory =
      inventoryAt === undefined
        ? undefined
        : {
            objects: parseEntries(bodyOf(c)),
            madeAt: new Date(inventoryAt),
            ...(bucket === undefined ? {} : { bucket }),
          }
    return answerLines(c, async (emit, signal) => {
      const onProgress = (seen: object) => void emit({ ...seen })
      const { scan, ...totals } = await reconcile.scan({
        ...query,
        ...(inventory && { inventory }),
        signal,
        onProgress,
      })
      for await (const line of reconcile.manifest(scan.id)) {
        signal.throwIfAborted()
        await emit({ line })
      }
      return { ...totals, scan: scan.id, bucket: scan.bucket, prefix: scan.prefix, source: scan.source }
    })
  })

  app.openapi(applyRoute, (c) => {
    const actor = c.get('actor')
    requireService(actor, what)
    const options = { ...c.req.valid('query'), actor }
    const body = bodyOf(c)
    return answerLines(c, async (emit, signal) => {
      const onOutcome = (done: object) => emit({ ...done })
      return { ...(await reconcile.apply(body, { ...options, signal, onOutcome })) }
    })
  })

  app.openapi(restoreRoute, (c) => {
    const actor = c.get('actor')
    requireService(actor, what)
    const { keys } = c.req.valid('json')
    return answerLines(c, async (emit, signal) => {
      const onOutcome = (done: object) => emit({ ...done })
      return { ...(await reconcile.restore(keys ?? 'all', { actor, signal, onOutcome })) }
    })
  })
}

async function* bodyOf(c: HttpContext): AsyncGenerator<Uint8Array> {
  for await (const chunk of c.req.raw.body ?? []) yield chunk
}
