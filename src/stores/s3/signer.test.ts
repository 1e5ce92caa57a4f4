import { createHash, createHmac } from 'node:crypto'
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { getSignedUrl, S3RequestPresigner } from '@aws-sdk/s3-request-presigner'
import { HttpRequest } from '@smithy/core/protocols'
import { SignatureV4 } from '@smithy/signature-v4'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Address, bucketAddress, keyPath } from './address.ts'
import { emptySha256 } from './canonical.ts'
import { canonicalQuery } from './encode.ts'
import { Signer, type SigningIdentity } from './signer.ts'

/** The hash that the AWS signers take: node:crypto behind their interface, so that the oracle is only the algorithm. */
class Sha256 {
  readonly #hash: ReturnType<typeof createHash> | ReturnType<typeof createHmac>
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(secret))
  }
  update(data: Uint8Array): void {
    this.#hash.update(data)
  }
  async digest(): Promise<Uint8Array> {
    return new Uint8Array(this.#hash.digest())
  }
  reset(): void {}
}

function bytesOf(secret: string | ArrayBuffer | ArrayBufferView): Uint8Array | string {
  if (typeof secret === 'string') return secret
  if (ArrayBuffer.isView(secret)) return new Uint8Array(secret.buffer, secret.byteOffset, secret.byteLength)
  return new Uint8Array(secret)
}

const documented = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
}
const documentedAt = new Date('2013-05-24T00:00:00Z')
/** The examples use the global endpoint. */
const documentedAddress = bucketAddress({
  bucket: 'examplebucket',
  region: 'us-east-1',
  endpoint: 'https://s3.amazonaws.com',
})

