import { explainS3Error } from '../../stores/index.ts'
import { type ControlClient, placeOf } from '../control-client.ts'
import type { Existence, LiveBucket, LiveParts } from './live-bucket.ts'
import { partReaders } from './part-readers.ts'
import { s3Failure } from './reading.ts'

/** Reads a bucket's settings. Never throws for what the store answers: each part has a status. */
export async function readBucket(client: ControlClient, bucket: string): Promise<LiveBucket> {
  const existence = await readExistence(client, bucket)
  const missing = existence.status === 'missing'
  const read = <Name extends keyof LiveParts>(name: Name): Promise<LiveParts[Name]> | { readonly status: 'absent' } =>
    missing ? { status: 'absent' } : partReaders[name](client, bucket)
  const [
    publicAccessBlock,
    ownership,
    encryption,
    versioning,
    policy,
    policyStatus,
    cors,
    lifecycle,
    logging,
    inventory,
    replication,
    acl,
    notifications,
    objectLock,
    tags,
  ] = await Promise.all([
    read('publicAccessBlock'),
    read('ownership'),
    read('encryption'),
    read('versioning'),
    read('policy'),
    read('policyStatus'),
    read('cors'),
    read('lifecycle'),
    read('logging'),
    read('inventory'),
    read('replication'),
    read('acl'),
    read('notifications'),
    read('objectLock'),
    read('tags'),
  ])
  return {
    bucket,
    existence,
    store: { make: client.make(), plainHttp: client.endpoint?.startsWith('http:') ?? false },
    publicAccessBlock,
    ownership,
    encryption,
    versioning,
    policy,
    policyStatus,
    cors,
    lifecycle,
    logging,
    inventory,
    replication,
    acl,
    notifications,
    objectLock,
    tags,
  }
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html */
export async function readExistence(client: ControlClient, bucket: string): Promise<Existence> {
  const { s3, sdk } = client
  try {
    const { BucketRegion } = await s3.send(new sdk.HeadBucketCommand({ Bucket: bucket }))
    return { status: 'exists', region: BucketRegion ?? null }
  } catch (error) {
    const { code, status, headers } = s3Failure(error)
    const { message } = explainS3Error(error, placeOf(client, 's3:ListBucket', bucket))
    const region = headers['x-amz-bucket-region'] ?? null
    if (status === 404) return { status: 'missing' }
    if (status === 301) return { status: 'exists', region }
    return { status: status === 403 ? 'denied' : 'error', code, message, region }
  }
}
