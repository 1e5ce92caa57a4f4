import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { databases, moveClock, type OpenedDatabase, reservation } from '../../../test/support/databases.ts'
import { type Receiver, startReceiver, webhookSecret } from '../../../test/support/receiver.ts'
import { type Actor, type Catalogue, createCatalogue } from '../../catalogue/index.ts'
import { systemClock } from '../../clock.ts'
import { createGuardedPost, type GuardedPost } from '../../intake/index.ts'
import { silentLogger } from '../../logger.ts'
import { KeepsakeError } from '../../media/index.ts'
import { createMemoryStore, type ObjectStore } from '../../stores/index.ts'
import { storedAsset } from '../testing/stored-asset.ts'
import { Courier } from './courier.ts'
import { parseEndpoints, type WebhookDefinition } from './endpoint.ts'
import { createWebhooks } from './webhooks.ts'

const service: Actor = { role: 'service' }
const hour = 3600
/** Longer than any pause between two attempts. */
const days = 30 * hour

describe.each(databases)('webhooks on $name', ({ open }) => {
  let opened: OpenedDatabase
  let catalogue: Catalogue
  let store: ObjectStore
  let receiver: Receiver
  let elapsed: number
  const cleanUps: (() => Promise<unknown>)[] = []
  beforeAll(async () => {
    opened = await open()
    catalogue = createCatalogue(opened.single)
  })
  afterAll(() => opened?.close())
  beforeEach(async () => {
    await opened.single.service.query('delete from keepsake.webhook_endpoints; delete from keepsake.webhook_deliveries')
    elapsed = 0
    await moveClock(opened.single, 0)
    store = createMemoryStore()
    receiver = await startReceiver()
    cleanUps.push(() => receiver.close())
  })
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
  })

  const keep = (given: Parameters<typeof storedAsset>[2] = {}) => storedAsset(catalogue, store, given)
  const pass = async (seconds: number) => {
    elapsed += seconds
    await moveClock(opened.single, elapsed)
  }

  /** A process that delivers. It looks when the test says so. */
  async function courierTo(
    given: Partial<WebhookDefinition> & {
      readonly allow?: boolean
      readonly deadline?: number
      readonly through?: Catalogue
    } = {},
  ) {
    const { allow = true, deadline, through = catalogue, ...definition } = given
    const url = definition.url ?? receiver.url
    const post: GuardedPost = createGuardedPost({
      allowHosts: allow ? [new URL(url).host] : [],
      allowSetting: 'KEEPSAKE_WEBHOOK_ALLOW_HOSTS',
      ...(deadline === undefined ? {} : { deadline }),
    })
    cleanUps.push(() => post.close())
    const check = allow ? post : { check: () => {} }
    const endpoints = parseEndpoints([{ name: 'app', secrets: [webhookSecret], ...definition, url }], check)
    const courier = new Courier({ catalogue: through, endpoints, post, clock: systemClock, logger: silentLogger })
    await catalogue.registerEndpoints(endpoints)
    return { courier, webhooks: createWebhooks({ catalogue, courier, endpoints }), post }
  }
  const rows = async () => (await catalogue.listDeliveries({ limit: 1000 })).deliveries

  it('tell of an asset’s life, signed, with what is known and nothing that is secret', async () => {
    const { courier } = await courierTo()
    const asset = await keep({ attributes: { wallet: 'abc' }, provenance: { prompt: 'private words' } })
    const { asset: failing } = await catalogue.reserve(reservation(), service)
    const problem = { code: 'source_gone', message: 'The source is gone.' }
    await catalogue.fail(failing.id, failing.attempt, problem, service)
    const marked = await catalogue.markHealth(asset, 'missing', {}, service)
    if (marked) await catalogue.markHealth(marked, 'ok', {}, service)
    await catalogue.beginDelete(asset.id, 30, { role: 'user', owner: asset.owner })
    await courier.deliverDue()

    expect(receiver.forged).toEqual([])
    const byType = new Map(receiver.received.map(({ event }) => [event.type, event]))
    expect([...byType.keys()].sort()).toEqual([
      'asset.deleted',
      'asset.failed',
      'asset.missing',
      'asset.recovered',
      'asset.stored',
    ])
    expect(byType.get('asset.stored')).toMatchObject({
      timestamp: asset.storedAt?.toISOString(),
      data: {
        asset: {
          id: asset.id,
          owner: asset.owner,
          collection: 'generations',
          state: 'stored',
          health: 'ok',
          key: asset.key,
          contentType: 'image/png',
          size: asset.size,
          sha256: asset.sha256,
          attributes: { wallet: 'abc' },
          createdAt: asset.createdAt.toISOString(),
        },
      },
    })
    expect(byType.get('asset.deleted')).toMatchObject({ data: { asset: { id: asset.id, state: 'deleting' } } })
    expect(byType.get('asset.failed')).toMatchObject({ data: { asset: { id: failing.id, state: 'failed', problem } } })
    expect(byType.get('asset.missing')).toMatchObject({ data: { asset: { id: asset.id, health: 'missing' } } })
    const all = JSON.stringify(receiver.received.map(({ body }) => body))
    expect(all).not.toContain('http')
    expect(all).not.toContain('private words')
    expect(receiver.received[0]?.headers).toMatchObject({ 'content-type': 'application/json' })
    expect((await rows()).every(({ state, attempts }) => state === 'delivered' && attempts === 1)).toBe(true)
  })

  it('are written by the very statement of the change: what is rolled back is never told', async () => {
    await courierTo()
    const { asset } = await catalogue.reserve(reservation(), service)
    const undone = opened.single.serviceTransaction(async (sql) => {
      await sql.query(
        `insert into keepsake.audit (action, asset, owner, collection, actor)
        values ('asset.failed', $1, 'o', 'c', 'system')`,
        [asset.id],
      )
      expect((await sql.query('select from keepsake.webhook_deliveries', [])).rows).toHaveLength(1)
      throw new KeepsakeError('stopping', 'undo')
    })
    await expect(undone).rejects.toThrow('undo')
    expect(await rows()).toEqual([])
  })

  it('are sent again after 500, under the same webhook-id and with a new signature, until they are taken', async () => {
    const { courier } = await courierTo()
    receiver.answers(() => ({ status: receiver.received.length < 3 ? 500 : 200 }))
    await keep()
    await courier.deliverDue()
    expect((await rows())[0]).toMatchObject({ state: 'pending', attempts: 1, status: 500 })
    await courier.deliverDue()
    expect(receiver.received).toHaveLength(1)
    await pass(7)
    await courier.deliverDue()
    await pass(7)
    await courier.deliverDue()
    expect(receiver.received).toHaveLength(2)
    await pass(400)
    await courier.deliverDue()
    expect(receiver.received).toHaveLength(3)
    expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(1)
    expect(new Set(receiver.received.map(({ body }) => body)).size).toBe(1)
    expect((await rows())[0]).toMatchObject({ state: 'delivered', attempts: 3, status: 200, problem: null })
  })

  it.each([
    ['a redirect, which is not followed', { status: 307, headers: { location: 'http://127.0.0.1:1/' } }],
    ['not found', { status: 404 }],
    ['no modification', { status: 304 }],
  ])('count %s as a failure', async (_, answer) => {
    const { courier } = await courierTo()
    receiver.answers(() => answer)
    await keep()
    await courier.deliverDue()
    expect((await rows())[0]).toMatchObject({ state: 'pending', attempts: 1, status: answer.status })
  })

  it('wait as long as a receiver asks for', async () => {
    const { courier } = await courierTo()
    receiver.answers(() => ({ status: 429, headers: { 'retry-after': '3000' } }))
    await keep()
    await courier.deliverDue()
    await pass(2900)
    await courier.deliverDue()
    expect(receiver.received).toHaveLength(1)
    await pass(200)
    await courier.deliverDue()
    expect(receiver.received).toHaveLength(2)
  })

  it('give up after ten attempts over days, can be listed then, and are replayed under the same id', async () => {
    const { courier, webhooks } = await courierTo()
    receiver.answers(() => ({ status: 503 }))
    await keep()
    for (let attempt = 0; attempt < 12; attempt += 1) {
      await courier.deliverDue()
      await pass(days)
    }
    expect(receiver.received).toHaveLength(10)
    const { deliveries } = await webhooks.deliveries({ state: 'dead' })
    expect(deliveries).toHaveLength(1)
    expect(deliveries[0]).toMatchObject({ attempts: 10, status: 503, problem: 'The endpoint answered 503.' })
    expect(await webhooks.endpoints()).toMatchObject([{ id: 'app', dead: 1, pending: 0 }])

    receiver.answers(() => ({ status: 200 }))
    expect(await webhooks.replay(deliveries[0]?.id ?? '')).toMatchObject({ state: 'pending', attempts: 0 })
    await courier.deliverDue()
    expect(receiver.received).toHaveLength(11)
    expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(1)
    expect(await webhooks.endpoints()).toMatchObject([{ delivered: 1, dead: 0 }])
    await expect(webhooks.replay('999999')).rejects.toMatchObject({ code: 'delivery_not_found' })
    await expect(webhooks.replay('x')).rejects.toMatchObject({ code: 'delivery_not_found' })
    await courier.stop(1000)
  })

  it('end at 410: nothing more is sent or written, until a test or a replay is taken', async () => {
    const { courier, webhooks } = await courierTo()
    receiver.answers(() => ({ status: 410 }))
    await keep()
    await keep()
    await courier.deliverDue()
    expect((await rows()).map(({ state }) => state)).toEqual(['dead', 'dead'])
    await keep()
    expect(await rows()).toHaveLength(2)
    expect(await webhooks.endpoints()).toMatchObject([{ disabledAt: expect.any(Date), pending: 0, dead: 2 }])
    expect(await webhooks.test()).toMatchObject([{ ok: false, status: 410 }])

    receiver.answers(() => ({ status: 200 }))
    expect(await webhooks.test('app')).toMatchObject([{ endpoint: 'app', ok: true, status: 200 }])
    expect(receiver.received.at(-1)?.event).toMatchObject({ type: 'keepsake.test', data: {} })
    expect(await webhooks.endpoints()).toMatchObject([{ disabledAt: null }])
    await keep()
    expect(await rows()).toHaveLength(3)
    await expect(webhooks.test('nobody')).rejects.toMatchObject({ code: 'invalid_request' })
  })

  it('give a receiver that hangs a deadline, and nobody waits for it for ever', async () => {
    const { courier } = await courierTo({ deadline: 0.3 })
    receiver.answers(() => undefined)
    await keep()
    await courier.deliverDue()
    expect((await rows())[0]).toMatchObject({ state: 'pending', attempts: 1, status: null })
    expect((await rows())[0]?.problem).toContain('more than 0.3 seconds')
    expect(JSON.stringify(await rows())).not.toContain('do-not-tell')
  })

  it('wait for a receiver that is away, and reach it at the same address when it is back', async () => {
    const { courier } = await courierTo()
    await keep()
    await receiver.close()
    await courier.deliverDue()
    expect((await rows())[0]).toMatchObject({ state: 'pending', attempts: 1, status: null })
    expect((await rows())[0]?.problem).toContain('refuses the connection')
    receiver = await startReceiver(receiver.port)
    await pass(10)
    await courier.deliverDue()
    expect(receiver.received).toHaveLength(1)
    expect((await rows())[0]).toMatchObject({ state: 'delivered' })
  })

  it('that were being sent when their process died are sent by the next, under the same id', async () => {
    const { courier } = await courierTo()
    const [first] = [await keep()]
    // What kill -9 leaves: taken, and nobody there to end it.
    const [taken] = await catalogue.takeDeliveries('app', 1, 60)
    expect(taken).toMatchObject({ asset: first.id, attempts: 1 })
    await courier.deliverDue()
    expect(receiver.received).toEqual([])
    await pass(61)
    await courier.deliverDue()
    expect(receiver.received.map(({ id }) => id)).toEqual([`msg_${taken?.event.replaceAll('-', '')}`])
    // The one that was taken for dead comes too late to say anything.
    const late = { state: 'dead', status: 500, problem: 'late', retryIn: 0 } as const
    expect(taken && (await catalogue.endDelivery(taken, late))).toBe(false)
    expect((await rows())[0]).toMatchObject({ state: 'delivered', attempts: 2 })
  })

  it('that a stop cuts off are due at once, and are not counted', async () => {
    const { courier } = await courierTo()
    receiver.answers(() => undefined)
    await keep()
    courier.wake()
    await receiver.until(() => receiver.received.length === 1)
    await courier.stop(50)
    expect((await rows())[0]).toMatchObject({ state: 'pending', attempts: 0, problem: null })
    receiver.answers(() => ({ status: 200 }))
    const next = await courierTo()
    await next.courier.deliverDue()
    expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(1)
    expect((await rows())[0]).toMatchObject({ state: 'delivered', attempts: 1 })
  })

  it('are sent once each by several processes side by side', async () => {
    // With connections of their own, where the database has them.
    const through = createCatalogue(opened.database)
    const [one, two] = [await courierTo({ through }), await courierTo({ through })]
    for (let n = 0; n < 40; n += 1) await keep()
    await Promise.all([one.courier.deliverDue(), two.courier.deliverDue(), one.courier.deliverDue()])
    expect(receiver.received).toHaveLength(40)
    expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(40)
  })

  it('of a failing endpoint keep no other waiting, and it is not hammered with all that waits', async () => {
    const other = await startReceiver()
    cleanUps.push(() => other.close())
    const { courier: failing } = await courierTo({ name: 'failing' })
    const { courier: well } = await courierTo({ name: 'well', url: other.url })
    receiver.answers(() => ({ status: 500 }))
    for (let n = 0; n < 20; n += 1) await keep()
    await Promise.all([failing.deliverDue(), well.deliverDue()])
    expect(other.received).toHaveLength(20)
    expect(receiver.received.length).toBeLessThanOrEqual(4)
    const ids = new Set(other.received.map(({ id }) => id))
    expect(receiver.received.every(({ id }) => ids.has(id))).toBe(true)
  })

  it('are only those that an endpoint asks for', async () => {
    const { courier } = await courierTo({ events: ['asset.deleted'] })
    const asset = await keep()
    await catalogue.beginDelete(asset.id, 30, service)
    await courier.deliverDue()
    expect(receiver.received.map(({ event }) => event.type)).toEqual(['asset.deleted'])
  })

  it('go to no private address but those that are allowed', async () => {
    const { courier } = await courierTo({ allow: false })
    await keep()
    await courier.deliverDue()
    expect(receiver.received).toEqual([])
    expect((await rows())[0]?.problem).toContain('KEEPSAKE_WEBHOOK_ALLOW_HOSTS')
    const secret = 'https://user:pass@example.com/'
    await expect(courierTo({ url: secret })).rejects.toMatchObject({ code: 'invalid_setting' })
    await expect(courierTo({ events: ['asset.eaten'] })).rejects.toThrow("'asset.eaten'")
  })

  it('do not pile up: none without an endpoint, none for one that is forgotten, and old ones go', async () => {
    await keep()
    expect(await rows()).toEqual([])
    const { courier } = await courierTo()
    await keep()
    await courier.deliverDue()
    receiver.answers(() => ({ status: 500 }))
    await keep()
    await courier.deliverDue()
    // Nobody has said for a day that it is in a configuration.
    await pass(25 * hour)
    await keep()
    expect(await rows()).toHaveLength(2)
    await pass(3 * 24 * hour)
    await catalogue.forgetDeliveries()
    expect((await rows()).map(({ state }) => state)).toEqual(['pending'])
    await pass(31 * 24 * hour)
    await catalogue.forgetDeliveries()
    expect(await rows()).toEqual([])
  })

  it('are nobody’s to read but the service’s', async () => {
    await courierTo()
    const asset = await keep()
    for (const table of ['webhook_deliveries', 'webhook_endpoints', 'upkeep_runs']) {
      const reading = opened.single.ownerTransaction(asset.owner, (sql) =>
        sql.query(`select from keepsake.${table}`, []),
      )
      await expect(reading).rejects.toThrow()
    }
  })
})
