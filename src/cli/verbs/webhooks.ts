import { z } from 'zod'
import { type Client, withClient } from '../client.ts'
import { CliFailure, type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { localTime, table } from '../text.ts'
import { type CommonOptions, jsonDocument, queryOf } from './options.ts'

const endpointsSchema = z.looseObject({
  endpoints: z.array(
    z.looseObject({
      id: z.string(),
      host: z.string().nullable(),
      events: z.array(z.string()),
      disabledAt: z.string().nullable(),
      pending: z.number(),
      delivered: z.number(),
      dead: z.number(),
    }),
  ),
})

const deliverySchema = z.looseObject({
  id: z.string(),
  endpoint: z.string(),
  type: z.string(),
  asset: z.string().nullable(),
  state: z.string(),
  attempts: z.number(),
  createdAt: z.string(),
  problem: z.string().nullable(),
})

const deliveriesSchema = z.looseObject({ deliveries: z.array(deliverySchema), nextCursor: z.string().nullable() })

const testsSchema = z.looseObject({
  tests: z.array(z.looseObject({ endpoint: z.string(), ok: z.boolean(), problem: z.string().nullable() })),
})

export async function listEndpointsVerb(options: CommonOptions, io: Io): Promise<ExitCode> {
  const answer = await withClient(options, io, (client) => client.json(endpointsSchema, '/v1/webhooks'))
  if (options.json) {
    io.stdout.write(jsonDocument(answer))
    return exitCodes.ok
  }
  if (answer.endpoints.length === 0) {
    io.stderr.write(
      'No webhooks. Set KEEPSAKE_WEBHOOK_URL and KEEPSAKE_WEBHOOK_SECRET, or webhooks in the configuration.\n',
    )
    return exitCodes.ok
  }
  const rows = answer.endpoints.map((one) => [
    one.id,
    one.host ?? '(not configured here)',
    one.disabledAt === null ? 'enabled' : 'disabled (410)',
    String(one.pending),
    String(one.dead),
    one.events.join(' '),
  ])
  io.stdout.write(table(['ENDPOINT', 'HOST', 'STATE', 'PENDING', 'DEAD', 'EVENTS'], rows))
  return exitCodes.ok
}

export type DeliveriesOptions = CommonOptions & {
  readonly state: string
  readonly endpoint?: string
  readonly limit?: string
  readonly cursor?: string
}

export async function deliveriesVerb(options: DeliveriesOptions, io: Io): Promise<ExitCode> {
  const { state, endpoint, limit, cursor } = options
  const page = await withClient(options, io, (client) =>
    client.json(deliveriesSchema, `/v1/webhooks/deliveries${queryOf({ state, endpoint, limit, cursor })}`),
  )
  if (options.json) {
    io.stdout.write(jsonDocument(page))
    return exitCodes.ok
  }
  const rows = page.deliveries.map((one) => [
    one.id,
    one.endpoint,
    one.type,
    one.asset ?? '-',
    localTime(one.createdAt),
    String(one.attempts),
    one.problem ?? '-',
  ])
  if (rows.length > 0) {
    io.stdout.write(table(['ID', 'ENDPOINT', 'EVENT', 'ASSET', 'CREATED', 'ATTEMPTS', 'LAST PROBLEM'], rows))
  }
  if (page.nextCursor !== null) io.stderr.write(`There are more: --cursor ${page.nextCursor}\n`)
  return exitCodes.ok
}

export type ReplayOptions = CommonOptions & { readonly allDead?: boolean; readonly endpoint?: string }

export async function replayVerb(ids: readonly string[], options: ReplayOptions, io: Io): Promise<ExitCode> {
  if ((ids.length === 0) === (options.allDead !== true)) {
    throw CliFailure.usage('Name the deliveries to replay (webhooks dead lists them), or --all-dead.')
  }
  const replayed: string[] = []
  await withClient(options, io, async (client) => {
    const wanted = options.allDead ? await allDead(client, options.endpoint) : ids
    for (const id of wanted) {
      await client.json(deliverySchema, `/v1/webhooks/deliveries/${encodeURIComponent(id)}/replay`, { method: 'POST' })
      replayed.push(id)
      if (!options.json) io.stdout.write(`replaying ${id}\n`)
    }
  })
  if (options.json) io.stdout.write(jsonDocument({ replayed }))
  return exitCodes.ok
}

/** All of them first: what is replayed may be given up again meanwhile. */
async function allDead(client: Client, endpoint: string | undefined): Promise<readonly string[]> {
  const ids: string[] = []
  for (let cursor: string | undefined; ; ) {
    const path = `/v1/webhooks/deliveries${queryOf({ state: 'dead', endpoint, limit: '1000', cursor })}`
    const page = await client.json(deliveriesSchema, path)
    ids.push(...page.deliveries.map(({ id }) => id))
    if (page.nextCursor === null) return ids.reverse()
    cursor = page.nextCursor
  }
}

export async function testVerb(endpoint: string | undefined, options: CommonOptions, io: Io): Promise<ExitCode> {
  const answer = await withClient(options, io, (client) =>
    client.json(testsSchema, '/v1/webhooks/test', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ endpoint }),
      long: true,
    }),
  )
  if (options.json) io.stdout.write(jsonDocument(answer))
  for (const test of options.json ? [] : answer.tests) {
    if (test.ok) io.stdout.write(`${test.endpoint} took it\n`)
    else io.stderr.write(`keepsake: ${test.endpoint}: ${test.problem ?? 'no answer'}\n`)
  }
  return answer.tests.every(({ ok }) => ok) ? exitCodes.ok : exitCodes.unavailable
}
