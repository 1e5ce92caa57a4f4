/** Every step passes on a store that does right, and fails on one that does the one thing wrong that it is about. */
import { createHash } from 'node:crypto'
import {
  DeletePublicAccessBlockCommand,
  PutBucketCorsCommand,
  PutBucketEncryptionCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketPolicyCommand,
} from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Bench, credentials, startBench } from '../../bucket/testing/index.ts'
import { systemClock } from '../../clock.ts'
import { createS3Store, type ObjectStore } from '../../stores/index.ts'
import type { Verdict } from '../finding.ts'
import { type GatewayOptions, type Passed, startGateway } from '../testing/gateway.ts'
import { type ProbeId, type ProbeParts, probe, probeFolder, probeSteps } from './index.ts'

const ids = probeSteps.map(({ id }) => id)
const origin = 'https://app.example'

let bench: Bench
let bucketNumber = 0
const closers: (() => Promise<void>)[] = []
beforeAll(async () => {
  bench = await startBench()
})
afterAll(() => bench.stop())
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

type Setup = {
  readonly policy?: readonly object[]
  readonly open?: boolean
  readonly origins?: readonly string[]
  readonly temporary?: boolean
  readonly encrypted?: boolean
}

/** A bucket of its own, as it should be but for what is said. */
async function makeBucket(setup: Setup = {}): Promise<string> {
  const { s3, sdk } = bench.client
  bucketNumber += 1
  const Bucket = `probed-${bucketNumber}`
  await s3.send(new sdk.CreateBucketCommand({ Bucket }))
  if (setup.open) await s3.send(new DeletePublicAccessBlockCommand({ Bucket }))
  if (setup.temporary ?? true) {
    const Rules = [{ ID: 'temp', Status: 'Enabled' as const, Filter: { Prefix: 'temp/' }, Expiration: { Days: 7 } }]
    await s3.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration: { Rules } }))
  }
  if (setup.encrypted ?? true) {
    const Rules = [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' as const } }]
    await s3.send(new PutBucketEncryptionCommand({ Bucket, ServerSideEncryptionConfiguration: { Rules } }))
  }
  const AllowedOrigins = [...(setup.origins ?? [origin])]
  if (AllowedOrigins.length > 0) {
    const CORSRules = [
      { AllowedOrigins, AllowedMethods: ['PUT', 'GET'], AllowedHeaders: ['*'], ExposeHeaders: ['ETag'] },
    ]
    await s3.send(new PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules } }))
  }
  if (setup.policy) {
    const Statement = setup.policy.map((statement) => ({
      Principal: '*',
      Resource: [`arn:aws:s3:::${Bucket}`, `arn:aws:s3:::${Bucket}/*`],
      ...statement,
    }))
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
    await s3.send(new PutBucketPolicyCommand({ Bucket, Policy }))
  }
  return Bucket
}

function storeOf(bucket: string, endpoint = bench.server.url): ObjectStore {
  const { region } = bench.server
  const store = createS3Store({ bucket, region, endpoint, credentials, attempts: 1, random: () => 0 })
  closers.push(() => store.close())
  return store
}

async function gateway(options: Omit<GatewayOptions, 'port'>): Promise<string> {
  const started = await startGateway({ port: bench.server.port, ...options })
  closers.push(started.close)
  return started.url
}

async function run(store: ObjectStore, more: Partial<ProbeParts> & { signal?: AbortSignal } = {}) {
  const { signal = new AbortController().signal, ...parts } = more
  const verdicts = await probe(
    {
      store,
      clock: systemClock,
      origins: [origin],
      temporaryDays: 7,
      declaredEncryption: 'AES256',
      ...parts,
    },
    new Set(ids),
    signal,
  )
  const table: Partial<Record<ProbeId, Verdict>> = Object.fromEntries(verdicts)
  return table
}

/** The bucket's keys and unfinished uploads, past every policy. */
async function leftIn(bucket: string): Promise<string[]> {
  const { s3, sdk } = bench.client
  await s3.send(new sdk.DeleteBucketPolicyCommand({ Bucket: bucket }))
  const store = storeOf(bucket)
  const left: string[] = []
  for await (const { key } of store.list()) left.push(key)
  for await (const { key } of store.listMultipart()) left.push(`unfinished ${key}`)
  return left
}

