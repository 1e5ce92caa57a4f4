import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bucketDoctor } from '../../../test/support/bucket-doctor.ts'
import { createKeepsake } from '../../index.ts'
import { type ObjectStore, openS3Store } from '../../stores/index.ts'
import { applyPlan } from '../apply.ts'
import type { DesiredBucket } from '../desired/desired-bucket.ts'
import { readBucket } from '../live/read-bucket.ts'
import { planBucket } from '../plan.ts'
import { type Bench, credentials, desire, desireEverything, startBench, startSettingsServer } from '../testing/index.ts'
import { type Recorded, type Recorder, startRecorder } from '../testing/recorder.ts'
import { type Ask, isAllowed } from '../testing/simulator.ts'
import { type IamPolicy, type IamRole, iamPolicy, iamRoles, replicationPolicy } from './iam.ts'

/**
 * Which permission a request takes, by what is on the wire; the table of AWS, "Required permissions for Amazon S3 API
 * operations": https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
 */
const subresources: Readonly<Record<string, { read: string; write: string }>> = {
  publicAccessBlock: { read: 's3:GetBucketPublicAccessBlock', write: 's3:PutBucketPublicAccessBlock' },
  ownershipControls: { read: 's3:GetBucketOwnershipControls', write: 's3:PutBucketOwnershipControls' },
  encryption: { read: 's3:GetEncryptionConfiguration', write: 's3:PutEncryptionConfiguration' },
  versioning: { read: 's3:GetBucketVersioning', write: 's3:PutBucketVersioning' },
  policy: { read: 's3:GetBucketPolicy', write: 's3:PutBucketPolicy' },
  policyStatus: { read: 's3:GetBucketPolicyStatus', write: '' },
  cors: { read: 's3:GetBucketCORS', write: 's3:PutBucketCORS' },
  lifecycle: { read: 's3:GetLifecycleConfiguration', write: 's3:PutLifecycleConfiguration' },
  logging: { read: 's3:GetBucketLogging', write: 's3:PutBucketLogging' },
  inventory: { read: 's3:GetInventoryConfiguration', write: 's3:PutInventoryConfiguration' },
  replication: { read: 's3:GetReplicationConfiguration', write: 's3:PutReplicationConfiguration' },
  acl: { read: 's3:GetBucketAcl', write: 's3:PutBucketAcl' },
  notification: { read: 's3:GetBucketNotification', write: 's3:PutBucketNotification' },
  'object-lock': { read: 's3:GetBucketObjectLockConfiguration', write: 's3:PutBucketObjectLockConfiguration' },
  tagging: { read: 's3:GetBucketTagging', write: 's3:PutBucketTagging' },
}

function asksOf(call: Recorded, partition = 'aws'): Ask[] {
  const bucket = `arn:${partition}:s3:::${call.bucket}`
  const object = `${bucket}/${call.key}`
  const { method, query } = call
  // A browser's question before a request is nobody's, and goes by the CORS rules alone.
  if (method === 'OPTIONS') return []
  const reads = method === 'GET' || method === 'HEAD'
  if (call.key === '') {
    const sub = Object.keys(subresources).find((name) => query.has(name))
    if (sub !== undefined) {
      return [{ action: (reads ? subresources[sub]?.read : subresources[sub]?.write) ?? '', resource: bucket }]
    }
    if (query.has('uploads')) return [{ action: 's3:ListBucketMultipartUploads', resource: bucket }]
    if (query.has('delete')) {
      if (call.deletes.length === 0) throw new Error('A DeleteObjects that names nothing.')
      return call.deletes.map((key) => ({ action: 's3:DeleteObject', resource: `${bucket}/${key}` }))
    }
    if (reads) return [{ action: 's3:ListBucket', resource: bucket }]
    if (method === 'PUT') return [{ action: 's3:CreateBucket', resource: bucket }]
    throw new Error(`Say what permission ${method} ${call.bucket}?${query} takes.`)
  }
  const source =
    call.copySource === undefined
      ? []
      : [{ action: 's3:GetObject', resource: `arn:${partition}:s3:::${call.copySource}` }]
  if (query.has('uploadId') && method === 'GET') return [{ action: 's3:ListMultipartUploadParts', resource: object }]
  if (query.has('uploadId') && method === 'DELETE') return [{ action: 's3:AbortMultipartUpload', resource: object }]
  if (reads) return [{ action: 's3:GetObject', resource: object }]
  if (method === 'DELETE') return [{ action: 's3:DeleteObject', resource: object }]
  if (method === 'PUT' || method === 'POST') return [...source, { action: 's3:PutObject', resource: object }]
  throw new Error(`Say what permission ${method} ${object}?${query} takes.`)
}

