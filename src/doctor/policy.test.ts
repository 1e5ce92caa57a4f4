import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Policy, parsePolicy } from '../bucket/index.ts'
import { deniedBelowTls12, deniedWithoutTls, publicStatements, riskyGrants } from './policy.ts'

const arn = 'arn:aws:s3:::media'
const both = [arn, `${arn}/*`]
const policyOf = (...statements: object[]): Policy =>
  parsePolicy(JSON.stringify({ Version: '2012-10-17', Statement: statements }))

const noTls = { Bool: { 'aws:SecureTransport': 'false' } }
const deny = { Effect: 'Deny', Principal: '*', Action: 's3:*', Resource: both, Condition: noTls }

describe('what is denied without TLS', () => {
  it.each<[string, object[]]>([
    ['as AWS writes it', [deny]],
    ['a principal of {"AWS":"*"}', [{ ...deny, Principal: { AWS: '*' } }]],
    ['every action', [{ ...deny, Action: '*' }]],
    ['letter case is IAM’s', [{ ...deny, Action: 'S3:*', Condition: { bool: { 'AWS:securetransport': 'False' } } }]],
    ['a boolean', [{ ...deny, Condition: { Bool: { 'aws:SecureTransport': false } } }]],
    ['one resource for both', [{ ...deny, Resource: `${arn}*` }]],
    ['everything', [{ ...deny, Resource: '*' }]],
    [
      'two statements',
      [
        { ...deny, Resource: arn },
        { ...deny, Resource: `${arn}/*` },
      ],
    ],
    ['of China', [{ ...deny, Resource: ['arn:aws-cn:s3:::media', 'arn:aws-cn:s3:::media/*'] }]],
    ['beside others', [{ ...deny, Effect: 'Allow', Condition: {} }, deny]],
  ])('everything: %s', (_, statements) => {
    expect(deniedWithoutTls(policyOf(...statements), 'media')).toEqual({ bucket: true, objects: true })
  })

  it.each<[string, object]>([
    ['the word alone, in an Allow', { ...deny, Effect: 'Allow' }],
    ['an Allow with TLS', { ...deny, Effect: 'Allow', Condition: { Bool: { 'aws:SecureTransport': 'true' } } }],
    ['TLS itself', { ...deny, Condition: { Bool: { 'aws:SecureTransport': 'true' } } }],
    ['another operator', { ...deny, Condition: { StringNotEquals: { 'aws:SecureTransport': 'false' } } }],
    ['one account', { ...deny, Principal: { AWS: 'arn:aws:iam::111122223333:root' } }],
    ['a service', { ...deny, Principal: { Service: 'cloudfront.amazonaws.com' } }],
    ['all but one', { ...deny, Principal: undefined, NotPrincipal: { AWS: 'arn:aws:iam::111122223333:root' } }],
    ['reads only', { ...deny, Action: ['s3:GetObject', 's3:ListBucket'] }],
    ['gets only', { ...deny, Action: 's3:Get*' }],
    ['all actions but some', { ...deny, Action: undefined, NotAction: 's3:PutObject' }],
    ['a further condition', { ...deny, Condition: { ...noTls, StringEquals: { 'aws:SourceVpc': 'vpc-1' } } }],
    [
      'a further key',
      { ...deny, Condition: { Bool: { 'aws:SecureTransport': 'false', 'aws:ViaAWSService': 'false' } } },
    ],
    ['another bucket', { ...deny, Resource: ['arn:aws:s3:::medi', 'arn:aws:s3:::medi/*'] }],
    ['all but something', { ...deny, Resource: undefined, NotResource: `${arn}/public/*` }],
  ])('nothing: %s', (_, statement) => {
    expect(deniedWithoutTls(policyOf(statement), 'media')).toEqual({ bucket: false, objects: false })
  })

  it.each<[string, string | string[], object]>([
    ['the objects only', `${arn}/*`, { bucket: false, objects: true }],
    ['the bucket only', arn, { bucket: true, objects: false }],
    ['a folder', [arn, `${arn}/temp/*`], { bucket: true, objects: false }],
    ['one object', [arn, `${arn}/key`], { bucket: true, objects: false }],
    ['objects of one letter', [arn, `${arn}/?`], { bucket: true, objects: false }],
    ['objects that end so', [arn, `${arn}/*.png`], { bucket: true, objects: false }],
  ])('some: %s', (_, Resource, covered) => {
    expect(deniedWithoutTls(policyOf({ ...deny, Resource }), 'media')).toEqual(covered)
  })
})

describe('what is denied to old TLS', () => {
  const old = (value: unknown) => ({ ...deny, Condition: { NumericLessThan: { 's3:TlsVersion': value } } })
  it.each<[unknown, boolean]>([
    ['1.2', true],
    [1.2, true],
    ['1.3', true],
    ['1.1', false],
  ])('below %s', (value, covers) => {
    expect(deniedBelowTls12(policyOf(old(value)), 'media')).toEqual({ bucket: covers, objects: covers })
  })
})

const open = { Sid: 'Open', Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: `${arn}/*` }