describe('a store that does right', () => {
  it('passes every step, and is left as it was', async () => {
    const bucket = await makeBucket()
    const endpoint = await gateway({
      // The embedded S3 does not encrypt, and does not say that it does.
      change: (_, answer) => ({ ...answer, headers: { ...answer.headers, 'x-amz-server-side-encryption': 'AES256' } }),
    })
    const verdicts = await run(storeOf(bucket, endpoint))
    for (const id of ids) {
      const status = id === 'probe.plain-http' ? 'not_offered' : 'pass'
      expect([id, verdicts[id]]).toEqual([id, { status, seen: expect.any(String) }])
    }
    expect(verdicts['probe.expiry']?.seen).toMatch(/^In [78] days\.$/)
    expect(verdicts['probe.encryption']?.seen).toBe('AES256.')
    expect(verdicts['probe.put-once']?.seen).toMatch(/412 PreconditionFailed/)
    expect(await leftIn(bucket)).toEqual([])
  })

  it('runs only what is asked for, and what that stands on', async () => {
    const bucket = await makeBucket()
    const parts = {
      store: storeOf(bucket),
      clock: systemClock,
      origins: [],
      temporaryDays: undefined,
      declaredEncryption: undefined,
    } as const
    const verdicts = await probe(parts, new Set(['probe.encryption']), new AbortController().signal)
    expect([...verdicts.keys()].sort()).toEqual(['probe.encryption', 'probe.presigned-get', 'probe.put'])
    expect(await leftIn(bucket)).toEqual([])
  })

  it('clears away what a killed probe left an hour ago, and not what another is at', async () => {
    const bucket = await makeBucket()
    const store = storeOf(bucket)
    const body = Buffer.from('left')
    const sha256 = createHash('sha256').update(body).digest('hex')
    const request = { body, size: body.length, sha256, contentType: 'text/plain' }
    await store.put({ key: `${probeFolder}earlier/object`, ...request })
    await store.createMultipart({ key: `${probeFolder}earlier/parts`, contentType: 'text/plain' })
    await run(store)
    expect(await leftIn(bucket)).toEqual([`${probeFolder}earlier/object`, `unfinished ${probeFolder}earlier/parts`])
    const later = { ...systemClock, now: () => new Date(Date.now() + 7_200_000) }
    await run(store, { clock: later })
    expect(await leftIn(bucket)).toEqual([])
  })
})

const deny = (Action: string | string[], Condition?: object) => [
  { Effect: 'Deny', Action, ...(Condition ? { Condition } : {}) },
]
const allow = (Action: string | string[]) => [{ Effect: 'Allow', Action }]
const byLink = { StringEquals: { 's3:authType': 'REST-QUERY-STRING' } }