function denied(policy: IamPolicy, asks: readonly Ask[]): string[] {
  return [
    ...new Set(asks.filter((ask) => !isAllowed(policy, ask)).map(({ action, resource }) => `${action} ${resource}`)),
  ]
}

/** The S3 actions of a policy that none of the calls took. */
function unused(policy: IamPolicy, asks: readonly Ask[]): string[] {
  const taken = new Set(asks.map(({ action }) => action))
  const given = policy.Statement.flatMap(({ Action = [] }) => Action)
  return given.filter((action) => action.startsWith('s3:') && !taken.has(action))
}

const partSize = 5 * 1024 ** 2
const name = 'media'
const copies = { region: 'eu-west-1', role: 'arn:aws:iam::123456789012:role/copies' }

/** Every verb of the store, as Keepsake calls it, with keys under one prefix. */
async function useStore(store: ObjectStore, prefix: string, inParts: boolean): Promise<void> {
  const put = async (key: string, body: Buffer) => {
    const sha256 = createHash('sha256').update(body).digest('hex')
    await store.put({ key: prefix + key, body, size: body.length, sha256, contentType: 'text/plain', createOnly: true })
  }
  await store.check()
  await put('small', Buffer.from('small'))
  await store.head(`${prefix}small`)
  await store.head(`${prefix}missing`)
  for await (const _ of (await store.get(`${prefix}small`, { range: { start: 0, end: 2 } })).body);
  await store.copy({ source: `${prefix}small`, key: `${prefix}copy` })
  if (inParts) {
    await put('large', randomBytes(partSize * 2 + 1))
    await store.copy({ source: `${prefix}large`, key: `${prefix}large copy` })
  }
  const signed = await fetch(store.signGet(`${prefix}small`, { expiresIn: 60 }).url)
  expect(await signed.text()).toBe('small')
  const upload = await store.createMultipart({ key: `${prefix}upload`, contentType: 'text/plain' })
  const part = store.signPart(upload, { expiresIn: 60, partNumber: 1 })
  expect((await fetch(part.url, { method: 'PUT', headers: part.headers, body: 'part' })).status).toBe(200)
  for await (const _ of store.listParts(upload));
  for await (const _ of store.listMultipart());
  await store.abortMultipart(upload)
  for await (const _ of store.list({ prefix }));
  await store.delete([`${prefix}small`])
  await store.delete(['large', 'copy', 'large copy'].map((key) => prefix + key))
}

