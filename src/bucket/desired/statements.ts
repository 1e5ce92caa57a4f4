import { reservedPrefixes } from '../../media/index.ts'
import { asSet } from '../canonical.ts'
import { parseStatement, type Statement } from '../policy/policy.ts'
import type { DesiredBucket } from './desired-bucket.ts'

/** The statements of the media bucket's policy. Nothing in it lets anybody in but the CDN, where there is one. */
export function mediaStatements(desired: DesiredBucket): Statement[] {
  const arn = `arn:${desired.partition}:s3:::${desired.name}`
  return [
    ...transportStatements(arn),
    ...(desired.denyOtherEncryption ? encryptionStatements(arn, desired.kmsKey) : []),
    ...(desired.fileExtensions.length > 0 ? [extensionStatement(arn, desired.fileExtensions)] : []),
    ...(desired.distribution === null ? [] : [distributionStatement(arn, desired.distribution, desired.readable)]),
  ].map(parseStatement)
}

/** Security Hub S3.5; https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html, s3:TlsVersion. */
export function transportStatements(arn: string): Statement[] {
  const everything = { Effect: 'Deny', Principal: '*', Action: 's3:*', Resource: [arn, `${arn}/*`] }
  return [
    { Sid: 'KeepsakeDenyPlainHttp', ...everything, Condition: { Bool: { 'aws:SecureTransport': 'false' } } },
    { Sid: 'KeepsakeDenyOldTls', ...everything, Condition: { NumericLessThan: { 's3:TlsVersion': '1.2' } } },
  ].map(parseStatement)
}

/**
 * The service that writes access logs, and the one that writes inventories, each for this bucket alone.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
 */
export function logsStatements(desired: DesiredBucket, logs: string): Statement[] {
  const { logging, inventory, account } = desired
  const arn = `arn:${desired.partition}:s3:::${logs}`
  const source = {
    ArnLike: { 'aws:SourceArn': `arn:${desired.partition}:s3:::${desired.name}` },
    ...(account === null ? {} : { StringEquals: { 'aws:SourceAccount': account } }),
  }
  const put = { Effect: 'Allow', Action: 's3:PutObject', Condition: source }
  return [
    ...transportStatements(arn),
    ...(logging?.bucket === logs
      ? [
          {
            Sid: 'KeepsakeAccessLogs',
            ...put,
            Principal: { Service: 'logging.s3.amazonaws.com' },
            Resource: `${arn}/${logging.prefix}*`,
          },
        ]
      : []),
    ...(inventory?.bucket === logs
      ? [
          {
            Sid: 'KeepsakeInventory',
            ...put,
            Principal: { Service: 's3.amazonaws.com' },
            Resource: `${arn}/${inventory.prefix}*`,
          },
        ]
      : []),
  ].map(parseStatement)
}

/**
 * A write that says nothing gets the bucket's own encryption, so only one that asks for another is refused: a Deny of
 * the silent ones would lock out every client that relies on the default. `StringLike: *` is "the header is there"; so is
 * `Null: false`, but Ceph 16 takes that for "is not there" and would let everything through.
 */
function encryptionStatements(arn: string, kmsKey: string | null): object[] {
  const header = 's3:x-amz-server-side-encryption'
  const keyHeader = 's3:x-amz-server-side-encryption-aws-kms-key-id'
  // With a key of the writer's own (SSE-C) there is no such header, and nobody else can read what was written.
  const ownKeyHeader = 's3:x-amz-server-side-encryption-customer-algorithm'
  const put = { Effect: 'Deny', Principal: '*', Action: 's3:PutObject', Resource: `${arn}/*` }
  const other = (name: string, wanted: string) => ({
    StringNotEquals: { [name]: wanted },
    StringLike: { [name]: '*' },
  })
  return [
    { Sid: 'KeepsakeDenyOtherEncryption', ...put, Condition: other(header, kmsKey === null ? 'AES256' : 'aws:kms') },
    { Sid: 'KeepsakeDenyWritersKeys', ...put, Condition: { StringLike: { [ownKeyHeader]: '*' } } },
    ...(kmsKey === null ? [] : [{ Sid: 'KeepsakeDenyOtherKey', ...put, Condition: other(keyHeader, kmsKey) }]),
  ]
}

/** Keys' endings are all that a policy can see of a type; what the bytes are is judged by Keepsake. */
function extensionStatement(arn: string, extensions: readonly string[]): object {
  const own = reservedPrefixes.map((prefix) => `${arn}/${prefix}*`)
  return {
    Sid: 'KeepsakeDenyOtherTypes',
    Effect: 'Deny',
    Principal: '*',
    Action: 's3:PutObject',
    NotResource: asSet([...extensions.map((extension) => `${arn}/*.${extension}`), ...own]),
  }
}

/** https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-s3.html */
function distributionStatement(arn: string, distribution: string, readable: readonly string[] | null): object {
  return {
    Sid: 'KeepsakeCloudFront',
    Effect: 'Allow',
    Principal: { Service: 'cloudfront.amazonaws.com' },
    Action: 's3:GetObject',
    Resource: (readable ?? ['']).map((prefix) => `${arn}/${prefix}*`),
    Condition: { ArnLike: { 'aws:SourceArn': distribution } },
  }
}
