import { explainS3Error } from '../../stores/index.ts'
import { type ControlClient, placeOf } from '../control-client.ts'
import type { Existence, LiveBucket, LiveParts } from './live-bucket.ts'
import { partReaders } from './part-readers.ts'
import { isDenied, isNotOffered, s3Failure } from './reading.ts'

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
  } catch (first) {
    const { status, headers } = s3Failure(first)
    const region = headers['x-amz-bucket-region'] ?? null
    if (status === 404) return { status: 'missing' }
    if (status === 301) return { status: 'exists', region }
    const error = status >= 400 && status < 500 ? await inWords(client, bucket, first) : first
    const failure = s3Failure(error)
    const { code: kind, message } = explainS3Error(error, placeOf(client, listAction, bucket))
    return { status: isDenied(failure) ? 'denied' : 'error', code: failure.code, kind, message, region }
  }
}

const listAction = 's3:ListBucket'

/**
 * A HEAD has no body to say why: wrong keys, an expired token, a clock that is off and another region all look like a
 * refusal. The same permission is asked for once more, by a request whose answer has words.
 */
async function inWords({ s3, sdk }: ControlClient, bucket: string, first: unknown): Promise<unknown> {
  try {
    await s3.send(new sdk.ListObjectsV2Command({ Bucket: bucket, MaxKeys: 1 }))
    return first
  } catch (second) {
    // A list that is given after all is no refusal, and told by the client as a setting that is not known.
    return isNotOffered(s3Failure(second)) ? first : second
  }
}
