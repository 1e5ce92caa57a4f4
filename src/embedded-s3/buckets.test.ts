import { readdir, truncate } from 'node:fs/promises'
import path from 'node:path'
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteBucketCorsCommand,
  DeleteBucketPolicyCommand,
  DeleteObjectCommand,
  DeleteObjectTaggingCommand,
  DeletePublicAccessBlockCommand,
  GetBucketAclCommand,
  GetBucketCorsCommand,
  GetBucketEncryptionCommand,
  GetBucketLifecycleConfigurationCommand,
  GetBucketOwnershipControlsCommand,
  GetBucketPolicyCommand,
  GetBucketPolicyStatusCommand,
  GetBucketTaggingCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  GetPublicAccessBlockCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  type LifecycleRule,
  ListMultipartUploadsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutBucketCorsCommand,
  PutBucketEncryptionCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketOwnershipControlsCommand,
  PutBucketPolicyCommand,
  PutBucketTaggingCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  PutPublicAccessBlockCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EmbeddedS3 } from './index.ts'
import { Bench, BUCKET, failure, sdk, send } from './testing/test-kit.ts'

const bench = new Bench()
const DAY = 86_400_000
let clock = Date.UTC(2026, 0, 1, 12)
let server: EmbeddedS3
let s3: S3Client

beforeAll(async () => {
  server = await bench.start()
  s3 = sdk(server)
})
afterAll(() => bench.stop())

let buckets = 0
async function newBucket(client = s3): Promise<string> {
  buckets += 1
  const Bucket = `bucket-${buckets}`
  await client.send(new CreateBucketCommand({ Bucket }))
  return Bucket
}
const put = (Bucket: string, Key: string, more = {}) =>
  s3.send(new PutObjectCommand({ Bucket, Key, Body: 'x', ...more }))

describe('the older listings', () => {
  test('ListObjects pages by marker, over common prefixes too', async () => {
    const Bucket = await newBucket()
    for (const key of ['a', 'b/1', 'b/2', 'c/1', 'd']) await put(Bucket, key)
    const seen: string[] = []
    let Marker: string | undefined
    do {
      const page = await s3.send(new ListObjectsCommand({ Bucket, Delimiter: '/', MaxKeys: 1, Marker }))
      for (const { Key = '' } of page.Contents ?? []) seen.push(Key)
      for (const { Prefix = '' } of page.CommonPrefixes ?? []) seen.push(Prefix)
      Marker = page.NextMarker
    } while (Marker !== undefined)
    expect(seen).toEqual(['a', 'b/', 'c/', 'd'])
    const rest = await s3.send(new ListObjectsCommand({ Bucket, Marker: 'b/1' }))
    expect(rest.Contents?.map(({ Key }) => Key)).toEqual(['b/2', 'c/1', 'd'])
    expect(rest.NextMarker).toBeUndefined()
  })

  test('without versioning each object is its only version, null', async () => {
    const Bucket = await newBucket()
    await put(Bucket, 'a')
    await put(Bucket, 'b')
    const first = await s3.send(new ListObjectVersionsCommand({ Bucket, MaxKeys: 1 }))
    expect(first.Versions).toMatchObject([{ Key: 'a', VersionId: 'null', IsLatest: true }])
    const { NextKeyMarker: KeyMarker, NextVersionIdMarker: VersionIdMarker } = first
    const next = await s3.send(new ListObjectVersionsCommand({ Bucket, KeyMarker, VersionIdMarker }))
    expect(next.Versions?.map(({ Key }) => Key)).toEqual(['b'])
    expect((await s3.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBeUndefined()
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'a', VersionId: 'null' }))
    expect((await s3.send(new ListObjectsV2Command({ Bucket }))).KeyCount).toBe(1)
  })
})

