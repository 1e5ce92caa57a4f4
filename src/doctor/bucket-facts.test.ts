/** What is asked of AWS alone, STS and S3 Control: servers that follow a script stand in for them. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { openControlClient } from '../bucket/index.ts'
import { credentials } from '../bucket/testing/index.ts'
import { readAccountBlock } from './account-block.ts'
import { type BucketPlace, readAccount } from './bucket-facts.ts'
import { type Passed, startGateway } from './testing/gateway.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  vi.unstubAllEnvs()
  for (const close of closers.splice(0)) await close()
})

type Seen = { readonly method: string; readonly url: string; readonly headers: NodeJS.Dict<string | string[]> }

async function scripted(answer: (body: string) => Passed): Promise<{ url: string; seen: Seen[] }> {
  const seen: Seen[] = []
  const { url, close } = await startGateway({
    port: 1,
    answer: ({ method = '', url = '', headers }, body) => {
      seen.push({ method, url, headers })
      return answer(body.toString())
    },
  })
  closers.push(close)
  return { url, seen }
}

const xml = (status: number, body: string): Passed => ({
  status,
  headers: { 'content-type': 'text/xml' },
  body: Buffer.from(body),
})
const s3Error = (status: number, code: string) =>
  xml(status, `<Error><Code>${code}</Code><Message>no</Message></Error>`)

describe('the account’s block of public access', () => {
  const ask = async (answer: Passed) => {
    const { url, seen } = await scripted(() => answer)
    const signal = AbortSignal.timeout(10_000)
    const reading = await readAccountBlock({
      account: '111122223333',
      region: 'eu-west-3',
      credentials,
      origin: url,
      signal,
    })
    return { reading, seen }
  }

  it('is one signed call', async () => {
    const { reading, seen } = await ask(
      xml(
        200,
        '<PublicAccessBlockConfiguration xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/"><BlockPublicAcls>true</BlockPublicAcls>' +
          '<IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>false</BlockPublicPolicy></PublicAccessBlockConfiguration>',
      ),
    )
    expect(reading).toEqual({
      status: 'set',
      value: { blockPublicAcls: true, ignorePublicAcls: true, blockPublicPolicy: false, restrictPublicBuckets: false },
    })
    expect(seen).toEqual([
      expect.objectContaining({
        method: 'GET',
        url: '/v20180820/configuration/publicAccessBlock',
        headers: expect.objectContaining({
          'x-amz-account-id': '111122223333',
          authorization: expect.stringMatching(
            /^AWS4-HMAC-SHA256 Credential=BUCKETKEY\/\d{8}\/eu-west-3\/s3\/aws4_request, SignedHeaders=[^ ]*x-amz-account-id/,
          ),
        }),
      }),
    ])
  })

  it.each([
    [s3Error(404, 'NoSuchPublicAccessBlockConfiguration'), { status: 'absent' }],
    [s3Error(403, 'AccessDenied'), { status: 'denied', code: 'AccessDenied' }],
    [s3Error(500, 'InternalError'), { status: 'error', code: 'InternalError' }],
  ])('may be absent, denied or failing: %#', async (answer, expected) => {
    expect((await ask(answer)).reading).toMatchObject(expected)
  })

  it('is not known where nobody answers', async () => {
    const signal = AbortSignal.timeout(10_000)
    const origin = 'http://127.0.0.1:1'
    const reading = await readAccountBlock({
      account: '111122223333',
      region: 'eu-west-3',
      credentials,
      origin,
      signal,
    })
    expect(reading).toMatchObject({ status: 'error', code: 'ECONNREFUSED' })
  })
})

describe('whose the credentials are', () => {
  const place: BucketPlace = {
    bucket: 'media',
    region: 'eu-west-3',
    endpoint: null,
    forcePathStyle: false,
    dualStack: false,
    credentials: () => credentials,
  }

  async function identityBy(answer: Passed) {
    const { url, seen } = await scripted(() => answer)
    vi.stubEnv('AWS_ENDPOINT_URL_STS', url)
    const client = await openControlClient({ region: 'eu-west-3', credentials: () => credentials })
    // S3 Control is not reached in a test: the wait for it is cut off.
    const read = await readAccount(client, place, AbortSignal.abort())
    client.close()
    expect(seen[0]?.headers.authorization).toMatch(/\/eu-west-3\/sts\/aws4_request/)
    return read
  }

  it('is told by STS', async () => {
    const read = await identityBy(
      xml(
        200,
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>' +
          '<Arn>arn:aws:iam::111122223333:user/app</Arn><UserId>U</UserId><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>',
      ),
    )
    expect(read.identity).toEqual({ status: 'pass', seen: 'Account 111122223333.' })
    expect(read.account).toBe('111122223333')
    expect(read.accountBlock.status).toBe('error')
  })

  const stsError = (status: number, code: string) =>
    xml(
      status,
      `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${code}</Code><Message>no</Message></Error></ErrorResponse>`,
    )

  it.each([
    ['ExpiredToken', 403, /^The temporary credentials of the object store have expired\./],
    ['InvalidClientTokenId', 403, /does not know the access key\. Look at AWS_ACCESS_KEY_ID/],
    ['SignatureDoesNotMatch', 403, /refuses the signature\. Look at AWS_SECRET_ACCESS_KEY/],
  ])('fails by %s', async (code, status, seen) => {
    const { identity, accountBlock, account } = await identityBy(stsError(status, code))
    expect(identity).toMatchObject({ status: 'fail', seen: expect.stringMatching(seen) })
    expect([accountBlock.status, account]).toEqual(['error', undefined])
  })

  it('is not known where STS fails', async () => {
    const { identity } = await identityBy(stsError(400, 'Throttling'))
    expect(identity.status).not.toBe('pass')
    const down = await identityBy(stsError(503, 'ServiceUnavailable'))
    expect(down.identity.status).toBe('unknown')
  })

  it('is not offered by other stores', async () => {
    const client = await openControlClient({
      region: 'eu-west-3',
      endpoint: 'http://127.0.0.1:1',
      credentials: () => credentials,
    })
    const read = await readAccount(client, place, new AbortController().signal)
    client.close()
    expect([read.identity.status, read.accountBlock.status]).toEqual(['not_offered', 'not offered'])
  })
})
