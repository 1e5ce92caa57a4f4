/** Retention, clean-up, verify and webhooks through the doors: HTTP, the command line, the clock, and a kill. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { openPglite } from '../../src/catalogue/index.ts'
import { defaultCollections } from '../../src/media/index.ts'
import { runCli } from '../support/cli.ts'
import { apiKey, gif, startTestServer, type TestServer } from '../support/http.ts'
import { openTestParts } from '../support/keepsake.ts'
import { freePort } from '../support/listen.ts'
import { type Receiver, startReceiver, webhookSecret } from '../support/receiver.ts'
import { until } from '../support/service.ts'
import { Serving } from '../support/serving.ts'

const jwtSecret = 'a secret of more than thirty-two bytes for these tests'
const base64 = gif.toString('base64')
const assetSchema = z.looseObject({
  id: z.string(),
  key: z.string(),
  health: z.string(),
  expiresAt: z.string().optional(),
  pinned: z.boolean().optional(),
  createdAt: z.string(),
})

let receiver: Receiver
let server: TestServer
beforeAll(async () => {
  receiver = await startReceiver()
  server = await startTestServer({
    collections: { ...defaultCollections, short: { keep: '7d', accept: ['image'] } },
    webhooks: [{ name: 'app', url: receiver.url, secrets: [webhookSecret] }],
    auth: { apiKeys: [apiKey], jwt: { keys: { secret: jwtSecret }, audience: 'authenticated' } },
  })
})
afterAll(async () => {
  await server.stop()
  await receiver.close()
})

const env = () => ({ env: { KEEPSAKE_URL: server.url, KEEPSAKE_API_KEY: apiKey } })

async function keep(body: object = {}) {
  const response = await server.call('/v1/collections/generations/imports', { body: { source: { base64 }, ...body } })
  expect(response.status).toBe(201)
  return assetSchema.parse(await response.json())
}

async function userHeaders(owner: string) {
  const token = await new SignJWT({})
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(owner)
    .setAudience('authenticated')
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(jwtSecret))
  return { authorization: `Bearer ${token}` }
}

const statusAndCode = async (response: Response) => [
  response.status,
  z.looseObject({ code: z.string().optional() }).parse(await response.json()).code,
]

/** The lines of an answer that takes long. */
async function linesOf(response: Response) {
  expect(response.headers.get('content-type')).toBe('application/x-ndjson')
  const lines = (await response.text()).trimEnd().split('\n')
  return lines.map((line) => z.looseObject({ type: z.string() }).parse(JSON.parse(line)))
}

describe('retention', () => {
  it('is given with an import, and changed by PATCH, by those who may', async () => {
    const asset = await keep({ owner: 'ada', keep: '30d' })
    const end = (value: string | undefined) => (Date.parse(value ?? '') - Date.parse(asset.createdAt)) / 86_400_000
    expect(Math.round(end(asset.expiresAt))).toBe(30)
    const patch = async (body: object, headers = {}) =>
      server.call(`/v1/assets/${asset.id}`, { method: 'PATCH', body, headers })
    const ada = await userHeaders('ada')
    expect(await statusAndCode(await patch({ keep: '60d' }, ada))).toEqual([403, 'forbidden'])
    expect(await statusAndCode(await patch({ pinned: true }, ada))).toEqual([403, 'forbidden'])
    expect(await statusAndCode(await patch({ keep: '1d' }, await userHeaders('eve')))).toEqual([404, 'asset_not_found'])
    const shorter = assetSchema.parse(await (await patch({ keep: '7d' }, ada)).json())
    expect(Math.round(end(shorter.expiresAt))).toBe(7)
    const pinned = assetSchema.parse(await (await patch({ keep: null, pinned: true })).json())
    expect(pinned).toMatchObject({ pinned: true })
    expect(pinned).not.toHaveProperty('expiresAt')
    for (const body of [{}, { keep: 'soon' }, { keep: 0 }, { pinned: 'yes' }, { color: 'red' }]) {
      expect(await statusAndCode(await patch(body))).toEqual([400, 'invalid_request'])
    }
  })

  it('is changed by the command line', async () => {
    const { id } = await keep()
    expect(await runCli(['keep', id, '30d'], env())).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^kept until 20/),
    })
    expect(await runCli(['keep', id, 'forever', '--pin'], env())).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('pinned'),
    })
    expect(await runCli(['keep', id, '--unpin'], env())).toMatchObject({ code: 0, stdout: 'kept for ever\n' })
    expect(await runCli(['keep', id], env())).toMatchObject({ code: 2 })
    expect(await runCli(['keep', id, 'soon'], env())).toMatchObject({ code: 5 })
  })

  it('a user gets no more than the collection gives', async () => {
    const send = async (keepFor: unknown, headers = {}) =>
      server.call('/v1/collections/short/imports', { body: { source: { base64 }, keep: keepFor }, headers })
    const ada = await userHeaders('ada')
    expect((await send('8d', ada)).status).toBe(403)
    expect((await send(null, ada)).status).toBe(403)
    expect((await send('6d', ada)).status).toBe(201)
    expect((await send('8d')).status).toBe(201)
  })
})

