import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { gif, startSource, startTestServer } from '../../test/support/http.ts'
import { type AuthSettings, createAuthenticator } from './auth.ts'

const secret = 'a-shared-secret-of-at-least-32-bytes!'
const key = new TextEncoder().encode(secret)

type Claims = { sub?: string; aud?: string; iss?: string; exp?: number | null; nbf?: number }

function inSeconds(seconds: number): number {
  return Math.floor(Date.now() / 1000) + seconds
}

function claimsOf({ sub = 'ada', aud = 'authenticated', exp = inSeconds(60), iss, nbf }: Claims = {}) {
  return {
    ...(sub === '' ? { sub } : { sub }),
    aud,
    ...(exp === null ? {} : { exp }),
    ...(iss ? { iss } : {}),
    ...(nbf ? { nbf } : {}),
  }
}

function hs256(claims: Claims = {}, signWith: Uint8Array = key): Promise<string> {
  return new SignJWT(claimsOf(claims)).setProtectedHeader({ alg: 'HS256' }).sign(signWith)
}

function authenticate(settings: Partial<AuthSettings>, token: string | undefined) {
  const check = createAuthenticator({ apiKeys: ['key-one', 'key-two'], ...settings })
  return check(token === undefined ? undefined : `Bearer ${token}`, 'r1')
}

const bySecret = { jwt: { keys: { secret } } }

