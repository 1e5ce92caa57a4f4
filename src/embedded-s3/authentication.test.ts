import { GetObjectCommand, ListBucketsCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EmbeddedS3 } from './index.ts'
import { Bench, BUCKET, call, credentials, presigned, type RawRequest, sdk, send, signed } from './testing/test-kit.ts'

const bench = new Bench()
let server: EmbeddedS3

const MINUTE = 60_000
const path = `/${BUCKET}/secret`

beforeAll(async () => {
  server = await bench.start()
  await sdk(server).send(new PutObjectCommand({ Bucket: BUCKET, Key: 'secret', Body: 'treasure' }))
})
afterAll(() => bench.stop())

async function answer(raw: RawRequest): Promise<string> {
  const { status, code } = await call(server, { path, ...raw })
  return `${status} ${code}`.trim()
}

async function linkAnswer(link: string, method = 'GET', headers: Record<string, string> = {}): Promise<string> {
  const { status, code } = await send(server, { path: link, method, headers })
  return `${status} ${code}`.trim()
}

describe('a signature in the header', () => {
  test('is what it takes', async () => {
    expect(await answer({})).toBe('200')
    expect(await linkAnswer(path)).toBe('403 AccessDenied')
  })

  test.each<[string, string, RawRequest]>([
    ['of another secret', '403 SignatureDoesNotMatch', { secretAccessKey: 'guess' }],
    ['of an unknown key', '403 InvalidAccessKeyId', { accessKeyId: 'AKIDOTHER' }],
    ['for another region', '400 AuthorizationHeaderMalformed', { region: 'eu-west-1' }],
    ['for another service', '400 AuthorizationHeaderMalformed', { service: 'ec2' }],
    ['from 20 minutes ago', '403 RequestTimeTooSkewed', { at: Date.now() - 20 * MINUTE }],
    ['from 20 minutes ahead', '403 RequestTimeTooSkewed', { at: Date.now() + 20 * MINUTE }],
    ['with a header that is not signed', '403 AccessDenied', { unsigned: { 'x-amz-checksum-mode': 'ENABLED' } }],
    [
      'with a header changed',
      '403 SignatureDoesNotMatch',
      { headers: { range: 'bytes=0-1' }, tamper: { headers: { range: 'bytes=0-7' } } },
    ],
    [
      'with a query changed',
      '403 SignatureDoesNotMatch',
      {
        query: { 'response-content-type': 'a/b' },
        tamper: { path: `${path}?response-content-type=a%2Fc` },
      },
    ],
    ['with a query added', '403 SignatureDoesNotMatch', { tamper: { path: `${path}?x=y` } }],
    ['for another key', '403 SignatureDoesNotMatch', { tamper: { path: `/${BUCKET}/other` } }],
    ['for another host', '403 SignatureDoesNotMatch', { tamper: { headers: { host: 'evil.example' } } }],
    ['with a session token', '400 InvalidToken', { headers: { 'x-amz-security-token': 'anything' } }],
    ['of no hash', '400 InvalidRequest', { tamper: { headers: { 'x-amz-content-sha256': undefined } } }],
    ['of a body that is not there', '400 XAmzContentSHA256Mismatch', { payloadHash: 'a'.repeat(64) }],
    ['at no time', '403 AccessDenied', { tamper: { headers: { 'x-amz-date': 'yesterday' } } }],
    ['that is cut', '403 SignatureDoesNotMatch', { tamper: { authorization: (text) => text.slice(0, -1) } }],
    [
      'that is missing',
      '400 AuthorizationHeaderMalformed',
      {
        tamper: { authorization: (text) => text.replace(/, Signature.*/, '') },
      },
    ],
    [
      'of another date than the scope',
      '400 AuthorizationHeaderMalformed',
      {
        tamper: { authorization: (text) => text.replace(/\/\d{8}\//, '/20200101/') },
      },
    ],
    ['by Signature Version 2', '400 InvalidRequest', { tamper: { authorization: () => 'AWS AKID:c2ln' } }],
    ['by Basic', '400 InvalidArgument', { tamper: { authorization: () => 'Basic YTpi' } }],
    ['by nonsense', '400 AuthorizationHeaderMalformed', { tamper: { authorization: () => 'AWS4-HMAC-SHA256 , ,=' } }],
    ['twice', '400 InvalidArgument', { tamper: { path: `${path}?X-Amz-Algorithm=AWS4-HMAC-SHA256` } }],
  ])('%s is refused: %s', async (_, expected, raw) => {
    expect(await answer(raw)).toBe(expected)
  })

  test('over another method is refused', async () => {
    const request = { ...signed(server, { path }), method: 'DELETE' }
    expect(await send(server, request)).toMatchObject({ status: 403, code: 'SignatureDoesNotMatch' })
  })

  test('without the host in it is refused', async () => {
    const request = signed(server, { path })
    request.headers.authorization = request.headers.authorization?.replace('host;', '') ?? ''
    expect(await send(server, request)).toMatchObject({ status: 403, code: 'AccessDenied' })
  })

  test('tells which region is right', async () => {
    const { body } = await call(server, { path, region: 'eu-west-1' })
    expect(body.toString()).toContain('<Region>us-east-1</Region>')
    const { status, headers } = await call(server, { method: 'HEAD', path: `/${BUCKET}`, region: 'eu-west-1' })
    expect([status, headers['x-amz-bucket-region']]).toEqual([400, 'us-east-1'])
  })

  test('is refused with a document that never shows the secret or the object', async () => {
    const { headers, body } = await call(server, { path, secretAccessKey: 'guess' })
    expect(body.toString()).not.toContain(credentials.secretAccessKey)
    expect(body.toString()).not.toContain('treasure')
    expect(headers['content-type']).toBe('application/xml')
    expect(body.toString()).toContain(`<RequestId>${headers['x-amz-request-id']}</RequestId>`)
    expect(body.toString()).toContain(`<Resource>${path}</Resource>`)
  })

  test('of the body protects the body', async () => {
    const put = { method: 'PUT', path: `/${BUCKET}/swapped`, body: 'signed body' }
    const request = signed(server, put)
    expect(await send(server, { ...request, body: 'other bytes' })).toMatchObject({ code: 'XAmzContentSHA256Mismatch' })
    expect((await call(server, { path: put.path })).status).toBe(404)
    expect((await send(server, request)).status).toBe(200)
    expect((await call(server, { ...put, payloadHash: 'UNSIGNED-PAYLOAD' })).status).toBe(200)
    expect(await call(server, { ...put, payloadHash: 'SIGNED-SOMEHOW' })).toMatchObject({ code: 'InvalidArgument' })
  })

  test('changed in any one character is refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(63), fc.constantFrom(...'0123456789abcdef'), async (at, digit) => {
        const request = signed(server, { path })
        const spoilt = request.signature.slice(0, at) + digit + request.signature.slice(at + 1)
        request.headers.authorization = request.headers.authorization?.replace(request.signature, spoilt) ?? ''
        const { status } = await send(server, request)
        expect(status).toBe(spoilt === request.signature ? 200 : 403)
      }),
      { numRuns: 40 },
    )
  })
})