describe('clean-up', () => {
  it('is counted, confirmed and done over HTTP and by the command line', async () => {
    const owner = 'hoarder'
    const assets = [await keep({ owner }), await keep({ owner }), await keep({ owner })]
    // The database's clock moves; PGlite has one session for all.
    const moveClock = (text: string) =>
      server.parts.database.service.query("select set_config('keepsake.clock_offset', $1, false)", [text])
    await moveClock('100 days')
    try {
      const dry = await runCli(['cleanup', '--older-than', '90d', '--owner', owner, '--dry-run', '--json'], env())
      expect(dry).toMatchObject({ code: 0 })
      expect(dry.json()).toMatchObject({ dryRun: true, assets: 3, deleted: 0 })
      const people = await runCli(['cleanup', '--older-than', '90d', '--owner', owner, '--dry-run'], env())
      expect(people).toMatchObject({ code: 0, stdout: expect.stringMatching(/^3 assets, 126 bytes, made before/) })
      expect(people.stderr).toContain('--expect 3')
      expect(await runCli(['cleanup', '--older-than', '90d', '--owner', owner], env())).toMatchObject({ code: 2 })
      const refused = await runCli(['cleanup', '--older-than', '90d', '--owner', owner, '--expect', '2'], env())
      expect(refused).toMatchObject({ code: 5, stderr: expect.stringContaining('upkeep_refused') })

      await server.call(`/v1/assets/${assets[0]?.id}`, { method: 'PATCH', body: { pinned: true } })
      const lines = await linesOf(await server.call('/v1/cleanup', { body: { olderThan: '90d', owner, expect: 2 } }))
      expect(lines.at(-1)).toMatchObject({ type: 'result', deleted: 2, pinned: 1, deletedBytes: 2 * gif.length })
      expect((await server.call(`/v1/assets/${assets[0]?.id}`)).status).toBe(200)
      expect((await server.call(`/v1/assets/${assets[1]?.id}`)).status).toBe(404)
      const user = await server.call('/v1/cleanup', { body: { olderThan: '90d' }, headers: await userHeaders(owner) })
      expect(await statusAndCode(user)).toEqual([403, 'forbidden'])
    } finally {
      await moveClock('0')
    }
  })
})

describe('verify', () => {
  it('finds what is missing, over HTTP, by the command line, in the asset, in the metrics and by webhook', async () => {
    const asset = await keep({ owner: 'verified' })
    await keep({ owner: 'verified' })
    await server.parts.bucket.delete([asset.key])
    const found = await runCli(['verify', '--owner', 'verified', '--json'], env())
    expect(found).toMatchObject({ code: 1 })
    expect(found.json()).toMatchObject({
      checked: 2,
      missing: 1,
      marked: 1,
      unwell: [{ asset: asset.id, health: 'missing', key: asset.key }],
    })
    expect(assetSchema.parse(await (await server.call(`/v1/assets/${asset.id}`)).json()).health).toBe('missing')
    await receiver.until(() => receiver.received.some(({ event }) => event.type === 'asset.missing'))
    const metrics = await (await server.call('/metrics')).text()
    expect(metrics).toMatch(/keepsake_assets_unwell\{health="missing"\} 1\n/)
    expect(metrics).toMatch(/keepsake_upkeep_last_run_timestamp_seconds\{work="verify\.exists",outcome="done"\} \d{10}/)
    expect(metrics).toMatch(/keepsake_webhook_deliveries\{endpoint="app",state="dead"\} 0\n/)

    const lines = await linesOf(await server.call('/v1/verify', { body: { level: 'full', owner: 'verified' } }))
    expect(lines.at(-1)).toMatchObject({
      type: 'result',
      level: 'full',
      ok: 1,
      missing: 1,
      marked: 0,
      bytesRead: gif.length,
    })
    expect(await runCli(['verify', '--level', 'most'], env())).toMatchObject({ code: 5 })
    const user = await server.call('/v1/verify', { body: {}, headers: await userHeaders('verified') })
    expect(await statusAndCode(user)).toEqual([403, 'forbidden'])
  }, 60_000)
})

