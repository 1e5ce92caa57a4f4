import { randomUUID } from 'node:crypto'
import type { Catalogue, Delivery, DeliveryFilter, DeliveryState } from '../../catalogue/index.ts'
import { KeepsakeError } from '../../media/index.ts'
import { type Courier, isTaken, messageId } from './courier.ts'
import type { WebhookEndpoint } from './endpoint.ts'

export type WebhookEndpointStatus = {
  readonly id: string
  /** Null where it is not in this process's configuration. */
  readonly host: string | null
  readonly events: readonly string[]
  /** Since when it gets nothing, because it answered 410 Gone. */
  readonly disabledAt: Date | null
  readonly pending: number
  readonly delivered: number
  readonly dead: number
}

export type WebhookTest = {
  readonly endpoint: string
  readonly host: string
  readonly ok: boolean
  /** Null where there was no answer. */
  readonly status: number | null
  readonly problem: string | null
}

/** The receivers of events, and what is on its way to them. */
export interface Webhooks {
  endpoints(): Promise<readonly WebhookEndpointStatus[]>

  /** Newest first. `state: 'dead'` is what was given up. */
  deliveries(
    filter?: Partial<DeliveryFilter>,
  ): Promise<{ readonly deliveries: readonly Delivery[]; readonly nextCursor: string | null }>

  /** Sends a delivery again from its first attempt on, under the same webhook-id. @throws `delivery_not_found` */
  replay(id: string): Promise<Delivery>

  /**
   * Sends `keepsake.test` to one endpoint or to all, now and once. One that was disabled and takes it is enabled again.
   *
   * @throws `invalid_request` where there is no such endpoint, or none at all.
   */
  test(endpoint?: string): Promise<readonly WebhookTest[]>
}

export type WebhookParts = {
  readonly catalogue: Catalogue
  readonly courier: Courier
  readonly endpoints: readonly WebhookEndpoint[]
}

export function createWebhooks({ catalogue, courier, endpoints }: WebhookParts): Webhooks {
  const hosts = new Map(endpoints.map(({ id, host }) => [id, host]))
  return {
    async endpoints() {
      const [known, counts] = await Promise.all([catalogue.endpoints(), catalogue.countDeliveries()])
      const count = (id: string, state: DeliveryState) =>
        counts.find((row) => row.endpoint === id && row.state === state)?.count ?? 0
      return known.map(({ id, events, disabledAt }) => ({
        id,
        host: hosts.get(id) ?? null,
        events,
        disabledAt,
        pending: count(id, 'pending'),
        delivered: count(id, 'delivered'),
        dead: count(id, 'dead'),
      }))
    },

    deliveries: (filter = {}) => catalogue.listDeliveries({ limit: 100, ...filter }),

    async replay(id) {
      const delivery = await catalogue.replayDelivery(id)
      if (delivery === undefined) {
        throw new KeepsakeError(
          'delivery_not_found',
          'There is no such delivery. It may have been forgotten by its age.',
        )
      }
      courier.wake()
      return delivery
    },

    async test(endpoint) {
      const asked = endpoints.filter(({ id }) => endpoint === undefined || id === endpoint)
      if (asked.length === 0) {
        const known = [...hosts.keys()].join(', ') || 'none (set KEEPSAKE_WEBHOOK_URL or webhooks in the configuration)'
        throw new KeepsakeError('invalid_request', `There is no such webhook endpoint. Configured here: ${known}.`)
      }
      return Promise.all(asked.map((one) => testOne(catalogue, courier, one)))
    },
  }
}

async function testOne(catalogue: Catalogue, courier: Courier, endpoint: WebhookEndpoint): Promise<WebhookTest> {
  const payload = { type: 'keepsake.test', timestamp: (await catalogue.now()).toISOString(), data: {} }
  const attempt = await courier.sendOnce(endpoint, messageId(randomUUID()), payload)
  const ok = isTaken(attempt)
  if (ok) await catalogue.enableEndpoint(endpoint.id)
  return {
    endpoint: endpoint.id,
    host: endpoint.host,
    ok,
    status: attempt.answer?.status ?? null,
    problem: ok ? null : attempt.problem,
  }
}