describe("AWS's published examples", () => {
  const signer = new Signer(documented, 'us-east-1')
  const signature = (request: Parameters<Signer['signHeaders']>[1]) =>
    signer.signHeaders(documentedAddress, request).authorization

  it('signs the GET object example', () => {
    expect(
      signature({
        method: 'GET',
        path: '/test.txt',
        headers: { Range: 'bytes=0-9' },
        payloadHash: emptySha256,
        at: documentedAt,
      }),
    ).toBe(
      'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    )
  })

  it('signs the PUT object example', () => {
    expect(
      signature({
        method: 'PUT',
        path: keyPath(documentedAddress, 'test$file.text'),
        headers: { Date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class': 'REDUCED_REDUNDANCY' },
        payloadHash: createHash('sha256').update('Welcome to Amazon S3.').digest('hex'),
        at: documentedAt,
      }),
    ).toMatch(/Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd$/)
  })

  it('signs the GET bucket lifecycle example', () => {
    expect(
      signature({ method: 'GET', path: '/', query: [['lifecycle', '']], payloadHash: emptySha256, at: documentedAt }),
    ).toMatch(/Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543$/)
  })

  it('signs the list objects example', () => {
    const query = [
      ['max-keys', '2'],
      ['prefix', 'J'],
    ] as const
    expect(signature({ method: 'GET', path: '/', query, payloadHash: emptySha256, at: documentedAt })).toMatch(
      /Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7$/,
    )
  })

  it('presigns the query parameter example', () => {
    expect(
      signer.presign(documentedAddress, { method: 'GET', key: 'test.txt', expiresIn: 86400, at: documentedAt }),
    ).toBe(
      'https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
    )
  })
})

/** Keys as users, models and attackers make them. */
const nasty = fc.constantFrom(
  ' ',
  '+',
  '%',
  '%2F',
  '//',
  '..',
  '.',
  "!'()*",
  '~',
  '=',
  '&',
  '?',
  '#',
  'é',
  '🦊',
  '\u00a0',
)
const key = fc
  .array(fc.oneof(nasty, fc.string({ unit: 'binary', maxLength: 6 }), fc.string({ maxLength: 12 })), {
    minLength: 1,
    maxLength: 8,
  })
  .map((parts) => parts.join(''))
  .filter((text) => text.isWellFormed() && text !== '')
const identity: fc.Arbitrary<SigningIdentity> = fc.record({
  accessKeyId: fc.stringMatching(/^[A-Z0-9]{16,20}$/),
  secretAccessKey: fc.stringMatching(/^[A-Za-z0-9/+]{40}$/),
  sessionToken: fc.option(fc.base64String({ minLength: 40, maxLength: 200 }), { nil: undefined }),
})
const region = fc.constantFrom('us-east-1', 'eu-central-1', 'ap-southeast-2', 'cn-north-1')
const at = fc.date({ min: new Date('2000-01-01'), max: new Date('2100-01-01'), noInvalidDate: true })
const expiresIn = fc.integer({ min: 1, max: 604_800 })
const address = fc
  .record({
    region,
    endpoint: fc.constantFrom(
      undefined,
      'http://localhost:9000',
      'https://s3.example.com',
      'https://x.test/storage/s3',
    ),
    forcePathStyle: fc.boolean(),
  })
  .map(({ region, endpoint, forcePathStyle }) => ({
    region,
    address: bucketAddress({ bucket: 'my-bucket', region, forcePathStyle, ...(endpoint ? { endpoint } : {}) }),
  }))
const responseQuery = fc.dictionary(
  fc.constantFrom('response-content-type', 'response-content-disposition', 'response-cache-control'),
  fc.oneof(nasty, fc.string({ maxLength: 30 }), fc.constant('attachment; filename="a b.png"; filename*=UTF-8\'\'%F0')),
)
const headerValue = fc.string({ maxLength: 20 }).filter((value) => value === value.trim())
const headers = fc.dictionary(
  fc.oneof(
    fc.constantFrom('content-type', 'if-none-match', 'x-amz-checksum-sha256', 'content-disposition', 'range'),
    fc.stringMatching(/^x-amz-meta-[a-z0-9-]{1,12}$/),
  ),
  headerValue,
)

function oracle(identity: SigningIdentity, region: string) {
  const { sessionToken, ...keys } = identity
  const credentials = sessionToken === undefined ? keys : { ...keys, sessionToken }
  return { credentials, region, sha256: Sha256, service: 's3', uriEscapePath: false, applyChecksum: true }
}

function requestTo(address: Address, method: string, path: string, query: Record<string, string>, headers = {}) {
  const url = new URL(address.origin)
  return new HttpRequest({
    method,
    protocol: url.protocol,
    hostname: url.hostname,
    ...(url.port ? { port: Number(url.port) } : {}),
    path,
    query,
    headers: { host: address.host, ...headers },
  })
}

describe('against the signers of the AWS SDK', () => {
  it('presigns GETs as S3RequestPresigner does', async () => {
    await fc.assert(
      fc.asyncProperty(
        identity,
        address,
        key,
        at,
        expiresIn,
        responseQuery,
        async (who, where, key, at, life, query) => {
          // S3RequestPresigner moves x-amz-content-sha256 into the query unless told to leave it out of the signature.
          const payloadHeader = new Set(['x-amz-content-sha256'])
          const path = keyPath(where.address, key)
          const theirs = await new S3RequestPresigner(oracle(who, where.region)).presign(
            requestTo(where.address, 'GET', path, query),
            { signingDate: at, expiresIn: life, unhoistableHeaders: payloadHeader, unsignableHeaders: payloadHeader },
          )
          const ours = new Signer(who, where.region).presign(where.address, {
            method: 'GET',
            key,
            at,
            expiresIn: life,
            query: canonicalQuery(Object.entries(query)),
          })
          const [base, search = ''] = ours.split('?')
          expect(base).toBe(`${where.address.origin}${theirs.path}`)
          expect(Object.fromEntries(new URLSearchParams(search.replaceAll('+', '%2B')))).toEqual(theirs.query)
        },
      ),
      { numRuns: 1500 },
    )
  })

  it('gives the whole URL that getSignedUrl gives', async () => {
    await fc.assert(
      fc.asyncProperty(identity, key, at, expiresIn, fc.boolean(), async (who, key, at, life, forcePathStyle) => {
        const { sessionToken, ...keys } = who
        const client = new S3Client({
          region: 'eu-west-1',
          credentials: sessionToken === undefined ? keys : { ...keys, sessionToken },
          forcePathStyle,
          requestChecksumCalculation: 'WHEN_REQUIRED',
          responseChecksumValidation: 'WHEN_REQUIRED',
        })
        const payloadHeader = new Set(['x-amz-content-sha256'])
        const theirs = await getSignedUrl(client, new GetObjectCommand({ Bucket: 'my-bucket', Key: key }), {
          signingDate: at,
          expiresIn: life,
          unhoistableHeaders: payloadHeader,
          unsignableHeaders: payloadHeader,
        })
        client.destroy()
        const address = bucketAddress({ bucket: 'my-bucket', region: 'eu-west-1', forcePathStyle })
        const ours = new Signer(who, 'eu-west-1').presign(address, {
          method: 'GET',
          key,
          at,
          expiresIn: life,
          query: 'x-id=GetObject',
        })
        const parts = (url: string) => [url.split('?')[0], url.split('?')[1]?.split('&').sort()]
        expect(parts(ours)).toEqual(parts(theirs))
      }),
      { numRuns: 300 },
    )
  })

  it('presigns PUTs with signed headers as SignatureV4 does', async () => {
    await fc.assert(
      fc.asyncProperty(identity, address, key, at, expiresIn, headers, async (who, where, key, at, life, headers) => {
        const all = { ...headers, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD', 'content-length': '20480' }
        const theirs = await new SignatureV4(oracle(who, where.region)).presign(
          requestTo(where.address, 'PUT', keyPath(where.address, key), {}, all),
          { signingDate: at, expiresIn: life, unhoistableHeaders: new Set(Object.keys(all)) },
        )
        const ours = new Signer(who, where.region).presign(where.address, {
          method: 'PUT',
          key,
          at,
          expiresIn: life,
          headers: all,
        })
        const search = ours.slice(ours.indexOf('?')).replaceAll('+', '%2B')
        expect(Object.fromEntries(new URLSearchParams(search))).toEqual(theirs.query)
      }),
      { numRuns: 1500 },
    )
  })

  it('signs headers as SignatureV4 does', async () => {
    const query = fc.dictionary(fc.oneof(nasty, fc.string({ maxLength: 8 })), fc.string({ maxLength: 12 }))
    await fc.assert(
      fc.asyncProperty(identity, address, key, at, headers, query, async (who, where, key, at, headers, query) => {
        const path = keyPath(where.address, key)
        const payloadHash = createHash('sha256').update(key).digest('hex')
        const theirs = await new SignatureV4(oracle(who, where.region)).sign(
          requestTo(where.address, 'PUT', path, query, { ...headers, 'x-amz-content-sha256': payloadHash }),
          { signingDate: at },
        )
        const ours = new Signer(who, where.region).signHeaders(where.address, {
          method: 'PUT',
          path,
          query: Object.entries(query),
          headers,
          payloadHash,
          at,
        })
        expect({ ...ours, host: where.address.host }).toEqual(theirs.headers)
      }),
      { numRuns: 1500 },
    )
  })

  it('stays right when one signer goes through many days and seconds', async () => {
    const signer = new Signer(documented, 'us-east-1')
    const days = fc.integer({ min: 0, max: 40 })
    await fc.assert(
      fc.property(days, fc.integer({ min: 0, max: 86_399 }), (day, second) => {
        const at = new Date(documentedAt.getTime() + day * 86_400_000 + second * 1000)
        const request = { method: 'GET', key: 'a', expiresIn: 60, at } as const
        const fresh = new Signer(documented, 'us-east-1').presign(documentedAddress, request)
        expect(signer.presign(documentedAddress, request)).toBe(fresh)
      }),
    )
  })
})

describe('what is refused', () => {
  const signer = new Signer(documented, 'us-east-1')
  const presign = (more: object) =>
    signer.presign(documentedAddress, { method: 'GET', key: 'a', expiresIn: 60, at: documentedAt, ...more })

  it.each([0, 604_801, 1.5, Number.NaN])('a life of %s seconds', (expiresIn) => {
    expect(() => presign({ expiresIn })).toThrow(/cannot live/)
  })
  it.each([{ 'x-a': 'line\r\nbreak' }, { 'x-a': 'é' }, { 'no good': 'x' }, { 'X-A': '1', 'x-a': '2' }])(
    'headers %j',
    (headers) => {
      expect(() => presign({ method: 'PUT', headers })).toThrow(expect.objectContaining({ code: 'invalid_request' }))
    },
  )
  it('an invalid date', () => {
    expect(() => presign({ at: new Date('x') })).toThrow(/not a valid date/)
  })
})
