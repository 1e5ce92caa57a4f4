import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listenOnLoopback } from '../../../test/support/listen.ts'
import { openControlClient } from '../control-client.ts'
import { type Bench, credentials, startBench } from '../testing/index.ts'
import { readBucket } from './read-bucket.ts'

let bench: Bench
beforeAll(async () => {
  bench = await startBench({ buckets: ['fresh', 'full', 'closed'] })
})
afterAll(() => bench.stop())

const put = (name: string, json: unknown) => JSON.stringify({ Version: '2012-10-17', Id: name, Statement: json })

describe('reading a bucket', () => {
  it('tells what is set, what is not, and what the store has not', async () => {
    const live = await readBucket(bench.client, 'fresh')
    expect(live).toMatchObject({
      bucket: 'fresh',
      existence: { status: 'exists', region: 'us-east-1' },
      publicAccessBlock: { status: 'set', value: { blockPublicAcls: true, restrictPublicBuckets: true } },
      ownership: { status: 'set', value: 'BucketOwnerEnforced' },
      encryption: { status: 'absent' },
      versioning: { status: 'absent' },
      policy: { status: 'absent' },
      cors: { status: 'absent' },
      lifecycle: { status: 'absent' },
      tags: { status: 'absent' },
      acl: { status: 'set' },
    })
    for (const part of [live.logging, live.inventory, live.replication, live.objectLock]) {
      expect(part).toMatchObject({ status: 'not offered', code: 'NotImplemented' })
    }
  })

  it('brings what was written in any form into one spelling', async () => {
    const { s3, sdk } = bench.client
    const Bucket = 'full'
    await s3.send(
      new sdk.PutBucketCorsCommand({
        Bucket,
        CORSConfiguration: {
          CORSRules: [
            {
              AllowedMethods: ['PUT', 'GET'],
              AllowedOrigins: ['https://b.example', 'https://a.example'],
              AllowedHeaders: ['X-Amz-*', 'Content-Type'],
              ExposeHeaders: ['ETag'],
            },
          ],
        },
      }),
    )
    await s3.send(
      new sdk.PutBucketLifecycleConfigurationCommand({
        Bucket,
        LifecycleConfiguration: {
          Rules: [
            { ID: 'old form', Prefix: 'a/', Status: 'Enabled', Expiration: { Days: 3 } },
            {
              ID: 'and',
              Status: 'Disabled',
              Filter: { And: { Prefix: 'b/', Tags: [{ Key: 'k', Value: 'v' }], ObjectSizeGreaterThan: 5 } },
              Expiration: { Date: new Date('2030-01-02') },
            },
          ],
        },
      }),
    )
    await s3.send(
      new sdk.PutBucketPolicyCommand({
        Bucket,
        Policy: put('full', {
          Effect: 'Deny',
          Principal: { AWS: '*' },
          Action: 's3:PutObject',
          Resource: ['arn:aws:s3:::full/b/*', 'arn:aws:s3:::full/a/*'],
          Condition: { Bool: { 'aws:SecureTransport': false } },
        }),
      }),
    )
    const live = await readBucket(bench.client, Bucket)
    expect(live.cors).toMatchObject({
      value: [
        {
          rule: {
            id: '',
            origins: ['https://a.example', 'https://b.example'],
            methods: ['GET', 'PUT'],
            headers: ['content-type', 'x-amz-*'],
            exposed: ['etag'],
            maxAgeSeconds: null,
          },
        },
      ],
    })
    expect(live.lifecycle).toMatchObject({
      value: {
        rules: [
          { rule: { id: 'old form', enabled: true, prefix: 'a/', expirationDays: 3 } },
          {
            rule: {
              id: 'and',
              enabled: false,
              prefix: 'b/',
              tags: { k: 'v' },
              sizeGreaterThan: 5,
              expirationDate: '2030-01-02',
            },
          },
        ],
      },
    })
    expect(live.policy).toMatchObject({
      value: {
        version: '2012-10-17',
        statements: [
          {
            statement: {
              Effect: 'Deny',
              Principal: '*',
              Action: ['s3:PutObject'],
              Resource: ['arn:aws:s3:::full/a/*', 'arn:aws:s3:::full/b/*'],
              Condition: { Bool: { 'aws:SecureTransport': ['false'] } },
            },
          },
        ],
      },
    })
    expect(live.policyStatus).toEqual({ status: 'set', value: { isPublic: false } })
  })

  it('never takes a refusal for something that is missing', async () => {
    const { s3, sdk } = bench.client
    const statement = {
      Effect: 'Deny',
      Principal: '*',
      Action: ['s3:GetBucketCORS', 's3:GetLifecycleConfiguration'],
      Resource: 'arn:aws:s3:::closed',
    }
    await s3.send(new sdk.PutBucketPolicyCommand({ Bucket: 'closed', Policy: put('closed', statement) }))
    const live = await readBucket(bench.client, 'closed')
    expect(live.existence.status).toBe('exists')
    expect(live.cors).toMatchObject({ status: 'denied', action: 's3:GetBucketCORS', code: 'AccessDenied' })
    expect(live.lifecycle).toMatchObject({ status: 'denied', action: 's3:GetLifecycleConfiguration' })
    expect(live.encryption).toEqual({ status: 'absent' })
  })

  it('tells a bucket that is not there', async () => {
    const live = await readBucket(bench.client, 'nowhere')
    expect(live).toMatchObject({ existence: { status: 'missing' }, policy: { status: 'absent' } })
  })

  it('tells wrong keys', async () => {
    const client = await openControlClient({
      endpoint: bench.server.url,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: () => ({ ...credentials, secretAccessKey: 'wrong' }),
    })
    const live = await readBucket(client, 'fresh')
    expect(live.existence).toMatchObject({ status: 'denied', code: 'SignatureDoesNotMatch', kind: 'store_denied' })
    expect(live.policy).toMatchObject({ status: 'denied', code: 'SignatureDoesNotMatch' })
    client.close()
  })
})

describe('a store that is not as it should be', () => {
  const answering = async (status: number, body: string, headers: Record<string, string> = {}) => {
    const server = createServer((request, response) => {
      request.resume()
      response.writeHead(status, headers).end(request.method === 'HEAD' ? '' : body)
    })
    const endpoint = `http://127.0.0.1:${await listenOnLoopback(server)}`
    const client = await openControlClient({
      endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: () => credentials,
    })
    const live = await readBucket(client, 'media')
    client.close()
    server.close()
    return live
  }

  it('and lists the bucket for what it does not know, does not offer it', async () => {
    const list =
      '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>media</Name></ListBucketResult>'
    const live = await answering(200, list)
    for (const part of [live.ownership, live.encryption, live.inventory, live.logging]) {
      expect(part).toMatchObject({ status: 'not offered' })
    }
  })

  it('and fails, is not taken for one without settings', async () => {
    const live = await answering(500, '<Error><Code>InternalError</Code><Message>No.</Message></Error>')
    expect(live.existence).toMatchObject({ status: 'error' })
    expect(live.cors).toMatchObject({ status: 'error', code: 'InternalError', message: 'No.' })
  })
})
