/**
 * Signed GET links: Keepsake's signers beside the AWS SDK's `getSignedUrl`, its bare `S3RequestPresigner` and its
 * `cloudfront-signer`, in interleaved rounds so that a noisy machine disturbs both alike.
 */
import { generateKeyPairSync, hash } from 'node:crypto'
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { getSignedUrl as getCloudFrontUrl } from '@aws-sdk/cloudfront-signer'
import { formatUrl } from '@aws-sdk/core/util'
import { getSignedUrl, S3RequestPresigner } from '@aws-sdk/s3-request-presigner'
import { HttpRequest } from '@smithy/core/protocols'
import { CloudFrontSigner } from '../src/delivery/index.ts'
import { createS3Store } from '../src/stores/index.ts'
import { type Figure, figure, short, show } from './figure.ts'
import type { Part, Row } from './report.ts'

type Make = (key: string) => string | Promise<string>
type Sample = { readonly perSecond: number; readonly cpuMicros: number }

const bucket = 'examplebucket'
const region = 'eu-central-1'
const credentials = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
}
const expiresIn = 3600
const response = { contentType: 'image/png', contentDisposition: 'attachment; filename="portrait of a fox.png"' }
const rounds = 9
const warmUpRounds = 2
/** Long enough for a clock of microseconds, short enough for a run of seconds. */
const subjectPerRound = 20_000
const peerPerRound = 400
/** A signature by RSA takes the better part of a millisecond, by whomever. */
const rsaPerRound = 200

export async function benchPresign(): Promise<Part> {
  const store = createS3Store({ bucket, region, credentials })
  const client = new S3Client({ region, credentials })
  const presigner = new S3RequestPresigner({
    region,
    credentials,
    sha256: client.config.sha256,
  })
  const host = `${bucket}.s3.${region}.amazonaws.com`
  const command = (key: string) => new GetObjectCommand({ Bucket: bucket, Key: key })
  const commandWithResponse = (key: string) =>
    new GetObjectCommand({
      Bucket: bucket,
      Key: key,
      ResponseContentType: response.contentType,
      ResponseContentDisposition: response.contentDisposition,
    })
  const bare = async (key: string, query: Record<string, string>) => {
    const request = { protocol: 'https:', hostname: host, method: 'GET', path: `/${key}`, query, headers: { host } }
    return formatUrl(await presigner.presign(new HttpRequest(request), { expiresIn }))
  }
  const overrides = {
    'response-content-type': response.contentType,
    'response-content-disposition': response.contentDisposition,
  }
  const plain: Make = (key) => store.signGet(key, { expiresIn }).url
  const overridden: Make = (key) => store.signGet(key, { expiresIn, response }).url
  const pairs: [name: string, peer: string, subject: Make, peerMake: Make][] = [
    ['presign GET', 'getSignedUrl', plain, (key) => getSignedUrl(client, command(key), { expiresIn })],
    [
      'presign GET, response-* overrides',
      'getSignedUrl',
      overridden,
      (key) => getSignedUrl(client, commandWithResponse(key), { expiresIn }),
    ],
    ['presign GET', 'S3RequestPresigner', plain, (key) => bare(key, {})],
    ['presign GET, response-* overrides', 'S3RequestPresigner', overridden, (key) => bare(key, { ...overrides })],
  ]
  try {
    const measured: Comparison[] = []
    for (const [name, peer, subject, peerMake] of pairs) measured.push(await compare(name, peer, subject, peerMake))
    measured.push(...(await benchCloudFront()))
    return {
      name: 'presign',
      title: 'Signing a link (presigned GET)',
      rows: measured.map(toRow),
      notes: [
        `Both in one process, medians over ${rounds} interleaved rounds, least to most in brackets; every link is of another key.`,
        'Ratios are times as many links a second, and times less CPU.',
        'Of CloudFront the policy is canned and hashed by SHA-256; the same link again comes out of the memory of the signer.',
        'getSignedUrl is what the AWS documentation tells people to call; S3RequestPresigner is the bare signer inside of it.',
      ],
      figures: measured,
    }
  } finally {
    client.destroy()
    await store.close()
  }
}

