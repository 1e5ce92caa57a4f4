import { canonicalJson } from '../canonical.ts'
import type { PublicAccessBlock } from '../live/live-bucket.ts'
import { asIs, type Decide, notAsked, whenRead } from './decision.ts'

const switches: readonly (keyof PublicAccessBlock)[] = [
  'blockPublicAcls',
  'ignorePublicAcls',
  'blockPublicPolicy',
  'restrictPublicBuckets',
]

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html */
export const decidePublicAccessBlock: Decide<'publicAccessBlock'> = (reading, { spec, missing }) => {
  if (missing.publicAccessBlock !== undefined) return { status: 'not offered', why: missing.publicAccessBlock }
  return whenRead(reading, (live) => {
    const keepAcls = missing.blockPublicAcls !== undefined
    const after = {
      ...spec.publicAccessBlock,
      ...(keepAcls ? { blockPublicAcls: live?.blockPublicAcls ?? false } : {}),
    }
    const notes = keepAcls ? [`blockPublicAcls is not offered: ${missing.blockPublicAcls}.`] : []
    if (live && switches.every((name) => live[name] === after[name])) return { status: 'same', notes }
    return {
      status: 'change',
      before: live ?? null,
      after,
      notes,
      write: ({ s3, sdk }) =>
        s3.send(
          new sdk.PutPublicAccessBlockCommand({
            Bucket: spec.name,
            PublicAccessBlockConfiguration: {
              BlockPublicAcls: after.blockPublicAcls,
              IgnorePublicAcls: after.ignorePublicAcls,
              BlockPublicPolicy: after.blockPublicPolicy,
              RestrictPublicBuckets: after.restrictPublicBuckets,
            },
          }),
        ),
    }
  })
}

/** ACLs off: who may do what stands in policies alone. */
export const decideOwnership: Decide<'ownership'> = (reading, { spec, missing }) => {
  if (missing.ownership !== undefined) return { status: 'not offered', why: missing.ownership }
  return whenRead(reading, (live) => {
    if (live === spec.ownership) return asIs
    return {
      status: 'change',
      before: live ?? null,
      after: spec.ownership,
      notes: [],
      write: ({ s3, sdk }) =>
        s3.send(
          new sdk.PutBucketOwnershipControlsCommand({
            Bucket: spec.name,
            OwnershipControls: { Rules: [{ ObjectOwnership: spec.ownership }] },
          }),
        ),
    }
  })
}

export const decideEncryption: Decide<'encryption'> = (reading, { spec, missing, adopt }) => {
  const { algorithm, kmsKey, bucketKey } = spec.encryption
  const why = missing.encryption ?? (kmsKey === null ? undefined : missing.kms)
  if (why !== undefined) return { status: 'not offered', why }
  return whenRead(reading, (live) => {
    // Without KMS the bucket key means nothing, and stores differ in what they say of it.
    const same =
      live?.algorithm === algorithm && (kmsKey === null || (live.kmsKey === kmsKey && live.bucketKey === bucketKey))
    if (same) return asIs
    if (live && kmsKey === null && !adopt) {
      const note = `It is encrypted by ${live.algorithm} with ${live.kmsKey ?? "the account's own key"}, which is more than SSE-S3. Name that key (--kms-key), or --adopt to go back to SSE-S3.`
      return { status: 'kept', because: 'more than asked', before: shownEncryption(live), notes: [note] }
    }
    return {
      status: 'change',
      before: live ? shownEncryption(live) : null,
      after: spec.encryption,
      notes: ['It holds for what is written from now on.'],
      write: ({ s3, sdk }) =>
        s3.send(
          new sdk.PutBucketEncryptionCommand({
            Bucket: spec.name,
            ServerSideEncryptionConfiguration: {
              Rules: [
                {
                  ApplyServerSideEncryptionByDefault: {
                    SSEAlgorithm: algorithm,
                    ...(kmsKey === null ? {} : { KMSMasterKeyID: kmsKey }),
                  },
                  ...(bucketKey ? { BucketKeyEnabled: true } : {}),
                  ...(live?.blocked.includes('SSE-C') ? { BlockedEncryptionTypes: { EncryptionType: ['SSE-C'] } } : {}),
                },
              ],
            },
          }),
        ),
    }
  })
}

function shownEncryption({
  algorithm,
  kmsKey,
  bucketKey,
}: {
  algorithm: string
  kmsKey: string | null
  bucketKey: boolean
}) {
  return { algorithm, kmsKey, bucketKey }
}

/** Versions are turned on and never off: what lies under them would become unreachable by name. */
export const decideVersioning: Decide<'versioning'> = (reading, { spec, missing }) => {
  if (!spec.versioning) {
    const on = reading.status === 'set' && reading.value.status === 'Enabled'
    return {
      status: 'not asked',
      notes: on ? ['Versions are on, though not asked for. They are never turned off.'] : [],
    }
  }
  if (missing.versioning !== undefined) return { status: 'not offered', why: missing.versioning }
  const { versionedConditions: lost } = missing
  const notes = lost === undefined ? [] : [`Mind that ${lost}. --no-versioning does without.`]
  return whenRead(reading, (live) => {
    if (live?.status === 'Enabled') return { status: 'same', notes }
    return {
      status: 'change',
      before: live?.status ?? null,
      after: 'Enabled',
      notes,
      write: ({ s3, sdk }) =>
        s3.send(
          new sdk.PutBucketVersioningCommand({ Bucket: spec.name, VersioningConfiguration: { Status: 'Enabled' } }),
        ),
    }
  })
}

export const decideLogging: Decide<'logging'> = (reading, { spec, missing, adopt }) => {
  const { logging } = spec
  if (logging === null) return notAsked
  if (missing.logging !== undefined) return { status: 'not offered', why: missing.logging }
  return whenRead(reading, (live) => {
    if (live && canonicalJson(live) === canonicalJson(logging)) return asIs
    if (live && !adopt) {
      const notes = [`Somebody logs to ${live.bucket} already. --adopt changes that.`]
      return { status: 'kept', because: 'in the way', before: live, notes }
    }
    return {
      status: 'change',
      before: live ?? null,
      after: logging,
      notes: [],
      write: ({ s3, sdk }) =>
        s3.send(
          new sdk.PutBucketLoggingCommand({
            Bucket: spec.name,
            BucketLoggingStatus: { LoggingEnabled: { TargetBucket: logging.bucket, TargetPrefix: logging.prefix } },
          }),
        ),
    }
  })
}