describe('a presigned link', () => {
  test('opens, within its time, for its method', async () => {
    const link = presigned(server, { path })
    expect(await linkAnswer(link)).toBe('200')
    expect(await linkAnswer(link, 'HEAD')).toBe('403')
    expect(await linkAnswer(link, 'DELETE')).toBe('403 SignatureDoesNotMatch')
  })

  test.each<[string, string, RawRequest & { expires?: string }]>([
    ['past its time', '403 AccessDenied', { at: Date.now() - 2 * MINUTE, expires: '60' }],
    ['from the future', '403 AccessDenied', { at: Date.now() + 20 * MINUTE }],
    ['for more than a week', '400 AuthorizationQueryParametersError', { expires: '604801' }],
    ['for less than nothing', '400 AuthorizationQueryParametersError', { expires: '-1' }],
    ['for a word', '400 AuthorizationQueryParametersError', { expires: 'soon' }],
    ['of another secret', '403 SignatureDoesNotMatch', { secretAccessKey: 'guess' }],
    ['of an unknown key', '403 InvalidAccessKeyId', { accessKeyId: 'AKIDOTHER' }],
    ['for another region', '400 AuthorizationQueryParametersError', { region: 'eu-west-1' }],
  ])('%s is refused: %s', async (_, expected, raw) => {
    expect(await linkAnswer(presigned(server, { path, ...raw }))).toBe(expected)
  })

  test('says that it has expired', async () => {
    const { body } = await send(server, { path: presigned(server, { path, at: Date.now() - 2 * MINUTE }) })
    expect(body.toString()).toContain('<Message>Request has expired</Message>')
  })

  test('lives a week and no second longer', async () => {
    const week = 604_800_000
    expect(await linkAnswer(presigned(server, { path, at: Date.now() - week + MINUTE, expires: '604800' }))).toBe('200')
    expect(await linkAnswer(presigned(server, { path, at: Date.now() - week - 1000, expires: '604800' }))).toBe(
      '403 AccessDenied',
    )
  })

  test.each([
    'X-Amz-Algorithm',
    'X-Amz-Credential',
    'X-Amz-Date',
    'X-Amz-Expires',
    'X-Amz-SignedHeaders',
    'X-Amz-Signature',
  ])('without %s is refused', async (name) => {
    const link = new URL(presigned(server, { path }), server.url)
    link.searchParams.delete(name)
    expect(await linkAnswer(link.pathname + link.search)).toBe('400 AuthorizationQueryParametersError')
  })

  test.each(['X-Amz-Expires=61', 'response-content-type=text%2Fhtml', 'X-Amz-Signature=00'])(
    'with %s added is refused',
    async (extra) => {
      expect(await linkAnswer(`${presigned(server, { path })}&${extra}`)).toMatch(/^40[03] /)
    },
  )

  test('with an x-amz header that is not signed is refused', async () => {
    const link = presigned(server, { path, method: 'PUT' })
    expect(await linkAnswer(link, 'PUT', { 'x-amz-meta-sneaked': 'in', 'content-length': '0' })).toBe(
      '403 AccessDenied',
    )
  })

  test('made by the AWS SDK opens, whatever the key', async () => {
    const s3 = sdk(server)
    // fetch resolves dot segments away (URL Standard, 4.4), so a link to such a key never leaves it as it was signed.
    const key = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
      .filter((text) => !text.includes('\0') && !/(^|\/)\.{1,2}(\/|$)/.test(text))
    await fc.assert(
      fc.asyncProperty(key, fc.string({ unit: 'grapheme-ascii' }), async (Key, name) => {
        await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: Key }))
        const disposition = `attachment; filename="${name}"`
        const command = new GetObjectCommand({ Bucket: BUCKET, Key, ResponseContentDisposition: disposition })
        const response = await fetch(await getSignedUrl(s3, command, { expiresIn: 60 }))
        expect(response.status).toBe(200)
        expect(await response.text()).toBe(Key)
        expect(response.headers.get('content-disposition')).toBe(disposition)
      }),
      { numRuns: 60 },
    )
  })
})

test('the SDK is told of a wrong secret in its own terms', async () => {
  const stranger = sdk(server, { credentials: { ...credentials, secretAccessKey: 'guess' } })
  await expect(stranger.send(new ListBucketsCommand({}))).rejects.toMatchObject({ name: 'SignatureDoesNotMatch' })
})
