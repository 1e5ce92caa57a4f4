import type { ParsedBucketSettings } from '../../config/index.ts'
import { type DesiredBucket, type DesiredContext, desireBucket } from '../desired/desired-bucket.ts'

export const account = '123456789012'

export const replica = {
  region: 'eu-west-1',
  kmsKey: `arn:aws:kms:eu-west-1:${account}:key/0f0f0f0f-1111-2222-3333-555555555555`,
}

const everything: ParsedBucketSettings = {
  app: 'echoes-audio',
  env: 'prod',
  account,
  origins: ['https://echoes.app', 'https://*.echoes.app'],
  kmsKey: `arn:aws:kms:us-east-1:${account}:key/0f0f0f0f-1111-2222-3333-444444444444`,
  denyOtherEncryption: true,
  fileExtensions: ['webm', 'mp3'],
  retention: { 'exports/': 90 },
  transitions: [
    { prefix: '', days: 30, storageClass: 'STANDARD_IA' },
    { prefix: '', days: 180, storageClass: 'GLACIER_IR' },
  ],
  logging: true,
  inventory: 'Daily',
  replication: replica,
  distribution: `arn:aws:cloudfront::${account}:distribution/E2QWRUHAPOMQZL`,
}

/** A bucket for which everything is asked, but for what is said otherwise. */
export function desireEverything(settings: ParsedBucketSettings = {}): DesiredBucket {
  return desire({ ...everything, ...settings })
}

export function desire(settings: ParsedBucketSettings, context: Partial<DesiredContext> = {}): DesiredBucket {
  return desireBucket(settings, { embedded: false, bucket: null, region: 'us-east-1', account: undefined, ...context })
}