describe('webhooks', () => {
  it('come when something happens, without anybody asking, and are seen and replayed', async () => {
    const { id } = await keep({ owner: 'hooked' })
    const isStored = (one: Receiver['received'][number]) =>
      one.event.type === 'asset.stored' && one.event.data.asset?.id === id
    await receiver.until(() => receiver.received.some(isStored))
    const listed = await runCli(['webhooks', 'ls'], env())
    expect(listed).toMatchObject({ code: 0, stdout: expect.stringContaining(`127.0.0.1:${receiver.port}`) })
    expect(listed.stdout).not.toContain('do-not-tell')
    const delivered = await until(
      async () => runCli(['webhooks', 'dead', '--state', 'delivered', '--json'], env()),
      ({ stdout }) => stdout.includes(id),
    )
    const { deliveries } = z
      .looseObject({ deliveries: z.array(z.looseObject({ id: z.string(), asset: z.string().nullable() })) })
      .parse(delivered.json())
    const mine = deliveries.find((one) => one.asset === id)
    expect(await runCli(['webhooks', 'replay', mine?.id ?? ''], env())).toMatchObject({ code: 0 })
    await receiver.until(() => receiver.received.filter(isStored).length === 2)
    expect(new Set(receiver.received.filter(isStored).map((one) => one.id)).size).toBe(1)
    expect(await runCli(['webhooks', 'test'], env())).toMatchObject({ code: 0, stdout: 'app took it\n' })
    expect(await runCli(['webhooks', 'replay', '99999'], env())).toMatchObject({ code: 3 })
    expect(await runCli(['webhooks', 'replay'], env())).toMatchObject({ code: 2 })
    expect(await runCli(['webhooks', 'dead'], env())).toMatchObject({ code: 0, stdout: '' })
    const user = await server.call('/v1/webhooks', { headers: await userHeaders('hooked') })
    expect(await statusAndCode(user)).toEqual([403, 'forbidden'])
    expect(receiver.forged).toEqual([])
  })

  it('survive kill -9 between the change and its delivery', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'keepsake-webhooks-'))
    const own = await startReceiver()
    const port = await freePort()
    const options = {
      environment: {
        PORT: String(port),
        KEEPSAKE_DATA_DIR: join(folder, 'data'),
        KEEPSAKE_API_KEY: apiKey,
        KEEPSAKE_WEBHOOK_URL: own.url,
        KEEPSAKE_WEBHOOK_SECRET: webhookSecret,
        KEEPSAKE_WEBHOOK_ALLOW_HOSTS: `127.0.0.1:${own.port}`,
      },
      url: `http://127.0.0.1:${port}`,
      log: join(folder, 'log'),
    }
    // It takes the request and says nothing, so that the server is in the middle of it when it dies.
    own.answers(() => undefined)
    let serving = Serving.start(options)
    try {
      await serving.ready(150)
      const response = await fetch(`${options.url}/v1/collections/generations/imports`, {
        method: 'POST',
        headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
        body: JSON.stringify({ source: { base64 } }),
      })
      expect(response.status).toBe(201)
      const { id } = assetSchema.parse(await response.json())
      await own.until(() => own.received.length > 0)
      await serving.kill()
      own.answers(() => ({ status: 200 }))
      // What was committed is there, and taken by a process that is no more. Its minute passes by hand.
      const left = await openPglite({ dir: join(folder, 'data', 'catalogue') })
      const { rows } = await left.service.query(
        'update keepsake.webhook_deliveries set due_at = now() returning state, attempts',
      )
      await left.close()
      expect(rows).toEqual([{ state: 'pending', attempts: 1 }])
      serving = Serving.start(options)
      await serving.ready(150)
      await own.until(() => own.received.length > 1)
      expect(own.received.every(({ event }) => event.data.asset?.id === id)).toBe(true)
      expect(new Set(own.received.map((one) => one.id)).size).toBe(1)
    } finally {
      await serving.kill()
      await own.close()
      await rm(folder, { recursive: true, force: true })
    }
  }, 400_000)
})

describe('the clock', () => {
  it('runs what the configuration schedules', async () => {
    const parts = await openTestParts({
      schedules: {
        verify: { cron: '* * * * *', level: 'full' },
        cleanup: { cron: '* * * * *', olderThan: '1y', atMost: 10 },
      },
    })
    try {
      const runs = await until(
        async () => (await parts.keepsake.upkeepState()).runs,
        (found) => found.length === 2,
      )
      expect(runs.map(({ name }) => name)).toEqual(['cleanup', 'verify.full'])
    } finally {
      await parts.keepsake.close()
    }
  })
})