describe('buckets go', () => {
  test('only empty ones, and with them the uploads under way', async () => {
    const Bucket = await newBucket()
    await put(Bucket, 'a')
    await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: 'b' }))
    expect(await failure(s3.send(new DeleteBucketCommand({ Bucket })))).toBe('409 BucketNotEmpty')
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'a' }))
    await s3.send(new DeleteBucketCommand({ Bucket }))
    expect(await failure(s3.send(new HeadBucketCommand({ Bucket })))).toBe('404 NotFound')
    expect(await failure(s3.send(new DeleteBucketCommand({ Bucket })))).toBe('404 NoSuchBucket')
    await s3.send(new CreateBucketCommand({ Bucket }))
    expect((await s3.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads).toBeUndefined()
  })

  test('an object put while its bucket is deleted is either refused or keeps the bucket', async () => {
    for (let round = 0; round < 10; round++) {
      const Bucket = await newBucket()
      const [stored, deleted] = await Promise.all([
        failure(put(Bucket, 'raced')),
        failure(s3.send(new DeleteBucketCommand({ Bucket }))),
      ])
      const outcomes = [['no error', '409 BucketNotEmpty'].join(), ['404 NoSuchBucket', 'no error'].join()]
      expect(outcomes).toContain([stored, deleted].join())
    }
  })
})

describe('tags', () => {
  test('of objects: with the put, changed, and gone with the object', async () => {
    const place = { Bucket: BUCKET, Key: 'tagged' }
    const tags = async () => (await s3.send(new GetObjectTaggingCommand(place))).TagSet
    await put(BUCKET, 'tagged', { Tagging: 'a=1&b=%C3%A4+' })
    expect(await tags()).toEqual([
      { Key: 'a', Value: '1' },
      { Key: 'b', Value: 'ä ' },
    ])
    await s3.send(new PutObjectTaggingCommand({ ...place, Tagging: { TagSet: [{ Key: 'c', Value: '' }] } }))
    expect(await tags()).toEqual([{ Key: 'c', Value: '' }])
    expect((await s3.send(new HeadObjectCommand(place))).TagCount).toBe(1)
    await put(BUCKET, 'tagged')
    expect(await tags()).toEqual([])
    await s3.send(new PutObjectTaggingCommand({ ...place, Tagging: { TagSet: [{ Key: 'd', Value: '1' }] } }))
    await s3.send(new DeleteObjectTaggingCommand(place))
    expect(await tags()).toEqual([])
    const wrong = (TagSet: { Key: string; Value: string }[]) =>
      failure(s3.send(new PutObjectTaggingCommand({ ...place, Tagging: { TagSet } })))
    expect(await wrong(Array.from({ length: 11 }, (_, i) => ({ Key: `${i}`, Value: '' })))).toBe('400 BadRequest')
    expect(await wrong([{ Key: 'k'.repeat(129), Value: '' }])).toBe('400 InvalidTag')
    expect(await wrong([1, 2].map(() => ({ Key: 'same', Value: '' })))).toBe('400 InvalidTag')
  })

  test('of buckets', async () => {
    const Bucket = await newBucket()
    expect(await failure(s3.send(new GetBucketTaggingCommand({ Bucket })))).toBe('404 NoSuchTagSet')
    const TagSet = [{ Key: 'team', Value: 'media' }]
    await s3.send(new PutBucketTaggingCommand({ Bucket, Tagging: { TagSet } }))
    expect((await s3.send(new GetBucketTaggingCommand({ Bucket }))).TagSet).toEqual(TagSet)
  })
})

