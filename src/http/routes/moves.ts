import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { type MoveCounts, type MoveFile, moveFileStates, moveStages } from '../../catalogue/index.ts'
import { KeepsakeError } from '../../media/index.ts'
import type { Keepsake } from '../../verbs.ts'
import { readJsonBody } from '../body.ts'
import { type HttpContext, type HttpEnv, isTrustedCaller, requireService } from '../env.ts'
import { answerLines, lines } from '../lines.ts'
import { limitText, ownerText, strict } from '../schema.ts'
import { bearer, commonProblems, json, problem } from './contract.ts'

const bodyLimit = 64 * 1024

const textOf = (maxLength: number) =>
  z
    .string()
    .min(1, 'must not be empty')
    .max(maxLength)
    .refine((value) => value.isWellFormed() && !value.includes('\0'), 'has a character that cannot be stored')

const moveId = z.uuid('must be the id of a move').openapi({ example: '0198c0de-7a11-7b52-8c3d-0123456789ab' })

const moveInput = strict({
  source: textOf(4096).openapi({
    description: 'A folder of the machine that Keepsake runs on, or `s3://bucket/prefix`.',
    example: 's3://old-bucket/avatars/',
  }),
  collection: z.string().openapi({ example: 'avatars' }),
  match: textOf(1024).optional().openapi({
    description: 'What a path says: `{owner}`, attributes; `{name}`, `{ext}` and `{path}` are passed over.',
    example: '{owner}/{name}.{ext}',
  }),
  map: textOf(1024).optional().openapi({ description: 'The key template. Default: the collection’s.' }),
  keepKeys: z.boolean().optional().openapi({ description: 'The path is the key, as it is.' }),
  owner: ownerText.optional(),
  attributes: z.record(z.string(), z.string()).optional(),
  verify: z.enum(['head', 'full']).optional().openapi({
    description: '`head`: size, and the hash that the store checked; `full`: every byte read back. Default: head.',
  }),
  retry: z.boolean().optional().openapi({ description: 'Try those again that failed.' }),
  skipFailed: z.boolean().optional().openapi({ description: 'Store the others although some failed.' }),
  concurrency: z.int().min(1).max(256).optional().openapi({ description: 'Files at a time at most. Default: 32.' }),
  bandwidth: z.int().min(1).optional().openapi({ description: 'Bytes a second at most.' }),
  dryRun: z.boolean().optional().openapi({ description: 'Only say what would be done.' }),
}).openapi('MoveRequest')

const countOutput = z.strictObject({ files: z.int(), bytes: z.int() })
const moveOutput = z
  .strictObject({
    id: moveId,
    source: z.string(),
    collection: z.string(),
    stage: z.enum(moveStages),
    counts: z.record(z.enum(moveFileStates), countOutput),
    createdAt: z.string(),
    changedAt: z.string(),
  })
  .openapi('Move')

const failureOutput = z.strictObject({ path: z.string(), size: z.int(), code: z.string(), message: z.string() })

const migrateRoute = createRoute({
  method: 'post',
  path: '/v1/moves',
  operationId: 'migrate',
  tags: ['Moves'],
  summary: 'Take existing media into a collection',
  description:
    'For the command line on the same machine. ' +
    'Inventory, copy, verify, and only then cut over: all assets become `stored` together. The source is not touched. ' +
    'What was stopped goes on with the same request. Lines of `progress`, then a `result` with the move.',
  security: bearer,
  middleware: [readJsonBody(bodyLimit)] as const,
  request: { body: { required: true, content: { 'application/json': { schema: moveInput } } } },
  responses: { 200: lines('Progress, then the move.', z.unknown()), ...commonProblems, 403: problem('`forbidden`') },
})

const listRoute = createRoute({
  method: 'get',
  path: '/v1/moves',
  operationId: 'listMoves',
  tags: ['Moves'],
  summary: 'The last moves, newest first',
  security: bearer,
  request: { query: strict({ limit: limitText.optional() }) },
  responses: {
    200: json(z.strictObject({ moves: z.array(moveOutput) }), 'The moves.'),
    ...commonProblems,
    403: problem('`forbidden`'),
  },
})

