/** The same request under the same Idempotency-Key gives the same asset, however often and however many at once. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newAssetId } from '../../src/media/index.ts'
import { apiKey } from '../support/http.ts'
import { pictureBytes } from '../support/picture.ts'
import { type ApiClient, backends, readAsset, readProblem, type Service } from '../support/service.ts'

const many = 20

describe.each(backends)('an idempotency key on $name', ({ start }) => {
  let service: Service
  let api: ApiClient
  beforeAll(async () => {
    service = await start()
    api = service.as(apiKey)
  })
  afterAll(() => service.stop())

  /** A picture, an owner and a key that no other test has. */
  function fresh() {
    const id = newAssetId()
    const path = `/${id}.png`
    service.source.behave(path, '/picture.png')
    const picture = pictureBytes({ id, size: 500 })
    return {
      path,
      url: { url: service.source.url(path) },
      base64: { base64: picture.toString('base64') },
      owner: `owner of ${id}`,
      key: { 'idempotency-key': `key-${id}` },
    }
  }

  const rowsOf = async (owner: string) => (await api.list(`?owner=${encodeURIComponent(owner)}`)).assets

  it('gives the same asset again, and asks its source once', async () => {
    const { url, path, owner, key } = fresh()
    const first = await api.keep(url, { owner }, key)
    const second = await api.keep(url, { owner }, key)
    expect(second).toEqual(first)
    expect(service.source.asked(path)).toBe(1)
    service.source.behave(path, '/status/403')
    expect(await api.keep(url, { owner }, key)).toEqual(first)
    expect(await rowsOf(owner)).toHaveLength(1)
  })

  it.each(['url', 'base64'] as const)('gives one row and one object to twenty at once, by %s', async (by) => {
    const { [by]: source, owner, key } = fresh()
    const before = await service.objects()
    const responses = await Promise.all(Array.from({ length: many }, () => api.import(source, { owner }, key)))
    // Those that came while the first was at work are told that it is under way.
    const assets = await Promise.all(
      responses.map(async (response) => {
        expect([201, 202]).toContain(response.status)
        return readAsset(response, response.status)
      }),
    )
    expect(new Set(assets.map(({ id }) => id)).size).toBe(1)
    const id = assets[0]?.id ?? ''
    expect(await api.settled(id)).toMatchObject({ state: 'stored', owner })
    expect(await api.keep(source, { owner }, key)).toMatchObject({ id })
    expect(await rowsOf(owner)).toHaveLength(1)
    expect(await service.objects()).toHaveLength(before.length + 1)
  })

  it('is for one request: every difference in it is 409, and changes nothing', async () => {
    const { url, base64, owner, key } = fresh()
    const kept = await api.keep(url, { owner, attributes: { model: 'flux' } }, key)
    const others: [unknown, object][] = [
      [base64, { owner, attributes: { model: 'flux' } }],
      [{ url: `${url.url}?2` }, { owner, attributes: { model: 'flux' } }],
      [url, { owner, attributes: { model: 'other' } }],
      [url, { owner, attributes: { model: 'flux' }, filename: 'a.png' }],
      [url, { owner, attributes: { model: 'flux' }, provenance: { prompt: 'a' } }],
      [url, { owner }],
    ]
    for (const [source, fields] of others) {
      const problem = await readProblem(await api.import(source, fields, key))
      expect(problem).toMatchObject({ status: 409, code: 'idempotency_conflict' })
    }
    expect(await rowsOf(owner)).toEqual([kept])
  })

  it('lets one of twenty different requests through', async () => {
    const { owner, key } = fresh()
    const responses = await Promise.all(
      Array.from({ length: many }, (_, index) => {
        const picture = pictureBytes({ id: `${owner} ${index}`, size: 500 })
        return api.import({ base64: picture.toString('base64') }, { owner }, key)
      }),
    )
    expect(responses.filter(({ status }) => status === 201)).toHaveLength(1)
    expect(responses.filter(({ status }) => status === 409)).toHaveLength(many - 1)
    expect(await rowsOf(owner)).toHaveLength(1)
  })

  it('gives a failed import’s problem again, without asking the source', async () => {
    const { url, path, owner, key } = fresh()
    service.source.behave(path, '/page.html')
    const first = await readProblem(await api.import(url, { owner }, key))
    service.source.behave(path, '/picture.png')
    const second = await readProblem(await api.import(url, { owner }, key))
    const { requestId: _one, ...one } = first
    const { requestId: _two, ...two } = second
    expect(one).toMatchObject({ status: 422, code: 'content_type_refused' })
    expect(two).toMatchObject({ status: one.status, code: one.code, detail: one.detail, asset: one.asset })
    expect(service.source.asked(path)).toBe(1)
    expect(await rowsOf(owner)).toHaveLength(1)
  })

  it('is not used up by bytes that were refused before there was a row', async () => {
    const { base64, owner, key } = fresh()
    const bad = Buffer.from('<html>').toString('base64')
    expect(await readProblem(await api.import({ base64: bad }, { owner }, key))).toMatchObject({ status: 422 })
    expect(await api.keep(base64, { owner }, key)).toMatchObject({ state: 'stored' })
  })

  it('says that the asset is gone once it was deleted', async () => {
    const { url, owner, key } = fresh()
    const { id } = await api.keep(url, { owner }, key)
    expect((await api.call(`/v1/assets/${id}`, { method: 'DELETE' })).status).toBe(204)
    expect(await readProblem(await api.import(url, { owner }, key))).toMatchObject({ status: 410, code: 'asset_gone' })
    expect(await rowsOf(owner)).toEqual([])
  })

  it('belongs to one owner: another’s is another key', async () => {
    const { url, owner, key } = fresh()
    const other = `other than ${owner}`
    const mine = await api.keep(url, { owner }, key)
    const theirs = await api.keep(url, { owner: other, attributes: { model: 'flux' } }, key)
    expect(theirs.id).not.toBe(mine.id)
    expect([await rowsOf(owner), await rowsOf(other)]).toEqual([[mine], [theirs]])
  })

  it('makes two assets of two keys, and of none', async () => {
    const { url, owner } = fresh()
    const keys: Record<string, string>[] = [{ 'idempotency-key': 'one' }, { 'idempotency-key': 'two' }, {}, {}]
    const ids = await Promise.all(keys.map(async (key) => (await api.keep(url, { owner }, key)).id))
    expect(new Set(ids).size).toBe(4)
  })
})
