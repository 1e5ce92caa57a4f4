/**
 * The error guide (docs/s3-errors.md): each fault is made to happen, to the data path and to the AWS SDK, and both say
 * the same. A server that follows a script stands in only for what no server here does.
 */
import { fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  GetBucketLoggingCommand,
  GetBucketPolicyCommand,
  HeadBucketCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { startEmbeddedS3 } from '../../embedded-s3/index.ts'
import { KeepsakeError } from '../../media/index.ts'
import { putRequest, text } from '../conformance.ts'
import type { ObjectStore } from '../object-store.ts'
import { explainS3Error } from './explain.ts'
import { createS3Store } from './s3-store.ts'
import { answer, type Step, s3Error, startScriptedServer } from './scripted-server.ts'

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'the-secret-of-this-test' }
const bucket = 'media'

let dir: string
let server: Awaited<ReturnType<typeof startEmbeddedS3>>
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keepsake-error-guide-'))
  server = await startEmbeddedS3({ dir, credentials, buckets: [bucket, 'locked'], fsync: false })
})
afterAll(async () => {
  await server.close()
  await rm(dir, { recursive: true })
})
afterEach(() => {
  vi.useRealTimers()
})

function sdk(more: S3ClientConfig = {}): S3Client {
  return new S3Client({
    endpoint: server.url,
    region: server.region,
    credentials,
    forcePathStyle: true,
    maxAttempts: 1,
    ...more,
  })
}

function store(more: Partial<Parameters<typeof createS3Store>[0]> = {}): ObjectStore {
  const place = { bucket, region: server.region, endpoint: server.url, credentials, random: () => 0 }
  return createS3Store({ ...place, ...more })
}

async function failureOf(work: () => Promise<unknown>): Promise<KeepsakeError> {
  const error: unknown = await work().then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!KeepsakeError.is(error)) throw new Error('It did not fail with a KeepsakeError.', { cause: error })
  return error
}

/** What explainS3Error makes of what a call of the SDK throws. */
function explained(
  work: Promise<unknown>,
  call: { action: string; region?: string; origin?: string; bucket?: string },
): Promise<KeepsakeError> {
  const about = { bucket, region: server.region, origin: server.url, ...call }
  return failureOf(() =>
    work.catch((error: unknown) => {
      throw explainS3Error(error, about)
    }),
  )
}

const list = (Bucket = bucket) => new ListObjectsV2Command({ Bucket, MaxKeys: 1 })