describe('who is let in by a policy', () => {
  it.each<[string, object]>([
    ['everybody', open],
    ['everybody, as AWS', { ...open, Principal: { AWS: ['arn:aws:iam::111122223333:root', '*'] } }],
    ['everybody but one', { ...open, Principal: undefined, NotPrincipal: { AWS: 'arn:aws:iam::111122223333:root' } }],
    ['any action', { ...open, Action: 's3:*' }],
    ['a wildcard', { ...open, Action: 's3:Get*' }],
    ['all actions but deletes', { ...open, Action: undefined, NotAction: 's3:Delete*' }],
    ['who sends a referer', { ...open, Condition: { StringLike: { 'aws:Referer': 'https://a.example/*' } } }],
    ['any network', { ...open, Condition: { IpAddress: { 'aws:SourceIp': '0.0.0.0/0' } } }],
    ['half of the world', { ...open, Condition: { IpAddress: { 'aws:SourceIp': ['192.0.2.0/24', '0.0.0.0/1'] } } }],
    ['whoever uses TLS', { ...open, Condition: { Bool: { 'aws:SecureTransport': 'true' } } }],
    ['a VPC by wildcard', { ...open, Condition: { StringLike: { 'aws:SourceVpc': '*' } } }],
    ['all VPCs but one', { ...open, Condition: { StringNotEquals: { 'aws:SourceVpc': 'vpc-1' } } }],
    ['a policy variable', { ...open, Condition: { StringEquals: { 'aws:PrincipalOrgID': `\${aws:PrincipalOrgID}` } } }],
  ])('everybody: %s', (_, statement) => {
    expect(publicStatements(policyOf(statement), 'read')).toEqual(['Open'])
  })

  it.each<[string, object]>([
    ['a Deny', { ...open, Effect: 'Deny' }],
    ['an account', { ...open, Principal: { AWS: '111122223333' } }],
    ['a service', { ...open, Principal: { Service: 'cloudfront.amazonaws.com' } }],
    ['an organisation', { ...open, Condition: { StringEquals: { 'aws:PrincipalOrgID': 'o-1' } } }],
    ['a VPC endpoint', { ...open, Condition: { StringEquals: { 'aws:SourceVpce': 'vpce-1' } } }],
    ['a network', { ...open, Condition: { IpAddress: { 'aws:SourceIp': '192.0.2.0/24' } } }],
    [
      'a distribution',
      { ...open, Condition: { StringEquals: { 'AWS:SourceArn': 'arn:aws:cloudfront::1:distribution/x' } } },
    ],
  ])('nobody in general: %s', (_, statement) => {
    expect(publicStatements(policyOf(statement), 'read')).toEqual([])
  })

  it('tells reads from writes', () => {
    expect(publicStatements(policyOf(open), 'write')).toEqual([])
    const write = { ...open, Action: ['s3:PutObject'] }
    expect(publicStatements(policyOf(write), 'write')).toEqual(['Open'])
    expect(publicStatements(policyOf(write), 'read')).toEqual([])
  })
})

describe('what other accounts are granted', () => {
  const grant = {
    Effect: 'Allow',
    Principal: { AWS: 'arn:aws:iam::999988887777:role/x' },
    Action: 's3:PutBucketPolicy',
    Resource: arn,
  }
  it('is told where it is risky, whatever the condition', () => {
    const conditional = { ...grant, Condition: { StringEquals: { 'aws:SourceVpc': 'vpc-1' } } }
    for (const statement of [grant, conditional, { ...grant, Action: 's3:Put*' }]) {
      expect(riskyGrants(policyOf(statement), '111122223333').foreign).toEqual([
        expect.stringMatching(/PutBucketPolicy.* to 999988887777 \(statement 1\)$/),
      ])
    }
    expect(riskyGrants(policyOf({ ...grant, Principal: '*' }), '111122223333').foreign).toEqual([
      'PutBucketPolicy to everybody (statement 1)',
    ])
  })

  it('is not told for reads, for a Deny, and for this account', () => {
    for (const statement of [
      { ...grant, Action: 's3:GetObject' },
      { ...grant, Effect: 'Deny' },
    ]) {
      expect(riskyGrants(policyOf(statement), '111122223333')).toEqual({ foreign: [], unsure: [] })
    }
    expect(riskyGrants(policyOf(grant), '999988887777')).toEqual({ foreign: [], unsure: [] })
  })

  it('is not known where this account is not', () => {
    expect(riskyGrants(policyOf(grant), undefined)).toEqual({
      foreign: [],
      unsure: ['PutBucketPolicy to 999988887777 (statement 1)'],
    })
  })
})

it('never takes a denial of one folder for one of everything', () => {
  const folder = fc.stringMatching(/^[a-z]{1,5}[*?/a-z]{0,5}$/)
  fc.assert(
    fc.property(folder, (name) => {
      const { objects } = deniedWithoutTls(policyOf({ ...deny, Resource: [arn, `${arn}/${name}`] }), 'media')
      expect(objects).toBe(false)
    }),
  )
})