describe('CORS', () => {
  test('pages of allowed origins may ask, by the first rule that fits', async () => {
    const Bucket = await newBucket()
    await put(Bucket, 'k')
    const preflight = (origin: string, method: string, asked = '') =>
      send(server, {
        method: 'OPTIONS',
        path: `/${Bucket}/k`,
        headers: {
          origin,
          'access-control-request-method': method,
          ...(asked === '' ? {} : { 'access-control-request-headers': asked }),
        },
      })
    expect(await preflight('https://a.test', 'GET')).toMatchObject({ status: 403, code: 'AccessForbidden' })
    const CORSRules = [
      {
        AllowedOrigins: ['https://*.test'],
        AllowedMethods: ['PUT', 'GET'],
        AllowedHeaders: ['x-amz-*', 'content-type'],
        ExposeHeaders: ['ETag'],
        MaxAgeSeconds: 300,
      },
      { AllowedOrigins: ['*'], AllowedMethods: ['GET'] },
    ]
    await s3.send(new PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules } }))
    expect((await s3.send(new GetBucketCorsCommand({ Bucket }))).CORSRules).toEqual(CORSRules)
    const allowed = await preflight('https://a.test', 'PUT', 'Content-Type, X-Amz-Date')
    expect(allowed.status).toBe(200)
    expect(allowed.headers).toMatchObject({
      'access-control-allow-origin': 'https://a.test',
      'access-control-allow-methods': 'PUT, GET',
      'access-control-allow-headers': 'content-type, x-amz-date',
      'access-control-expose-headers': 'ETag',
      'access-control-max-age': '300',
      'access-control-allow-credentials': 'true',
    })
    expect((await preflight('https://a.test', 'PUT', 'x-other')).status).toBe(403)
    expect((await preflight('https://else', 'PUT')).status).toBe(403)
    const anyone = await preflight('https://else', 'GET')
    expect(anyone.headers['access-control-allow-origin']).toBe('*')
    expect(anyone.headers['access-control-allow-credentials']).toBeUndefined()
    // A refusal is readable for the page as well.
    const refused = await send(server, { path: `/${Bucket}/k`, headers: { origin: 'https://a.test' } })
    expect([refused.status, refused.headers['access-control-allow-origin']]).toEqual([403, 'https://a.test'])
    const wrong = { CORSRules: [{ AllowedOrigins: ['*'], AllowedMethods: ['PATCH'] }] }
    expect(await failure(s3.send(new PutBucketCorsCommand({ Bucket, CORSConfiguration: wrong })))).toBe(
      '400 InvalidRequest',
    )
    await s3.send(new DeleteBucketCorsCommand({ Bucket }))
    expect(await failure(s3.send(new GetBucketCorsCommand({ Bucket })))).toBe('404 NoSuchCORSConfiguration')
  })
})

