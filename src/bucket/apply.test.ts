import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { applyPlan } from './apply.ts'
import { openControlClient } from './control-client.ts'
import type { DesiredBucket } from './desired/desired-bucket.ts'
import { hasChanges, openQuestions, type Plan, planBucket, planJson, unmetParts } from './plan.ts'
import { desiredOf, parseSavedPlan, requireUnchanged, savedPlanText } from './saved-plan.ts'
import {
  type Bench,
  credentials,
  desire,
  desireEverything,
  replica,
  type SettingsServer,
  startBench,
  startSettingsServer,
} from './testing/index.ts'

const role = 'arn:aws:iam::123456789012:role/copies'
const all = () => desireEverything({ replication: { ...replica, role } })
const looks = [0, 0, 0, 0]

function statuses({ buckets }: Plan): Record<string, string> {
  return Object.fromEntries(
    buckets.flatMap(({ spec, parts }) => parts.map(({ part, decision }) => [`${spec.role}.${part}`, decision.status])),
  )
}

describe('a store that has every setting', () => {
  let aws: SettingsServer
  const plan = (desired: DesiredBucket, adopt = false) => planBucket(desired, async () => aws.client, { adopt })
  const apply = (made: Plan) => applyPlan(made, async () => aws.client, { looks })
  beforeEach(async () => {
    aws = await startSettingsServer()
  })
  afterEach(() => aws.close())

  it('is set up from nothing, targets first, and then there is nothing to change', async () => {
    const steps = await apply(await plan(all()))
    expect(steps.every(({ outcome }) => outcome === 'done')).toBe(true)
    expect([...aws.buckets.keys()]).toEqual([
      'echoes-audio-prod-123456789012-logs',
      'echoes-audio-prod-123456789012-replica',
      'echoes-audio-prod-123456789012',
    ])
    const again = await plan(all())
    expect(hasChanges(again)).toBe(false)
    expect(openQuestions(again)).toEqual([])
    expect(new Set(Object.values(statuses(again)))).toEqual(new Set(['same', 'not asked']))
    expect(await apply(again)).toEqual([])
  })

  it('gets what protects it before anything else, and the size that may be moved with every rule', async () => {
    const steps = await apply(await plan(all()))
    const media = steps.filter(({ bucket }) => bucket === all().name).map(({ step }) => step)
    expect(media).toEqual([
      ...['create', 'publicAccessBlock', 'ownership', 'encryption', 'versioning', 'policy', 'lifecycle', 'cors'],
      ...['logging', 'inventory', 'replication'],
    ])
    for (const bucket of aws.buckets.keys()) {
      const size = aws.documents.get(`${bucket}?x-amz-transition-default-minimum-object-size`)
      expect(size).toBe('all_storage_classes_128K')
    }
  })

  it('is only read by a plan', async () => {
    await plan(all())
    expect(aws.requests.filter((line) => !/^(GET|HEAD) /.test(line))).toEqual([])
  })

  it('is never deleted from', async () => {
    await apply(await plan(all()))
    await apply(await plan(desire({ env: 'dev' }, { bucket: all().name })))
    expect(aws.requests.filter((line) => line.startsWith('DELETE'))).toEqual([])
  })

  it('shows each change alone, and undoes what somebody changed by hand', async () => {
    await apply(await plan(all()))
    const name = all().name
    for (const [part, document] of [
      ['versioning', '<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>'],
      [
        'publicAccessBlock',
        '<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>',
      ],
      [
        'ownershipControls',
        '<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>',
      ],
    ]) {
      aws.documents.set(`${name}?${part}`, document ?? '')
      const changed = await plan(all())
      expect(Object.values(statuses(changed)).filter((status) => status === 'change')).toHaveLength(1)
      expect(await apply(changed)).toMatchObject([{ outcome: 'done' }])
      expect(hasChanges(await plan(all()))).toBe(false)
    }
  })

  it('keeps the logging, encryption and role of others until they are taken over', async () => {
    const name = all().name
    const { s3, sdk } = aws.client
    await s3.send(new sdk.CreateBucketCommand({ Bucket: name }))
    await s3.send(
      new sdk.PutBucketLoggingCommand({
        Bucket: name,
        BucketLoggingStatus: { LoggingEnabled: { TargetBucket: 'company-logs', TargetPrefix: 'x/' } },
      }),
    )
    await s3.send(
      new sdk.PutBucketReplicationCommand({
        Bucket: name,
        ReplicationConfiguration: {
          Role: 'arn:aws:iam::123456789012:role/others',
          Rules: [
            {
              ID: 'theirs',
              Priority: 4,
              Status: 'Enabled',
              Filter: { Prefix: 'a/' },
              DeleteMarkerReplication: { Status: 'Disabled' },
              Destination: { Bucket: 'arn:aws:s3:::elsewhere' },
            },
          ],
        },
      }),
    )
    await s3.send(
      new sdk.PutBucketEncryptionCommand({
        Bucket: name,
        ServerSideEncryptionConfiguration: {
          Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms' }, BucketKeyEnabled: true }],
        },
      }),
    )
    const desired = desire({ env: 'prod', logging: true, replication: { region: 'eu-west-1', role } }, { bucket: name })
    const kept = statuses(await plan(desired))
    expect(kept).toMatchObject({ 'media.logging': 'kept', 'media.replication': 'kept', 'media.encryption': 'kept' })
    // Encryption by a key is more than was asked.
    expect(unmetParts(await plan(desired)).map(({ part }) => part)).toEqual(['logging', 'replication'])
    await apply(await plan(desired))
    expect(aws.documents.get(`${name}?logging`)).toContain('company-logs')
    await apply(await plan(desired, true))
    expect(aws.documents.get(`${name}?logging`)).toContain(`${name}-logs`)
    expect(aws.documents.get(`${name}?replication`)).toMatch(/theirs.*keepsake-replica.*<Priority>5</s)
    expect(aws.documents.get(`${name}?encryption`)).toContain('AES256')
    expect(hasChanges(await plan(desired, true))).toBe(false)
    expect(unmetParts(await plan(desired, true))).toEqual([])
  })

  it('waits for what does not show at once, and for changes of others to end', async () => {
    aws.staleReads = 2
    let busy = 2
    aws.refuse = (line) => {
      if (!line.startsWith('PUT') || !line.endsWith('?cors') || busy === 0) return undefined
      busy -= 1
      return { status: 409, code: 'OperationAborted' }
    }
    const steps = await apply(await plan(desire({ origins: ['https://a.example'] }, { bucket: 'media' })))
    expect(steps.filter(({ outcome }) => outcome !== 'done')).toEqual([])
    expect(busy).toBe(0)
  })

  it('is not said to be done where it never shows', async () => {
    aws.staleReads = 100
    const steps = await apply(await plan(desire({}, { bucket: 'media' })))
    expect(steps.map(({ step, outcome }) => [step, outcome]).slice(0, 3)).toEqual([
      ['create', 'done'],
      ['publicAccessBlock', 'failed'],
      ['ownership', 'not done'],
    ])
    expect(steps[1]?.why).toContain('does not show it')
  })

  it('tells after a failure what was done and what not, and goes on from there', async () => {
    aws.refuse = (line) => (line === 'PUT media?policy' ? { status: 403, code: 'AccessDenied' } : undefined)
    const desired = desire({ origins: ['https://a.example'] }, { bucket: 'media' })
    const steps = await apply(await plan(desired))
    expect(steps.map(({ step, outcome }) => `${step} ${outcome}`)).toEqual([
      ...['create done', 'publicAccessBlock done', 'ownership done', 'encryption done', 'versioning done'],
      ...['policy failed', 'lifecycle not done', 'cors not done'],
    ])
    expect(steps[5]).toMatchObject({ code: 'AccessDenied', status: 403 })
    aws.refuse = () => undefined
    const rest = await apply(await plan(desired))
    expect(rest.map(({ step, outcome }) => `${step} ${outcome}`)).toEqual([
      'policy done',
      'lifecycle done',
      'cors done',
    ])
  })

  it('is not taken for unset where it may not be read', async () => {
    await apply(await plan(desire({}, { bucket: 'media' })))
    aws.refuse = (line) => (line === 'GET media?policy' ? { status: 403, code: 'AccessDenied' } : undefined)
    const blind = await plan(desire({}, { bucket: 'media' }))
    expect(openQuestions(blind)).toMatchObject([
      { part: 'policy', code: 'AccessDenied', why: expect.stringContaining('s3:GetBucketPolicy') },
    ])
    expect(await apply(blind)).toEqual([])
  })

  it('of somebody else, in another region or away is told as such', async () => {
    aws.refuse = () => ({ status: 403, code: 'AccessDenied' })
    await expect(plan(desire({}, { bucket: 'media' }))).rejects.toMatchObject({ code: 'store_denied' })
    aws.refuse = () => undefined
    aws.buckets.set('media', '')
    await expect(plan(desire({}, { bucket: 'media', region: 'eu-west-1' }))).rejects.toMatchObject({
      code: 'invalid_setting',
      message: expect.stringContaining('AWS_REGION=us-east-1'),
    })
  })

  it('copies only as a role', async () => {
    const made = await plan(desireEverything())
    expect(openQuestions(made)).toMatchObject([
      { part: 'replication', code: null, why: expect.stringContaining('bucket.replication.role') },
    ])
    expect(unmetParts(made)).toMatchObject([{ part: 'replication' }])
  })
})

