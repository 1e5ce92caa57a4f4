/** Whatever comes in that should not: a clear problem, and nothing lost or left behind. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CollectionDefinition, defaultCollections } from '../../src/media/index.ts'
import { apiKey } from '../support/http.ts'
import { pictureBytes } from '../support/picture.ts'
import { type ApiClient, backends, open, pglite, readAsset, readProblem, type Service } from '../support/service.ts'
import { type SourceServer, startSourceServer } from '../support/source-server.ts'

/** Bytes: the largest asset, and all that an owner may have. Bodies of more than 1 MiB are spooled to a file. */
const limit = 1_200_000
const tooMuch = 3 * limit
const collections: Record<string, CollectionDefinition> = {
  generations: { ...defaultCollections.generations, maxSize: limit, quota: limit },
}

const script = Buffer.from('#!/bin/sh\nrm -rf /\n').toString('base64')
const base64 = pictureBytes({ id: 'base64', size: 300 }).toString('base64')
const svg = 'data:image/svg+xml,%3Csvg%20xmlns=%22http://www.w3.org/2000/svg%22/%3E'
const secret = 'SIGNATURE-OF-THE-SOURCE'

type Case = {
  readonly of: string
  /** The path of a URL at the source, or the source itself. */
  readonly source: string | object
  readonly fields?: object
  readonly collection?: string
  readonly status: number
  readonly code: string
  /** In the problem's detail. */
  readonly says?: string
}

const request = { status: 400, code: 'invalid_request' }
const source = { status: 400, code: 'invalid_source' }
const type = { status: 422, code: 'content_type_refused' }
const empty = { status: 422, code: 'content_empty' }
const large = { status: 413, code: 'content_too_large', says: '1200000 bytes' }
const gone = { status: 422, code: 'source_gone' }

const cases: readonly Case[] = [
  // What the request says.
  {
    of: 'an unknown collection',
    source: '/picture.png',
    collection: 'pictures',
    status: 404,
    code: 'collection_not_found',
    says: 'generations',
  },
  {
    of: 'an undeclared attribute',
    source: '/picture.png',
    fields: { attributes: { mood: 'blue' } },
    ...request,
    says: "'mood'",
  },
  { of: 'an unknown field', source: '/picture.png', fields: { colour: 'red' }, ...request, says: "'colour'" },
  { of: 'an unknown field in the source', source: { base64, hash: 'x' }, ...request, says: "'hash'" },
  { of: 'two sources', source: { base64, url: 'https://media.example/a.png' }, ...request, says: 'exactly one' },
  { of: 'no source', source: {}, ...request, says: 'exactly one' },
  { of: 'a URL that is none', source: { url: 'picture.png' }, ...source },
  // What the bytes are.
  { of: 'an HTML page with status 200', source: '/page.html', ...type, says: 'text/html' },
  { of: 'an HTML page named .png', source: '/page.png', ...type, says: 'text/html' },
  { of: 'a script named .png', source: '/script.png', ...type },
  { of: 'an SVG that is called a PNG', source: '/drawing.svg', ...type, says: 'image/svg+xml' },
  { of: 'a script in base64', source: { base64: script }, ...type },
  { of: 'a script that a data URI calls a picture', source: { dataUri: `data:image/png;base64,${script}` }, ...type },
  { of: 'an SVG in a data URI', source: { dataUri: svg }, ...type, says: 'image/svg+xml' },
  { of: 'an empty source', source: '/empty.png', ...empty },
  { of: 'an empty source in chunks', source: '/empty-chunked.png', ...empty },
  { of: 'an empty base64', source: { base64: '' }, ...empty },
  { of: 'an empty data URI', source: { dataUri: 'data:image/png;base64,' }, ...empty },
  // How it is written.
  {
    of: 'base64 with damage in it',
    source: { base64: `${base64.slice(0, 20)}*${base64.slice(20)}` },
    ...source,
    says: 'character 21',
  },
  { of: 'base64 that was cut', source: { base64: base64.slice(0, 21) }, ...source, says: 'cut' },
  { of: 'base64 with bad padding', source: { base64: `${base64.slice(0, 22)}=` }, ...source, says: 'padding' },
  {
    of: 'a data URI given as base64',
    source: { base64: `data:image/png;base64,${base64}` },
    ...source,
    says: 'dataUri',
  },
  { of: 'a data URI without a comma', source: { dataUri: 'data:image/png;base64' }, ...source, says: 'comma' },
  { of: 'a data URI with bad base64', source: { dataUri: 'data:image/png;base64,!!!!' }, ...source },
  { of: 'what is no data URI', source: { dataUri: 'hello' }, ...source },
  // How large it is.
  { of: 'a source that announces too much', source: `/large-announced/${tooMuch}`, ...large },
  { of: 'a source that sends too much in chunks', source: `/large-chunked/${tooMuch}`, ...large },
  { of: 'a source that sends too much without saying', source: `/large-unframed/${tooMuch}`, ...large },
  { of: 'a source that sends one byte too much', source: `/large-chunked/${limit + 1}`, ...large },
  { of: 'too much base64', source: { base64: Buffer.alloc(limit + 1, 'a').toString('base64') }, ...large },
  // What the source says.
  { of: 'a link that has expired', source: '/status/403', ...gone, says: '403' },
  { of: 'a link that wants credentials', source: '/status/401', ...gone },
  { of: 'a picture that is not there', source: '/status/404', ...gone },
  { of: 'a picture that was taken away', source: '/status/410', ...gone },
]