describe('policies', () => {
  const policy = (Bucket: string, Statement: object | object[]) =>
    s3.send(new PutBucketPolicyCommand({ Bucket, Policy: JSON.stringify({ Version: '2012-10-17', Statement }) }))
  const anonymous = async (path: string, method = 'GET') => (await send(server, { method, path })).status

  test('anybody may read what a policy opens, unless public access is blocked', async () => {
    const Bucket = await newBucket()
    await put(Bucket, 'open/k')
    await put(Bucket, 'closed')
    const read = { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: `arn:aws:s3:::${Bucket}/open/*` }
    expect(await failure(policy(Bucket, read))).toBe('403 AccessDenied')
    await s3.send(new DeletePublicAccessBlockCommand({ Bucket }))
    expect(await anonymous(`/${Bucket}/open/k`)).toBe(403)
    await policy(Bucket, read)
    expect(await anonymous(`/${Bucket}/open/k`)).toBe(200)
    expect(await anonymous(`/${Bucket}/closed`)).toBe(403)
    // Whether a key is there is for those to know who may list.
    expect(await anonymous(`/${Bucket}/open/nothing`)).toBe(403)
    expect(await anonymous(`/${Bucket}`)).toBe(403)
    expect(await anonymous(`/${Bucket}/open/k`, 'DELETE')).toBe(403)
    const PublicAccessBlockConfiguration = { RestrictPublicBuckets: true }
    await s3.send(new PutPublicAccessBlockCommand({ Bucket, PublicAccessBlockConfiguration }))
    expect(await anonymous(`/${Bucket}/open/k`)).toBe(403)
    const block = await s3.send(new GetPublicAccessBlockCommand({ Bucket }))
    expect(block.PublicAccessBlockConfiguration).toMatchObject({
      BlockPublicPolicy: false,
      RestrictPublicBuckets: true,
    })
  })

  test.each([
    [{ IpAddress: { 'aws:SourceIp': ['127.0.0.1/32', '10.0.0.0/8', '2001:db8::/32'] } }, false],
    [{ IpAddress: { 'aws:SourceIp': '126.0.0.0/7' } }, true],
    [{ IpAddress: { 'aws:SourceIp': ['127.0.0.1', '::/1'] } }, true],
    [{ IpAddressIfExists: { 'aws:SourceIp': '127.0.0.1' } }, true],
    [{ NotIpAddress: { 'aws:SourceIp': '10.0.0.1' } }, true],
    [{ Null: { 'aws:SourceIp': 'false' } }, true],
    [{ StringLike: { 'aws:Referer': 'https://a.test/*' } }, true],
  ])('allowing on %j is public: %j', async (Condition, isPublic) => {
    const Bucket = await newBucket()
    await put(Bucket, 'k')
    const Statement = { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: `arn:aws:s3:::${Bucket}/*` }
    expect(await failure(policy(Bucket, { ...Statement, Condition }))).toBe(isPublic ? '403 AccessDenied' : 'no error')
    // Public access is blocked, as it is for every new bucket; what is not public is not blocked.
    expect(await anonymous(`/${Bucket}/k`)).toBe(isPublic ? 403 : 200)
    await s3.send(new DeletePublicAccessBlockCommand({ Bucket }))
    await policy(Bucket, { ...Statement, Condition })
    const { PolicyStatus } = await s3.send(new GetBucketPolicyStatusCommand({ Bucket }))
    expect(PolicyStatus?.IsPublic).toBe(isPublic)
  })

  test('anybody may read what lies under an open prefix, unless a policy denies it', async () => {
    const open = await bench.start({ publicPrefixes: ['open/'] })
    const owner = sdk(open)
    const object = { Bucket: BUCKET, Body: 'x' }
    for (const Key of ['open/k', 'opened', 'closed']) await owner.send(new PutObjectCommand({ ...object, Key }))
    await owner.send(new CreateBucketCommand({ Bucket: 'other' }))
    await owner.send(new PutObjectCommand({ ...object, Bucket: 'other', Key: 'open/k' }))
    const anybody = async (path: string, method = 'GET') => (await send(open, { method, path })).status
    expect(await anybody(`/${BUCKET}/open/k`)).toBe(200)
    expect(await anybody(`/${BUCKET}/open/k`, 'HEAD')).toBe(200)
    for (const path of [
      `/${BUCKET}/opened`,
      `/${BUCKET}/closed`,
      `/${BUCKET}/open/nothing`,
      `/${BUCKET}`,
      '/other/open/k',
    ])
      expect(await anybody(path)).toBe(403)
    expect(await anybody(`/${BUCKET}/open/../closed`)).toBe(403)
    for (const method of ['PUT', 'DELETE']) expect(await anybody(`/${BUCKET}/open/k`, method)).toBe(403)
    for (const query of ['acl', 'tagging', 'attributes', 'uploads'])
      expect((await send(open, { path: `/${BUCKET}/open/k?${query}` })).status).toBe(403)
    expect((await send(open, { path: `/${BUCKET}/open/k?response-content-type=text/html` })).status).toBe(400)
    const Statement = {
      Effect: 'Deny',
      Principal: '*',
      Action: 's3:GetObject',
      Resource: `arn:aws:s3:::${BUCKET}/open/*`,
    }
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
    await owner.send(new PutBucketPolicyCommand({ Bucket: BUCKET, Policy }))
    expect(await anybody(`/${BUCKET}/open/k`)).toBe(403)
  })

  test('a deny holds for the owner too, who can take it back', async () => {
    const Bucket = await newBucket()
    await put(Bucket, 'k')
    const all = { Effect: 'Deny', Principal: '*', Resource: [`arn:aws:s3:::${Bucket}`, `arn:aws:s3:::${Bucket}/*`] }
    await policy(Bucket, { ...all, Action: 's3:*', Condition: { Bool: { 'aws:SecureTransport': 'false' } } })
    expect(await failure(put(Bucket, 'k'))).toBe('403 AccessDenied')
    expect(await failure(s3.send(new ListObjectsV2Command({ Bucket })))).toBe('403 AccessDenied')
    expect((await s3.send(new GetBucketPolicyCommand({ Bucket }))).Policy).toContain('SecureTransport')
    await policy(Bucket, { ...all, Action: 's3:Delete*' })
    await put(Bucket, 'k')
    expect(await failure(s3.send(new DeleteObjectCommand({ Bucket, Key: 'k' })))).toBe('403 AccessDenied')
    await s3.send(new DeleteBucketPolicyCommand({ Bucket }))
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'k' }))
    expect(await failure(s3.send(new GetBucketPolicyCommand({ Bucket })))).toBe('404 NoSuchBucketPolicy')
  })

  test('behind TLS a TLS-only bucket is open to its owner', async () => {
    const behind = sdk(await bench.start({ behindTls: true }))
    const Statement = {
      ...{ Effect: 'Deny', Principal: '*', Action: 's3:*', Resource: `arn:aws:s3:::${BUCKET}/*` },
      Condition: { Bool: { 'aws:SecureTransport': 'false' } },
    }
    await behind.send(new PutBucketPolicyCommand({ Bucket: BUCKET, Policy: JSON.stringify({ Statement }) }))
    await behind.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'k', Body: 'x' }))
  })

  test.each([
    [{ StringNotEquals: { 's3:x-amz-server-side-encryption': 'AES256' } }, {}, '403 AccessDenied'],
    [
      { StringNotEquals: { 's3:x-amz-server-side-encryption': 'AES256' } },
      { ServerSideEncryption: 'AES256' },
      'no error',
    ],
    [{ Null: { 's3:x-amz-server-side-encryption': 'true' } }, {}, '403 AccessDenied'],
    [{ IpAddress: { 'aws:SourceIp': '127.0.0.0/8' } }, {}, '403 AccessDenied'],
    [{ NotIpAddress: { 'aws:SourceIp': ['10.0.0.0/8', '127.0.0.1'] } }, {}, 'no error'],
    [{ StringLike: { 'aws:UserAgent': 'curl/*' } }, {}, 'no error'],
    [{ StringEquals: { 's3:RequestObjectTag/secret': 'yes' } }, { Tagging: 'secret=yes' }, '403 AccessDenied'],
    [{ DateGreaterThan: { 'aws:CurrentTime': '2020-01-01T00:00:00Z' } }, {}, '403 AccessDenied'],
  ])('deny on %j: put with %j', async (Condition, more, outcome) => {
    const Bucket = await newBucket()
    const Statement = { Effect: 'Deny', Principal: '*', Action: 's3:PutObject', Resource: `arn:aws:s3:::${Bucket}/*` }
    await policy(Bucket, { ...Statement, Condition })
    expect(await failure(put(Bucket, 'k', more))).toBe(outcome)
  })

  test('what is no policy, or would not be evaluated, is refused', async () => {
    const Bucket = await newBucket()
    const deny = { Effect: 'Deny', Principal: '*', Action: 's3:*', Resource: `arn:aws:s3:::${Bucket}/*` }
    const refusals: [object, string][] = [
      [{ ...deny, Effect: 'Perhaps' }, '400 MalformedPolicy'],
      [{ ...deny, Resource: 'arn:aws:s3:::other/*' }, '400 MalformedPolicy'],
      [{ ...deny, Action: 'ec2:RunInstances' }, '400 MalformedPolicy'],
      [{ ...deny, Action: ['s3:GetObject', 's3:GetObjekt'] }, '400 MalformedPolicy'],
      [{ ...deny, Action: undefined, NotAction: 's3:GetObjekt' }, '400 MalformedPolicy'],
      [{ ...deny, Action: 's3:ListBucket' }, '400 MalformedPolicy'],
      [{ ...deny, Resource: `arn:aws:s3:::${Bucket}`, Action: 's3:PutObject' }, '400 MalformedPolicy'],
      [{ ...deny, Resource: `arn:aws:s3:::${Bucket}/\${aws:username}/*` }, '501 NotImplemented'],
      [{ ...deny, Condition: { StringLike: { 'aws:Referer': `\${aws:x}` } } }, '501 NotImplemented'],
      [{ ...deny, Principal: { AWS: 'arn:aws:iam::123456789012:root' } }, '400 MalformedPolicy'],
      [{ ...deny, Condition: { IpAddress: { 'aws:SourceIp': '10.0.0.0/99' } } }, '400 MalformedPolicy'],
      [{ ...deny, Condition: { StringEquals: { 'aws:PrincipalOrgID': 'o-1' } } }, '501 NotImplemented'],
      [{ ...deny, Condition: { ArnLike: { 'aws:SourceIp': 'x' } } }, '501 NotImplemented'],
    ]
    for (const [statement, outcome] of refusals) expect(await failure(policy(Bucket, statement))).toBe(outcome)
    expect(await failure(s3.send(new PutBucketPolicyCommand({ Bucket, Policy: 'no' })))).toBe('400 MalformedPolicy')
    const both = [`arn:aws:s3:::${Bucket}`, `arn:aws:s3:::${Bucket}/*`]
    for (const statement of [
      { ...deny, Action: ['s3:ListBucket', 's3:getobject'], Resource: both },
      { ...deny, Action: 's3:List*', Resource: `arn:aws:s3:::${Bucket}*` },
      { ...deny, Action: 's3:ListBucket', Resource: undefined, NotResource: `${both[0]}/x` },
    ])
      expect(await failure(policy(Bucket, statement))).toBe('no error')
  })
})

