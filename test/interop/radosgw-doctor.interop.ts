/** The doctor and the error guide against radosgw (Ceph), an S3 that we did not write. */
import {
  CreateBucketCommand,
  GetBucketLocationCommand,
  ListObjectsV2Command,
  PutBucketCorsCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { applyPlan, openControlClient, planBucket } from '../../src/bucket/index.ts'
import { desire } from '../../src/bucket/testing/index.ts'
import type { Report } from '../../src/doctor/index.ts'
import { createS3Store, explainS3Error } from '../../src/stores/index.ts'
import { bucketDoctor } from '../support/bucket-doctor.ts'
import { startRadosgw } from './radosgw.ts'

const gateway = await startRadosgw()
const { credentials, endpoint } = gateway
const place = { endpoint, region: 'us-east-1', credentials, forcePathStyle: true }
const client = new S3Client(place)
afterAll(async () => {
  client.destroy()
  await gateway.stop()
})

async function makeBucket(): Promise<string> {
  const bucket = `doctor-${crypto.randomUUID()}`
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  return bucket
}

async function look(bucket: string): Promise<{ report: Report; status: Record<string, string> }> {
  const store = createS3Store({ ...place, bucket })
  const doctor = bucketDoctor({
    store,
    place: { ...place, bucket, dualStack: false, credentials: () => credentials },
    origins: ['https://app.example'],
  })
  const report = await doctor.run({ only: ['S3', 'bucket', 'probe'] })
  await store.close()
  return { report, status: Object.fromEntries(report.findings.map(({ id, status }) => [id, status])) }
}

async function keysIn(bucket: string): Promise<number> {
  return (await client.send(new ListObjectsV2Command({ Bucket: bucket }))).KeyCount ?? 0
}

describe('the doctor on radosgw', () => {
  let bucket: string
  beforeAll(async () => {
    bucket = await makeBucket()
  })

  it('tries a bucket out, and finds that what it must refuse is refused', async () => {
    const { report, status } = await look(bucket)
    for (const id of ['put', 'head', 'get', 'range', 'presigned-get', 'presigned-put', 'multipart', 'list', 'delete']) {
      expect([id, report.findings.find((finding) => finding.id === `probe.${id}`)]).toMatchObject([
        id,
        { status: 'pass' },
      ])
    }
    for (const id of ['clock', 'tampered', 'expired', 'anonymous', 'put-type', 'put-length', 'cors-evil']) {
      expect([id, status[`probe.${id}`]]).toEqual([id, 'pass'])
    }
    expect(status).toMatchObject({
      'S3.1': 'not_offered',
      'S3.5': 'not_offered',
      'probe.cors': 'fail',
      'S3.14': 'fail',
    })
    expect(await keysIn(bucket)).toBe(0)
  })

  it('sees what is changed', async () => {
    const CORSRules = [
      { AllowedOrigins: ['*'], AllowedMethods: ['PUT', 'GET'], AllowedHeaders: ['*'], ExposeHeaders: ['ETag'] },
    ]
    await client.send(new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration: { CORSRules } }))
    await client.send(
      new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: 'Enabled' } }),
    )
    const Statement = [
      { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: `arn:aws:s3:::${bucket}/*` },
    ]
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
    await client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }))
    const { status } = await look(bucket)
    expect(status).toMatchObject({
      'S3.2': 'fail',
      'S3.3': 'pass',
      'S3.10': 'fail',
      'S3.14': 'pass',
      'bucket.cors': 'fail',
      'bucket.deleted-versions': 'fail',
      'probe.anonymous': 'fail',
      'probe.cors': 'pass',
      'probe.cors-evil': 'fail',
      'probe.delete': 'pass',
    })
    expect(await keysIn(bucket)).toBe(0)
  })

  it('finds nothing wrong but what Ceph lacks after keepsake bucket apply', async () => {
    const own = `doctor-${crypto.randomUUID()}`
    const control = await openControlClient({ ...place, credentials: () => credentials })
    const desired = desire({ env: 'prod', origins: ['https://app.example'] }, { bucket: own })
    await applyPlan(await planBucket(desired, async () => control), async () => control)
    control.close()
    const { report } = await look(own)
    const failed = report.findings.filter(({ status, severity }) => status === 'fail' && severity !== 'info')
    // In a bucket with versions Ceph 16 does not obey If-None-Match.
    expect(failed.map(({ id }) => id)).toEqual(['probe.put-once'])
    expect(report.findings.find(({ id }) => id === 'probe.expiry')).toMatchObject({
      status: 'not_offered',
      seen: expect.stringContaining("'keepsake-noncurrent'"),
    })
    expect(report.counts.unknown).toBe(0)
  })

  it('says of a bucket that is not there that nothing is known of it', async () => {
    const { report } = await look('doctor-nowhere')
    expect(report.findings.filter(({ status }) => status === 'pass').map(({ id }) => id)).toEqual(['probe.clock'])
  })
})

describe('the error guide on radosgw', () => {
  const said = async (config: object, Bucket: string) => {
    const other = new S3Client({ ...place, maxAttempts: 1, ...config })
    const error: unknown = await other.send(new GetBucketLocationCommand({ Bucket })).catch((error: unknown) => error)
    other.destroy()
    return explainS3Error(error, {
      action: 's3:GetBucketLocation',
      bucket: Bucket,
      region: 'us-east-1',
      origin: endpoint,
    })
  }

  it.each([
    [
      'InvalidAccessKeyId',
      { credentials: { ...credentials, accessKeyId: 'nobody' } },
      'media',
      /does not know the access key/,
    ],
    [
      'SignatureDoesNotMatch',
      { credentials: { ...credentials, secretAccessKey: 'wrong' } },
      'media',
      /refuses the signature/,
    ],
    ['NoSuchBucket', {}, 'doctor-nowhere', /^There is no bucket 'doctor-nowhere' at http/],
  ])('%s', async (s3Code, config, bucket, message) => {
    expect(await said(config, bucket)).toMatchObject({
      code: 'store_denied',
      message: expect.stringMatching(message),
      details: { s3Code },
    })
  })

  it('AccessDenied names the action', async () => {
    const bucket = await makeBucket()
    const Statement = [{ Effect: 'Deny', Principal: '*', Action: 's3:PutObject', Resource: `arn:aws:s3:::${bucket}/*` }]
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
    await client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }))
    const store = createS3Store({ ...place, bucket })
    const bytes = Buffer.from('x')
    const { createHash } = await import('node:crypto')
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    const put = store.put({ key: 'key', body: bytes, size: 1, sha256, contentType: 'text/plain' })
    await expect(put).rejects.toMatchObject({
      code: 'store_denied',
      message: expect.stringMatching(/^The credentials may not do s3:PutObject on 'key' in bucket/),
      details: { action: 's3:PutObject' },
    })
    await store.close()
  })
})
