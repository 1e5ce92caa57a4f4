import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GetBucketCorsCommand, PutBucketCorsCommand, S3Client } from '@aws-sdk/client-s3'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type EmbeddedS3, startEmbeddedS3 } from './index.ts'

const credentials = { accessKeyId: 'TESTKEY', secretAccessKey: 'test-secret' }
let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keepsake-origins-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

async function running<T>(origins: readonly string[] | undefined, work: (client: S3Client) => Promise<T>): Promise<T> {
  const options = { dir, credentials, buckets: ['media'], fsync: false }
  const server: EmbeddedS3 = await startEmbeddedS3({ ...options, ...(origins ? { origins } : {}) })
  const client = new S3Client({ endpoint: server.url, region: server.region, credentials, forcePathStyle: true })
  try {
    return await work(client)
  } finally {
    client.destroy()
    await server.close()
  }
}

async function allowed(client: S3Client): Promise<readonly string[] | undefined> {
  const { CORSRules } = await client
    .send(new GetBucketCorsCommand({ Bucket: 'media' }))
    .catch(() => ({ CORSRules: [] }))
  return CORSRules?.[0]?.AllowedOrigins
}

it('the origins of the options are those of the last start', async () => {
  expect(await running(['https://a.example'], allowed)).toEqual(['https://a.example'])
  expect(await running(['https://b.example'], allowed)).toEqual(['https://b.example'])
  expect(await running(undefined, allowed)).toEqual(['https://b.example'])
  expect(await running([], allowed)).toBeUndefined()
})

it('leaves rules alone that a request has set', async () => {
  const CORSRules = [{ AllowedOrigins: ['https://own.example'], AllowedMethods: ['GET'] }]
  await running([], (client) =>
    client.send(new PutBucketCorsCommand({ Bucket: 'media', CORSConfiguration: { CORSRules } })),
  )
  expect(await running(['https://a.example'], allowed)).toEqual(['https://own.example'])
  expect(await running([], allowed)).toEqual(['https://own.example'])
})