describe('IAM policies', () => {
  let bench: Bench
  let recorder: Recorder
  /** Of each role, what it really asked of S3. */
  const asks: Record<IamRole, Ask[]> = { app: [], janitor: [], doctor: [], provisioner: [] }
  const full = (): DesiredBucket =>
    desireEverything({ app: 'x', replication: { ...copies, kmsKey: 'arn:aws:kms:eu-west-1:123456789012:key/5' } })

  beforeAll(async () => {
    bench = await startBench({ buckets: [name] })
    recorder = await startRecorder(bench.server.url)
    const record = async (work: () => Promise<void>) => {
      recorder.calls.length = 0
      await work()
      return recorder.calls.flatMap((call) => asksOf(call))
    }
    const open = () =>
      openS3Store({
        bucket: name,
        region: 'us-east-1',
        endpoint: recorder.url,
        forcePathStyle: true,
        credentials,
        multipart: { threshold: partSize, partSize, copy: { threshold: partSize, partSize } },
      })
    const store = await open()
    asks.app = await record(async () => {
      await useStore(store, 'ai-generated/', true)
      await useKeepsake(recorder.url)
    })
    asks.janitor = await record(() => useStore(store, 'quarantine/', false))
    asks.janitor.push(...(await recordJanitor(recorder, bench.server.url)))
    asks.doctor = await record(() => runDoctor(store, recorder.url))
    await store.close()

    const aws = await startSettingsServer()
    const settings = await startRecorder(aws.url)
    const { openControlClient } = await import('../control-client.ts')
    const real = await openControlClient({
      endpoint: settings.url,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: () => credentials,
    })
    const client = { ...real, endpoint: null, make: () => 'aws' as const }
    await applyPlan(await planBucket(full(), async () => client), async () => client, { looks: [0, 0] })
    await planBucket(full(), async () => client)
    asks.provisioner = settings.calls.flatMap((call) => asksOf(call))
    settings.calls.length = 0
    for (const bucket of aws.buckets.keys()) await readBucket(client, bucket)
    asks.doctor.push(...settings.calls.flatMap((call) => asksOf(call)))
    real.close()
    await settings.close()
    aws.close()
  }, 240_000)
  afterAll(async () => {
    await recorder?.close()
    await bench?.stop()
  })

  /** The same state, over the bucket that the calls were recorded on. */
  const policyOf = (role: IamRole): IamPolicy => {
    const text = JSON.stringify(iamPolicy(full(), role))
    if (role === 'provisioner') return JSON.parse(text)
    const media = JSON.stringify(iamPolicy(desire({}, { bucket: name }), role))
    const statements = [...JSON.parse(text).Statement, ...JSON.parse(media).Statement]
    return { Version: '2012-10-17', Statement: statements }
  }

  it.each(iamRoles)('%s may do what the code really asks of S3', (role) => {
    expect(asks[role].length).toBeGreaterThan(10)
    expect(denied(policyOf(role), asks[role])).toEqual([])
  })

  it.each(iamRoles)('%s may do nothing that the code never asks for', (role) => {
    // Of the account, by S3 Control, which the recorder does not see.
    const elsewhere = ['s3:GetAccountPublicAccessBlock']
    expect(unused(policyOf(role), asks[role]).filter((action) => !elsewhere.includes(action))).toEqual([])
  })

  it.each(iamRoles)('%s needs each of its actions', (role) => {
    for (const action of new Set(asks[role].map((ask) => ask.action))) {
      const without = policyOf(role).Statement.map((statement) => ({
        ...statement,
        Action: statement.Action?.filter((one) => one !== action) ?? [],
      }))
      expect(denied({ Version: '2012-10-17', Statement: without }, asks[role]), action).not.toEqual([])
    }
  })

  it('the policies of the five documents would have failed on uploads in parts', () => {
    const theirs: IamPolicy = {
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Action: ['s3:PutObject', 's3:GetObject', 's3:DeleteObject', 's3:ListBucket'],
          Resource: [`arn:aws:s3:::${name}`, `arn:aws:s3:::${name}/*`],
        },
      ],
    }
    expect(new Set(denied(theirs, asks.app).map((line) => line.split(' ')[0]))).toEqual(
      new Set(['s3:AbortMultipartUpload', 's3:ListMultipartUploadParts', 's3:ListBucketMultipartUploads']),
    )
  })

  it('nobody may delete a bucket, open one, or touch another', () => {
    for (const role of iamRoles) {
      const policy = iamPolicy(full(), role)
      const bucket = `arn:aws:s3:::${full().name}`
      const never: Ask[] = [
        { action: 's3:DeleteBucket', resource: bucket },
        { action: 's3:DeleteBucketPolicy', resource: bucket },
        { action: 's3:PutBucketAcl', resource: bucket },
        { action: 's3:PutObjectAcl', resource: `${bucket}/key` },
        { action: 's3:DeleteObjectVersion', resource: `${bucket}/key` },
        { action: 's3:GetObject', resource: 'arn:aws:s3:::another/key' },
        { action: 's3:ListAllMyBuckets', resource: '*' },
        { action: 'iam:CreateUser', resource: '*' },
      ]
      expect(never.filter((ask) => isAllowed(policy, ask))).toEqual([])
    }
    const settings: Ask = { action: 's3:PutBucketPolicy', resource: `arn:aws:s3:::${full().name}` }
    expect(iamRoles.filter((role) => isAllowed(iamPolicy(full(), role), settings))).toEqual(['provisioner'])
    const objects: Ask = { action: 's3:GetObject', resource: `arn:aws:s3:::${full().name}/key` }
    expect(iamRoles.filter((role) => isAllowed(iamPolicy(full(), role), objects))).toEqual(['app', 'janitor'])
  })

  it.each(['app', 'janitor'] as const)('holds what the %s writes to its prefixes, and Keepsake’s own', (role) => {
    const policy = iamPolicy(desire({ prefixes: ['ai-generated/'] }, { bucket: name }), role)
    const may = (key: string) => isAllowed(policy, { action: 's3:PutObject', resource: `arn:aws:s3:::${name}/${key}` })
    expect(['ai-generated/a', 'temp/a', 'quarantine/a', '.keepsake/catalogue.json'].map(may)).toEqual([
      true,
      true,
      true,
      true,
    ])
    expect(['other/a', 'ai-generated', 'a'].map(may)).toEqual([false, false, false])
  })

  it('opens the KMS key through S3 alone, and only where there is one', () => {
    const desired = full()
    const use = (action: string, via: string | undefined) =>
      isAllowed(iamPolicy(desired, 'app'), {
        action,
        resource: desired.kmsKey ?? '',
        ...(via === undefined ? {} : { context: { 'kms:viaservice': via } }),
      })
    // "kms:GenerateDataKey" for a write, "kms:Decrypt" for a read and for a write in parts (AWS, "Using SSE-KMS").
    expect(['kms:GenerateDataKey', 'kms:Decrypt'].map((action) => use(action, 's3.us-east-1.amazonaws.com'))).toEqual([
      true,
      true,
    ])
    expect([use('kms:Decrypt', 'ec2.us-east-1.amazonaws.com'), use('kms:Decrypt', undefined)]).toEqual([false, false])
    expect(JSON.stringify(iamPolicy(desire({}, { bucket: name }), 'app'))).not.toContain('kms:')
  })

  it('hands the role that copies to S3 alone', () => {
    const policy = iamPolicy(full(), 'provisioner')
    const pass = (service: string) =>
      isAllowed(policy, {
        action: 'iam:PassRole',
        resource: 'arn:aws:iam::123456789012:role/copies',
        context: { 'iam:passedtoservice': service },
      })
    expect([pass('s3.amazonaws.com'), pass('lambda.amazonaws.com')]).toEqual([true, false])
  })

  it('lets the role that copies read here and write there', () => {
    const desired = full()
    const replica = desired.replication
    if (replica === null) throw new Error('There is no replica.')
    const may = (action: string, resource: string, via?: string) =>
      isAllowed(replicationPolicy(desired, replica), {
        action,
        resource,
        context: via ? { 'kms:viaservice': via } : {},
      })
    const [from, to] = [`arn:aws:s3:::${desired.name}`, `arn:aws:s3:::${replica.bucket}`]
    expect(may('s3:GetReplicationConfiguration', from)).toBe(true)
    expect(may('s3:GetObjectVersionForReplication', `${from}/key`)).toBe(true)
    expect(may('s3:ReplicateObject', `${to}/key`)).toBe(true)
    expect(may('kms:Decrypt', desired.kmsKey ?? '', 's3.us-east-1.amazonaws.com')).toBe(true)
    expect(may('kms:Encrypt', replica.kmsKey ?? '', 's3.eu-west-1.amazonaws.com')).toBe(true)
    expect(may('s3:ReplicateObject', `${from}/key`)).toBe(false)
    expect(may('s3:GetObject', `${to}/key`)).toBe(false)
  })
})