describe('API keys', () => {
  it.each(['key-one', 'key-two'])('%s acts as the service', async (apiKey) => {
    expect(await authenticate({}, apiKey)).toEqual({ role: 'service', requestId: 'r1' })
  })

  it.each(['key-three', 'key-on', 'key-one2', 'KEY-ONE', 'a.b.c'])('%s is refused', async (apiKey) => {
    await expect(authenticate({}, apiKey)).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  it('never lets an empty key in, even where one is configured', async () => {
    const check = createAuthenticator({ apiKeys: [''] })
    for (const header of [undefined, '', 'Bearer', 'Bearer ', 'Bearer  ']) {
      await expect(check(header, 'r1')).rejects.toMatchObject({ code: 'unauthenticated' })
    }
  })

  it.each(['Basic a2V5LW9uZQ==', 'key-one', 'Bearer key-one key-two', 'Token key-one'])(
    'refuses the header %s',
    async (header) => {
      const check = createAuthenticator({ apiKeys: ['key-one'] })
      await expect(check(header, 'r1')).rejects.toMatchObject({ code: 'unauthenticated' })
    },
  )

  it('takes the scheme in any case', async () => {
    const check = createAuthenticator({ apiKeys: ['key-one'] })
    expect(await check('bearer key-one', 'r1')).toMatchObject({ role: 'service' })
  })
})

describe('tokens by a shared secret', () => {
  it('act for the owner that sub names', async () => {
    expect(await authenticate(bySecret, await hs256({ sub: 'user|7' }))).toEqual({
      role: 'user',
      owner: 'user|7',
      requestId: 'r1',
    })
  })

  it.each<[string, Claims, string]>([
    ['expired', { exp: inSeconds(-60) }, 'expired'],
    ['without an end', { exp: null }, "'exp'"],
    ['for another audience', { aud: 'somebody' }, "'aud'"],
    ['not valid yet', { nbf: inSeconds(60) }, "'nbf'"],
    ['without an owner', { sub: '' }, "'sub'"],
    ['with an owner that cannot be stored', { sub: 'a\0b' }, "'sub'"],
    ['with an endless owner', { sub: 'x'.repeat(300) }, "'sub'"],
  ])('are refused when %s', async (_, claims, words) => {
    const attempt = authenticate(bySecret, await hs256(claims))
    await expect(attempt).rejects.toMatchObject({ code: 'unauthenticated', message: expect.stringContaining(words) })
  })

  it('are refused without sub, with a number as sub, by another secret, unsigned, or cut', async () => {
    const noSub = await new SignJWT({ aud: 'authenticated', exp: inSeconds(60) })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(key)
    const odd = await new SignJWT({ ...claimsOf(), sub: 7 as unknown as string })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(key)
    const foreign = await hs256({}, new TextEncoder().encode('another-secret-that-is-32-bytes-long'))
    const unsigned = new UnsecuredJWT(claimsOf()).encode()
    const good = await hs256()
    for (const token of [noSub, odd, foreign, unsigned, good.slice(0, -2), `${good}.x`, '..', 'a.b.c']) {
      await expect(authenticate(bySecret, token)).rejects.toMatchObject({ code: 'unauthenticated' })
    }
  })

  it('cannot be the owner of what services keep for nobody in particular', async () => {
    await expect(authenticate(bySecret, await hs256({ sub: 'default' }))).rejects.toMatchObject({ code: 'forbidden' })
  })

  it('are refused under another HMAC than HS256', async () => {
    const long = new TextEncoder().encode('x'.repeat(64))
    const token = await new SignJWT(claimsOf()).setProtectedHeader({ alg: 'HS512' }).sign(long)
    await expect(authenticate({ jwt: { keys: { secret: 'x'.repeat(64) } } }, token)).rejects.toMatchObject({
      code: 'unauthenticated',
      message: expect.stringContaining('algorithm'),
    })
  })

  it('must come from the issuer where one is set', async () => {
    const settings = { jwt: { keys: { secret }, issuer: 'https://auth.example' } }
    expect(await authenticate(settings, await hs256({ iss: 'https://auth.example' }))).toMatchObject({ owner: 'ada' })
    await expect(authenticate(settings, await hs256({ iss: 'https://evil.example' }))).rejects.toMatchObject({
      code: 'unauthenticated',
    })
  })

  it('bear a small difference between clocks', async () => {
    expect(await authenticate(bySecret, await hs256({ exp: inSeconds(-2) }))).toMatchObject({ owner: 'ada' })
  })
})

describe('tokens by a JWKS address', () => {
  it.each(['RS256', 'ES256'])('are taken with %s', async (alg) => {
    const pair = await generateKeyPair(alg, { extractable: true })
    const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k1', alg }
    await using keys = await startSource((_, response) => response.end(JSON.stringify({ keys: [jwk] })))
    const settings = { jwt: { keys: { jwksUrl: `${keys.url}/jwks.json` } } }
    const token = await new SignJWT(claimsOf()).setProtectedHeader({ alg, kid: 'k1' }).sign(pair.privateKey)
    expect(await authenticate(settings, token)).toMatchObject({ role: 'user', owner: 'ada' })
    const unknown = await new SignJWT(claimsOf()).setProtectedHeader({ alg, kid: 'k2' }).sign(pair.privateKey)
    await expect(authenticate(settings, unknown)).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  it('never take a public key for a shared secret', async () => {
    const pair = await generateKeyPair('RS256', { extractable: true })
    const jwk = await exportJWK(pair.publicKey)
    await using keys = await startSource((_, response) => response.end(JSON.stringify({ keys: [jwk] })))
    const forged = await hs256({}, new TextEncoder().encode(JSON.stringify(jwk)))
    await expect(authenticate({ jwt: { keys: { jwksUrl: keys.url } } }, forged)).rejects.toMatchObject({
      code: 'unauthenticated',
      message: expect.stringContaining('algorithm'),
    })
  })

  it('say that a retry makes sense while the keys cannot be fetched', async () => {
    const pair = await generateKeyPair('ES256')
    const token = await new SignJWT(claimsOf()).setProtectedHeader({ alg: 'ES256' }).sign(pair.privateKey)
    await using broken = await startSource((_, response) => response.writeHead(500).end())
    await using nonsense = await startSource((_, response) => response.end('<html>'))
    for (const jwksUrl of [broken.url, nonsense.url, 'http://127.0.0.1:1/']) {
      await expect(authenticate({ jwt: { keys: { jwksUrl } } }, token)).rejects.toMatchObject({
        code: 'identity_unavailable',
        status: 503,
      })
    }
  })
})

describe('over HTTP', () => {
  it('401 comes with WWW-Authenticate and no hint of the token', async () => {
    const server = await startTestServer({ auth: { apiKeys: ['the-key'], ...bySecret } })
    try {
      const missing = await fetch(`${server.url}/v1/collections`)
      expect([missing.status, missing.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="keepsake"'])
      const token = await hs256({ exp: inSeconds(-60) })
      const expired = await fetch(`${server.url}/v1/collections`, { headers: { authorization: `Bearer ${token}` } })
      expect([expired.status, expired.headers.get('www-authenticate')]).toEqual([
        401,
        'Bearer realm="keepsake", error="invalid_token"',
      ])
      expect(await expired.text()).not.toContain(token.slice(0, 20))
      expect(server.log()).not.toContain(token.slice(0, 20))
    } finally {
      await server.stop()
    }
  })

  it('a user has what is its own, names nobody else, and finds another’s nowhere', async () => {
    const server = await startTestServer({ auth: { apiKeys: ['the-key'], ...bySecret } })
    try {
      const as = async (sub: string) => {
        const authorization = `Bearer ${await hs256({ sub })}`
        return (path: string, body?: unknown) =>
          server.call(path, { headers: { authorization }, ...(body ? { body } : {}) })
      }
      const [ada, bob] = [await as('ada'), await as('bob')]
      const source = { base64: gif.toString('base64') }
      const made = await ada('/v1/collections/generations/imports', { source })
      const asset = (await made.json()) as { id: string; owner: string }
      expect(asset.owner).toBe('ada')
      const named = await bob('/v1/collections/generations/imports', { source, owner: 'ada' })
      expect([named.status, ((await named.json()) as { code: string }).code]).toEqual([403, 'forbidden'])
      expect((await bob('/v1/collections/generations/imports', { source, owner: 'bob' })).status).toBe(201)
      expect((await bob('/v1/collections/generations/assets?owner=ada')).status).toBe(403)
      expect((await bob('/v1/audit?owner=ada')).status).toBe(403)
      expect((await ada(`/v1/assets/${asset.id}`)).status).toBe(200)
      expect((await bob(`/v1/assets/${asset.id}`)).status).toBe(404)
      expect((await bob(`/v1/assets/${asset.id}/content`)).status).toBe(404)
      const links = await bob('/v1/urls', { assets: [{ id: asset.id }] })
      expect(await links.json()).toEqual({ urls: [{ id: asset.id, code: 'asset_not_found' }] })
      expect((await ada('/metrics')).status).toBe(403)
    } finally {
      await server.stop()
    }
  })
})
