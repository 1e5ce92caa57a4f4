/**
 * Each control passes on a bucket that is as it should be, fails where the one thing is broken that it is about, and
 * never passes on what could not be read.
 */
import {
  CreateBucketCommand,
  DeletePublicAccessBlockCommand,
  PutBucketCorsCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketPolicyCommand,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type LifecycleRule,
  type LiveBucket,
  type Policy,
  parsePolicy,
  type Reading,
  readBucket,
} from '../../bucket/index.ts'
import { type Bench, startBench } from '../../bucket/testing/index.ts'
import { type ControlId, controls, type Facts, judgeControl } from './index.ts'

const set = <T>(value: T): Reading<T> => ({ status: 'set', value })
const absent = { status: 'absent' } as const
const block = { blockPublicAcls: true, ignorePublicAcls: true, blockPublicPolicy: true, restrictPublicBuckets: true }

const arn = 'arn:aws:s3:::media'
const both = [arn, `${arn}/*`]
const noTls = {
  Effect: 'Deny',
  Principal: '*',
  Action: 's3:*',
  Resource: both,
  Condition: { Bool: { 'aws:SecureTransport': 'false' } },
}
const oldTls = { ...noTls, Condition: { NumericLessThan: { 's3:TlsVersion': '1.2' } } }
const open = { Sid: 'Open', Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: `${arn}/*` }
const policy = (...statements: object[]): Reading<Policy> => set(parsePolicy(JSON.stringify({ Statement: statements })))

const plainRule: LifecycleRule = {
  id: 'rule',
  enabled: true,
  prefix: '',
  tags: {},
  sizeGreaterThan: null,
  sizeLessThan: null,
  expirationDays: null,
  expirationDate: null,
  expireDeleteMarkers: false,
  abortUploadDays: null,
  noncurrentDays: null,
  noncurrentKept: null,
  transitions: [],
  noncurrentTransitions: [],
}
const temp = { ...plainRule, id: 'temp', prefix: 'temp/', expirationDays: 7 }
const stale = { ...plainRule, id: 'stale', abortUploadDays: 7 }
const noncurrent = { ...plainRule, id: 'noncurrent', noncurrentDays: 30 }
const lifecycle = (...rules: LifecycleRule[]): LiveBucket['lifecycle'] =>
  set({ rules: rules.map((rule) => ({ rule, raw: { Status: 'Enabled' } })), transitionDefaultMinimumObjectSize: null })
const cors = (...origins: string[]): LiveBucket['cors'] =>
  set([
    {
      rule: { id: '', origins, methods: ['PUT'], headers: [], exposed: ['etag'], maxAgeSeconds: null },
      raw: { AllowedMethods: ['PUT'], AllowedOrigins: origins },
    },
  ])

/** A bucket on AWS that has all that there is. */
const live: LiveBucket = {
  bucket: 'media',
  store: { make: 'aws', plainHttp: false },
  existence: { status: 'exists', region: 'eu-west-3' },
  publicAccessBlock: set(block),
  ownership: set('BucketOwnerEnforced'),
  encryption: set({
    algorithm: 'aws:kms',
    kmsKey: 'arn:aws:kms:eu-west-3:111122223333:key/k',
    bucketKey: true,
    blocked: [],
  }),
  versioning: set({ status: 'Enabled', mfaDelete: false }),
  policy: policy(noTls, oldTls),
  policyStatus: set({ isPublic: false }),
  cors: cors('https://app.example'),
  lifecycle: lifecycle(temp, stale, noncurrent),
  logging: set({ bucket: 'media-logs', prefix: 'media/', partitionedBy: null }),
  inventory: absent,
  replication: set({ Role: 'r', Rules: [{ Status: 'Enabled', Destination: { Bucket: 'arn:aws:s3:::media-copy' } }] }),
  acl: set({ owner: 'me', grants: [{ Grantee: { Type: 'CanonicalUser', ID: 'me' }, Permission: 'FULL_CONTROL' }] }),
  notifications: set({ EventBridgeConfiguration: {} }),
  objectLock: set({ mode: null, days: null, years: null }),
  tags: absent,
}
const good: Facts = {
  live,
  accountBlock: set(block),
  account: '111122223333',
  transport: 'tls',
}

