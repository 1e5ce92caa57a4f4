/** Plain HTTP, where the store speaks TLS: behind a proxy, as a store that is our own would be. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import tls from 'node:tls'
import { DeleteBucketPolicyCommand, PutBucketPolicyCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { bucketDoctor } from '../../test/support/bucket-doctor.ts'
import { type Bench, credentials, startBench } from '../bucket/testing/index.ts'
import { createS3Store } from '../stores/index.ts'
import { selfSigned } from '../stores/testing/index.ts'
import { startTls } from './testing/tls.ts'

let bench: Bench
let proxy: Awaited<ReturnType<typeof startTls>>
const trusted = tls.getCACertificates('default')
const closers: (() => Promise<unknown> | unknown)[] = []

beforeAll(async () => {
  tls.setDefaultCACertificates([...trusted, selfSigned.cert])
  bench = await startBench({ buckets: ['media'], behindTls: true })
  proxy = await startTls(bench.server.port, selfSigned)
})
afterAll(async () => {
  tls.setDefaultCACertificates(trusted)
  await proxy.close()
  await bench.stop()
})
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

/** Everything about TLS, at an endpoint and links at another. */
async function look(endpoint: string, publicEndpoint = endpoint) {
  const place = { bucket: 'media', region: bench.server.region, endpoint, forcePathStyle: true }
  const store = createS3Store({ ...place, publicEndpoint, credentials, attempts: 1 })
  closers.push(() => store.close())
  const doctor = bucketDoctor({
    store,
    place: { ...place, dualStack: false, credentials: () => credentials },
  })
  const { findings } = await doctor.run({ only: ['S3.5', 'bucket.tls-version', 'probe.plain-http'] })
  return Object.fromEntries(findings.map(({ id, status, seen }) => [id, { status, seen }]))
}

const secure = () => `https://127.0.0.1:${proxy.port}`
const arn = 'arn:aws:s3:::media'
const noTls = {
  Effect: 'Deny',
  Principal: '*',
  Action: 's3:*',
  Resource: [arn, `${arn}/*`],
  Condition: { Bool: { 'aws:SecureTransport': 'false' } },
}

async function withPolicy(...Statement: object[]): Promise<void> {
  const client = new S3Client({ endpoint: secure(), region: bench.server.region, credentials, forcePathStyle: true })
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
  await client.send(new PutBucketPolicyCommand({ Bucket: 'media', Policy }))
  closers.push(async () => {
    await client.send(new DeleteBucketPolicyCommand({ Bucket: 'media' }))
    client.destroy()
  })
}

describe('a store that speaks TLS alone', () => {
  it('passes with a policy that denies the rest', async () => {
    await withPolicy(noTls)
    expect(await look(secure())).toEqual({
      'S3.5': { status: 'pass', seen: 'Everything is denied to everybody where aws:SecureTransport is false.' },
      'bucket.tls-version': { status: 'not_offered', seen: 'It does not know s3:TlsVersion.' },
      'probe.plain-http': { status: 'pass', seen: expect.stringMatching(/^Plain HTTP is not spoken there: /) },
    })
  })

  it('fails the control without one', async () => {
    expect(await look(secure())).toMatchObject({
      'S3.5': { status: 'fail', seen: 'The bucket has no policy.' },
      'probe.plain-http': { status: 'pass' },
    })
  })
})

describe('a store that speaks plain HTTP too', () => {
  /** One port for both: what begins like a TLS handshake goes to the proxy, all else straight to the store. */
  async function both(plainPort: number): Promise<string> {
    const { connect, createServer: createTcpServer } = await import('node:net')
    const sockets = new Set<{ destroy(): void }>()
    const server = createTcpServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => socket.destroy())
      socket.once('data', (first) => {
        const onward = connect(first[0] === 0x16 ? proxy.port : plainPort, '127.0.0.1')
        sockets.add(onward)
        onward.on('error', () => socket.destroy())
        onward.write(first)
        socket.pipe(onward).pipe(socket)
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    closers.push(() => {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(resolve))
    })
    return `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  it('fails where a link opens over it', async () => {
    expect((await look(await both(bench.server.port)))['probe.plain-http']).toEqual({
      status: 'fail',
      seen: 'A link over plain HTTP was answered with 200.',
    })
  })

  it.each([
    [301, { location: 'https://127.0.0.1/' }, 'pass', /^Plain HTTP is sent on to https: 301/],
    [301, { location: 'http://127.0.0.1/' }, 'unknown', /neither let in nor refused: 301/],
    [403, {}, 'pass', /is refused: 403/],
    [500, {}, 'unknown', /neither let in nor refused: 500/],
  ])('that answers it with %i %o', async (status, headers, verdict, seen) => {
    const plain = createServer((_, response) => response.writeHead(status, headers).end())
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
    closers.push(() => {
      plain.closeAllConnections()
      return new Promise((resolve) => plain.close(resolve))
    })
    expect((await look(await both((plain.address() as AddressInfo).port)))['probe.plain-http']).toEqual({
      status: verdict,
      seen: expect.stringMatching(seen),
    })
  })
})

it('links that are plain HTTP to another machine fail without being tried', async () => {
  expect((await look(secure(), 'http://store.example'))['probe.plain-http']).toEqual({
    status: 'fail',
    seen: 'The links themselves are plain HTTP, to store.example.',
  })
})

it('links that do not open say nothing of plain HTTP', async () => {
  await withPolicy({ ...noTls, Action: 's3:GetObject', Resource: `${arn}/*`, Condition: {} })
  expect((await look(secure()))['probe.plain-http']).toEqual({
    status: 'unknown',
    seen: 'The link does not open over TLS either: 403 AccessDenied.',
  })
})
