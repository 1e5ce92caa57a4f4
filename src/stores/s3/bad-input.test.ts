import { mkdtemp, rm } from 'node:fs/promises'
import { createServer as createTlsServer } from 'node:https'
import { createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type EmbeddedS3, startEmbeddedS3 } from '../../embedded-s3/index.ts'
import { KeepsakeError } from '../../media/index.ts'
import { putRequest, text } from '../conformance.ts'
import { createS3Store } from './s3-store.ts'
import { answer, listen, type Step, s3Error, startScriptedServer, stop } from './scripted-server.ts'
import { expired, otherName, selfSigned } from './testing/self-signed.ts'

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'the-secret-of-this-test' }
const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

/** What check, and then every call, says of a place. */
async function said(
  endpoint: string,
  more: Partial<Parameters<typeof createS3Store>[0]> = {},
): Promise<KeepsakeError[]> {
  const store = createS3Store({ bucket: 'media', region: 'us-east-1', credentials, endpoint, random: () => 0, ...more })
  closers.push(() => store.close())
  const works = [
    () => store.check(),
    () => store.put(putRequest('key', text('x'))),
    () => store.get('key'),
    () => store.head('key'),
    () => store.createMultipart({ key: 'key', contentType: 'text/plain' }),
    () => store.copy({ source: 'key', key: 'other', size: 1 }),
  ]
  const errors: KeepsakeError[] = []
  for (const work of works) {
    const error: unknown = await work().catch((error: unknown) => error)
    if (!KeepsakeError.is(error)) throw new Error('It did not fail with a KeepsakeError.', { cause: error })
    errors.push(error)
  }
  return errors
}

async function scripted(step: Step): Promise<string> {
  const server = await startScriptedServer(step)
  closers.push(server.close)
  return server.url
}

/** S3's answer: to HEAD without a word, as HTTP has it. */
function refusal(status: number, code: string, more = '', headers: Readonly<Record<string, string>> = {}): Step {
  return (request, response, body) => {
    const step = request.method === 'HEAD' ? answer(status, '', headers) : s3Error(status, code, more, headers)
    step(request, response, body)
  }
}

const minutes = (count: number) => new Date(Date.now() + count * 60_000).toUTCString()

