import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { apiKey, gif } from '../support/http.ts'
import { type ApiClient, backends, open, readAsset, readProblem, type Service, until } from '../support/service.ts'

const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
/** A GIF of its own, with as many bytes more. */
const picture = (more = 16) => Buffer.concat([gif, randomBytes(more)])
const readinessSchema = z.object({ ready: z.boolean(), status: z.string(), parts: z.array(z.looseObject({})) })
const ticketSchema = z.object({
  asset: z.object({ id: z.string(), key: z.string(), state: z.string(), store: z.string() }),
  upload: z.object({
    strategy: z.enum(['put', 'multipart']),
    url: z.string().optional(),
    headers: z.record(z.string(), z.string()).optional(),
    partSize: z.number().optional(),
    partCount: z.number().optional(),
    parts: z.array(z.object({ url: z.string(), partNumber: z.number() })).optional(),
  }),
})
type Ticket = z.output<typeof ticketSchema>
const base64 = (bytes: Buffer) => ({ base64: bytes.toString('base64') })

describe.each(backends)('a bucket that fails, on $name', ({ start }) => {
  let service: Service
  let api: ApiClient

  beforeAll(async () => {
    service = await start({
      fallback: {},
      sweepEverySeconds: 1,
      uploads: { partThreshold: 5 * 1024 * 1024, partSize: 5 * 1024 * 1024 },
    })
    api = service.as(apiKey)
  })
  afterAll(() => service?.stop())
  afterEach(() => back())

  const proxy = () => service.server.parts.proxy
  const local = () => service.server.parts.local?.store
  const fail = async (fault: 'unavailable' | 'refusing' | 'hanging') => proxy()?.set(fault)
  const ready = async () => readinessSchema.parse(await (await fetch(`${service.server.url}/readyz`)).json())
  const back = async () => {
    await proxy()?.set('none')
    await until(ready, ({ status }) => status === 'ok')
  }
  const promoted = (id: string) =>
    until(
      () => api.asset(id),
      ({ store }) => store === 'primary',
    )
  const inLocal = async (key: string | null) => (await local()?.store.head(key ?? ''))?.size
  const inBucket = async (key: string | null) => (await service.bucket.head(key ?? ''))?.size
  const sql = (text: string, values: unknown[] = []) => service.server.parts.database.service.query(text, values)

  it.each(['unavailable', 'refusing', 'hanging'] as const)(
    'that is %s: an import is stored on the disk, opens, and moves to the bucket by itself',
    async (fault) => {
      await fail(fault)
      const bytes = picture()
      const asset = await api.keep(base64(bytes))
      expect(asset).toMatchObject({ state: 'stored', store: 'local', sha256: hashOf(bytes) })
      expect((await open(asset.url)).bytes).toEqual(bytes)
      expect(await inBucket(asset.key)).toBeUndefined()
      await back()
      const moved = await promoted(asset.id)
      expect(moved).toMatchObject({ state: 'stored', key: asset.key, sha256: asset.sha256 })
      expect((await open(moved.url)).bytes).toEqual(bytes)
      expect(new URL(moved.url ?? '').host).not.toBe(new URL(asset.url ?? '').host)
      expect(await inBucket(asset.key)).toBe(bytes.length)
      // Whoever has the link of before still gets the bytes, for as long as it lives.
      expect((await open(asset.url)).bytes).toEqual(bytes)
      const { entries } = await api.audit(`?asset=${asset.id}`)
      expect(entries.map(({ action }) => action)).toContain('asset.promoted')
    },
  )

  it('the first imports fall back by a new attempt, later ones at once; the bucket’s key is watched', async () => {
    const stepsOf = async (id: string) => {
      const { entries } = await api.audit(`?asset=${id}`)
      return entries.map(({ action }) => action).filter((action) => action !== 'url.issued')
    }
    const keep = async () => {
      const asset = await api.keep(base64(picture()))
      return { asset, steps: await stepsOf(asset.id) }
    }
    const meetFailure = async () => {
      await back()
      await fail('refusing')
      return keep()
    }
    // Now and then it is the sweep that finds the bucket failing; then no import has to.
    const { asset: first, steps } = await until(meetFailure, ({ steps }) => steps.includes('asset.retried'))
    expect(steps).toEqual(['asset.stored', 'asset.retried', 'asset.reserved'])
    const { rows } = await sql('select store from keepsake.retired_keys where asset = $1 and key <> $2', [
      first.id,
      first.key,
    ])
    expect(rows).toEqual([{ store: 'primary' }])
    await Promise.all(Array.from({ length: 8 }, () => api.keep(base64(picture()))))
    expect(await ready()).toMatchObject({ ready: true, status: 'degraded' })
    // The bucket is not asked any more.
    expect((await keep()).steps).toEqual(['asset.stored', 'asset.reserved'])
  })

  it('an import from a URL does not wait for the bucket', async () => {
    await fail('refusing')
    const asset = await api.keep({ url: service.source.url('/picture.png') })
    expect(asset).toMatchObject({ state: 'stored', store: 'local', sha256: service.source.sha256 })
    await back()
    await promoted(asset.id)
  })

  it('a large file is moved in parts, and hashed', async () => {
    await fail('refusing')
    const bytes = picture(9 * 1024 * 1024)
    const form = new FormData()
    form.append('file', new Blob([bytes], { type: 'image/gif' }))
    const response = await fetch(`${service.server.url}/v1/collections/generations/assets`, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}` },
      body: form,
    })
    const asset = await readAsset(response, 201)
    expect(asset).toMatchObject({ store: 'local', size: bytes.length })
    await back()
    expect((await open((await promoted(asset.id)).url)).bytes.equals(bytes)).toBe(true)
  })

  it('readyz and the metrics tell degraded from down', async () => {
    expect(await ready()).toMatchObject({ status: 'ok' })
    await fail('refusing')
    await Promise.all(Array.from({ length: 6 }, () => api.keep(base64(picture()))))
    const response = await fetch(`${service.server.url}/readyz`)
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({
      ready: true,
      status: 'degraded',
      parts: [
        { name: 'catalogue', ok: true },
        { name: 'primary', ok: false, code: 'store_unavailable' },
        { name: 'local', ok: true },
      ],
    })
    const metrics = await (await api.call('/metrics')).text()
    expect(metrics).toMatch(/keepsake_primary_circuit\{state="(open|half-open)"\} 1/)
    expect(Number(/keepsake_local_assets\{place="local:[^"]+"\} (\d+)/.exec(metrics)?.[1])).toBeGreaterThanOrEqual(6)
    expect(metrics).toMatch(/keepsake_local_oldest_timestamp_seconds\{place="local:[^"]+"\} \d/)
  })

  it('a delete of what fell back is a delete: before its promotion, and after it, the local copy too', async () => {
    await fail('refusing')
    const [early, late] = [await api.keep(base64(picture())), await api.keep(base64(picture()))]
    expect((await api.call(`/v1/assets/${early.id}`, { method: 'DELETE' })).status).toBe(204)
    expect((await open(early.url)).status).toBe(404)
    await back()
    const moved = await promoted(late.id)
    expect(await inLocal(late.key)).toBeDefined()
    expect((await api.call(`/v1/assets/${late.id}`, { method: 'DELETE' })).status).toBe(204)
    for (const { url } of [late, moved]) expect((await open(url)).status).toBe(404)
    expect([await inLocal(late.key), await inBucket(late.key), await inBucket(early.key)]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })

  it('the local copy goes once no link to it can be alive', async () => {
    await fail('refusing')
    const asset = await api.keep(base64(picture()))
    await back()
    await promoted(asset.id)
    const due = async () => {
      const { rows } = await sql(
        "select look_at > keepsake.now() + interval '1 hour' as later from keepsake.retired_keys where key = $1",
        [asset.key],
      )
      return rows
    }
    expect(await due()).toEqual([{ later: true }])
    await sql('update keepsake.retired_keys set look_at = keepsake.now() where key = $1', [asset.key])
    await until(
      () => inLocal(asset.key),
      (size) => size === undefined,
    )
    expect(await inBucket(asset.key)).toBeDefined()
  })

  describe('direct uploads', () => {
    const announced = (bytes: Buffer) => ({ contentType: 'image/gif', size: bytes.length })
    const ticketFor = async (bytes: Buffer, key = randomUUID()) => {
      const response = await api.call('/v1/collections/generations/uploads', {
        body: announced(bytes),
        headers: { 'idempotency-key': key },
      })
      expect(response.status).toBe(201)
      return ticketSchema.parse(await response.json())
    }
    const send = async ({ upload: { url = '', headers = {} } }: Ticket, body: Buffer) =>
      (await fetch(url, { method: 'PUT', headers, body: new Uint8Array(body) })).status
    const sendParts = async ({ upload: { parts = [], partSize = 0 } }: Ticket, body: Buffer) => {
      for (const { url, partNumber } of parts) {
        const part = body.subarray((partNumber - 1) * partSize, partNumber * partSize)
        expect((await fetch(url, { method: 'PUT', body: new Uint8Array(part) })).status).toBe(200)
      }
    }
    const complete = (id: string) => api.call(`/v1/uploads/${id}/complete`, { method: 'POST', body: {} })
    /** Until the bucket is known to fail. */
    const known = async () => {
      await fail('refusing')
      await Promise.all(Array.from({ length: 6 }, () => api.keep(base64(picture()))))
    }

    it('get a ticket for the local store, are verified there, and move', async () => {
      await known()
      const bytes = picture()
      const ticket = await ticketFor(bytes)
      expect(ticket.asset).toMatchObject({ state: 'pending', store: 'local' })
      expect(await send(ticket, bytes)).toBe(200)
      const asset = await readAsset(await complete(ticket.asset.id), 200)
      expect(asset).toMatchObject({ state: 'stored', store: 'local', sha256: hashOf(bytes) })
      expect((await open(asset.url)).bytes).toEqual(bytes)
      await back()
      expect((await open((await promoted(asset.id)).url)).bytes).toEqual(bytes)
    })

    it('in parts too, also where the bucket was not known to fail', async () => {
      const bytes = picture(11 * 1024 * 1024)
      await fail('refusing')
      const ticket = await ticketFor(bytes)
      expect(ticket).toMatchObject({ asset: { store: 'local' }, upload: { strategy: 'multipart', partCount: 3 } })
      await sendParts(ticket, bytes)
      const asset = await readAsset(await complete(ticket.asset.id), 200)
      await back()
      expect((await open((await promoted(asset.id)).url)).bytes.equals(bytes)).toBe(true)
    })

    it('that were begun before get a ticket that works, by asking again or by looking', async () => {
      const bytes = picture()
      const keys = [randomUUID(), randomUUID()] as const
      const before = [await ticketFor(bytes, keys[0]), await ticketFor(bytes, keys[1])] as const
      expect(before[0].asset).toMatchObject({ store: 'primary' })
      await known()
      await expect(send(before[0], bytes)).rejects.toThrow()
      const again = await ticketFor(bytes, keys[0])
      expect(again.asset).toMatchObject({ id: before[0].asset.id, store: 'local' })
      expect(await send(again, bytes)).toBe(200)
      const looked = ticketSchema.parse(await (await api.call(`/v1/uploads/${before[1].asset.id}`)).json())
      expect(looked.asset).toMatchObject({ store: 'local' })
      expect(await send(looked, bytes)).toBe(200)
      const stored = [await complete(before[0].asset.id), await complete(before[1].asset.id)]
      for (const response of stored) await readAsset(response, 200)
      await back()
      // The old link still writes, to a key that is nobody's any more: what comes there is removed.
      expect(await send(before[0], bytes)).toBe(200)
      for (const { asset } of before) {
        const moved = await promoted(asset.id)
        expect(moved.key).not.toBe(asset.key)
        expect((await open(moved.url)).bytes).toEqual(bytes)
      }
      await sql("update keepsake.retired_keys set look_at = keepsake.now() where store = 'primary'")
      await service.server.parts.keepsake.promote()
      await until(
        () => inBucket(before[0].asset.key),
        (size) => size === undefined,
      )
    })

    it('can be aborted', async () => {
      await known()
      const bytes = picture()
      const ticket = await ticketFor(bytes)
      expect(await send(ticket, bytes)).toBe(200)
      expect((await api.call(`/v1/uploads/${ticket.asset.id}`, { method: 'DELETE' })).status).toBe(204)
      expect(await inLocal(ticket.asset.key)).toBeUndefined()
    })
  })

  it('verify looks where each asset lies, and marks nothing of a promotion', async () => {
    await fail('refusing')
    const asset = await api.keep(base64(picture()))
    const lost = await api.keep(base64(picture()))
    await local()?.store.delete([lost.key ?? ''])
    const { missing } = await service.server.keepsake.verify({ level: 'exists' }).catch(() => ({ missing: -1 }))
    // The bucket's own assets could not be looked at.
    expect([1, -1]).toContain(missing)
    await back()
    await promoted(asset.id)
    const after = await service.server.keepsake.verify({ level: 'exists' })
    expect(after).toMatchObject({ missing: 1, corrupt: 0 })
    expect((await api.asset(lost.id)).health).toBe('missing')
    expect((await api.asset(asset.id)).health).toBe('ok')
    await api.call(`/v1/assets/${lost.id}`, { method: 'DELETE' })
  })
})

describe('a disk that is full', () => {
  it('takes nothing: the caller is told, nothing is acknowledged, and readyz says down', async () => {
    const service = await (backends[0] ?? never()).start({ fallback: { minFree: Number.MAX_SAFE_INTEGER } })
    try {
      const api = service.as(apiKey)
      await service.server.parts.proxy?.set('refusing')
      const bytes = picture()
      const refused = await Promise.all(
        Array.from({ length: 6 }, (_, n) => api.import(base64(bytes), {}, { 'idempotency-key': `key-${n}` })),
      )
      for (const response of refused) {
        expect(await readProblem(response)).toMatchObject({ status: 503, code: 'store_unavailable' })
      }
      const ticket = await api.call('/v1/collections/generations/uploads', {
        body: { contentType: 'image/gif', size: bytes.length },
      })
      expect(await readProblem(ticket)).toMatchObject({ status: 503, code: 'store_unavailable' })
      const readiness = await fetch(`${service.server.url}/readyz`)
      expect(readiness.status).toBe(503)
      expect(await readiness.json()).toMatchObject({ ready: false, status: 'down' })
      await service.server.parts.proxy?.set('none')
      await until(
        async () => readinessSchema.parse(await (await fetch(`${service.server.url}/readyz`)).json()),
        ({ status }) => status === 'degraded',
      )
      // The same requests again: the same rows, in the bucket.
      for (let n = 0; n < 6; n += 1) {
        const asset = await readAsset(await api.import(base64(bytes), {}, { 'idempotency-key': `key-${n}` }), 201)
        expect(asset.store).toBe('primary')
      }
      expect((await api.list()).assets).toHaveLength(6)
    } finally {
      await service.stop()
    }
  })
})

function never(): never {
  throw new Error('There is no database to test on.')
}
