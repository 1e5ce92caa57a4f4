import { generateKeyPairSync } from 'node:crypto'
import { loadAwsServiceSpecSync } from '@aws-cdk/aws-service-spec'
import type { Property, PropertyType, Resource, TypeDefinition } from '@aws-cdk/service-spec-types'
import { describe, expect, it } from 'vitest'
import { bucketSpecs } from '../desired/bucket-spec.ts'
import { desire, desireEverything, replica } from '../testing/desired.ts'
import { cloudFormation, type Template } from './cloudformation.ts'
import { cloudFront } from './cloudfront.ts'

const pair = (namedCurve: string) => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve })
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}
const { publicKey, privateKey } = pair('P-256')
const nothingPublic = { publicPrefixes: [], publicKey: null }
const cdn = { distribution: 'arn:aws:cloudfront::123456789012:distribution/E2QWRUHAPOMQZL' }

/** AWS's own specification of its resource types, in the form in which the CDK ships it. */
const spec = loadAwsServiceSpecSync()

function resourceType(name: string): Resource {
  const [found] = spec.lookup('resource', 'cloudFormationType', 'equals', name)
  if (found === undefined) throw new Error(`There is no resource type ${name}.`)
  return found
}

/** What is wrong with a template, by AWS's specification: unknown and missing properties, kinds, words that are not allowed. */
function problems(template: Template): string[] {
  const ids = Object.keys(template.Resources)
  return Object.entries(template.Resources).flatMap(([id, { Type, Properties, DependsOn = [], Condition }]) => [
    ...checkProperties(Properties, resourceType(Type).properties, id),
    ...[DependsOn].flat().flatMap((other) => (ids.includes(other) ? [] : [`${id} depends on ${other}`])),
    ...(Condition === undefined || template.Conditions?.[Condition] ? [] : [`${id} has no condition ${Condition}`]),
    ...referenced(Properties).flatMap((other) =>
      ids.includes(other) || other.startsWith('AWS::') ? [] : [`${id} refers to ${other}`],
    ),
  ])
}

function checkProperties(value: unknown, properties: Readonly<Record<string, Property>>, path: string): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [`${path} is no object`]
  const given = new Map<string, unknown>(Object.entries(value))
  return [
    ...Object.entries(properties).flatMap(([name, { required }]) =>
      required && given.get(name) === undefined ? [`${path}.${name} is missing`] : [],
    ),
    ...[...given].flatMap(([name, entry]) => {
      const property = properties[name]
      return property ? checkType(entry, property.type, `${path}.${name}`) : [`${path}.${name} is not known`]
    }),
  ]
}

function checkType(value: unknown, type: PropertyType, path: string): string[] {
  if (isIntrinsic(value)) return []
  switch (type.type) {
    case 'string': {
      if (typeof value !== 'string') return [`${path} is no text`]
      const allowed = 'allowedValues' in type ? type.allowedValues : undefined
      return allowed && !allowed.includes(value) ? [`${path} is ${value}, not one of ${allowed.join(', ')}`] : []
    }
    case 'integer':
    case 'number':
      return typeof value === 'number' ? [] : [`${path} is no number`]
    case 'boolean':
      return typeof value === 'boolean' ? [] : [`${path} is neither true nor false`]
    case 'json':
      return typeof value === 'object' ? [] : [`${path} is no document`]
    case 'array':
      return Array.isArray(value)
        ? value.flatMap((entry, index) => checkType(entry, type.element, `${path}[${index}]`))
        : [`${path} is no list`]
    case 'ref':
      return checkProperties(value, definition(type.reference.$ref).properties, path)
    case 'union': {
      const found = type.types.map((one) => checkType(value, one, path))
      return found.find((one) => one.length === 0) ?? found[0] ?? []
    }
    default:
      return []
  }
}

function definition(id: string): TypeDefinition {
  return spec.get('typeDefinition', id)
}

function isIntrinsic(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const [name, ...others] = Object.keys(value)
  return others.length === 0 && (name === 'Ref' || name?.startsWith('Fn::') === true)
}

function referenced(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(referenced)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, entry]) => {
    if (name === 'Ref') return [String(entry)]
    if (name === 'Fn::GetAtt' && Array.isArray(entry)) return [String(entry[0])]
    return referenced(entry)
  })
}