describe('AccessDenied', () => {
  beforeAll(async () => {
    const statement = {
      Effect: 'Deny',
      Principal: '*',
      Action: 's3:*',
      Resource: ['arn:aws:s3:::locked', 'arn:aws:s3:::locked/*'],
    }
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] })
    await sdk().send(new PutBucketPolicyCommand({ Bucket: 'locked', Policy }))
  })

  const upload = { key: 'key', uploadId: 'AAAA' }
  it.each<[string, (store: ObjectStore) => Promise<unknown>]>([
    ['s3:PutObject', (store) => store.put(putRequest('key', text('x')))],
    ['s3:PutObject', (store) => store.createMultipart({ key: 'key', contentType: 'text/plain' })],
    ['s3:GetObject', (store) => store.get('key')],
    ['s3:GetObject', (store) => store.head('key')],
    ['s3:DeleteObject', (store) => store.delete(['key'])],
    ['s3:AbortMultipartUpload', (store) => store.abortMultipart(upload)],
    ['s3:ListMultipartUploadParts', (store) => store.listParts(upload)[Symbol.asyncIterator]().next()],
    ['s3:ListBucketMultipartUploads', (store) => store.listMultipart()[Symbol.asyncIterator]().next()],
    ['s3:ListBucket', (store) => store.list()[Symbol.asyncIterator]().next()],
    ['s3:ListBucket', (store) => store.check()],
  ])('names the action that was denied: %s', async (action, work) => {
    const locked = store({ bucket: 'locked' })
    const error = await failureOf(() => work(locked))
    expect(error).toMatchObject({ code: 'store_denied', retryable: false, details: { action } })
    expect(error.message).toMatch(new RegExp(`^The credentials may not do ${action} on `))
    expect(error.message).toContain("bucket 'locked' at http://127.0.0.1")
    await locked.close()
  })

  it('is told for each key of many', async () => {
    const locked = store({ bucket: 'locked' })
    const { deleted, failed } = await locked.delete(['a', 'b']).catch((error: unknown) => {
      if (!KeepsakeError.is(error, 'store_denied')) throw error
      return { deleted: [], failed: [{ message: error.message }, { message: error.message }] }
    })
    expect(deleted).toEqual([])
    for (const { message } of failed) expect(message).toMatch(/^The credentials may not do s3:DeleteObject on /)
    expect(failed).toHaveLength(2)
    await locked.close()
  })

  it('tells of an explicit deny, and is never taken for a missing object', async () => {
    const locked = store({ bucket: 'locked' })
    const got = await failureOf(() => locked.get('there-is-no-such-key'))
    expect(got.message).toBe(
      `The credentials may not do s3:GetObject on 'there-is-no-such-key' in bucket 'locked' at ${server.url}: an explicit deny in a bucket policy forbids it. ` +
        "Allow it in their policy (keepsake bucket export iam prints one), and look for a Deny in the bucket's. (AccessDenied)",
    )
    // HEAD has no body to tell why, so GET is asked; undefined would mean that it is known to be missing.
    const head = await failureOf(() => locked.head('there-is-no-such-key'))
    expect(head.message).toMatch(
      /^The credentials may not do s3:GetObject on 'there-is-no-such-key' .*: an explicit deny .* forbids it\. .*\(AccessDenied\)$/,
    )
    await locked.close()
  })

  it('is the same by the SDK', async () => {
    const error = await explained(sdk().send(list('locked')), { action: 's3:ListBucket', bucket: 'locked' })
    expect(error.message).toMatch(
      /^The credentials may not do s3:ListBucket on bucket 'locked' at http\S+: an explicit deny in a bucket policy forbids it\./,
    )
    expect(error).toMatchObject({
      code: 'store_denied',
      details: { s3Code: 'AccessDenied', action: 's3:ListBucket', httpStatus: 403 },
    })
    const head = await explained(sdk().send(new HeadBucketCommand({ Bucket: 'locked' })), {
      action: 's3:ListBucket',
      bucket: 'locked',
    })
    expect(head).toMatchObject({ code: 'store_denied', details: { httpStatus: 403 } })
  })

  // AWS names the action and the kind of the policy in its message; no server here does.
  it.each([
    [
      'is not authorized to perform: kms:GenerateDataKey on resource: "arn:aws:kms:eu-west-3:1:key/x" because no identity-based policy allows the kms:GenerateDataKey action',
      'kms:GenerateDataKey',
      'no identity-based policy allows it',
    ],
    [
      'is not authorized to perform: s3:PutObject on resource: "arn:aws:s3:::media/key" with an explicit deny in a resource-based policy',
      's3:PutObject',
      'an explicit deny in a resource-based policy forbids it',
    ],
  ])('takes from AWS what is missing: %#', async (message, action, why) => {
    const text = `User: arn:aws:sts::111122223333:assumed-role/app/i-0123 ${message}`
    const scripted = await startScriptedServer(s3Error(403, 'AccessDenied', `<Message>${text}</Message>`))
    const here = store({ endpoint: scripted.url })
    const error = await failureOf(() => here.put(putRequest('key', Buffer.from('x'))))
    expect(error.message).toContain(`may not do ${action} on 'key' in bucket 'media' at ${scripted.url}: ${why}. `)
    expect(error.message).not.toContain('111122223333')
    expect(error.details.action).toBe(action)
    await here.close()
    await scripted.close()
  })
})