const distribution = 'https://d111111abcdef8.cloudfront.net'

async function benchCloudFront(): Promise<Comparison[]> {
  const keyPairId = 'K2JCJMDEHXQW5F'
  const dateLessThan = new Date(Date.now() + expiresIn * 1000)
  const peer = 'cloudfront-signer'
  const measured: Comparison[] = []
  for (const kind of ['RSA', 'ECDSA'] as const) {
    const { privateKey } =
      kind === 'RSA'
        ? generateKeyPairSync('rsa', { modulusLength: 2048 })
        : generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const signer = new CloudFrontSigner({ url: distribution, keyPairId, privateKey })
    const peerMake: Make = (key) =>
      getCloudFrontUrl({ url: `${distribution}/${key}`, keyPairId, privateKey: pem, dateLessThan, algorithm: 'SHA256' })
    const counts = kind === 'RSA' ? { ours: rsaPerRound, theirs: rsaPerRound } : { ours: 4000, theirs: 400 }
    let made = 0
    // Each of another key, also from round to round.
    const fresh: Make = (key) => {
      made += 1
      return signer.signGet(`${made}/${key}`, { expiresIn }).url
    }
    measured.push(await compare(`CloudFront, ${kind}`, peer, fresh, peerMake, counts))
    const at = new Date()
    const again: Make = () => signer.signGet('generations/2026/11/20/fox.png', { expiresIn, at }).url
    const same = { ours: subjectPerRound, theirs: counts.theirs }
    measured.push(await compare(`CloudFront, ${kind}, the same again`, peer, again, peerMake, same))
  }
  return measured
}

type Side = { readonly perSecond: Figure; readonly cpuMicros: Figure }
type Comparison = { readonly name: string; readonly peer: string; readonly ours: Side; readonly theirs: Side }

async function compare(
  name: string,
  peer: string,
  subject: Make,
  peerMake: Make,
  counts = { ours: subjectPerRound, theirs: peerPerRound },
): Promise<Comparison> {
  const ours: Sample[] = []
  const theirs: Sample[] = []
  for (let round = 0; round < warmUpRounds + rounds; round += 1) {
    const mine = await measure(subject, counts.ours)
    const other = await measure(peerMake, counts.theirs)
    if (round < warmUpRounds) continue
    ours.push(mine)
    theirs.push(other)
  }
  return { name, peer, ours: side(ours), theirs: side(theirs) }
}

function side(samples: readonly Sample[]): Side {
  return {
    perSecond: figure(samples.map(({ perSecond }) => perSecond)),
    cpuMicros: figure(samples.map(({ cpuMicros }) => cpuMicros)),
  }
}

function toRow({ name, peer, ours, theirs }: Comparison): Row {
  return {
    case: name,
    peer: `AWS SDK ${peer}`,
    'Keepsake, links/s': show(ours.perSecond),
    'peer, links/s': show(theirs.perSecond),
    ratio: short(ours.perSecond.median / theirs.perSecond.median),
    'Keepsake, CPU µs': show(ours.cpuMicros),
    'peer, CPU µs': show(theirs.cpuMicros),
    'CPU ratio': short(theirs.cpuMicros.median / ours.cpuMicros.median),
  }
}

async function measure(make: Make, count: number): Promise<Sample> {
  const keys = Array.from({ length: count }, (_, index) => `generations/2026/11/20/${hash('md5', String(index))}.png`)
  const cpu = process.cpuUsage()
  const start = process.hrtime.bigint()
  for (const key of keys) {
    const url = make(key)
    if (typeof url !== 'string') await url
  }
  const seconds = Number(process.hrtime.bigint() - start) / 1e9
  const { user, system } = process.cpuUsage(cpu)
  return { perSecond: count / seconds, cpuMicros: (user + system) / count }
}
