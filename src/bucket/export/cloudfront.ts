import { createHash, createPublicKey } from 'node:crypto'
import { KeepsakeError } from '../../media/index.ts'
import type { DesiredBucket } from '../desired/desired-bucket.ts'
import type { Template } from './cloudformation.ts'

/** AWS's managed policy "CORS-S3Origin", the same in every account: what goes to the origin beside the cache key. */
const corsS3Origin = '88a5eaf4-2fd6-4a88-aa13-9ae39d06ac59'
const year = 31_536_000
const day = 86_400

export type CloudFrontExport = {
  /** What anybody may read, by prefixes. */
  readonly publicPrefixes: readonly string[]
  /** The public half, in PEM, of the key that Keepsake signs links by; null: nothing private is read here. */
  readonly publicKey: string | null
}

/**
 * A CloudFront distribution before the bucket, which only that one may read (origin access control), as a CloudFormation
 * template. Public collections are open by their prefixes; with a key, all else takes a signed link (a trusted key
 * group), and without one the bucket's own policy keeps it closed. The statement that this policy needs is
 * `bucket.distribution`: a bucket has one policy, so it cannot stand in a second template.
 * https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-s3.html
 * https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-trusted-signers.html
 *
 * @throws {KeepsakeError} `invalid_request` outside AWS's main partition, where there is no CloudFront like it, and for
 * a key that CloudFront does not take.
 */
export function cloudFront(desired: DesiredBucket, { publicPrefixes, publicKey }: CloudFrontExport): Template {
  if (desired.partition !== 'aws') {
    throw new KeepsakeError(
      'invalid_request',
      `CloudFront is not exported for ${desired.region}: it is another service there.`,
    )
  }
  const key = publicKey === null ? null : checkPublicKey(publicKey)
  return {
    AWSTemplateFormatVersion: '2010-09-09',
    Description: `CloudFront before ${desired.name}. After it: keepsake bucket apply --distribution <DistributionArn>`,
    Resources: {
      AccessControl: {
        Type: 'AWS::CloudFront::OriginAccessControl',
        Properties: {
          OriginAccessControlConfig: {
            Name: desired.name,
            OriginAccessControlOriginType: 's3',
            SigningBehavior: 'always',
            SigningProtocol: 'sigv4',
          },
        },
      },
      CachePolicy: { Type: 'AWS::CloudFront::CachePolicy', Properties: { CachePolicyConfig: caching(desired.name) } },
      ...(key === null ? {} : signing(desired.name, key)),
      Distribution: {
        Type: 'AWS::CloudFront::Distribution',
        Properties: {
          DistributionConfig: {
            Comment: `Media of ${desired.name}`,
            Enabled: true,
            HttpVersion: 'http2and3',
            IPV6Enabled: true,
            Origins: [
              {
                Id: 'bucket',
                DomainName: `${desired.name}.s3.${desired.region}.amazonaws.com`,
                OriginAccessControlId: { 'Fn::GetAtt': ['AccessControl', 'Id'] },
                // The old way of access; it has to be there, and empty.
                S3OriginConfig: { OriginAccessIdentity: '' },
              },
            ],
            DefaultCacheBehavior: {
              ...behavior,
              ...(key === null ? {} : { TrustedKeyGroups: [ref('KeyGroup')] }),
            },
            // Only where the default is closed is there something to open.
            ...(key === null || publicPrefixes.length === 0
              ? {}
              : { CacheBehaviors: publicPrefixes.map((prefix) => ({ ...behavior, PathPattern: `/${prefix}*` })) }),
          },
        },
      },
    },
    Outputs: {
      DistributionArn: {
        Value: joined(
          'arn:',
          ref('AWS::Partition'),
          ':cloudfront::',
          ref('AWS::AccountId'),
          ':distribution/',
          ref('Distribution'),
        ),
      },
      BaseUrl: { Value: joined('https://', { 'Fn::GetAtt': ['Distribution', 'DomainName'] }) },
      ...(key === null ? {} : { KeyPairId: { Value: ref('PublicKey') } }),
    },
  }
}

const behavior = {
  TargetOriginId: 'bucket',
  ViewerProtocolPolicy: 'redirect-to-https',
  AllowedMethods: ['GET', 'HEAD', 'OPTIONS'],
  CachedMethods: ['GET', 'HEAD'],
  Compress: true,
  CachePolicyId: ref('CachePolicy'),
  OriginRequestPolicyId: corsS3Origin,
}

/**
 * What an answer depends on, and for how long it is kept. A download has another header than what is opened in place,
 * by a query that S3 is to see; the answer to one origin has the CORS headers for it. Private media says
 * `Cache-Control: private`, which CloudFront heeds beyond the least time alone: with none, nothing of it would be kept.
 * https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CachePolicyConfig.html
 */
function caching(name: string): object {
  return {
    Name: `${name}-media`,
    MinTTL: day,
    DefaultTTL: day,
    MaxTTL: year,
    ParametersInCacheKeyAndForwardedToOrigin: {
      EnableAcceptEncodingGzip: true,
      EnableAcceptEncodingBrotli: true,
      CookiesConfig: { CookieBehavior: 'none' },
      HeadersConfig: { HeaderBehavior: 'whitelist', Headers: ['Origin'] },
      QueryStringsConfig: { QueryStringBehavior: 'whitelist', QueryStrings: ['response-content-disposition'] },
    },
  }
}

/** A public key cannot be changed, so that another one is another resource: its name and reference follow from it. */
function signing(name: string, key: string) {
  const reference = createHash('sha256').update(key).digest('hex').slice(0, 16)
  return {
    PublicKey: {
      Type: 'AWS::CloudFront::PublicKey',
      Properties: {
        PublicKeyConfig: { Name: `${name}-${reference}`, CallerReference: reference, EncodedKey: key },
      },
    },
    KeyGroup: {
      Type: 'AWS::CloudFront::KeyGroup',
      Properties: { KeyGroupConfig: { Name: name, Items: [ref('PublicKey')] } },
    },
  }
}

/** "SSH-2 RSA 2048 or ECDSA 256", in PEM. */
function checkPublicKey(pem: string): string {
  const text = pem.trim()
  const refuse = (why: string) => new KeepsakeError('invalid_request', `The public key for CloudFront ${why}`)
  if (/PRIVATE KEY/.test(text)) {
    throw refuse('is the private half, which stays here. Make the other by `openssl pkey -in key.pem -pubout`.')
  }
  try {
    const { asymmetricKeyType: type, asymmetricKeyDetails: details = {} } = createPublicKey(text)
    if (type === 'rsa' && details.modulusLength === 2048) return `${text}\n`
    if (type === 'ec' && details.namedCurve === 'prime256v1') return `${text}\n`
  } catch {
    throw refuse('is none in PEM, which begins with -----BEGIN PUBLIC KEY-----.')
  }
  throw refuse('is of a kind that CloudFront does not take: RSA of 2048 bits and ECDSA P-256 it does.')
}

function ref(name: string): object {
  return { Ref: name }
}

function joined(...parts: readonly (string | object)[]): object {
  return { 'Fn::Join': ['', parts] }
}
