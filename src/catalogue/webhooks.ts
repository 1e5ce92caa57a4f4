import { z } from 'zod'
import { readAuditCursor, requireLimit, writeAuditCursor } from './cursor.ts'
import { parseRows, safeInteger } from './row.ts'
import type { Database } from './sql.ts'

export const webhookEvents = [
  'asset.stored',
  'asset.failed',
  'asset.deleted',
  'asset.missing',
  'asset.corrupt',
  'asset.recovered',
] as const
export type WebhookEvent = (typeof webhookEvents)[number]

/** An endpoint as the database knows it: its URL and its secret stand in the configuration alone. */
export type RegisteredEndpoint = {
  readonly id: string
  readonly events: readonly string[]
  readonly seenAt: Date
  /** It answered 410 Gone, and gets nothing until a test or a replay is taken. */
  readonly disabledAt: Date | null
}

export const deliveryStates = ['pending', 'delivered', 'dead'] as const
export type DeliveryState = (typeof deliveryStates)[number]

/** One event on its way to one endpoint. */
export type Delivery = {
  readonly id: string
  /** The event's id, the same for every endpoint and attempt: what a receiver drops repeats by. */
  readonly event: string
  readonly endpoint: string
  readonly type: string
  readonly asset: string | null
  readonly state: DeliveryState
  /** How often it was sent. */
  readonly attempts: number
  /** The next attempt. */
  readonly dueAt: Date
  readonly createdAt: Date
  readonly endedAt: Date | null
  /** HTTP status of the last answer, where there was one. */
  readonly status: number | null
  /** Why the last attempt failed. */
  readonly problem: string | null
}

/** A delivery that was taken to be sent now. Its `attempts` is the fence. */
export type TakenDelivery = Delivery & { readonly payload: Readonly<Record<string, unknown>> }

export type DeliveryFilter = {
  readonly state?: DeliveryState | undefined
  readonly endpoint?: string | undefined
  readonly limit: number
  readonly cursor?: string | undefined
}

/** How an attempt ended. */
export type DeliveryOutcome =
  | { readonly state: 'delivered'; readonly status: number }
  | {
      readonly state: 'pending' | 'dead'
      readonly status: number | null
      readonly problem: string
      /** Seconds until the next attempt. */
      readonly retryIn: number
    }

export interface WebhookQueries {
  /** Says that endpoints are in this process's configuration: from now on events are written for them. */
  registerEndpoints(endpoints: readonly { readonly id: string; readonly events: readonly string[] }[]): Promise<void>
  endpoints(): Promise<readonly RegisteredEndpoint[]>

  /** Takes deliveries that are due, each for so many seconds; whoever takes one counts an attempt. */
  takeDeliveries(endpoint: string, limit: number, lease: number): Promise<readonly TakenDelivery[]>
  /** Ends an attempt. Fence: pending, attempts. */
  endDelivery(taken: Pick<Delivery, 'id' | 'attempts'>, outcome: DeliveryOutcome): Promise<boolean>
  /** Gives back what was taken and not sent to its end: due at once, for the next process. */
  releaseDelivery(taken: Pick<Delivery, 'id' | 'attempts'>): Promise<void>
  /** Seconds until the next delivery of these endpoints is due; null where none waits. */
  nextDelivery(endpoints: readonly string[]): Promise<number | null>

  /** The endpoint is gone (410): nothing more is written for it, and what waits for it is dead. */
  disableEndpoint(endpoint: string): Promise<void>
  enableEndpoint(endpoint: string): Promise<void>

  /** Newest first. */
  listDeliveries(
    filter: DeliveryFilter,
  ): Promise<{ readonly deliveries: readonly Delivery[]; readonly nextCursor: string | null }>
  countDeliveries(): Promise<
    readonly { readonly endpoint: string; readonly state: DeliveryState; readonly count: number }[]
  >
  /** Dead or delivered -> pending, from the first attempt on. Undefined where there is no such delivery. */
  replayDelivery(id: string): Promise<Delivery | undefined>