describe('CloudFormation', () => {
  it.each([
    ['everything', desireEverything()],
    [
      'with a role of its own',
      desireEverything({ replication: { ...replica, role: 'arn:aws:iam::123456789012:role/copies' } }),
    ],
    ['next to nothing', desire({ env: 'dev' }, { bucket: 'media' })],
    ['logs elsewhere', desire({ logging: { bucket: 'company-logs' }, inventory: 'Weekly' }, { bucket: 'media' })],
  ])('%s is as AWS specifies its resources', (_, desired) => {
    expect(problems(cloudFormation(desired))).toEqual([])
  })

  it('the specification would notice a wrong template', () => {
    const { Resources } = cloudFormation(desireEverything())
    const bucket = Resources.MediaBucket
    if (bucket === undefined) throw new Error('There is no bucket.')
    const wrong = (Properties: Record<string, unknown>) =>
      problems({
        ...cloudFormation(desireEverything()),
        Resources: { ...Resources, MediaBucket: { ...bucket, Properties } },
      })
    expect(wrong({ BucketName: 5 })).toEqual(['MediaBucket.BucketName is no text'])
    expect(wrong({ Bucket: 'x' })).toEqual(['MediaBucket.Bucket is not known'])
    expect(wrong({ LifecycleConfiguration: {} })).toEqual(['MediaBucket.LifecycleConfiguration.Rules is missing'])
    expect(wrong({ VersioningConfiguration: { Status: 'On' } })[0]).toContain('is On, not one of')
  })

  it('keeps every bucket when the stack goes', () => {
    const buckets = Object.values(cloudFormation(desireEverything()).Resources).filter(
      ({ Type }) => Type === 'AWS::S3::Bucket',
    )
    expect(buckets.map(({ DeletionPolicy, UpdateReplacePolicy }) => [DeletionPolicy, UpdateReplacePolicy])).toEqual(
      Array.from({ length: 3 }, () => ['Retain', 'Retain']),
    )
  })

  it('stays under what CloudFormation takes', () => {
    // "Template body: 51,200 bytes"
    expect(JSON.stringify(cloudFormation(desireEverything())).length).toBeLessThan(51_200)
  })
})

describe('CloudFront', () => {
  it('is as AWS specifies it', () => {
    expect(problems(cloudFront(desireEverything(), nothingPublic))).toEqual([])
    expect(problems(cloudFront(desireEverything(), { publicPrefixes: ['avatars/'], publicKey }))).toEqual([])
  })

  it('takes signed links alone for what is not public', () => {
    const { Resources, Outputs } = cloudFront(desireEverything(), { publicPrefixes: ['avatars/'], publicKey })
    expect(Resources.Distribution?.Properties).toMatchObject({
      DistributionConfig: {
        DefaultCacheBehavior: { TrustedKeyGroups: [{ Ref: 'KeyGroup' }] },
        CacheBehaviors: [{ PathPattern: '/avatars/*' }],
      },
    })
    expect(JSON.stringify(Resources.Distribution)).not.toMatch(/PathPattern[^}]*TrustedKeyGroups/)
    expect(Resources.PublicKey?.Properties).toMatchObject({ PublicKeyConfig: { EncodedKey: publicKey } })
    expect(Outputs.KeyPairId).toEqual({ Value: { Ref: 'PublicKey' } })
  })

  it('caches a download apart from what is opened in place, and hands the query on', () => {
    const { CachePolicy } = cloudFront(desireEverything(), nothingPublic).Resources
    expect(CachePolicy?.Properties).toMatchObject({
      CachePolicyConfig: {
        ParametersInCacheKeyAndForwardedToOrigin: {
          QueryStringsConfig: { QueryStrings: ['response-content-disposition'] },
        },
      },
    })
  })

  it.each([
    ['a private key', privateKey, 'private half'],
    ['a key of another kind', pair('P-384').publicKey, 'does not take'],
    ['no key', 'ssh-rsa AAAA', 'none in PEM'],
  ])('%s is refused', (_, publicKey, why) => {
    const made = () => cloudFront(desireEverything(), { publicPrefixes: [], publicKey })
    expect(made).toThrow(expect.objectContaining({ code: 'invalid_request', message: expect.stringContaining(why) }))
  })

  it('may read what is public alone, where it asks for no signed links', () => {
    const statementOf = (readable: readonly string[] | null) =>
      bucketSpecs(desire({ ...cdn }, { bucket: 'media', readable }))
        .at(-1)
        ?.statements.find(({ Sid }) => Sid === 'KeepsakeCloudFront')
    expect(statementOf(null)?.Resource).toEqual(['arn:aws:s3:::media/*'])
    expect(statementOf(['avatars/', 'covers/'])?.Resource).toEqual([
      'arn:aws:s3:::media/avatars/*',
      'arn:aws:s3:::media/covers/*',
    ])
    expect(() => statementOf([])).toThrow('no collection is public')
  })

  it('may read the bucket by origin access control alone', () => {
    const { MediaBucketPolicy } = cloudFormation(desireEverything()).Resources
    expect(JSON.stringify(MediaBucketPolicy?.Properties)).toContain(
      '"Principal":{"Service":["cloudfront.amazonaws.com"]},"Action":["s3:GetObject"],"Resource":["arn:aws:s3:::echoes-audio-prod-123456789012/*"],"Condition":{"ArnLike":{"aws:SourceArn":["arn:aws:cloudfront::123456789012:distribution/E2QWRUHAPOMQZL"]}}',
    )
  })

  it('is refused where there is none', () => {
    const china = desire({}, { bucket: 'media', region: 'cn-north-1' })
    expect(() => cloudFront(china, nothingPublic)).toThrow('cn-north-1')
  })
})