describe('each says what is wrong and what to do, by check and by every call, with the code of S3', () => {
  it.each<[string, Step, string, RegExp]>([
    [
      'a wrong secret',
      refusal(403, 'SignatureDoesNotMatch'),
      'SignatureDoesNotMatch',
      /^The store at http\S+ refuses the signature\. Look at AWS_SECRET_ACCESS_KEY, and at proxies that change requests\. \(SignatureDoesNotMatch\)$/,
    ],
    [
      'a wrong access key',
      refusal(403, 'InvalidAccessKeyId'),
      'InvalidAccessKeyId',
      /does not know the access key\. Look at AWS_ACCESS_KEY_ID and S3_ENDPOINT\. \(InvalidAccessKeyId\)$/,
    ],
    [
      'a wrong region',
      refusal(301, 'PermanentRedirect', '', { 'x-amz-bucket-region': 'eu-west-3' }),
      'PermanentRedirect',
      /^The bucket 'media' is in the region eu-west-3, not in us-east-1\. Set AWS_REGION=eu-west-3\. \(PermanentRedirect\)$/,
    ],
    [
      'a missing bucket',
      refusal(404, 'NoSuchBucket'),
      'NoSuchBucket',
      /^There is no bucket 'media' at http\S+\. Create it, or look at S3_BUCKET_NAME and S3_ENDPOINT\. \(NoSuchBucket\)$/,
    ],
    [
      'a clock that is 20 minutes off, and stays so',
      (...all) => refusal(403, 'RequestTimeTooSkewed', '', { date: minutes(20) })(...all),
      'RequestTimeTooSkewed',
      /^This machine's clock is 1[12]\d\d seconds behind that of http\S+, and S3 takes 900\. Set the clock\. \(RequestTimeTooSkewed\)$/,
    ],
    [
      'an expired session token',
      refusal(400, 'ExpiredToken'),
      'ExpiredToken',
      /^The temporary credentials of the object store have expired\. Sign in again, or look at their provider\. \(ExpiredToken\)$/,
    ],
    [
      'a policy that denies',
      refusal(403, 'AccessDenied'),
      'AccessDenied',
      /^The credentials may not do s3:\w+.* on .*bucket 'media' at http\S+\. Allow it in their policy .*look for a Deny in the bucket's\..* \(AccessDenied\)$/,
    ],
  ])('%s', async (_, step, s3Code, message) => {
    for (const error of await said(await scripted(step))) {
      expect(error.message).toMatch(message)
      expect(error).toMatchObject({ code: 'store_denied', retryable: false, details: { s3Code } })
    }
  })

  it('an endpoint that is down', async () => {
    const server = await startScriptedServer(answer(200))
    await server.close()
    for (const error of await said(server.url)) {
      expect(error.message).toBe(
        `The object store at ${server.url} refuses connections (ECONNREFUSED). Is it running? Look at S3_ENDPOINT.`,
      )
      expect(error).toMatchObject({ code: 'store_unavailable', retryable: true, details: { reason: 'ECONNREFUSED' } })
    }
  })

  it('an endpoint that does not resolve', async () => {
    const [error] = await said('http://nowhere.invalid')
    expect(error?.message).toMatch(/^The object store at http:\/\/nowhere\.invalid has a host name that .* Look at /)
  })

  it('a certificate that is not trusted, without trying again', async () => {
    let connections = 0
    const server = createTlsServer(selfSigned, (_, response) => response.end())
    server.on('connection', () => {
      connections += 1
    })
    const url = (await listen(server)).replace('http:', 'https:')
    closers.push(() => stop(server))
    const errors = await said(url)
    for (const error of errors) {
      expect(error.message).toBe(
        `The object store at ${url} has a certificate that is not trusted (DEPTH_ZERO_SELF_SIGNED_CERT). Look at S3_ENDPOINT and NODE_EXTRA_CA_CERTS.`,
      )
      expect(error).toMatchObject({ code: 'store_unavailable', retryable: false })
    }
    expect(connections).toBe(errors.length)
  })

  it.each([
    ['that is over', expired, /has a certificate that has expired \(CERT_HAS_EXPIRED\)\. Renew it, or look at this/],
    ['of another name', otherName, /a certificate for another name \(ERR_TLS_CERT_ALTNAME_INVALID\)\. Look at S3_END/],
  ])('a certificate %s', async (_, { key, cert }, message) => {
    const server = createTlsServer({ key, cert }, (_, response) => response.end())
    const url = (await listen(server)).replace('http:', 'https:')
    closers.push(() => stop(server))
    // Trusted in all other respects, as by NODE_EXTRA_CA_CERTS.
    const before = getCACertificates('default')
    setDefaultCACertificates([...before, cert])
    closers.push(async () => setDefaultCACertificates(before))
    for (const error of await said(url)) {
      expect(error.message).toMatch(message)
      expect(error).toMatchObject({ code: 'store_unavailable', retryable: false })
    }
  })

  it('a service that is no HTTP at all', async () => {
    const server = createTcpServer((socket) =>
      socket
        .on('error', () => undefined)
        .resume()
        .end('SSH-2.0-OpenSSH_9.2\r\n'),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    closers.push(() => new Promise((resolve) => server.close(() => resolve())))
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('The server has no port.')
    for (const error of await said(`http://127.0.0.1:${address.port}`)) {
      expect(error.message).toMatch(/ does not answer in HTTP \(HPE_\w+\)\. Look at S3_ENDPOINT: another service may/)
      expect(error).toMatchObject({ code: 'store_unavailable', retryable: false })
    }
  })

  it('a web server that is no S3', async () => {
    for (const error of await said(await scripted(answer(401, '<html>Sign in</html>')))) {
      expect(error.message).toMatch(/ Http401\. It gave no reason, as S3 does: look at S3_ENDPOINT, and at proxies/)
      expect(error).toMatchObject({ code: 'store_denied', retryable: false, details: { httpStatus: 401 } })
    }
  })

  it('https where http is spoken', async () => {
    const url = (await scripted(answer(200))).replace('http:', 'https:')
    for (const error of await said(url)) {
      expect(error.message).toMatch(/ does not speak TLS \(.*\)\. Look at S3_ENDPOINT: it may want http:/)
      expect(error.retryable).toBe(false)
    }
  })

  it('http where https is spoken', async () => {
    const server = createTlsServer(selfSigned, (_, response) => response.end())
    const url = await listen(server)
    closers.push(() => stop(server))
    for (const error of await said(url)) expect(error.message).toMatch(/look at S3_ENDPOINT, which may want https:/)
  })
})

describe('the embedded S3 makes it say the same', () => {
  let server: EmbeddedS3
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keepsake-bad-input-'))
    server = await startEmbeddedS3({ dir: folder, credentials, buckets: ['media'], region: 'eu-west-3', fsync: false })
  })
  afterAll(async () => {
    await server.close()
    await rm(folder, { recursive: true })
  })

  it.each<[string, Partial<Parameters<typeof createS3Store>[0]>, string, RegExp]>([
    [
      'a wrong secret',
      { credentials: { ...credentials, secretAccessKey: 'another' } },
      'SignatureDoesNotMatch',
      /refuses the signature\. Look at AWS_SECRET_ACCESS_KEY/,
    ],
    [
      'a wrong access key',
      { credentials: { ...credentials, accessKeyId: 'NOBODY' } },
      'InvalidAccessKeyId',
      /does not know the access key\. Look at AWS_ACCESS_KEY_ID/,
    ],
    ['a missing bucket', { bucket: 'elsewhere' }, 'NoSuchBucket', /^There is no bucket 'elsewhere' at /],
    [
      'a session token that it never gave',
      { credentials: { ...credentials, sessionToken: 'over' } },
      'InvalidToken',
      /does not take the session token\. Look at AWS_SESSION_TOKEN/,
    ],
    [
      'a wrong region',
      { region: 'us-east-1' },
      'AuthorizationHeaderMalformed',
      /is in the region eu-west-3, not in us-east-1\. Set AWS_REGION=eu-west-3\./,
    ],
  ])('%s', async (_, more, s3Code, message) => {
    for (const error of await said(server.url, { region: 'eu-west-3', ...more })) {
      expect(error.message).toMatch(message)
      expect(error).toMatchObject({ code: 'store_denied', retryable: false, details: { s3Code } })
    }
  })
})
