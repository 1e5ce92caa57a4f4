import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { type Delivery, deliveryStates } from '../../catalogue/index.ts'
import type { Keepsake } from '../../verbs.ts'
import { readJsonBody } from '../body.ts'
import { type HttpEnv, requireService } from '../env.ts'
import { cursorText, limitText, strict } from '../schema.ts'
import { bearer, commonProblems, json, noQuery, problem } from './contract.ts'

/** Bytes. */
const bodyLimit = 16 * 1024
const what = 'What concerns webhooks'

const time = z.string().openapi({ format: 'date-time' })

const endpointsOutput = z
  .strictObject({
    endpoints: z.array(
      z.strictObject({
        id: z.string().openapi({ example: 'app' }),
        host: z.string().nullable().openapi({ description: 'null where it is not in this server’s configuration.' }),
        events: z.array(z.string()),
        disabledAt: time
          .nullable()
          .openapi({ description: 'It answered 410; a test or a replay that it takes enables it.' }),
        pending: z.int(),
        delivered: z.int(),
        dead: z.int(),
      }),
    ),
  })
  .openapi('WebhookEndpoints')

const deliveryOutput = z
  .strictObject({
    id: z.string().openapi({ example: '42' }),
    event: z.string().openapi({ format: 'uuid', description: 'The webhook-id is `msg_` and this without hyphens.' }),
    endpoint: z.string(),
    type: z.string().openapi({ example: 'asset.stored' }),
    asset: z.string().nullable(),
    state: z.enum(deliveryStates).openapi({ description: '`dead`: given up, and can be replayed.' }),
    attempts: z.int(),
    dueAt: time.openapi({ description: 'The next attempt, while it is pending.' }),
    createdAt: time,
    endedAt: time.nullable(),
    status: z.int().nullable().openapi({ description: 'What the last attempt was answered with.' }),
    problem: z.string().nullable(),
  })
  .openapi('WebhookDelivery')

const deliveriesOutput = z
  .strictObject({ deliveries: z.array(deliveryOutput), nextCursor: z.string().nullable() })
  .openapi('WebhookDeliveries')

const testsOutput = z
  .strictObject({
    tests: z.array(
      z.strictObject({
        endpoint: z.string(),
        host: z.string(),
        ok: z.boolean(),
        status: z.int().nullable(),
        problem: z.string().nullable(),
      }),
    ),
  })
  .openapi('WebhookTests')

const endpointName = z.string().min(1).max(255)

const endpointsRoute = createRoute({
  method: 'get',
  path: '/v1/webhooks',
  operationId: 'webhooks',
  tags: ['Webhooks'],
  summary: 'The receivers of events',
  security: bearer,
  request: { query: noQuery },
  responses: { 200: json(endpointsOutput, 'Those that are known.'), ...commonProblems, 403: problem('`forbidden`') },
})

const deliveriesRoute = createRoute({
  method: 'get',
  path: '/v1/webhooks/deliveries',
  operationId: 'webhookDeliveries',
  tags: ['Webhooks'],
  summary: 'Events on their way, newest first',
  description: 'What was delivered is listed for three days, the rest for thirty. `state=dead` is the dead letter.',
  security: bearer,
  request: {
    query: strict({
      state: z.enum(deliveryStates).optional(),
      endpoint: endpointName.optional(),
      limit: limitText.optional(),
      cursor: cursorText.optional(),
    }),
  },
  responses: { 200: json(deliveriesOutput, 'A page.'), ...commonProblems, 403: problem('`forbidden`') },
})

const replayRoute = createRoute({
  method: 'post',
  path: '/v1/webhooks/deliveries/{id}/replay',
  operationId: 'replayWebhook',
  tags: ['Webhooks'],
  summary: 'Send a delivery again',
  description: 'From its first attempt on, and under the same webhook-id.',
  security: bearer,
  request: {
    query: noQuery,
    params: z.object({ id: z.string().openapi({ param: { name: 'id', in: 'path' }, example: '42' }) }),
  },
  responses: {
    202: json(deliveryOutput, 'It is sent.'),
    ...commonProblems,
    403: problem('`forbidden`'),
    404: problem('`delivery_not_found`'),
  },
})

const testRoute = createRoute({
  method: 'post',
  path: '/v1/webhooks/test',
  operationId: 'testWebhooks',
  tags: ['Webhooks'],
  summary: 'Send `keepsake.test` now, once',
  description: 'To one endpoint or to all. One that was disabled and takes it is enabled again.',
  security: bearer,
  middleware: [readJsonBody(bodyLimit)] as const,
  request: {
    query: noQuery,
    body: {
      required: true,
      content: { 'application/json': { schema: strict({ endpoint: endpointName.optional() }).openapi('WebhookTest') } },
    },
  },
  responses: {
    200: json(testsOutput, 'How each one answered.'),
    ...commonProblems,
    403: problem('`forbidden`'),
    415: problem('`unsupported_media_type`'),
  },
})

export function addWebhookRoutes(app: OpenAPIHono<HttpEnv>, { webhooks }: Pick<Keepsake, 'webhooks'>): void {
  app.openapi(endpointsRoute, async (c) => {
    requireService(c.get('actor'), what)
    const endpoints = await webhooks.endpoints()
    return c.json(
      {
        endpoints: endpoints.map(({ events, disabledAt, ...rest }) => ({
          ...rest,
          events: [...events],
          disabledAt: disabledAt?.toISOString() ?? null,
        })),
      },
      200,
    )
  })

  app.openapi(deliveriesRoute, async (c) => {
    requireService(c.get('actor'), what)
    const { limit = 50, ...filter } = c.req.valid('query')
    const { deliveries, nextCursor } = await webhooks.deliveries({ ...filter, limit })
    return c.json({ deliveries: deliveries.map(deliveryJson), nextCursor }, 200)
  })

  app.openapi(replayRoute, async (c) => {
    requireService(c.get('actor'), what)
    return c.json(deliveryJson(await webhooks.replay(c.req.valid('param').id)), 202)
  })

  app.openapi(testRoute, async (c) => {
    requireService(c.get('actor'), what)
    const tests = await webhooks.test(c.req.valid('json').endpoint)
    return c.json({ tests: tests.map((test) => ({ ...test })) }, 200)
  })
}

function deliveryJson(delivery: Delivery): z.infer<typeof deliveryOutput> {
  return {
    ...delivery,
    dueAt: delivery.dueAt.toISOString(),
    createdAt: delivery.createdAt.toISOString(),
    endedAt: delivery.endedAt?.toISOString() ?? null,
  }
}
