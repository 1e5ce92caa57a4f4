import { hash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type NewKey, putRequest, readAll, type Store, text } from './tools.ts'

/** The part of the suite about signed URLs. Where nobody answers them (`fetched` false), only their form is checked. */
export function describeSignedUrls(store: Store, newKey: NewKey, fetched: boolean) {
  describe('signed URLs', () => {
    it('have the life that was asked for, and a time to round', () => {
      const at = new Date(Math.floor(Date.now() / 900_000) * 900_000)
      const first = store().signGet('some/key.png', { expiresIn: 3600, at })
      const second = store().signGet('some/key.png', { expiresIn: 3600, at })
      expect(second).toEqual(first)
      expect(first.expiresAt).toEqual(new Date(at.getTime() + 3600_000))
      expect(URL.canParse(first.url)).toBe(true)
      expect(store().signGet('some/other.png', { expiresIn: 3600, at }).url).not.toBe(first.url)
      expect(store().signGet('some/key.png', { expiresIn: 60 }).expiresAt.getTime()).toBeLessThan(Date.now() + 61_000)
    })

    it.each([0, 604_801, 0.5])('cannot live %d seconds', (expiresIn) => {
      const invalid = expect.objectContaining({ code: 'invalid_request' })
      expect(() => store().signGet('key', { expiresIn })).toThrow(invalid)
      expect(() => store().signPut('key', { expiresIn, headers: {} })).toThrow(invalid)
    })

    it('for a put tell the method and the headers to send', () => {
      const headers = { 'content-type': 'image/png', 'if-none-match': '*' }
      expect(store().signPut('key', { expiresIn: 60, headers })).toMatchObject({ method: 'PUT', headers })
    })

    if (fetched) describeFetchedUrls(store, newKey)
  })
}

function describeFetchedUrls(store: Store, newKey: NewKey): void {
  const stored = async (ending?: string) => {
    const key = newKey(ending)
    await store().put(putRequest(key, text(`content of ${key}`), { contentType: 'image/png' }))
    return key
  }
  const uploadHeaders = (body: Uint8Array) => ({
    'content-type': 'image/png',
    'content-length': String(body.length),
    'if-none-match': '*',
    'x-amz-checksum-sha256': hash('sha256', body, 'base64'),
    'x-amz-meta-owner': 'zoë 🦊',
  })
  /** fetch works out content-length itself, from the body. */
  const upload = async (url: string, headers: Readonly<Record<string, string>>, body: Uint8Array) => {
    const { 'content-length': _, ...rest } = headers
    const response = await fetch(url, { method: 'PUT', headers: rest, body: Buffer.from(body) })
    await response.arrayBuffer()
    return response.status
  }

  it.each(['plain.png', 'a b+c%20.png', 'ünï/🦊.png', "quotes'()!*&=?#.png", 'double//slash'])(
    'are fetched for the key %j',
    async (ending) => {
      const key = await stored(ending)
      const response = await fetch(store().signGet(key, { expiresIn: 60 }).url)
      expect(await response.text()).toBe(`content of ${key}`)
      expect(response.headers.get('content-type')).toBe('image/png')
    },
  )

  it('override headers of the response', async () => {
    const contentDisposition = 'attachment; filename="a b.png"; filename*=UTF-8\'\'%F0%9F%A6%8A.png'
    const { url } = store().signGet(await stored(), {
      expiresIn: 60,
      response: { contentType: 'text/plain; charset=utf-8', contentDisposition, cacheControl: 'private, max-age=60' },
    })
    const response = await fetch(url)
    await response.arrayBuffer()
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    expect(response.headers.get('content-disposition')).toBe(contentDisposition)
    expect(response.headers.get('cache-control')).toBe('private, max-age=60')
  })

  it('are refused once expired, tampered with, or used for something else', async () => {
    const key = await stored()
    const { url } = store().signGet(key, { expiresIn: 60 })
    const expired = store().signGet(key, { expiresIn: 60, at: new Date(Date.now() - 120_000) }).url
    const attempts: [string, RequestInit][] = [
      [expired, {}],
      [url.replace('X-Amz-Expires=60', 'X-Amz-Expires=6000'), {}],
      [url.replace(key, await stored()), {}],
      [`${url}&response-content-type=text%2Fhtml`, {}],
      [url, { method: 'PUT', body: 'x' }],
      [url, { method: 'DELETE' }],
    ]
    for (const [tampered, init] of attempts) {
      const response = await fetch(tampered, init)
      await response.arrayBuffer()
      expect(response.status).toBe(403)
    }
  })

  it('take an upload, once', async () => {
    const key = newKey()
    const body = text('uploaded by a browser')
    const request = store().signPut(key, { expiresIn: 60, headers: uploadHeaders(body) })
    expect(await upload(request.url, request.headers, body)).toBe(200)
    const content = await store().get(key)
    expect((await readAll(content.body)).toString()).toBe('uploaded by a browser')
    expect(content).toMatchObject({ contentType: 'image/png', metadata: { owner: 'zoë 🦊' } })
    expect(await upload(request.url, request.headers, body)).toBe(412)
  })

  it('refuse an upload of another type or length, or without the create-only header', async () => {
    const key = newKey()
    const body = text('uploaded by a browser')
    const { url, headers } = store().signPut(key, { expiresIn: 60, headers: uploadHeaders(body) })
    const { 'if-none-match': _, ...overwriting } = headers
    expect(await upload(url, { ...headers, 'content-type': 'text/html' }, body)).toBe(403)
    expect(await upload(url, headers, text('uploaded by a browser, and more'))).toBe(403)
    expect(await upload(url, overwriting, body)).toBe(403)
    expect(await store().head(key)).toBeUndefined()
  })
}