type Change = Partial<Omit<Facts, 'live'>> & { readonly live?: Partial<LiveBucket> }
const changed = (change: Change): Facts => ({ ...good, ...change, live: { ...live, ...change.live } })
/** Nothing stands between a bucket and everybody but its policy and its ACL. */
const bare = { publicAccessBlock: absent, ownership: set('ObjectWriter') }
const grant = (URI: string, Permission: 'READ' | 'WRITE') =>
  set({ owner: 'me', grants: [{ Grantee: { Type: 'Group', URI }, Permission }] } as const)
const everybody = 'http://acs.amazonaws.com/groups/global/AllUsers'
const anyAccount = 'http://acs.amazonaws.com/groups/global/AuthenticatedUsers'

/** What breaks each of them, and what it then says. */
const broken: readonly [ControlId, Change, RegExp][] = [
  ['S3.1', { accountBlock: set({ ...block, blockPublicPolicy: false }) }, /^Off: blockPublicPolicy\.$/],
  ['S3.1', { accountBlock: absent }, /^Nothing is set/],
  [
    'S3.2',
    { accountBlock: absent, live: { ...bare, policy: policy(open) } },
    /^The policy lets everybody read: Open\.$/,
  ],
  [
    'S3.2',
    { accountBlock: absent, live: { ...bare, acl: grant(everybody, 'READ') } },
    /^The ACL lets everybody read: READ\.$/,
  ],
  ['S3.2', { accountBlock: absent, live: { ...bare, acl: grant(anyAccount, 'READ') } }, /^The ACL lets/],
  ['S3.2', { accountBlock: absent, live: { ...bare, policyStatus: set({ isPublic: true }) } }, /^S3 itself takes/],
  [
    'S3.3',
    { accountBlock: absent, live: { ...bare, policy: policy({ ...open, Action: 's3:*' }) } },
    /everybody write: Open/,
  ],
  [
    'S3.3',
    { accountBlock: absent, live: { ...bare, acl: grant(everybody, 'WRITE') } },
    /^The ACL lets everybody write/,
  ],
  ['S3.5', { live: { policy: absent } }, /^The bucket has no policy\.$/],
  ['S3.5', { live: { policy: policy(open) } }, /^No statement denies/],
  ['S3.5', { live: { policy: policy({ ...noTls, Resource: `${arn}/*` }) } }, /^Only its objects/],
  ['S3.5', { transport: 'plain', live: { policy: absent } }, /^The bucket has no policy\.$/],
  [
    'S3.6',
    { live: { policy: policy({ ...open, Principal: { AWS: '999988887777' }, Action: 's3:*' }) } },
    /to 999988887777/,
  ],
  ['S3.7', { live: { replication: absent } }, /^There is no replication/],
  [
    'S3.7',
    {
      live: {
        replication: set({ Role: 'r', Rules: [{ Status: 'Disabled', Destination: { Bucket: 'arn:aws:s3:::x' } }] }),
      },
    },
    /^No replication rule/,
  ],
  [
    'S3.7',
    { live: { replication: set({ Role: 'r', Rules: [{ Status: 'Enabled', Destination: { Bucket: arn } }] }) } },
    /^No replication rule/,
  ],
  ['S3.8', { live: { publicAccessBlock: absent } }, /^Nothing is set/],
  [
    'S3.8',
    { live: { publicAccessBlock: set({ ...block, restrictPublicBuckets: false }) } },
    /^Off: restrictPublicBuckets\.$/,
  ],
  ['S3.9', { live: { logging: absent } }, /^Logging is off/],
  ['S3.9', { live: { logging: set({ bucket: 'media', prefix: '', partitionedBy: null }) } }, /^It logs to itself/],
  ['S3.10', { live: { lifecycle: absent } }, /^There are no lifecycle rules/],
  ['S3.10', { live: { lifecycle: lifecycle({ ...temp, enabled: false }) } }, /^None of 1 rules is on/],
  ['S3.11', { live: { notifications: absent } }, /^Nothing is told/],
  [
    'S3.12',
    { live: { ownership: set('ObjectWriter'), acl: grant(anyAccount, 'READ') } },
    /^The ACL gives READ to http/,
  ],
  ['S3.13', { live: { lifecycle: absent } }, /^There are no lifecycle rules/],
  ['S3.14', { live: { versioning: absent } }, /never switched on/],
  ['S3.14', { live: { versioning: set({ status: 'Suspended', mfaDelete: false }) } }, /is suspended/],
  ['S3.15', { live: { objectLock: absent } }, /is off/],
  [
    'S3.17',
    { live: { encryption: set({ algorithm: 'AES256', kmsKey: null, bucketKey: false, blocked: [] }) } },
    /AES256/,
  ],
  ['S3.17', { live: { encryption: absent } }, /^No default encryption/],
  ['bucket.tls-version', { live: { policy: policy(noTls) } }, /^No statement denies/],
  ['bucket.temporary', { live: { lifecycle: absent } }, /^There are no lifecycle rules/],
  ['bucket.temporary', { live: { lifecycle: lifecycle(temp) } }, /gives up unfinished uploads/],
  [
    'bucket.temporary',
    { live: { lifecycle: lifecycle({ ...temp, tags: { a: 'b' } }, stale) } },
    /no rule expires temp/,
  ],
  [
    'bucket.media-stays',
    { live: { lifecycle: lifecycle({ ...plainRule, expirationDays: 30 }) } },
    /^Rule 'rule' deletes everything/,
  ],
  [
    'bucket.media-stays',
    { live: { lifecycle: lifecycle({ ...plainRule, prefix: 'ai/', expirationDate: '2030-01-01' }) } },
    /deletes 'ai\/'/,
  ],
  [
    'bucket.media-stays',
    {
      live: { lifecycle: lifecycle({ ...plainRule, transitions: [{ storageClass: 'GLACIER', days: 1, date: null }] }) },
    },
    /moves everything to GLACIER/,
  ],
  ['bucket.deleted-versions', { live: { lifecycle: lifecycle(temp, stale) } }, /^No rule for the whole bucket/],
  ['bucket.deleted-versions', { live: { lifecycle: lifecycle({ ...noncurrent, noncurrentKept: 3 }) } }, /newest 3/],
  ['bucket.deleted-versions', { live: { lifecycle: absent } }, /^The bucket keeps versions/],
  ['bucket.cors', { live: { cors: cors('https://app.example', '*') } }, /^Allowed are .*\*/],
  ['bucket.cors', { live: { cors: cors('https://*') } }, /^Allowed are https:\/\/\*\.$/],
]