  /** Forgets what was delivered three days ago, and whatever is older than thirty days; some at a time. */
  forgetDeliveries(): Promise<void>
}

export function webhookQueries(database: Database): WebhookQueries {
  const query = (text: string, values?: readonly unknown[]) => database.service.query(text, values)
  return {
    registerEndpoints: async (endpoints) => {
      await query(registerText, [JSON.stringify(endpoints)])
    },
    endpoints: async () => parseRows(endpointRow, (await query(endpointsText)).rows),
    takeDeliveries: async (endpoint, limit, lease) =>
      parseRows(takenRow, (await query(takeText, [endpoint, limit, lease])).rows),
    endDelivery: async ({ id, attempts }, outcome) => {
      const { problem, retryIn } = outcome.state === 'delivered' ? { problem: null, retryIn: 0 } : outcome
      const { rows } = await query(endText, [id, attempts, outcome.state, outcome.status, problem, retryIn])
      return rows.length > 0
    },
    releaseDelivery: async ({ id, attempts }) => {
      await query(releaseText, [id, attempts])
    },
    nextDelivery: async (endpoints) => {
      const [row] = parseRows(nextRow, (await query(nextText, [endpoints])).rows)
      return row?.seconds ?? null
    },
    disableEndpoint: async (endpoint) => {
      await query(disableText, [endpoint])
    },
    enableEndpoint: async (endpoint) => {
      await query('update keepsake.webhook_endpoints set disabled_at = null where id = $1', [endpoint])
    },
    listDeliveries: (filter) => listDeliveries(database, filter),
    countDeliveries: async () => parseRows(countRow, (await query(countText)).rows),
    replayDelivery: async (id) => {
      if (!/^\d{1,18}$/.test(id)) return undefined
      const [delivery] = parseRows(deliveryRow, (await query(replayText, [id])).rows)
      return delivery
    },
    forgetDeliveries: async () => {
      await query(forgetText)
    },
  }
}

const registerText = `
insert into keepsake.webhook_endpoints (id, events)
select e.id, e.events from jsonb_to_recordset($1::jsonb) as e (id text, events text[])
on conflict (id) do update set events = excluded.events, seen_at = keepsake.now()`

const endpointsText = 'select id, events, seen_at, disabled_at from keepsake.webhook_endpoints order by id'
const endpointRow = z
  .strictObject({ id: z.string(), events: z.array(z.string()), seen_at: z.date(), disabled_at: z.date().nullable() })
  .transform(
    (row): RegisteredEndpoint => ({
      id: row.id,
      events: row.events,
      seenAt: row.seen_at,
      disabledAt: row.disabled_at,
    }),
  )

const deliveryShape = {
  id: safeInteger,
  event: z.string(),
  endpoint: z.string(),
  type: z.string(),
  asset: z.string().nullable(),
  state: z.enum(deliveryStates),
  attempts: z.int(),
  due_at: z.date(),
  created_at: z.date(),
  ended_at: z.date().nullable(),
  status: z.int().nullable(),
  problem: z.string().nullable(),
}
type DeliveryRow = z.output<z.ZodObject<typeof deliveryShape>>

const columns = Object.keys(deliveryShape).join(', ')
const columnsOfD = Object.keys(deliveryShape)
  .map((name) => `d.${name}`)
  .join(', ')

function deliveryOf(row: DeliveryRow): Delivery {
  return {
    id: String(row.id),
    event: row.event,
    endpoint: row.endpoint,
    type: row.type,
    asset: row.asset,
    state: row.state,
    attempts: row.attempts,
    dueAt: row.due_at,
    createdAt: row.created_at,
    endedAt: row.ended_at,
    status: row.status,
    problem: row.problem,
  }
}

const deliveryRow = z.strictObject(deliveryShape).transform(deliveryOf)
const takenRow = z
  .strictObject({ ...deliveryShape, payload: z.record(z.string(), z.unknown()) })
  .transform(({ payload, ...row }): TakenDelivery => ({ ...deliveryOf(row), payload }))