describe.each(backends)('refused on $name', ({ start }) => {
  let service: Service
  let api: ApiClient
  beforeAll(async () => {
    service = await start({ collections })
    api = service.as(apiKey)
  })
  afterAll(() => service.stop())

  it.each(cases)('$of', async ({ of, source, fields, collection, status, code, says = '' }) => {
    const given = typeof source === 'string' ? { url: `${service.source.url(source)}?sig=${secret}` } : source
    const problem = await readProblem(await api.import(given, { owner: of, ...fields }, {}, collection))
    expect(problem).toMatchObject({ status, code })
    expect(problem.detail).toContain(says)
    expect(JSON.stringify(problem)).not.toContain(secret)

    // The row, where there is one, says the same and is nobody's worry any more.
    const { assets } = await api.list(`?owner=${encodeURIComponent(of)}`)
    expect(assets.map(({ id }) => id)).toEqual(problem.asset === undefined ? [] : [problem.asset])
    for (const asset of assets) {
      expect(asset).toMatchObject({ state: 'failed', key: null, url: null, problem: { code, message: problem.detail } })
    }
    await expectNothingLeft()
    await expectRoom(of)
  })

  it('never logs where a source was', () => {
    expect(service.server.log()).toContain('POST')
    expect(service.server.log()).not.toContain(secret)
  })

  it('nothing: a picture as large as the limit, however it is framed', async () => {
    for (const route of ['large-announced', 'large-chunked', 'large-unframed']) {
      const asset = await api.keep({ url: service.source.url(`/${route}/${limit}`) }, { owner: route })
      expect(asset.size).toBe(limit)
      await api.call(`/v1/assets/${asset.id}`, { method: 'DELETE' })
    }
    expect(await service.spooled()).toEqual([])
  })

  it('what comes after the end that was announced', async () => {
    const asset = await api.keep({ url: service.source.url(`/more-than-announced/${tooMuch}`) })
    expect(asset.sha256).toBe(service.source.sha256)
    const next = await api.keep({ url: service.source.url('/chunked.png') })
    expect(next.sha256).toBe(service.source.sha256)
    for (const { id } of [asset, next]) await api.call(`/v1/assets/${id}`, { method: 'DELETE' })
  })

  describe('when it was cut', () => {
    const cuts = ['cut-announced.png', 'cut-chunked.png', 'cut-unframed.png']

    it('is never stored, and tried again while its link may live', async () => {
      const { source } = service
      const pending = await Promise.all(
        cuts.map(async (route) => {
          const path = `/again/${route}`
          source.behave(path, `/${route}`)
          return { path, asset: await readAsset(await api.import({ url: source.url(path) }, { owner: route }), 202) }
        }),
      )
      for (const { path, asset } of pending) {
        expect(asset).toMatchObject({ state: 'pending', url: source.url(path), urlSource: 'origin' })
        expect(asset.problem?.code).toBe('content_truncated')
      }
      await expectNothingLeft()
      for (const { path } of pending) source.behave(path, '/picture.png')
      for (const { asset } of pending) {
        expect(await api.settled(asset.id)).toMatchObject({ state: 'stored', sha256: source.sha256 })
        expect((await open((await api.asset(asset.id)).url)).bytes).toEqual(source.png)
        await api.call(`/v1/assets/${asset.id}`, { method: 'DELETE' })
      }
    })

    it('is told at once where the link is dead already', async () => {
      const expiresAt = '2026-01-01T00:00:00Z'
      const answers = cuts.map((route) =>
        api.import({ url: service.source.url(`/${route}`), expiresAt }, { owner: `dead ${route}` }),
      )
      for (const answer of answers) {
        const problem = await readProblem(await answer)
        expect(problem).toMatchObject({ status: 422, code: 'content_truncated' })
        expect(await api.asset(problem.asset ?? '')).toMatchObject({ state: 'failed', url: null })
      }
      await expectNothingLeft()
    })
  })

  async function expectNothingLeft(): Promise<void> {
    expect(await service.objects()).toEqual([])
    expect(await service.spooled()).toEqual([])
  }

  /** The owner's quota is whole: it takes a picture that uses all of it. */
  async function expectRoom(owner: string): Promise<void> {
    const { id } = await api.keep({ url: service.source.url(`/large-announced/${limit}`) }, { owner })
    expect(await readProblem(await api.import({ base64 }, { owner }))).toMatchObject({ code: 'quota_exceeded' })
    expect((await api.call(`/v1/assets/${id}`, { method: 'DELETE' })).status).toBe(204)
    await expectNothingLeft()
  }
})