const ids = Object.keys(controls) as ControlId[]

it('every control passes on a bucket that is as it should be', () => {
  for (const id of ids) expect([id, controls[id](good)]).toEqual([id, { status: 'pass', seen: expect.any(String) }])
})

it('every control has a case below that breaks it', () => {
  expect(new Set(broken.map(([id]) => id))).toEqual(new Set(ids))
})

it.each(broken)('%s fails where it is broken: %#', (id, change, seen) => {
  const verdict = controls[id](changed(change))
  expect(verdict).toMatchObject({ status: 'fail', seen: expect.stringMatching(seen) })
})

describe('what could not be read is unknown', () => {
  const parts = Object.keys(live).filter((part) => !['bucket', 'store', 'existence'].includes(part))
  it.each(['denied', 'error'] as const)('%s', (status) => {
    const unread = { status, action: 's3:GetX', code: 'AccessDenied', message: 'Access Denied' } as const
    const facts: Facts = {
      ...good,
      accountBlock: unread,
      live: { ...live, ...Object.fromEntries(parts.map((part) => [part, unread])) },
    }
    for (const id of ids) expect([id, controls[id](facts).status]).toEqual([id, 'unknown'])
  })

  it('and what the store has not is not offered', () => {
    const none = { status: 'not offered', action: 's3:GetX', code: 'NotImplemented', message: 'no' } as const
    const facts: Facts = {
      ...good,
      accountBlock: none,
      live: { ...live, ...Object.fromEntries(parts.map((part) => [part, none])) },
    }
    for (const id of ids) expect([id, controls[id](facts).status]).toEqual([id, 'not_offered'])
  })

  it('but a block that holds is enough where the policy cannot be read, and a public policy where the block cannot', () => {
    const denied = { status: 'denied', action: 's3:GetBucketPolicy', code: 'AccessDenied', message: 'no' } as const
    expect(controls['S3.2'](changed({ live: { policy: denied } })).status).toBe('pass')
    expect(controls['S3.2'](changed({ accountBlock: absent, live: { ...bare, policy: denied } })).status).toBe(
      'unknown',
    )
    const openly = changed({ accountBlock: denied, live: { ...bare, publicAccessBlock: denied, policy: policy(open) } })
    expect(controls['S3.2'](openly).status).toBe('fail')
  })

  it('nor is a grant to an account judged where this one is not known', () => {
    const facts = changed({
      account: undefined,
      live: { policy: policy({ ...open, Principal: { AWS: '999988887777' }, Action: 's3:*' }) },
    })
    expect(controls['S3.6'](facts)).toMatchObject({ status: 'unknown' })
  })
})