const failuresRoute = createRoute({
  method: 'get',
  path: '/v1/moves/{id}/failures',
  operationId: 'moveFailures',
  tags: ['Moves'],
  summary: 'Files of a move that failed, with why',
  security: bearer,
  request: {
    params: z.object({ id: moveId }),
    query: strict({ after: z.string().max(4096).optional(), limit: limitText.optional() }),
  },
  responses: {
    200: json(z.strictObject({ failures: z.array(failureOutput) }), 'By path.'),
    ...commonProblems,
    403: problem('`forbidden`'),
  },
})

const retireRoute = createRoute({
  method: 'post',
  path: '/v1/moves/{id}/retire',
  operationId: 'retireMove',
  tags: ['Moves'],
  summary: 'Remove from the source what a finished move took over',
  description: 'Each file only while it is as it was, and its asset is stored and well.',
  security: bearer,
  request: { params: z.object({ id: moveId }) },
  responses: { 200: lines('What was removed.', z.unknown()), ...commonProblems, 403: problem('`forbidden`') },
})

export function addMoveRoutes(app: OpenAPIHono<HttpEnv>, { moving }: Pick<Keepsake, 'moving'>): void {
  app.openapi(migrateRoute, (c) => {
    requireService(c.get('actor'), 'Taking in existing media')
    const { source, dryRun, ...given } = c.req.valid('json')
    refuseFromAfar(c)
    return answerLines(c, async (emit, signal) => {
      if (dryRun) {
        const { collection, match, map, keepKeys, owner, attributes } = given
        const onProgress = (files: number, bytes: number) => emit({ stage: 'inventory', files, bytes })
        const asked = { collection, match, map, keepKeys, owner, attributes }
        return { ...(await moving.rehearse(source, { ...asked, signal, onProgress })) }
      }
      const { move, counts, odd } = await moving.migrate(source, { ...given, signal, onProgress: emit })
      return { move: moveJson({ ...move, counts }), odd }
    })
  })

  app.openapi(listRoute, async (c) => {
    requireService(c.get('actor'), 'The list of moves')
    return c.json({ moves: (await moving.list(c.req.valid('query').limit)).map(moveJson) }, 200)
  })

  app.openapi(failuresRoute, async (c) => {
    requireService(c.get('actor'), 'A move')
    const failures = await moving.failures(c.req.valid('param').id, c.req.valid('query'))
    return c.json({ failures: failures.map(failureJson) }, 200)
  })

  app.openapi(retireRoute, async (c) => {
    requireService(c.get('actor'), 'A move')
    const { id } = c.req.valid('param')
    refuseFromAfar(c)
    return answerLines(c, async (_, signal) => ({ ...(await moving.retire(id, { signal })) }))
  })
}

/**
 * An API key is for media. It must not read, or empty, folders of the machine behind, nor whatever buckets the
 * machine's credentials reach.
 */
function refuseFromAfar(c: HttpContext): void {
  if (isTrustedCaller(c.env)) return
  throw new KeepsakeError(
    'forbidden',
    'Existing media is only taken in for a command line on the same machine: it reads folders, and buckets, that are the ' +
      "machine's. Run keepsake migrate there.",
  )
}

function moveJson({ id, source, collection, stage, counts, createdAt, changedAt }: ListedMove) {
  const times = { createdAt: createdAt.toISOString(), changedAt: changedAt.toISOString() }
  return { id, source, collection, stage, counts, ...times }
}

type ListedMove = Awaited<ReturnType<Keepsake['moving']['list']>>[number] & { readonly counts: MoveCounts }

function failureJson({ path, size, problem: found }: MoveFile) {
  return { path, size, code: found?.code ?? 'internal', message: found?.message ?? '' }
}