describe('the same sentence by the data path and by the SDK', () => {
  const nobody = { ...credentials, accessKeyId: 'AKIANOBODY' }
  const wrong = { ...credentials, secretAccessKey: 'wrong' }
  it.each<[string, object, object, RegExp]>([
    [
      'NoSuchBucket',
      { bucket: 'nowhere' },
      {},
      /^There is no bucket 'nowhere' at http\S+\. Create it, or look at S3_BUCKET_NAME and S3_ENDPOINT\. \(NoSuchBucket\)$/,
    ],
    [
      'InvalidAccessKeyId',
      { credentials: nobody },
      { credentials: nobody },
      /^The store at http\S+ does not know the access key\. Look at AWS_ACCESS_KEY_ID and S3_ENDPOINT\. \(InvalidAccessKeyId\)$/,
    ],
    [
      'SignatureDoesNotMatch',
      { credentials: wrong },
      { credentials: wrong },
      /^The store at http\S+ refuses the signature\. Look at AWS_SECRET_ACCESS_KEY, and at proxies that change requests\. \(SignatureDoesNotMatch\)$/,
    ],
    [
      'InvalidToken',
      { credentials: { ...credentials, sessionToken: 'left-in-the-environment' } },
      { credentials: { ...credentials, sessionToken: 'left-in-the-environment' } },
      /^The store at http\S+ does not take the session token\. Look at AWS_SESSION_TOKEN: .* \(InvalidToken\)$/,
    ],
    [
      'AuthorizationHeaderMalformed',
      { region: 'eu-west-3' },
      { region: 'eu-west-3' },
      /^The bucket 'media' is in the region us-east-1, not in eu-west-3\. Set AWS_REGION=us-east-1\. \(AuthorizationHeaderMalformed\)$/,
    ],
  ])('%s', async (s3Code, options, config, message) => {
    const wrongStore = store(options)
    const byStore = await failureOf(() => wrongStore.put(putRequest('key', text('x'))))
    const Bucket = 'bucket' in options ? String(options.bucket) : bucket
    const region = 'region' in options ? String(options.region) : server.region
    const bySdk = await explained(sdk(config).send(list(Bucket)), { action: 's3:ListBucket', bucket: Bucket, region })
    for (const error of [byStore, bySdk]) {
      expect(error.message).toMatch(message)
      expect(error).toMatchObject({ code: 'store_denied', retryable: false, details: { s3Code } })
    }
    await wrongStore.close()
  })

  it('NoSuchBucket where HEAD has no words', async () => {
    const error = await explained(sdk().send(new HeadBucketCommand({ Bucket: 'nowhere' })), {
      action: 's3:ListBucket',
      bucket: 'nowhere',
    })
    expect(error.message).toMatch(/^There is no bucket 'nowhere'/)
  })

  it('NotImplemented names what was asked', async () => {
    const action = 's3:GetBucketLogging'
    const error = await explained(sdk().send(new GetBucketLoggingCommand({ Bucket: bucket })), { action })
    expect(error.message).toBe(
      `The store at ${server.url} does not offer what s3:GetBucketLogging of the bucket asked for. Look at S3_PROVIDER, and whether the store is recent enough. (NotImplemented)`,
    )
    expect(error).toMatchObject({ code: 'store_denied', details: { s3Code: 'NotImplemented', httpStatus: 501 } })
  })

  it('an endpoint that is down', async () => {
    const scripted = await startScriptedServer(answer(200))
    await scripted.close()
    const error = await explained(sdk({ endpoint: scripted.url }).send(list()), {
      action: 's3:ListBucket',
      origin: scripted.url,
    })
    expect(error.message).toBe(
      `The object store at ${scripted.url} refuses connections (ECONNREFUSED). Is it running? Look at S3_ENDPOINT.`,
    )
  })

  it('no credentials', async () => {
    const none = async () => {
      throw Object.assign(new Error('Could not load credentials'), { name: 'CredentialsProviderError' })
    }
    const error = await explained(sdk({ credentials: none }).send(list()), { action: 's3:ListBucket' })
    expect(error).toMatchObject({
      code: 'store_denied',
      message: expect.stringMatching(/^No credentials for the object store/),
    })
  })
})