it('what a store has not is not held against it', () => {
  const ceph = { live: { store: { make: 'ceph' as const, plainHttp: false }, logging: absent, replication: absent } }
  expect(judgeControl('S3.9', changed(ceph))).toEqual({
    status: 'not_offered',
    seen: 'Ceph takes it and writes no logs.',
  })
  expect(judgeControl('S3.7', changed(ceph)).status).toBe('not_offered')
  expect(judgeControl('S3.14', changed({ live: { ...ceph.live, versioning: absent } })).status).toBe('fail')
  const block3 = set({ ...block, blockPublicAcls: false })
  expect(judgeControl('S3.8', changed({ live: { ...ceph.live, publicAccessBlock: block3 } })).status).toBe('pass')
  expect(judgeControl('S3.8', changed({ live: { publicAccessBlock: block3 } })).status).toBe('fail')
})

it('what was declared to Keepsake may take media away', () => {
  const declared = { ...plainRule, id: 'keepsake-expire-drafts/', prefix: 'drafts/', expirationDays: 30 }
  expect(controls['bucket.media-stays'](changed({ live: { lifecycle: lifecycle(declared) } })).status).toBe('pass')
})

describe('an unversioned bucket', () => {
  it('needs no rules for versions', () => {
    const facts = changed({ live: { versioning: absent, lifecycle: absent } })
    expect(controls['S3.10'](facts).status).toBe('pass')
    expect(controls['bucket.deleted-versions'](facts).status).toBe('pass')
  })
})