describe('a private address', () => {
  let service: Service
  let canary: SourceServer
  let api: ApiClient
  beforeAll(async () => {
    canary = await startSourceServer()
    // Plain http is allowed, so that only the address stands between an import and the canary.
    service = await pglite.start({ allowHttp: true })
    api = service.as(apiKey)
  })
  afterAll(async () => {
    await service.stop()
    await canary.close()
  })

  const loopback = [
    '127.0.0.1',
    '127.0.0.2',
    '127.1',
    '127.0.1',
    '2130706433',
    '017700000001',
    '0x7f000001',
    '0x7f.0.0.1',
    '0177.0.0.1',
    '00000177.00.00.01',
    '127.0.0.1.',
    '%31%32%37.0.0.1',
    '１２７.０.０.１',
    '①②⑦.0.0.1',
    '127。0。0。1',
    '0.0.0.0',
    '0',
    'localhost',
    'LOCALHOST',
    'ⓛocalhost',
    '[::1]',
    '[0:0:0:0:0:0:0:1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::127.0.0.1]',
    '[64:ff9b::127.0.0.1]',
    '[2002:7f00:1::]',
    'public.example@127.0.0.1',
  ]
  const elsewhere = [
    '10.0.0.1',
    '172.16.0.1',
    '192.168.1.1',
    '100.64.0.1',
    '100.100.100.200',
    '169.254.169.254',
    '168.63.129.16',
    '192.0.0.192',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '[fd00:ec2::254]',
    '[fe80::1]',
    '[ff02::1]',
    '[::ffff:169.254.169.254]',
    '[64:ff9b::a9fe:a9fe]',
    '[2001:db8::1]',
  ]

  it.each([...loopback, ...elsewhere])('%s is refused before a connection is made', async (host) => {
    for (const scheme of ['http', 'https']) {
      const url = `${scheme}://${host}:${canary.port}/picture.png`
      const problem = await readProblem(await api.import({ url }))
      expect(problem, url).toMatchObject({ status: 422, code: 'source_forbidden' })
      // What the text of the URL rules out leaves no row behind.
      if (host.includes('@')) expect(problem.asset).toBeUndefined()
      else expect(await api.asset(problem.asset ?? '')).toMatchObject({ state: 'failed', url: null })
    }
    expect(canary.connections).toBe(0)
    expect(await service.objects()).toEqual([])
  })

  it.each([...loopback.slice(0, 6), 'localhost', '[::1]', ...elsewhere])(
    '%s is refused as a redirect',
    async (host) => {
      const to = encodeURIComponent(`http://${host}:${canary.port}/picture.png`)
      const problem = await readProblem(await api.import({ url: service.source.url(`/redirect?to=${to}`) }))
      expect(problem).toMatchObject({ status: 422, code: 'source_forbidden' })
      expect(canary.connections).toBe(0)
    },
  )

  it.each([
    'file:///etc/passwd',
    'ftp://127.0.0.1/a.png',
    'gopher://127.0.0.1/',
    'data:image/gif;base64,R0lGODlhAQABAAAAACw=',
    'javascript:alert(1)',
  ])('%s is refused, as a source and as a redirect', async (url) => {
    const redirect = service.source.url(`/redirect?to=${encodeURIComponent(url)}`)
    for (const given of [url, redirect]) {
      const problem = await readProblem(await api.import({ url: given }))
      expect(problem).toMatchObject({ status: 422, code: 'source_forbidden' })
    }
  })

  it('does not stop a redirect to where imports may come from', async () => {
    const to = encodeURIComponent(service.source.url('/picture.png'))
    expect(await api.keep({ url: service.source.url(`/redirect?to=${to}`) })).toMatchObject({ state: 'stored' })
  })

  it('a redirect that leads to itself comes to an end', async () => {
    const problem = await readProblem(await api.import({ url: service.source.url('/redirect') }))
    expect(problem).toMatchObject({ status: 422, code: 'source_gone' })
  })
})