describe('a bucket that is set up wrong', () => {
  it.each<[ProbeId, string, Setup, RegExp]>([
    ['probe.put', 'puts are denied', { policy: deny('s3:PutObject') }, /may not do s3:PutObject/],
    ['probe.head', 'reads are denied', { policy: deny('s3:GetObject') }, /may not do s3:GetObject/],
    ['probe.get', 'reads are denied', { policy: deny('s3:GetObject') }, /may not do s3:GetObject/],
    ['probe.range', 'reads are denied', { policy: deny('s3:GetObject') }, /may not do s3:GetObject/],
    ['probe.presigned-get', 'links are denied', { policy: deny('s3:GetObject', byLink) }, /403 AccessDenied/],
    ['probe.presigned-put', 'links are denied', { policy: deny('s3:PutObject', byLink) }, /403 AccessDenied/],
    ['probe.multipart', 'giving up is denied', { policy: deny('s3:AbortMultipartUpload') }, /s3:AbortMultipartUpload/],
    ['probe.list', 'lists are denied', { policy: deny('s3:ListBucket') }, /may not do s3:ListBucket/],
    [
      'probe.delete',
      'deletes are denied',
      { policy: deny('s3:DeleteObject') },
      /^Under temp\/\.doctor\/.* may be left: .*s3:DeleteObject/,
    ],
    ['probe.encryption', 'it is declared, and not done', {}, /^AES256 is declared, and the store does not say so/],
    ['probe.expiry', 'there is no rule', { temporary: false }, /^It would stay for ever/],
    ['probe.anonymous', 'everybody may read', { open: true, policy: allow('s3:GetObject') }, /^Reading .* 200/],
    ['probe.anonymous', 'everybody may list', { open: true, policy: allow('s3:ListBucket') }, /^Listing .* 200/],
    ['probe.anonymous', 'everybody may write', { open: true, policy: allow('s3:PutObject') }, /^Writing .* 200/],
    [
      'probe.cors',
      'the origin is not there',
      { origins: ['https://other.example'] },
      /^A page of https:\/\/app\.example may not/,
    ],
    ['probe.cors', 'there are no rules', { origins: [] }, /^A page of https:\/\/app\.example may not/],
    ['probe.cors-evil', 'any origin may', { origins: ['*'] }, /^A page of https:\/\/[0-9a-f-]+\.example may upload/],
    [
      'probe.cors-evil',
      'any that begins so may',
      { origins: ['https://app.example*'] },
      /app\.example\.evil\.example may/,
    ],
  ])('%s fails where %s', async (id, _, setup, seen) => {
    const rule = setup.temporary === false ? { temporaryDays: null } : {}
    const verdicts = await run(storeOf(await makeBucket(setup)), rule)
    expect(verdicts[id]).toMatchObject({ status: 'fail', seen: expect.stringMatching(seen) })
  })

  it('tells of no more than the one thing, and of what stands on it nothing', async () => {
    const bucket = await makeBucket({ policy: deny('s3:PutObject') })
    const verdicts = await run(storeOf(bucket))
    expect(verdicts['probe.get']).toEqual({
      status: 'unknown',
      seen: 'Not tried: it needs probe.put, which did not pass.',
    })
    expect(verdicts['probe.clock']?.status).toBe('pass')
    expect(verdicts['probe.delete']?.status).toBe('unknown')
  })

  it('that is not there is to be made, whatever fails for it', async () => {
    const verdicts = await run(storeOf('nowhere'))
    const failed = Object.entries(verdicts).filter(([, verdict]) => verdict?.status === 'fail')
    expect(failed.map(([id]) => id)).toEqual(['probe.put', 'probe.presigned-put', 'probe.multipart'])
    for (const [id, verdict] of failed) {
      expect([id, verdict]).toMatchObject([
        id,
        { seen: expect.stringContaining('NoSuchBucket'), fix: expect.stringMatching(/^keepsake bucket apply makes/) },
      ])
    }
    const passed = Object.entries(verdicts).filter(([, verdict]) => verdict?.status === 'pass')
    expect(passed.map(([id]) => id)).toEqual(['probe.clock'])
  })

  it('whose keys are wrong needs no permissions', async () => {
    const { region, url: endpoint } = bench.server
    const wrong = { ...credentials, secretAccessKey: 'wrong' }
    const store = createS3Store({ bucket: await makeBucket(), region, endpoint, credentials: wrong, attempts: 1 })
    closers.push(() => store.close())
    const verdicts = await run(store)
    for (const id of ['probe.put', 'probe.multipart'] as const) {
      expect(verdicts[id]).toMatchObject({
        status: 'fail',
        seen: expect.stringContaining('Look at AWS_SECRET_ACCESS_KEY'),
        fix: expect.stringContaining('no permission mends it'),
      })
    }
  })

  it('a page that may not see the ETag', async () => {
    const bucket = await makeBucket({ origins: [] })
    const CORSRules = [{ AllowedOrigins: [origin], AllowedMethods: ['PUT', 'GET'], AllowedHeaders: ['*'] }]
    await bench.client.s3.send(new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration: { CORSRules } }))
    const verdicts = await run(storeOf(bucket))
    expect(verdicts['probe.cors']).toMatchObject({
      status: 'fail',
      seen: expect.stringMatching(/may not see the ETag/),
    })
  })
})

/** A path's key in its bucket. */
const keyOf = (url: string | undefined) => (url ?? '').split('?', 1)[0]?.split('/').slice(2).join('/') ?? ''
const isLink = (url: string | undefined) => (url ?? '').includes('X-Amz-Signature=')
const isSigned = (headers: { authorization?: string | undefined }) => headers.authorization !== undefined

