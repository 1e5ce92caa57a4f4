import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { apiKey, gif, startTestServer, type TestServer } from '../../test/support/http.ts'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer({
    collections: { media: { accept: ['image'], maxSize: '3 MB', attributes: { model: {}, wallet: {} } } },
  })
})
afterAll(() => server?.stop())

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const path = '/v1/collections/media/assets'
const send = (body: NonNullable<RequestInit['body']>, query = '', headers: Record<string, string> = {}) =>
  fetch(`${server.url}${path}${query}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, ...headers },
    body,
  })
const file = (bytes: Uint8Array, type = 'image/gif') => new File([new Uint8Array(bytes)], 'dot.gif', { type })

function form(fields: Record<string, string>, ...files: File[]): FormData {
  const data = new FormData()
  for (const [name, value] of Object.entries(fields)) data.append(name, value)
  for (const one of files) data.append('file', one)
  return data
}

describe('a form with a file', () => {
  it('is kept, with all its fields', async () => {
    const bytes = Buffer.concat([gif, Buffer.alloc(2_500_000, 1)])
    const response = await send(
      form(
        { owner: 'ada', 'attributes.model': 'flux', attributes: '{"wallet":"w1"}', provenance: '{"prompt":"a dot"}' },
        file(bytes, 'text/plain'),
      ),
    )
    const body: unknown = await response.json()
    expect([response.status, body]).toMatchObject([
      201,
      {
        ...{ state: 'stored', owner: 'ada', contentType: 'image/gif', filename: 'dot.gif', size: bytes.length },
        ...{ sha256: sha256(bytes), attributes: { model: 'flux', wallet: 'w1' }, provenance: { prompt: 'a dot' } },
      },
    ])
  })

  it.each([
    ['no file', form({ owner: 'ada' }), 'invalid_request'],
    ['two files', form({}, file(gif), file(gif)), 'invalid_request'],
    ['an unknown field', form({ colour: 'red' }, file(gif)), 'invalid_request'],
    ['a field that is no JSON', form({ provenance: '{' }, file(gif)), 'invalid_request'],
    ['a page', form({}, file(Buffer.from('<html>'))), 'content_type_refused'],
    ['nothing in its file', form({}, file(Buffer.alloc(0))), 'content_empty'],
    ['too much', form({}, file(Buffer.concat([gif, Buffer.alloc(3_000_000)]))), 'content_too_large'],
    ['far too much', form({}, file(Buffer.concat([gif, Buffer.alloc(5_000_000)]))), 'content_too_large'],
  ])('that has %s is refused', async (_, data, code) => {
    const response = await send(data)
    expect(await response.json()).toMatchObject({ code })
    expect(response.status).toBeGreaterThanOrEqual(400)
  })

  it('whose fields come after the file is refused, and keeps nothing', async () => {
    const before = await server.keepsake.countByState()
    const data = form({}, file(gif))
    data.append('owner', 'ada')
    const response = await send(data)
    expect(await response.json()).toMatchObject({
      code: 'invalid_request',
      detail: expect.stringContaining('before it'),
    })
    expect(await server.keepsake.countByState()).toEqual(before)
  })

  it.each([
    ['cut in its file', '--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nGIF89a'],
    ['cut in its fields', '--b\r\ncontent-disposition: form-data; name="owner"\r\n\r\nad'],
    ['nothing like a form', 'GIF89a'],
  ])('that is %s keeps nothing', async (_, text) => {
    const before = await server.keepsake.countByState()
    const response = await send(text, '', { 'content-type': 'multipart/form-data; boundary=b' })
    expect([400, 422]).toContain(response.status)
    expect(await server.keepsake.countByState()).toEqual(before)
  })

  it('without a boundary is refused', async () => {
    const response = await send('x', '', { 'content-type': 'multipart/form-data' })
    expect([response.status, await response.json()]).toMatchObject([400, { code: 'invalid_request' }])
  })

  it('whose connection breaks keeps nothing', async () => {
    const before = await server.keepsake.countByState()
    const { port } = new URL(server.url)
    const socket = connect(Number(port), '127.0.0.1')
    const request =
      `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${apiKey}\r\ncontent-length: 100000\r\n` +
      'content-type: multipart/form-data; boundary=b\r\n\r\n' +
      `--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n${gif.toString('latin1')}`
    await new Promise((resolve) => socket.write(request, 'latin1', resolve))
    socket.destroy()
    const again = await send(form({}, file(gif)))
    expect(again.status).toBe(201)
    expect((await server.keepsake.countByState()).stored).toBe(before.stored + 1)
    expect((await server.keepsake.countByState()).pending).toBe(before.pending)
  })
})

describe('bare bytes', () => {
  it('are kept, with fields in the query', async () => {
    const response = await send(new Uint8Array(gif), '?filename=dot.gif&owner=ada&attributes.model=flux', {
      'content-type': 'image/gif',
    })
    expect([response.status, await response.json()]).toMatchObject([
      201,
      { owner: 'ada', filename: 'dot.gif', attributes: { model: 'flux' }, sha256: sha256(gif) },
    ])
    expect(response.headers.get('location')).toMatch(/^\/v1\/assets\//)
  })

  it('are the same request under one key only where they are the same bytes', async () => {
    const other = Buffer.concat([gif, Buffer.from('x')])
    const headers = { 'content-type': 'image/gif', 'idempotency-key': 'bare' }
    const first = (await (await send(new Uint8Array(gif), '', headers)).json()) as { id: string }
    const second = (await (await send(new Uint8Array(gif), '', headers)).json()) as { id: string }
    expect(second.id).toBe(first.id)
    const third = await send(new Uint8Array(other), '', headers)
    expect([third.status, await third.json()]).toMatchObject([409, { code: 'idempotency_conflict' }])
  })

  it('that are none, or a web form, are refused', async () => {
    expect(await (await send('', '', { 'content-type': 'image/gif' })).json()).toMatchObject({ code: 'content_empty' })
    expect((await send(new URLSearchParams({ a: 'b' }))).status).toBe(415)
    expect((await send(new Uint8Array(gif), '?colour=red', { 'content-type': 'image/gif' })).status).toBe(400)
  })
})
