/** Walks the document 002, section by section, against a served Keepsake; step 7's relation has tests of its own. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { type Doors, openDoors } from '../../../test/support/doors.ts'
import { apiKey, gif, startSource, startTestServer } from '../../../test/support/http.ts'
import { readProblem } from '../../../test/support/service.ts'
import { BodyBudget } from '../../http/testing/index.ts'
import { generationOutput } from './generation.ts'
import { generations } from './index.ts'

const page = z.strictObject({ generations: z.array(generationOutput), next_cursor: z.string().nullable() })
const secret = 'a-secret-of-the-tests-that-is-long-enough'
const base64 = gif.toString('base64')

describe('generations', () => {
  let doors: Doors
  let source: Awaited<ReturnType<typeof startSource>>
  let onFetch = () => {}
  beforeAll(async () => {
    source = await startSource(({ url }, response) => {
      onFetch()
      if (url === '/fox.gif') response.end(gif)
      else response.writeHead(503).end()
    })
    doors = await openDoors({
      extensions: [generations({ maxSize: '1 KB' })],
      auth: { apiKeys: [apiKey], jwt: { keys: { secret } } },
      allowHosts: [source.host],
    })
  })
  afterAll(async () => {
    await doors?.stop()
    await source?.[Symbol.asyncDispose]()
  })

  /** A user of the app, with a token. */
  async function user(id = randomUUID()) {
    const authorization = `Bearer ${await doors.token(id)}`
    return {
      id,
      call: (path: string, init: { method?: string; body?: unknown; headers?: Record<string, string> } = {}) => {
        const { body, headers } = init
        const isForm = body instanceof FormData
        return fetch(`${doors.api.url}/api/generations${path}`, {
          method: init.method ?? (body === undefined ? 'GET' : 'POST'),
          headers: {
            authorization,
            ...(body === undefined || isForm ? {} : { 'content-type': 'application/json' }),
            ...headers,
          },
          ...(body === undefined ? {} : { body: isForm ? body : JSON.stringify(body) }),
        })
      },
      async create(fields: object = {}) {
        const response = await this.call('', { body: { base64, generation_type: 'image', ...fields } })
        return read(response, 201)
      },
      async list(query = '') {
        const response = await this.call(query)
        return page.parse(await response.json())
      },
    }
  }
  async function read(response: Response, status: number) {
    const body: unknown = await response.json()
    expect(response.status, JSON.stringify(body)).toBe(status)
    return generationOutput.parse(body)
  }

  it('counts a body among those in memory until its generation is kept', async () => {
    const seen: string[] = []
    const { share } = BodyBudget.prototype
    const spy = vi.spyOn(BodyBudget.prototype, 'share').mockImplementation(function (this: BodyBudget) {
      const given = share.call(this)
      return {
        take: (bytes) => given.take(bytes),
        [Symbol.dispose]: () => {
          seen.push('let go')
          given[Symbol.dispose]()
        },
      }
    })
    onFetch = () => seen.push('fetched')
    try {
      const ada = await user()
      const body = { url: `${source.url}/fox.gif`, generation_type: 'image' }
      expect((await ada.call('', { body })).status).toBe(201)
      expect(seen).toEqual(['fetched', 'let go'])
    } finally {
      onFetch = () => {}
      spy.mockRestore()
    }
  })

  it('creates one from what a provider answered, as a row of the document’s table', async () => {
    const ada = await user()
    const made = await ada.create({ prompt: 'a fox', settings: { steps: 28 } })
    expect(made).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      user_id: ada.id,
      generation_type: 'image',
      s3_key: expect.stringMatching(new RegExp(`^generations/${ada.id}/image/\\d{4}/\\d\\d/\\d\\d/${made.id}\\.gif$`)),
      s3_url: expect.stringContaining('X-Amz-Signature='),
      prompt: 'a fox',
      settings: { steps: 28 },
      file_size: gif.length,
      content_type: 'image/gif',
      created_at: made.created_at,
      updated_at: expect.any(String),
      state: 'stored',
      s3_url_expires_at: expect.any(String),
    })
    const opened = await fetch(made.s3_url ?? '')
    expect([opened.headers.get('content-type'), Buffer.from(await opened.arrayBuffer())]).toEqual(['image/gif', gif])
    expect(await read(await ada.call(`/${made.id}`), 200)).toEqual(made)
  })

  it('creates one from a URL, a data URI and a file in a form', async () => {
    const ada = await user()
    const url = `${source.url}/fox.gif`
    expect(await read(await ada.call('', { body: { url, generation_type: 'image' } }), 201)).toMatchObject({
      state: 'stored',
    })
    const data = { data_uri: `data:image/gif;base64,${base64}`, generation_type: 'image', filename: 'fox.gif' }
    expect(await read(await ada.call('', { body: data }), 201)).toMatchObject({ file_size: gif.length })
    const form = new FormData()
    form.set('generation_type', 'sticker')
    form.set('prompt', 'a fox')
    form.set('settings', '{"steps": 28}')
    form.set('file', new Blob([gif]), 'fox.gif')
    expect(await read(await ada.call('', { body: form }), 201)).toMatchObject({
      generation_type: 'sticker',
      prompt: 'a fox',
      settings: { steps: 28 },
      content_type: 'image/gif',
    })
    expect((await ada.list()).generations).toHaveLength(3)
  })

  it('creates one after a direct upload', async () => {
    const ada = await user()
    const body = { generation_type: 'image', prompt: 'a fox', content_type: 'image/gif', file_size: gif.length }
    const begun = await ada.call('/uploads', { body })
    const { generation, upload } = z
      .object({
        generation: generationOutput,
        upload: z.object({ url: z.string(), headers: z.record(z.string(), z.string()) }),
      })
      .parse(await begun.json())
    expect([begun.status, generation.state, generation.s3_url]).toEqual([201, 'pending', null])
    expect((await readProblem(await ada.call('', { body: { upload: generation.id } }))).code).toBe('upload_incomplete')
    const put = await fetch(upload.url, { method: 'PUT', headers: upload.headers, body: gif })
    expect(put.status).toBe(200)
    const done = await read(await ada.call('', { body: { upload: generation.id } }), 201)
    expect(done).toMatchObject({ id: generation.id, prompt: 'a fox', state: 'stored', file_size: gif.length })
    const bob = await user()
    expect((await readProblem(await bob.call('', { body: { upload: generation.id } }))).code).toBe('asset_not_found')
  })

  it('answers 202 and the original address while the source is failing', async () => {
    const ada = await user()
    const url = `${source.url}/failing`
    const response = await ada.call('', { body: { url, generation_type: 'image' } })
    expect(response.headers.get('retry-after')).toBe('5')
    expect(await read(response, 202)).toMatchObject({ state: 'pending', s3_url: url, s3_key: null })
  })

  it('lists the user’s own by type, newest first, in pages', async () => {
    const [ada, bob] = [await user(), await user()]
    const first = await ada.create()
    const video = await ada.create({ generation_type: 'video' })
    const last = await ada.create()
    await bob.create()
    const ids = (list: z.output<typeof page>) => list.generations.map(({ id }) => id)
    expect(ids(await ada.list())).toEqual([last.id, video.id, first.id])
    expect(ids(await ada.list('?type=image'))).toEqual([last.id, first.id])
    const one = await ada.list('?type=image&limit=1')
    expect(ids(one)).toEqual([last.id])
    const two = await ada.list(`?type=image&limit=1&cursor=${one.next_cursor}`)
    expect([ids(two), two.next_cursor]).toEqual([[first.id], null])

    const byKey = await doors.server.call(`/api/generations?user_id=${ada.id}`)
    expect(ids(page.parse(await byKey.json()))).toEqual([last.id, video.id, first.id])
    expect((await readProblem(await ada.call(`?user_id=${bob.id}`))).code).toBe('forbidden')
  })

  it('deletes one with its file, and is nothing to others', async () => {
    const [ada, bob] = [await user(), await user()]
    const made = await ada.create()
    for (const method of ['GET', 'DELETE']) {
      expect((await readProblem(await bob.call(`/${made.id}`, { method }))).status).toBe(404)
    }
    expect((await ada.call(`/${made.id}`, { method: 'DELETE' })).status).toBe(204)
    expect((await readProblem(await ada.call(`/${made.id}`))).code).toBe('asset_not_found')
    expect(await doors.objects()).not.toContain(made.s3_key)
    const other = await doors.keepsake.import('generations', { source: { bytes: gif }, owner: ada.id })
    expect((await readProblem(await ada.call(`/${other.id}`))).code).toBe('asset_not_found')
  })

  it('holds the size and the types, whatever a header says (best practices 6 and 7)', async () => {
    const ada = await user()
    const large = Buffer.concat([gif, Buffer.alloc(1000)]).toString('base64')
    const refusals: [object, string][] = [
      [{ base64: large, generation_type: 'image' }, 'content_too_large'],
      [{ base64: Buffer.from('<html>').toString('base64'), generation_type: 'image' }, 'content_type_refused'],
      [{ base64 }, 'invalid_request'],
      [{ base64, generation_type: 'x'.repeat(51) }, 'invalid_request'],
      [{ base64, url: 'https://example.com', generation_type: 'image' }, 'invalid_request'],
      [{ base64, generation_type: 'image', user_id: 'bob' }, 'forbidden'],
      [{ base64, generation_type: 'image', s3_key: 'mine.png' }, 'invalid_request'],
    ]
    for (const [body, code] of refusals) {
      expect((await readProblem(await ada.call('', { body }))).code, JSON.stringify(body)).toBe(code)
    }
    const upload = { generation_type: 'image', content_type: 'text/html', file_size: 3 }
    expect((await readProblem(await ada.call('/uploads', { body: upload }))).code).toBe('content_type_refused')
    const unread = await ada.call('', { body: {}, headers: { 'content-type': 'text/plain' } })
    expect((await readProblem(unread)).code).toBe('unsupported_media_type')
    expect((await ada.list()).generations.filter(({ state }) => state === 'stored')).toEqual([])
  })

  it('is the same once, under an idempotency key', async () => {
    const ada = await user()
    const body = { base64, generation_type: 'image' }
    const send = async () => read(await ada.call('', { body, headers: { 'idempotency-key': 'a-1' } }), 201)
    expect((await send()).id).toBe((await send()).id)
    expect((await ada.list()).generations).toHaveLength(1)
  })

  it('asks for credentials, and stands in the documentation', async () => {
    const anonymous = await fetch(`${doors.api.url}/api/generations`)
    expect((await readProblem(anonymous)).code).toBe('unauthenticated')
    const document = z
      .object({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) })
      .parse(await (await fetch(`${doors.api.url}/openapi.json`)).json())
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      path.startsWith('/api/') ? Object.keys(methods).map((method) => `${method} ${path}`) : [],
    )
    expect(described.sort()).toEqual([
      'delete /api/generations/{id}',
      'get /api/generations',
      'get /api/generations/{id}',
      'post /api/generations',
      'post /api/generations/uploads',
    ])
  })
})

it('a public collection gives plain links, which last (option A)', async () => {
  const server = await startTestServer({
    extensions: [generations({ access: 'public' })],
    baseUrl: 'https://cdn.example',
  })
  try {
    const body = { base64, generation_type: 'image', user_id: 'ada' }
    const made = generationOutput.parse(await (await server.call('/api/generations', { body })).json())
    expect(made).toMatchObject({
      s3_url: `https://cdn.example/${made.s3_key}`,
      s3_url_expires_at: null,
      user_id: 'ada',
    })
  } finally {
    await server.stop()
  }
})