describe('a store that checks nothing', () => {
  /** Links and strangers are let in, whatever the link says; what the app signs goes on to the true store. */
  async function careless(bucket: string): Promise<string> {
    const inside = storeOf(bucket)
    return gateway({
      async answer({ method, url, headers }, body): Promise<Passed | undefined> {
        if (isSigned(headers) || method === 'OPTIONS') return undefined
        const key = keyOf(url)
        if (method === 'PUT') {
          const sha256 = createHash('sha256').update(body).digest('hex')
          const contentType = headers['content-type'] ?? 'text/plain'
          await inside.put({ key, body, size: body.length, sha256, contentType, createOnly: false })
          return { status: 200, headers: {}, body: Buffer.alloc(0) }
        }
        if (key === '') return { status: 200, headers: {}, body: Buffer.from('<ListBucketResult/>') }
        const found = await inside.get(key).catch(() => undefined)
        const pieces: Uint8Array[] = []
        if (found) for await (const piece of found.body) pieces.push(piece)
        return { status: 200, headers: { 'x-amz-server-side-encryption': 'AES256' }, body: Buffer.concat(pieces) }
      },
    })
  }

  it.each<[ProbeId, RegExp]>([
    ['probe.tampered', /^A link with another signature was answered with 200/],
    ['probe.expired', /^A link that ended two hours ago was answered with 200/],
    ['probe.anonymous', /^Reading without a signature was answered with 200/],
    ['probe.put-type', /^It was taken\.$/],
    ['probe.put-length', /^It was taken\.$/],
    ['probe.put-once', /^The second upload replaced the first\.$/],
  ])('fails %s', async (id, seen) => {
    const bucket = await makeBucket()
    const verdicts = await run(storeOf(bucket, await careless(bucket)))
    expect(verdicts[id]).toMatchObject({ status: 'fail', seen: expect.stringMatching(seen) })
    expect(verdicts['probe.delete']?.status).toBe('pass')
    expect(await leftIn(bucket)).toEqual([])
  })

  it.each<[string, (link: URL) => boolean, RegExp]>([
    ['a longer life', (link) => link.searchParams.get('X-Amz-Expires') === '3600', /^A link made to live longer was/],
    ['another method', (link) => link.searchParams.get('method') === 'PUT', /^A reading link used to write was/],
  ])('fails probe.tampered where only %s is let through', async (_, letsIn, seen) => {
    const bucket = await makeBucket()
    const endpoint = await gateway({
      answer({ method, url = '', headers }) {
        if (!isLink(url) || isSigned(headers)) return undefined
        const link = new URL(url, 'http://store')
        const reads = link.searchParams.get('X-Amz-SignedHeaders') === 'host'
        if (method === 'PUT' && reads) link.searchParams.set('method', 'PUT')
        return letsIn(link) ? { status: 200, headers: {}, body: Buffer.alloc(0) } : undefined
      },
    })
    const verdicts = await run(storeOf(bucket, endpoint))
    expect(verdicts['probe.tampered']).toMatchObject({ status: 'fail', seen: expect.stringMatching(seen) })
  })
})

describe('something in between that breaks answers', () => {
  const flipped = (body: Buffer) => Buffer.from(body.map((byte) => byte ^ 1))
  const reads = (method: string | undefined) => method === 'GET' || method === 'HEAD'

  it.each<[ProbeId, string, GatewayOptions['change'], RegExp]>([
    [
      'probe.head',
      'types are changed',
      ({ method, headers }, answer) =>
        method === 'HEAD' && isSigned(headers)
          ? { ...answer, headers: { ...answer.headers, 'content-type': 'text/html' } }
          : answer,
      /^It has 64 bytes of text\/html/,
    ],
    [
      'probe.head',
      'heads are lost',
      ({ method, headers }, answer) =>
        method === 'HEAD' && isSigned(headers) ? { status: 404, headers: {}, body: Buffer.alloc(0) } : answer,
      /no such object, right after/,
    ],
    [
      'probe.get',
      'bytes are changed',
      ({ method }, answer) => (reads(method) ? { ...answer, body: flipped(answer.body) } : answer),
      /^Other bytes/,
    ],
    [
      'probe.range',
      'other ranges come back',
      ({ headers }, answer) => (headers.range ? { ...answer, body: flipped(answer.body) } : answer),
      /^Other bytes came back/,
    ],
    [
      'probe.presigned-get',
      'bytes are changed',
      ({ url, method }, answer) => (isLink(url) && reads(method) ? { ...answer, body: flipped(answer.body) } : answer),
      /^The link gave other bytes/,
    ],
    [
      'probe.expiry',
      'it ends late',
      (_, answer) =>
        answer.headers['x-amz-expiration']
          ? {
              ...answer,
              headers: {
                ...answer.headers,
                'x-amz-expiration': 'expiry-date="Fri, 23 Dec 2099 00:00:00 GMT", rule-id="temp"',
              },
            }
          : answer,
      /^Only in \d{5} days, where 7 are promised\.$/,
    ],
  ])('%s fails where %s', async (id, _, change, seen) => {
    const bucket = await makeBucket()
    const endpoint = await gateway({ ...(change ? { change } : {}) })
    const verdicts = await run(storeOf(bucket, endpoint))
    expect(verdicts[id]).toMatchObject({ status: 'fail', seen: expect.stringMatching(seen) })
    expect(await leftIn(bucket)).toEqual([])
  })

  it.each<[ProbeId, (url: string, signed: boolean) => boolean]>([
    ['probe.expired', (url) => isLink(url)],
    ['probe.anonymous', (url, signed) => !isLink(url) && !signed],
  ])('an answer that is neither a success nor a refusal does not pass: %s', async (id, strikes) => {
    let links = 0
    const endpoint = await gateway({
      change({ url = '', headers, method }, answer) {
        if (method === 'OPTIONS' || !strikes(url, isSigned(headers))) return answer
        links += 1
        // The first links must open, for the probe to go on.
        return isLink(url) && links <= 3 ? answer : { status: 502, headers: {}, body: Buffer.from('<html>') }
      },
    })
    const verdicts = await run(storeOf(await makeBucket(), endpoint))
    expect(verdicts[id]).toMatchObject({
      status: 'unknown',
      seen: expect.stringMatching(/neither let in nor refused: 502/),
    })
  })
})

