/** Each owner's assets are nobody else's: by every call, with real tokens, under row-level security. */
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { newAssetId } from '../../src/media/index.ts'
import { apiKey } from '../support/http.ts'
import { type ApiClient, type AssetAnswer, backends, open, readProblem, type Service } from '../support/service.ts'

const secret = 'a secret of the tests, of more than thirty-two bytes'

async function tokenOf(owner: string, expires: string | number = '1h'): Promise<string> {
  const token = new SignJWT().setProtectedHeader({ alg: 'HS256' }).setSubject(owner).setAudience('authenticated')
  return token.setExpirationTime(expires).sign(new TextEncoder().encode(secret))
}

describe.each(backends)('owners on $name', ({ start }) => {
  let service: Service
  let server: ApiClient
  let alice: ApiClient
  let bob: ApiClient
  let hers: AssetAnswer
  let his: AssetAnswer
  beforeAll(async () => {
    service = await start({ auth: { apiKeys: [apiKey], jwt: { keys: { secret } } } })
    server = service.as(apiKey)
    alice = service.as(await tokenOf('alice'))
    bob = service.as(await tokenOf('bob'))
    const url = service.source.url('/picture.png')
    hers = await alice.keep({ url }, { attributes: { model: 'flux' }, provenance: { prompt: 'hers' } })
    his = await bob.keep({ url }, { attributes: { model: 'flux' } })
  })
  afterAll(() => service.stop())

  it('have what they import, without saying who they are', async () => {
    expect([hers.owner, his.owner]).toEqual(['alice', 'bob'])
    expect(await alice.asset(hers.id)).toMatchObject({ provenance: { prompt: 'hers' } })
    const content = await alice.call(`/v1/assets/${hers.id}/content`)
    expect((await open(content.headers.get('location'))).bytes).toEqual(service.source.png)
  })

  it('are reported to about their own alone, and rebuild nothing', async () => {
    const shown = z.looseObject({ rows: z.array(z.looseObject({ name: z.string() })), total: z.looseObject({}) })
    const reported = shown.parse(await (await alice.call('/v1/report?by=owner&prices=r2')).json())
    expect(reported.rows.map(({ name }) => name)).toEqual(['alice'])
    expect(reported.total).toMatchObject({ objects: 1, bytes: hers.size })
    expect((await readProblem(await alice.call('/v1/report?owner=bob'))).code).toBe('forbidden')
    expect((await readProblem(await alice.call('/v1/rebuild', { body: {} }))).code).toBe('forbidden')
  })

  it('are told 404 for another’s asset, in the words for one that never was', async () => {
    const never = newAssetId()
    const calls: [string, string][] = [
      ['GET', ''],
      ['GET', '/content'],
      ['GET', '/content?download'],
      ['DELETE', ''],
    ]
    for (const [method, rest] of calls) {
      const [foreign, missing] = await Promise.all(
        [hers.id, never].map(async (id) => readProblem(await bob.call(`/v1/assets/${id}${rest}`, { method }))),
      )
      expect(foreign).toMatchObject({ status: 404, code: 'asset_not_found' })
      expect(foreign?.detail.replace(hers.id, '')).toBe(missing?.detail.replace(never, ''))
    }
    // And the delete did nothing.
    expect(await alice.asset(hers.id)).toMatchObject({ state: 'stored' })
    expect((await open(hers.url)).status).toBe(200)
  })

  it('get links to their own only', async () => {
    const links = await bob.urls([hers.id, his.id])
    expect(links).toEqual([
      { id: hers.id, code: 'asset_not_found' },
      { id: his.id, url: expect.stringContaining('X-Amz-Signature='), expiresAt: expect.any(String) },
    ])
  })

  it('list their own only, whatever they filter by', async () => {
    for (const query of ['', '?attributes.model=flux', '?state=stored&kind=image', '?limit=1']) {
      const { assets, nextCursor } = await bob.list(query)
      expect(assets.map(({ id }) => id)).toEqual([his.id])
      expect(nextCursor).toBeNull()
    }
    expect((await bob.list('?owner=bob')).assets).toHaveLength(1)
  })

  it('list their own only, also with a cursor of somebody else’s', async () => {
    await alice.keep({ url: service.source.url('/picture.png') })
    const { nextCursor } = await alice.list('?limit=1')
    expect(nextCursor).not.toBeNull()
    const { assets } = await bob.list(`?limit=1000&cursor=${encodeURIComponent(nextCursor ?? '')}`)
    expect(assets.filter(({ owner }) => owner !== 'bob')).toEqual([])
  })

  it('read their own audit only', async () => {
    const { entries } = await bob.audit('?limit=1000')
    expect(entries.length).toBeGreaterThan(0)
    expect(
      entries.filter(({ owner, asset, actor }) => owner !== 'bob' || asset === hers.id || actor !== 'user:bob'),
    ).toEqual([])
    expect((await bob.audit(`?asset=${hers.id}`)).entries).toEqual([])
    expect((await alice.audit(`?asset=${hers.id}`)).entries.length).toBeGreaterThan(0)
    // Bob's attempts left no trace of a link in hers.
    const hers_ = (await server.audit(`?asset=${hers.id}&limit=1000`)).entries
    expect(hers_.filter(({ actor }) => actor === 'user:bob')).toEqual([])
  })

  it('may name themselves and nobody else', async () => {
    const url = service.source.url('/picture.png')
    const asks = [
      bob.import({ url }, { owner: 'alice' }),
      bob.call('/v1/collections/generations/assets?owner=alice'),
      bob.call('/v1/audit?owner=alice'),
    ]
    for (const answer of asks) expect(await readProblem(await answer)).toMatchObject({ status: 403, code: 'forbidden' })
    expect(await bob.keep({ url }, { owner: 'bob' })).toMatchObject({ owner: 'bob' })
    expect((await server.list('?owner=alice&limit=1000')).assets.filter(({ id }) => id === his.id)).toEqual([])
  })

  it('do not meet under one idempotency key', async () => {
    const [key, url] = [{ 'idempotency-key': 'tuesday' }, service.source.url('/picture.png')]
    const first = await alice.keep({ url }, {}, key)
    const second = await bob.keep({ url }, {}, key)
    expect(second.id).not.toBe(first.id)
    expect(await alice.keep({ url }, {}, key)).toMatchObject({ id: first.id })
  })

  it('are who their token says to the letter', async () => {
    const names = ['Alice', 'alice ', ' alice', 'ALICE', 'alicе', "alice' or '1'='1", '%', 'al_ce']
    for (const name of names) {
      const other = service.as(await tokenOf(name))
      expect((await other.list()).assets).toEqual([])
      expect((await other.call(`/v1/assets/${hers.id}`)).status).toBe(404)
      const own = await other.keep({ url: service.source.url('/picture.png') })
      expect(own.owner).toBe(name)
      expect((await other.list()).assets.map(({ id }) => id)).toEqual([own.id])
    }
    expect((await alice.list('?limit=1000')).assets.filter(({ owner }) => owner !== 'alice')).toEqual([])
  })

  it('are nobody with a token that is old, forged, or missing', async () => {
    const [header, payload] = (await tokenOf('bob')).split('.')
    const none = Buffer.from('{"alg":"none"}').toString('base64url')
    const forged = Buffer.from(JSON.stringify({ sub: 'alice', aud: 'authenticated', exp: 4e9 })).toString('base64url')
    const signature = (await tokenOf('bob')).split('.')[2]
    const old = await tokenOf('alice', Math.floor(Date.now() / 1000) - 60)
    for (const token of [old, `${none}.${payload}.`, `${header}.${forged}.${signature}`, 'nonsense', '']) {
      const stranger = service.as(token)
      for (const path of [`/v1/assets/${hers.id}`, '/v1/audit', '/v1/collections/generations/assets', '/metrics']) {
        expect(await readProblem(await stranger.call(path))).toMatchObject({ status: 401, code: 'unauthenticated' })
      }
      const answer = await stranger.import({ url: service.source.url('/picture.png') })
      expect(answer.status).toBe(401)
    }
    expect(await readProblem(await bob.call('/metrics'))).toMatchObject({ status: 403, code: 'forbidden' })
  })

  it('are all the same to an API key', async () => {
    const all = (await server.list('?limit=1000')).assets
    expect(all.map(({ id }) => id)).toEqual(expect.arrayContaining([hers.id, his.id]))
    expect((await server.list('?owner=bob&limit=1000')).assets.every(({ owner }) => owner === 'bob')).toBe(true)
  })

  it('delete their own', async () => {
    const mine = await bob.keep({ url: service.source.url('/picture.png') })
    expect((await bob.call(`/v1/assets/${mine.id}`, { method: 'DELETE' })).status).toBe(204)
    expect((await bob.call(`/v1/assets/${mine.id}`)).status).toBe(404)
    expect((await open(mine.url)).status).toBe(404)
  })
})
