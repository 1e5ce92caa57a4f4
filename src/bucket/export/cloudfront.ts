import { KeepsakeError } from '../../media/index.ts'
import type { DesiredBucket } from '../desired/desired-bucket.ts'
import type { Template } from './cloudformation.ts'

/** AWS managed policies, the same in every account: "CachingOptimized", and "CORS-S3Origin" for what goes to the origin. */
const cachingOptimized = '658327ea-f89d-4fab-a63d-7e88639e58f6'
const corsS3Origin = '88a5eaf4-2fd6-4a88-aa13-9ae39d06ac59'

/**
 * A CloudFront distribution before the bucket, which only that one may read (origin access control), as a CloudFormation
 * template. The statement that the bucket's policy needs is `bucket.distribution`: a bucket has one policy, so it
 * cannot stand in a second template.
 * https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-s3.html
 *
 * @throws {KeepsakeError} `invalid_request` outside AWS's main partition, where there is no CloudFront like it.
 */
export function cloudFront(desired: DesiredBucket): Template {
  if (desired.partition !== 'aws') {
    throw new KeepsakeError(
      'invalid_request',
      `CloudFront is not exported for ${desired.region}: it is another service there.`,
    )
  }
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
              TargetOriginId: 'bucket',
              ViewerProtocolPolicy: 'redirect-to-https',
              AllowedMethods: ['GET', 'HEAD', 'OPTIONS'],
              CachedMethods: ['GET', 'HEAD'],
              Compress: true,
              CachePolicyId: cachingOptimized,
              OriginRequestPolicyId: corsS3Origin,
            },
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
    },
  }
}

function ref(name: string): object {
  return { Ref: name }
}

function joined(...parts: readonly (string | object)[]): object {
  return { 'Fn::Join': ['', parts] }
}
