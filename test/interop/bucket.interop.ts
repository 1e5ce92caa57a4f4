/**
 * A bucket set up on radosgw (Ceph), an S3 that we did not write; and by the commands that are exported for awscli, run
 * by a shell, after which a plan finds nothing to change.
 *
 *   apt-get install awscli radosgw ceph-mon ceph-osd ceph-common curl
 *   npx vitest run --config test/interop/vitest.config.ts test/interop/bucket.interop.ts
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  applyPlan,
  awsCli,
  type ControlClient,
  type DesiredBucket,
  hasChanges,
  missingFeatures,
  openControlClient,
  type Plan,
  planBucket,
  readBucket,
} from '../../src/bucket/index.ts'
import { type Bench, credentials, desire, startBench } from '../../src/bucket/testing/index.ts'
import { type Radosgw, startRadosgw } from './radosgw.ts'

const statuses = ({ buckets }: Plan) =>
  Object.fromEntries(buckets.flatMap(({ parts }) => parts.map(({ part, decision }) => [part, decision.status])))

describe('on radosgw', () => {
  let gateway: Radosgw
  let client: ControlClient
  const bucket = `keepsake-${crypto.randomUUID()}`
  const clientOf = async () => client
  const desired = desire(
    {
      env: 'prod',
      origins: ['https://app.example', 'https://*.app.example'],
      denyOtherEncryption: true,
      fileExtensions: ['jpg'],
      retention: { 'exports/': 90 },
      logging: true,
      inventory: 'Daily',
    },
    { bucket },
  )
  beforeAll(async () => {
    gateway = await startRadosgw()
    const { endpoint } = gateway
    client = await openControlClient({
      endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: () => gateway.credentials,
    })
  })
  afterAll(async () => {
    client?.close()
    await gateway?.stop()
  })

  it('is made and set up as far as Ceph goes, and then there is nothing to change', async () => {
    const steps = await applyPlan(await planBucket(desired, clientOf), clientOf)
    expect(steps.filter(({ outcome }) => outcome === 'failed' || outcome === 'not done')).toEqual([])
    const again = await planBucket(desired, clientOf)
    expect(hasChanges(again)).toBe(false)
    expect(statuses(again)).toMatchObject({
      publicAccessBlock: 'same',
      ownership: 'not offered',
      encryption: 'not offered',
      versioning: 'same',
      policy: 'same',
      lifecycle: 'same',
      cors: 'same',
      logging: 'not offered',
      inventory: 'not offered',
      replication: 'not asked',
    })
    // What versions cost there, which the doctor finds too (probe.put-once).
    const versioning = again.buckets.at(-1)?.parts.find(({ part }) => part === 'versioning')?.decision
    expect(versioning).toMatchObject({ status: 'same', notes: [expect.stringContaining('If-None-Match')] })
  })

  it('still takes what Keepsake writes, and obeys the rules that it was given', async () => {
    const { s3, sdk } = client
    const put = (Key: string) => s3.send(new sdk.PutObjectCommand({ Bucket: bucket, Key, Body: 'x' }))
    await put('ai-generated/a.jpg')
    await put('temp/anything')
    await expect(put('ai-generated/a.exe')).rejects.toMatchObject({ name: 'AccessDenied' })
    const encrypted = (Bucket: string, more: object) =>
      s3.send(new sdk.PutObjectCommand({ Bucket, Key: 'ai-generated/b.jpg', Body: 'x', ...more }))
    const another = { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'key-1' }
    await encrypted(bucket, { ServerSideEncryption: 'AES256' })
    await expect(encrypted(bucket, another)).rejects.toMatchObject({ name: 'AccessDenied' })
    await s3.send(new sdk.CreateBucketCommand({ Bucket: `${bucket}-open` }))
    await encrypted(`${bucket}-open`, another)
    const preflight = (origin: string) =>
      fetch(`${gateway.endpoint}/${bucket}/ai-generated/a.jpg`, {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'PUT', 'access-control-request-headers': 'content-type' },
      })
    expect((await preflight('https://app.example')).headers.get('access-control-allow-origin')).toBe(
      'https://app.example',
    )
    expect((await preflight('https://evil.example')).headers.get('access-control-allow-origin')).toBeNull()
  })

  it('keeps the rules of others', async () => {
    const { s3, sdk } = client
    const { Rules = [] } = await s3.send(new sdk.GetBucketLifecycleConfigurationCommand({ Bucket: bucket }))
    const theirs = { ID: 'theirs', Status: 'Enabled' as const, Filter: { Prefix: 'x/' }, Expiration: { Days: 5 } }
    await s3.send(
      new sdk.PutBucketLifecycleConfigurationCommand({
        Bucket: bucket,
        LifecycleConfiguration: { Rules: [theirs, ...Rules.filter(({ ID }) => ID !== 'keepsake-temp')] },
      }),
    )
    const changed = await planBucket(desired, clientOf)
    expect(statuses(changed)).toMatchObject({ lifecycle: 'change' })
    await applyPlan(changed, clientOf)
    const live = await readBucket(client, bucket)
    const ids = live.lifecycle.status === 'set' ? live.lifecycle.value.rules.map(({ rule }) => rule.id).sort() : []
    expect(ids).toEqual([
      'keepsake-expire-exports/',
      'keepsake-noncurrent',
      'keepsake-quarantine',
      'keepsake-stale-uploads',
      'keepsake-temp',
      'theirs',
    ])
    expect(hasChanges(await planBucket(desired, clientOf))).toBe(false)
  })
})

describe('commands for awscli', { timeout: 300_000 }, () => {
  let bench: Bench
  const clientOf = async () => bench.client
  beforeAll(async () => {
    bench = await startBench()
  })
  afterAll(() => bench?.stop())

  async function shell(script: string): Promise<string> {
    const env = {
      // Debian's, whatever else is installed.
      PATH: '/usr/bin:/bin',
      HOME: bench.dir,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_EC2_METADATA_DISABLED: 'true',
    }
    const running = promisify(execFile)('/bin/sh', ['-s'], { env, timeout: 280_000 })
    running.child.stdin?.end(script)
    const { stdout } = await running.catch((error: Error & { stderr?: string }) => {
      throw new Error(`The commands failed: ${error.stderr ?? error.message}. Is awscli installed?`)
    })
    return stdout
  }

  const cases: readonly (readonly [string, DesiredBucket])[] = [
    ['next to nothing', desire({ env: 'dev' }, { bucket: 'plain' })],
    [
      'all that the embedded S3 offers',
      desire(
        {
          env: 'dev',
          origins: ['http://localhost:3000', 'https://*.app.example'],
          denyOtherEncryption: true,
          fileExtensions: ['jpg', 'mp4'],
          retention: { "exports of 'ours' $HOME/": 90 },
          logging: true,
        },
        { bucket: 'media' },
      ),
    ],
  ]

  it.each(cases)('make a bucket on which a plan finds nothing to change: %s', async (_, desired) => {
    const missing = missingFeatures({ make: 'embedded', plainHttp: true })
    const script = awsCli(desired, { missing, endpoint: bench.server.url })
    await shell(script)
    const plan = await planBucket(desired, clientOf)
    expect(plan.buckets.map(({ create }) => create)).toEqual([false])
    expect(hasChanges(plan)).toBe(false)
  })
})