describe('on the embedded S3, read for real', () => {
  let bench: Bench
  beforeAll(async () => {
    bench = await startBench({ buckets: ['good', 'broken'] })
    const { s3 } = bench.client
    const statements = JSON.stringify([
      { ...noTls, Condition: { ...noTls.Condition, IpAddress: { 'aws:SourceIp': '192.0.2.1' } } },
    ])
    // A denial of plain HTTP would shut this server off: it is held to a network that nobody has, and so is no such denial.
    await s3.send(
      new PutBucketPolicyCommand({
        Bucket: 'good',
        Policy: `{"Version":"2012-10-17","Statement":${statements.replaceAll(':::media', ':::good')}}`,
      }),
    )
    await s3.send(
      new PutBucketLifecycleConfigurationCommand({
        Bucket: 'good',
        LifecycleConfiguration: {
          Rules: [
            { ID: 'temp', Status: 'Enabled', Filter: { Prefix: 'temp/' }, Expiration: { Days: 7 } },
            {
              ID: 'stale',
              Status: 'Enabled',
              Filter: { Prefix: '' },
              AbortIncompleteMultipartUpload: { DaysAfterInitiation: 7 },
            },
          ],
        },
      }),
    )
    const rules = (AllowedOrigins: string[]) => ({
      CORSConfiguration: { CORSRules: [{ AllowedOrigins, AllowedMethods: ['PUT'], ExposeHeaders: ['ETag'] }] },
    })
    await s3.send(new PutBucketCorsCommand({ Bucket: 'good', ...rules(['https://app.example']) }))
    await s3.send(new DeletePublicAccessBlockCommand({ Bucket: 'broken' }))
    const Policy = JSON.stringify({
      Version: '2012-10-17',
      Statement: [{ ...open, Action: ['s3:GetObject', 's3:PutObject'], Resource: 'arn:aws:s3:::broken/*' }],
    })
    await s3.send(new PutBucketPolicyCommand({ Bucket: 'broken', Policy }))
    await s3.send(new PutBucketCorsCommand({ Bucket: 'broken', ...rules(['*']) }))
    await s3.send(new CreateBucketCommand({ Bucket: 'closed' }))
    const denied = {
      Effect: 'Deny',
      Principal: '*',
      Action: ['s3:GetBucketCORS', 's3:GetLifecycleConfiguration', 's3:GetBucketPublicAccessBlock'],
      Resource: 'arn:aws:s3:::closed',
    }
    await s3.send(
      new PutBucketPolicyCommand({
        Bucket: 'closed',
        Policy: JSON.stringify({ Version: '2012-10-17', Statement: [denied] }),
      }),
    )
  })
  afterAll(() => bench.stop())

  async function judged(bucket: string): Promise<Record<string, string>> {
    const facts: Facts = {
      live: await readBucket(bench.client, bucket),
      accountBlock: { status: 'not offered', action: '', code: '', message: '' },
      account: undefined,
      transport: 'tls',
    }
    return Object.fromEntries(ids.map((id) => [id, judgeControl(id, facts).status]))
  }

  const never = {
    'S3.1': 'not_offered',
    'S3.7': 'not_offered',
    'S3.9': 'not_offered',
    'S3.11': 'not_offered',
    'S3.14': 'not_offered',
    'S3.15': 'not_offered',
    'S3.17': 'not_offered',
  }

  it('a good bucket', async () => {
    expect(await judged('good')).toEqual({
      ...never,
      'S3.2': 'pass',
      'S3.3': 'pass',
      // The policy speaks of SecureTransport, and does not deny.
      'S3.5': 'fail',
      'S3.6': 'pass',
      'S3.8': 'pass',
      'S3.10': 'pass',
      'S3.12': 'pass',
      'S3.13': 'pass',
      'bucket.tls-version': 'not_offered',
      'bucket.temporary': 'pass',
      'bucket.media-stays': 'pass',
      'bucket.deleted-versions': 'pass',
      'bucket.cors': 'pass',
    })
  })

  it('a broken one', async () => {
    expect(await judged('broken')).toMatchObject({
      'S3.2': 'fail',
      'S3.3': 'fail',
      'S3.5': 'fail',
      'S3.8': 'fail',
      'S3.13': 'fail',
      'bucket.temporary': 'fail',
      'bucket.cors': 'fail',
    })
  })

  it('one that may not be looked at', async () => {
    expect(await judged('closed')).toMatchObject({
      'S3.8': 'unknown',
      'S3.13': 'unknown',
      'bucket.temporary': 'unknown',
      'bucket.media-stays': 'unknown',
      'bucket.cors': 'unknown',
    })
  })
})