describe('the embedded S3', () => {
  let bench: Bench
  const desired = desire(
    { env: 'dev', origins: ['http://localhost:3000'], denyOtherEncryption: true },
    { bucket: 'media' },
  )
  const plan = (adopt = false, wanted = desired) => planBucket(wanted, async () => bench.client, { adopt })
  const apply = (made: Plan) => applyPlan(made, async () => bench.client, { looks })
  beforeEach(async () => {
    bench = await startBench()
  })
  afterEach(() => bench.stop())

  it('is made, set up, read back, and then there is nothing to change', async () => {
    const steps = await apply(await plan())
    expect(steps.map(({ step, outcome }) => `${step} ${outcome}`)).toEqual([
      ...['create done', 'publicAccessBlock done', 'ownership done', 'encryption done', 'policy done'],
      ...['lifecycle done', 'cors done'],
    ])
    expect(hasChanges(await plan())).toBe(false)
  })

  it('is told what it does not offer, and the rest is done', async () => {
    const wanted = desire(
      {
        env: 'prod',
        logging: true,
        inventory: 'Daily',
        replication: { region: 'eu-west-1', role },
        transitions: [{ prefix: '', days: 30, storageClass: 'STANDARD_IA' }],
      },
      { bucket: 'media' },
    )
    const made = await plan(false, wanted)
    expect(made.buckets.map(({ spec }) => spec.name)).toEqual(['media'])
    expect(statuses(made)).toMatchObject({
      'media.versioning': 'not offered',
      'media.logging': 'not offered',
      'media.inventory': 'not offered',
      'media.replication': 'not offered',
    })
    expect(JSON.stringify(planJson(made))).toContain('KeepsakeDenyPlainHttp is not offered')
    await apply(made)
    expect(hasChanges(await plan(false, wanted))).toBe(false)
  })

  it('still serves Keepsake afterwards, and refuses another encryption', async () => {
    await apply(await plan())
    const { s3, sdk } = bench.client
    const put = (more: object) => s3.send(new sdk.PutObjectCommand({ Bucket: 'media', Key: 'key', Body: 'x', ...more }))
    await put({})
    await put({ ServerSideEncryption: 'AES256' })
    await expect(put({ ServerSideEncryption: 'aws:kms' })).rejects.toMatchObject({ name: 'AccessDenied' })
  })

  it('refuses another ending of keys, but for what Keepsake keeps for itself', async () => {
    await apply(await plan(false, desire({ env: 'dev', fileExtensions: ['jpg', '.MP4'] }, { bucket: 'media' })))
    const { s3, sdk } = bench.client
    const put = (Key: string) => s3.send(new sdk.PutObjectCommand({ Bucket: 'media', Key, Body: 'x' }))
    for (const key of ['a/b.jpg', 'b.mp4', 'temp/anything', 'quarantine/a.exe', '.keepsake/marker']) await put(key)
    for (const key of ['a/b.exe', 'jpg', 'a.jpg.html', 'temporary']) {
      await expect(put(key), key).rejects.toMatchObject({ name: 'AccessDenied' })
    }
  })

  describe('with rules of others', () => {
    const foreignStatement = {
      Sid: 'Team',
      Effect: 'Deny',
      Principal: { AWS: '*' },
      Action: 's3:PutObject',
      Resource: 'arn:aws:s3:::media/frozen/*',
    }
    beforeEach(async () => {
      const { s3, sdk } = bench.client
      const Bucket = 'media'
      await s3.send(new sdk.CreateBucketCommand({ Bucket }))
      await s3.send(
        new sdk.PutBucketPolicyCommand({
          Bucket,
          Policy: JSON.stringify({ Version: '2012-10-17', Id: 'theirs', Statement: foreignStatement }),
        }),
      )
      await s3.send(
        new sdk.PutBucketCorsCommand({
          Bucket,
          CORSConfiguration: {
            CORSRules: [
              { ID: 'wide', AllowedMethods: ['GET'], AllowedOrigins: ['*'] },
              { ID: 'theirs', AllowedMethods: ['GET'], AllowedOrigins: ['https://team.example'] },
            ],
          },
        }),
      )
      await s3.send(
        new sdk.PutBucketLifecycleConfigurationCommand({
          Bucket,
          LifecycleConfiguration: {
            Rules: [
              { ID: 'Delete old temp files', Status: 'Enabled', Filter: { Prefix: 'temp/' }, Expiration: { Days: 3 } },
              {
                ID: 'theirs',
                Status: 'Enabled',
                Filter: { And: { Prefix: 'x/', Tags: [{ Key: 'k', Value: 'v' }] } },
                Expiration: { Days: 5 },
              },
            ],
          },
        }),
      )
    })

    it('keeps them beside its own', async () => {
      await apply(await plan())
      expect(hasChanges(await plan())).toBe(false)
      const [media] = (await plan()).buckets
      const ids = (part: 'cors' | 'lifecycle') => {
        const reading = media?.live[part]
        if (reading?.status !== 'set') return undefined
        const rules = 'rules' in reading.value ? reading.value.rules : reading.value
        return rules.map(({ rule }) => rule.id)
      }
      expect(ids('cors')).toEqual(['keepsake-browser', 'wide', 'theirs'])
      expect(ids('lifecycle')).toEqual([
        'Delete old temp files',
        'theirs',
        'keepsake-temp',
        'keepsake-quarantine',
        'keepsake-stale-uploads',
      ])
      expect(media?.live.policy).toMatchObject({
        value: {
          id: 'theirs',
          statements: [
            { raw: foreignStatement },
            { statement: { Sid: 'KeepsakeDenyOtherEncryption' } },
            { statement: { Sid: 'KeepsakeDenyWritersKeys' } },
          ],
        },
      })
    })

    it('takes over, when it is to, what says the same or stands against its own, and no more', async () => {
      await apply(await plan(true))
      expect(hasChanges(await plan(true))).toBe(false)
      const { s3, sdk } = bench.client
      const cors = await s3.send(new sdk.GetBucketCorsCommand({ Bucket: 'media' }))
      expect(cors.CORSRules?.map(({ ID }) => ID)).toEqual(['keepsake-browser', 'theirs'])
      const lifecycle = await s3.send(new sdk.GetBucketLifecycleConfigurationCommand({ Bucket: 'media' }))
      expect(lifecycle.Rules?.map(({ ID }) => ID)).toEqual([
        'theirs',
        'keepsake-temp',
        'keepsake-quarantine',
        'keepsake-stale-uploads',
      ])
    })

    it('drops rules of its own that are asked for no more, and never the last one', async () => {
      await apply(await plan())
      const bare = desire({ env: 'dev' }, { bucket: 'media' })
      const made = await plan(false, bare)
      expect(statuses(made)).toMatchObject({ 'media.policy': 'change', 'media.cors': 'change' })
      await apply(made)
      expect(hasChanges(await plan(false, bare))).toBe(false)
      expect((await plan(false, bare)).buckets[0]?.live.policy).toMatchObject({
        value: { statements: [{ raw: foreignStatement }] },
      })
    })
  })

  it('leaves a policy that opens the bucket to all, and says why, until it is taken over', async () => {
    bench.client.close()
    await bench.stop()
    bench = await startBench({ buckets: ['media'], blockPublicAccess: false })
    const { s3, sdk } = bench.client
    // As two of the teams had it.
    const open = {
      Sid: 'PublicReadGetObject',
      Effect: 'Allow',
      Principal: '*',
      Action: 's3:GetObject',
      Resource: 'arn:aws:s3:::media/*',
    }
    await s3.send(
      new sdk.PutBucketPolicyCommand({
        Bucket: 'media',
        Policy: JSON.stringify({ Version: '2012-10-17', Statement: [open] }),
      }),
    )
    const made = await plan()
    expect(statuses(made)).toMatchObject({ 'media.policy': 'kept' })
    expect(unmetParts(made)).toMatchObject([
      { part: 'policy', why: expect.stringContaining("'PublicReadGetObject' lets") },
    ])
    await apply(made)
    const steps = await apply(await plan(true))
    expect(steps).toMatchObject([{ step: 'policy', outcome: 'done' }])
    const { PolicyStatus } = await s3.send(new sdk.GetBucketPolicyStatusCommand({ Bucket: 'media' }))
    expect(PolicyStatus?.IsPublic).toBe(false)
  })

  it('does not apply a saved plan once something changed', async () => {
    const settings = { env: 'dev' as const, origins: ['http://localhost:3000'] }
    const context = { embedded: false, bucket: 'media', region: 'us-east-1', account: undefined }
    const wanted = desire(settings, context)
    const { fingerprint } = await plan(false, wanted)
    const text = savedPlanText({
      createdAt: new Date().toISOString(),
      endpoint: null,
      adopt: false,
      fingerprint,
      settings,
      context,
    })
    const saved = parseSavedPlan(text, 'plan.json')
    expect(desiredOf(saved)).toEqual(wanted)
    requireUnchanged(saved, await plan(false, wanted))
    const { s3, sdk } = bench.client
    await s3.send(new sdk.CreateBucketCommand({ Bucket: 'media' }))
    const changed = await plan(false, wanted)
    expect(() => requireUnchanged(saved, changed)).toThrow('not as it was when the plan was saved')
    expect(() => parseSavedPlan('{"format":"another"}', 'plan.json')).toThrow('plan.json is no plan')
    expect(() => parseSavedPlan('no', 'plan.json')).toThrow('not JSON')
  })
})

it('a bucket is made where the settings say', async () => {
  const aws = await startSettingsServer()
  const client = await openControlClient({
    endpoint: aws.url,
    region: 'eu-central-1',
    forcePathStyle: true,
    credentials: () => credentials,
  })
  const desired = desire({}, { bucket: 'media', region: 'eu-central-1' })
  await applyPlan(await planBucket(desired, async () => client), async () => client, { looks })
  expect(aws.buckets.get('media')).toContain('<LocationConstraint>eu-central-1</LocationConstraint>')
  client.close()
  aws.close()
})