describe('RequestTimeTooSkewed', () => {
  it.each([
    ['ahead of', 2000],
    ['behind', -2000],
  ])('tells the seconds that the clock is %s the store', async (direction, seconds) => {
    // A server in a process of its own keeps the true time.
    const other = await mkdtemp(join(tmpdir(), 'keepsake-error-guide-'))
    const child = fork(join(import.meta.dirname, '../../embedded-s3/testing/test-server.ts'), [other], { silent: true })
    const port = await new Promise<string>((resolve) =>
      child.stdout?.once('data', (data) => resolve(String(data).trim())),
    )
    const endpoint = `http://127.0.0.1:${port}`
    try {
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + seconds * 1000 })
      const client = sdk({
        endpoint,
        credentials: { accessKeyId: 'AKIDEMBEDDED', secretAccessKey: 'not/a+real=secret' },
      })
      const error = await explained(client.send(list()), { action: 's3:ListBucket', origin: endpoint })
      const skew = Number(error.details.skewSeconds)
      expect(Math.abs(skew - seconds)).toBeLessThanOrEqual(30)
      expect(error.message).toBe(
        `This machine's clock is ${Math.abs(skew)} seconds ${direction} that of ${endpoint}, and S3 takes 900. Set the clock. (RequestTimeTooSkewed)`,
      )
    } finally {
      child.kill()
      await rm(other, { recursive: true, force: true })
    }
  })
})

/** What no server here does by itself. */
describe('of AWS alone', () => {
  async function said(step: Step) {
    const scripted = await startScriptedServer(step)
    const here = store({ endpoint: scripted.url, attempts: 1 })
    const origin = scripted.url
    const byStore = await failureOf(() => here.put(putRequest('key', text('x'))))
    const send = sdk({ endpoint: origin }).send(new GetBucketPolicyCommand({ Bucket: bucket }))
    const bySdk = await explained(send, { action: 's3:GetBucketPolicy', origin })
    await here.close()
    await scripted.close()
    return [byStore, bySdk]
  }

  it('SlowDown', async () => {
    for (const error of await said(s3Error(503, 'SlowDown', '<Message>Please reduce your request rate.</Message>'))) {
      expect(error.message).toBe(
        's3://media takes no more requests at this rate, also after a pause. Try again later, do less at a time, and spread the keys over more prefixes. (SlowDown)',
      )
      expect(error).toMatchObject({ code: 'store_unavailable', retryable: true, details: { s3Code: 'SlowDown' } })
    }
  })

  it.each<[Step, string, RegExp]>([
    [answer(429), 'store_unavailable', /takes no more requests at this rate.* \(Http429\)$/],
    [s3Error(503, 'ServiceUnavailable'), 'store_unavailable', /failing or overloaded.* \(ServiceUnavailable\)$/],
    [s3Error(500, 'InternalError'), 'store_unavailable', /failing or overloaded.* \(InternalError\)$/],
    [answer(502, '<html>Bad gateway</html>'), 'store_unavailable', /failing or overloaded.* \(\w+\)$/],
    [s3Error(405, 'MethodNotAllowed'), 'store_denied', /does not offer what s3:\w+ of .* \(MethodNotAllowed\)$/],
  ])('what is failing or not offered: %#', async (step, code, message) => {
    for (const error of await said(step)) expect(error).toMatchObject({ code, message: expect.stringMatching(message) })
  })

  it.each(['ExpiredToken', 'TokenRefreshRequired'])('%s', async (code) => {
    for (const error of await said(s3Error(400, code, '<Message>The provided token has expired.</Message>'))) {
      expect(error.message).toBe(
        `The temporary credentials of the object store have expired. Sign in again, or look at their provider. (${code})`,
      )
      expect(error.details.s3Code).toBe(code)
    }
  })

  it('a redirect to another region', async () => {
    const step = s3Error(301, 'PermanentRedirect', '<Message>Use the endpoint.</Message>', {
      'x-amz-bucket-region': 'eu-west-3',
    })
    for (const error of await said(step)) {
      expect(error.message).toBe(
        "The bucket 'media' is in the region eu-west-3, not in us-east-1. Set AWS_REGION=eu-west-3. (PermanentRedirect)",
      )
    }
  })
})