describe('a store that speaks of a rule for versions where one for objects is asked', () => {
  const change: GatewayOptions['change'] = (_, answer) => ({
    ...answer,
    headers: {
      ...answer.headers,
      'x-amz-expiration': 'expiry-date="Fri, 23 Dec 2099 00:00:00 GMT", rule-id="old%20versions"',
    },
  })

  it.each<[string, Partial<ProbeParts>, Verdict['status'], RegExp]>([
    ['judges nothing', { rulesOfVersions: ['old versions'] }, 'not_offered', /speaks of another, 'old versions'/],
    ['fails where that rule does end objects', { rulesOfVersions: [] }, 'fail', /^Only in \d{5} days/],
    [
      'fails where there is no rule for temp/',
      { rulesOfVersions: ['old versions'], temporaryDays: null },
      'fail',
      /^Only in/,
    ],
  ])('%s', async (_, parts, status, seen) => {
    const endpoint = await gateway({ change })
    const verdicts = await run(storeOf(await makeBucket(), endpoint), parts)
    expect(verdicts['probe.expiry']).toMatchObject({ status, seen: expect.stringMatching(seen) })
  })
})

describe('clocks', () => {
  it.each([
    [20 * 60, 'high', /^This machine is (1199|1200|1201) seconds ahead\.$/],
    [-60, undefined, /^This machine is (59|60|61) seconds behind\.$/],
  ])('probe.clock fails where they are %i seconds apart', async (seconds, severity, seen) => {
    const clock = { ...systemClock, now: () => new Date(Date.now() + seconds * 1000) }
    const { 'probe.clock': verdict } = await run(storeOf(await makeBucket()), { clock })
    expect(verdict).toMatchObject({ status: 'fail', seen: expect.stringMatching(seen) })
    expect(verdict?.severity).toBe(severity)
  })
})

describe('a probe that does not come to its end', () => {
  it.each([0, 1, 2, 5, 9, 12, 15, 18, 22, 25, 26, 27, 28, 30])(
    'leaves nothing behind when it is interrupted at call %i of the store',
    async (at) => {
      const bucket = await makeBucket()
      const interruption = new AbortController()
      const store = storeOf(bucket)
      // The step is told by how many came before: the clock of the probe is asked by none but two of them, so the store is wrapped.
      let step = -1
      const steps = new Proxy(store, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name)
          if (typeof value !== 'function') return value
          return (...args: unknown[]) => {
            step += 1
            if (step >= at) interruption.abort()
            return Reflect.apply(value, target, args)
          }
        },
      })
      const verdicts = await run(steps, { signal: interruption.signal })
      expect(Object.values(verdicts).some((verdict) => /^Interrupted/.test(verdict?.seen ?? ''))).toBe(true)
      expect(await leftIn(bucket)).toEqual([])
    },
  )

  it('does not wait for ever, and takes silence for no pass', async () => {
    const endpoint = await gateway({
      answer: ({ url, headers }) => (isSigned(headers) || isLink(url) ? undefined : new Promise<undefined>(() => {})),
    })
    const verdicts = await run(storeOf(await makeBucket(), endpoint), { stepMillis: 300 })
    expect(verdicts['probe.anonymous']).toEqual({ status: 'unknown', seen: 'No answer in time.' })
    expect(verdicts['probe.cors-evil']).toEqual({ status: 'unknown', seen: 'No answer in time.' })
    expect(verdicts['probe.delete']?.status).toBe('pass')
  })

  it('says of a store that is away that nothing works, and passes nothing', async () => {
    const closed = await startGateway({ port: 1 })
    await closed.close()
    const verdicts = await run(storeOf('nowhere', closed.url))
    expect(Object.values(verdicts).filter((verdict) => verdict?.status === 'pass')).toEqual([])
    expect(verdicts['probe.put']).toMatchObject({ status: 'fail', seen: expect.stringMatching(/ECONNREFUSED/) })
    expect(verdicts['probe.clock']).toEqual({ status: 'unknown', seen: 'No answer (ECONNREFUSED).' })
  })
})