/** All of the doctor, on a bucket with an origin to ask for. */
async function runDoctor(store: ObjectStore, endpoint: string): Promise<void> {
  const place = { bucket: name, region: 'us-east-1', endpoint, forcePathStyle: true, dualStack: false }
  const doctor = bucketDoctor({
    store,
    place: { ...place, credentials: () => credentials },
    origins: ['https://app.example'],
  })
  const { findings } = await doctor.run({ only: ['S3', 'bucket', 'probe'] })
  expect(findings.filter(({ status }) => status === 'unknown')).toEqual([])
}

/**
 * Reconciling and verifying for real, where an object is missing that lies in quarantine. Gives what that asked of S3,
 * and nothing of what made the mess.
 */
async function recordJanitor(recorder: Recorder, direct: string): Promise<Ask[]> {
  const dir = await mkdtemp(join(tmpdir(), 'keepsake-iam-'))
  const s3 = { bucket: name, credentials, provider: 'aws', forcePathStyle: true } as const
  const keepsake = await createKeepsake({ dataDir: dir, s3: { ...s3, endpoint: recorder.url } }, { env: {} })
  const others = await openS3Store({ ...s3, region: 'us-east-1', endpoint: direct, credentials: () => credentials })
  try {
    // The mark of the catalogue that used the bucket before.
    await others.delete(['.keepsake/catalogue.json'])
    const lost = await keepsake.import('generations', { source: { bytes: pixel } })
    await others.copy({ source: lost.key ?? '', key: `quarantine/${lost.key}` })
    await others.delete([lost.key ?? ''])
    await others.createMultipart({ key: 'ai-generated/nobody/unfinished', contentType: 'image/gif' })
    recorder.calls.length = 0
    const { reconcile } = keepsake
    const { scan } = await reconcile.scan({ hashes: true })
    async function* manifest() {
      for await (const line of reconcile.manifest(scan.id)) yield `${line}\n`
    }
    expect((await reconcile.apply(manifest())).outcomes).toMatchObject({ recovered: 1 })
    await keepsake.verify({ level: 'full' })
    return recorder.calls.flatMap((call) => asksOf(call))
  } finally {
    await others.close()
    await keepsake.close()
    await rm(dir, { recursive: true, force: true })
  }
}

const pixel = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64')

/** A whole life of an asset, by the real thing. */
async function useKeepsake(endpoint: string): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'keepsake-iam-'))
  const keepsake = await createKeepsake(
    { dataDir: dir, s3: { bucket: name, endpoint, credentials, provider: 'aws', forcePathStyle: true } },
    { env: {} },
  )
  const asset = await keepsake.import('generations', { source: { bytes: pixel } })
  expect(asset.state).toBe('stored')
  const { body } = await keepsake.read(asset.id)
  for await (const _ of body);
  await keepsake.check()
  await keepsake.delete(asset.id)
  await keepsake.close()
  await rm(dir, { recursive: true, force: true })
}