describe('what a new bucket is', () => {
  test('blocked for the public, owned by its owner alone; encryption is declared, not pretended', async () => {
    const Bucket = await newBucket()
    const block = await s3.send(new GetPublicAccessBlockCommand({ Bucket }))
    expect(Object.values(block.PublicAccessBlockConfiguration ?? {})).toEqual([true, true, true, true])
    const owned = await s3.send(new GetBucketOwnershipControlsCommand({ Bucket }))
    expect(owned.OwnershipControls?.Rules).toEqual([{ ObjectOwnership: 'BucketOwnerEnforced' }])
    const Rules = [{ ObjectOwnership: 'ObjectWriter' as const }]
    const writers = new PutBucketOwnershipControlsCommand({ Bucket, OwnershipControls: { Rules } })
    expect(await failure(s3.send(writers))).toBe('501 NotImplemented')
    expect((await s3.send(new GetBucketAclCommand({ Bucket }))).Grants).toMatchObject([{ Permission: 'FULL_CONTROL' }])
    const encrypt = (SSEAlgorithm: 'AES256' | 'aws:kms') =>
      s3.send(
        new PutBucketEncryptionCommand({
          Bucket,
          ServerSideEncryptionConfiguration: { Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm } }] },
        }),
      )
    const get = () => s3.send(new GetBucketEncryptionCommand({ Bucket }))
    expect(await failure(get())).toBe('404 ServerSideEncryptionConfigurationNotFoundError')
    expect(await failure(encrypt('aws:kms'))).toBe('501 NotImplemented')
    await encrypt('AES256')
    expect(JSON.stringify((await get()).ServerSideEncryptionConfiguration)).toContain('"AES256"')
  })

  test('what is configured outlives a restart', async () => {
    const dir = await bench.folder()
    const before = await bench.start({ dir })
    const Tagging = { TagSet: [{ Key: 'kept', Value: 'yes' }] }
    await sdk(before).send(new PutBucketTaggingCommand({ Bucket: BUCKET, Tagging }))
    await before.close()
    const after = sdk(await bench.start({ dir }))
    expect((await after.send(new GetBucketTaggingCommand({ Bucket: BUCKET }))).TagSet).toEqual(Tagging.TagSet)
  })
})