// Several processes take at the same time, and none waits for another.
const takeText = `
with due as (
  select id from keepsake.webhook_deliveries
  where state = 'pending' and endpoint = $1 and due_at <= keepsake.now()
  order by due_at, id limit $2 for update skip locked
)
update keepsake.webhook_deliveries d
set attempts = d.attempts + 1, due_at = keepsake.now() + make_interval(secs => $3::float8)
from due where d.id = due.id
returning ${columnsOfD}, d.payload`

// An endpoint that takes something again, a test or a replay, is not gone any more.
const endText = `
with ended as (
update keepsake.webhook_deliveries
set state = $3::text, status = $4::integer, problem = $5::text,
  due_at = keepsake.now() + make_interval(secs => $6::float8),
  ended_at = case when $3::text = 'pending' then null else keepsake.now() end
where id = $1::bigint and attempts = $2::integer and state = 'pending'
returning id, endpoint
), enabled as (
  update keepsake.webhook_endpoints e set disabled_at = null from ended
  where e.id = ended.endpoint and e.disabled_at is not null and $3::text = 'delivered'
)
select id from ended`

const releaseText = `
update keepsake.webhook_deliveries set due_at = keepsake.now(), attempts = attempts - 1
where id = $1::bigint and attempts = $2::integer and state = 'pending'`

const nextText = `
select extract(epoch from min(due_at) - keepsake.now())::float8 as seconds
from keepsake.webhook_deliveries where state = 'pending' and endpoint = any ($1::text[])`
const nextRow = z.strictObject({ seconds: z.number().nullable() })

const disableText = `
with disabled as (
  update keepsake.webhook_endpoints set disabled_at = keepsake.now() where id = $1 and disabled_at is null
)
update keepsake.webhook_deliveries
set state = 'dead', ended_at = keepsake.now(), problem = 'The endpoint answered 410 Gone.'
where endpoint = $1 and state = 'pending'`

const replayText = `
update keepsake.webhook_deliveries
set state = 'pending', attempts = 0, due_at = keepsake.now(), ended_at = null
where id = $1::bigint
returning ${columns}`

const countText = `
select endpoint, state, count(*) as count from keepsake.webhook_deliveries group by endpoint, state order by 1, 2`
const countRow = z.strictObject({ endpoint: z.string(), state: z.enum(deliveryStates), count: safeInteger })

// Also what waits for an endpoint that no process has in its configuration any more.
const forgetText = `
delete from keepsake.webhook_deliveries where id in (
  (select id from keepsake.webhook_deliveries
    where state = 'delivered' and created_at < keepsake.now() - interval '3 days' order by id limit 1000)
  union all
  (select id from keepsake.webhook_deliveries
    where created_at < keepsake.now() - interval '30 days' order by created_at limit 1000))`

async function listDeliveries(
  database: Database,
  filter: DeliveryFilter,
): Promise<{ readonly deliveries: readonly Delivery[]; readonly nextCursor: string | null }> {
  requireLimit(filter.limit)
  const values: unknown[] = []
  let conditions = 'true'
  if (filter.state !== undefined) conditions += ` and state = $${values.push(filter.state)}`
  if (filter.endpoint !== undefined) conditions += ` and endpoint = $${values.push(filter.endpoint)}`
  if (filter.cursor !== undefined) conditions += ` and id < $${values.push(readAuditCursor(filter.cursor))}::bigint`
  const { rows } = await database.service.query(
    `select ${columns} from keepsake.webhook_deliveries where ${conditions} ` +
      `order by id desc limit $${values.push(filter.limit + 1)}`,
    values,
  )
  const deliveries = parseRows(deliveryRow, rows.slice(0, filter.limit))
  const last = deliveries.at(-1)
  const more = rows.length > filter.limit && last !== undefined
  return { deliveries, nextCursor: more ? writeAuditCursor(last.id) : null }
}