describe('lifecycle rules run', () => {
  const timed = async () => {
    clock = Date.UTC(2026, 0, 1, 12)
    const own = await bench.start({ now: () => clock })
    const client = sdk(own)
    const rules = (...Rules: LifecycleRule[]) =>
      client.send(new PutBucketLifecycleConfigurationCommand({ Bucket: BUCKET, LifecycleConfiguration: { Rules } }))
    const write = (Key: string, more = {}) =>
      client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: 'x', ...more }))
    const keys = async () => {
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: BUCKET }))
      return Contents.map(({ Key }) => Key)
    }
    return { own, client, rules, write, keys }
  }

  test('objects go after their days, at the next midnight, by prefix and tag', async () => {
    const { own, rules, write, keys } = await timed()
    await write('old/a')
    await write('old/tagged', { Tagging: 'keep=no' })
    await write('kept')
    await write('tagged', { Tagging: 'keep=no' })
    await rules(
      { ID: 'prefix', Status: 'Enabled', Filter: { Prefix: 'old/' }, Expiration: { Days: 2 } },
      { ID: 'tag', Status: 'Enabled', Filter: { Tag: { Key: 'keep', Value: 'no' } }, Expiration: { Days: 4 } },
      { ID: 'off', Status: 'Disabled', Filter: { Prefix: '' }, Expiration: { Days: 1 } },
    )
    await own.runLifecycle()
    // Two days after noon of the first is noon of the third; the next midnight begins the fourth.
    clock = Date.UTC(2026, 0, 4) - 1
    await own.runLifecycle()
    expect(await keys()).toEqual(['kept', 'old/a', 'old/tagged', 'tagged'])
    clock += 1
    await own.runLifecycle()
    expect(await keys()).toEqual(['kept', 'tagged'])
    clock += 2 * DAY
    await own.runLifecycle()
    expect(await keys()).toEqual(['kept'])
  })

  test('a start runs them, and a damaged object holds up nothing else', async () => {
    clock = Date.UTC(2026, 0, 1, 12)
    const dir = await bench.folder()
    const now = () => clock
    const before = await bench.start({ dir, now, buckets: ['first', 'second'] })
    const client = sdk(before)
    for (const Bucket of ['first', 'second']) {
      await client.send(new PutObjectCommand({ Bucket, Key: 'large', Body: 'x'.repeat(200_000) }))
      await client.send(new PutObjectCommand({ Bucket, Key: 'small', Body: 'x' }))
      const Rules = [{ ID: 'a', Status: 'Enabled' as const, Filter: { Prefix: '' }, Expiration: { Days: 1 } }]
      await client.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration: { Rules } }))
    }
    await before.close()
    const objects = path.join(dir, 'buckets', 'first', 'objects')
    const [folder = ''] = await readdir(objects)
    const [file = ''] = await readdir(path.join(objects, folder))
    await truncate(path.join(objects, folder, file), 100_000)
    clock += 3 * DAY
    const after = sdk(await bench.start({ dir, now, buckets: [] }))
    const keys = async (Bucket: string) => (await after.send(new ListObjectsV2Command({ Bucket }))).KeyCount
    await expect.poll(() => keys('second')).toBe(0)
    expect(await keys('first')).toBe(1)
  })

  test('an object tells when it goes, by the rule that comes first', async () => {
    const { client, rules, write } = await timed()
    await write('old/tagged', { Tagging: 'keep=no' })
    await write('kept')
    await rules(
      { ID: 'by tag', Status: 'Enabled', Filter: { Tag: { Key: 'keep', Value: 'no' } }, Expiration: { Days: 4 } },
      { ID: 'by prefix', Status: 'Enabled', Filter: { Prefix: 'old/' }, Expiration: { Days: 2 } },
      { ID: 'off', Status: 'Disabled', Filter: { Prefix: '' }, Expiration: { Days: 1 } },
    )
    const expiration = 'expiry-date="Sun, 04 Jan 2026 00:00:00 GMT", rule-id="by%20prefix"'
    const old = { Bucket: BUCKET, Key: 'old/tagged' }
    expect((await client.send(new HeadObjectCommand(old))).Expiration).toBe(expiration)
    expect((await client.send(new GetObjectCommand(old))).Expiration).toBe(expiration)
    expect((await client.send(new HeadObjectCommand({ ...old, Key: 'kept' }))).Expiration).toBeUndefined()
  })

  test('a date, and sizes', async () => {
    const { own, rules, write, keys } = await timed()
    await write('small')
    await write('large', { Body: 'x'.repeat(100) })
    const Filter = { ObjectSizeGreaterThan: 10 }
    await rules({ ID: 'd', Status: 'Enabled', Filter, Expiration: { Date: new Date(Date.UTC(2026, 1, 1)) } })
    await own.runLifecycle()
    expect(await keys()).toEqual(['large', 'small'])
    clock = Date.UTC(2026, 1, 1)
    await own.runLifecycle()
    expect(await keys()).toEqual(['small'])
  })

  test('uploads that nobody finished go: by rule, and in any case after a week', async () => {
    const { own, client, rules } = await timed()
    await client.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key: 'fast/a' }))
    await client.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key: 'slow/a' }))
    const AbortIncompleteMultipartUpload = { DaysAfterInitiation: 1 }
    await rules({ ID: 'a', Status: 'Enabled', Filter: { Prefix: 'fast/' }, AbortIncompleteMultipartUpload })
    const uploads = async () => {
      return (await client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }))).Uploads?.map(({ Key }) => Key)
    }
    await own.runLifecycle()
    expect(await uploads()).toEqual(['fast/a', 'slow/a'])
    clock += 2 * DAY
    await own.runLifecycle()
    expect(await uploads()).toEqual(['slow/a'])
    clock += 6 * DAY
    await own.runLifecycle()
    expect(await uploads()).toBeUndefined()
  })

  test('what would only be stored is refused, and so is nonsense', async () => {
    const refused = async (rule: Partial<LifecycleRule>) => {
      const Rules = [{ Status: 'Enabled' as const, Filter: { Prefix: '' }, ...rule }]
      return failure(
        s3.send(new PutBucketLifecycleConfigurationCommand({ Bucket: BUCKET, LifecycleConfiguration: { Rules } })),
      )
    }
    const notDone = '501 NotImplemented'
    expect(await refused({ Transitions: [{ Days: 1, StorageClass: 'GLACIER' }] })).toBe(notDone)
    expect(await refused({ NoncurrentVersionExpiration: { NoncurrentDays: 1 } })).toBe(notDone)
    expect(await refused({ Expiration: { ExpiredObjectDeleteMarker: true } })).toBe(notDone)
    expect(await refused({ Expiration: { Days: 0 } })).toBe('400 InvalidArgument')
    expect(await refused({ Expiration: { Date: new Date(Date.UTC(2026, 0, 1, 1)) } })).toBe('400 InvalidArgument')
    expect(await refused({ ID: 'x'.repeat(256), Expiration: { Days: 1 } })).toBe('400 InvalidArgument')
    expect(await refused({})).toBe('400 InvalidRequest')
    const none = new GetBucketLifecycleConfigurationCommand({ Bucket: BUCKET })
    expect(await failure(s3.send(none))).toBe('404 NoSuchLifecycleConfiguration')
    expect(await refused({ Expiration: { Days: 3 } })).toBe('no error')
    expect((await s3.send(none)).Rules).toMatchObject([{ ID: expect.any(String), Expiration: { Days: 3 } }])
  })

  test('may say which objects are too small to be moved: the default, as none is', async () => {
    const put = (size: 'all_storage_classes_128K' | 'varies_by_storage_class') =>
      s3.send(
        new PutBucketLifecycleConfigurationCommand({
          Bucket: BUCKET,
          LifecycleConfiguration: { Rules: [{ Status: 'Enabled', Filter: { Prefix: 'a/' }, Expiration: { Days: 3 } }] },
          TransitionDefaultMinimumObjectSize: size,
        }),
      )
    const said = { TransitionDefaultMinimumObjectSize: 'all_storage_classes_128K' }
    expect(await put('all_storage_classes_128K')).toMatchObject(said)
    expect(await s3.send(new GetBucketLifecycleConfigurationCommand({ Bucket: BUCKET }))).toMatchObject(said)
    expect(await failure(put('varies_by_storage_class'))).toBe('501 NotImplemented')
  })
})
