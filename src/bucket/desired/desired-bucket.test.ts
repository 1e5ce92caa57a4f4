import { describe, expect, it } from 'vitest'
import { account, desire, desireEverything, replica } from '../testing/desired.ts'
import { isDenied } from '../testing/simulator.ts'
import { bucketName, checkBucketName } from './bucket-name.ts'
import { bucketSpecs } from './bucket-spec.ts'
import { refuseCataloguedExpiry } from './prefix.ts'

const media = { bucket: 'media' }
const kmsKey = `arn:aws:kms:us-east-1:${account}:key/0f0f0f0f-1111-2222-3333-444444444444`

describe('the name', () => {
  it('is the app, the environment and the account', () => {
    expect(bucketName('echoes-audio', 'dev', '123456789012')).toBe('echoes-audio-dev-123456789012')
  })

  it.each([
    ['Echoes', 'capitals'],
    ['echoes_audio', 'an underscore'],
    ['-echoes', 'a hyphen first'],
    ['a'.repeat(50), 'more than 63 characters in all'],
    ['xn--echoes', 'a beginning that S3 keeps'],
    ['', 'nothing'],
  ])("'%s' is refused: %s", (app) => {
    expect(() => bucketName(app, 'prod', '123456789012')).toThrow(/Allowed|allowed/)
  })

  it.each(['ab', 'a.b.c', 'bucket-', 'sthree-x', 'x-s3alias', 'x--ol-s3', 'UPPER'])(
    "'%s' cannot be a new bucket's",
    (name) => {
      expect(() => checkBucketName(name)).toThrow('cannot be the name of a new bucket')
    },
  )

  it('takes the account, or a name', () => {
    expect(() => desire({ app: 'echoes' })).toThrow('The account is not known')
    expect(() => desire({})).toThrow('Nothing names the bucket')
    expect(desire({ app: 'echoes', env: 'dev' }, { account: '123456789012' }).name).toBe('echoes-dev-123456789012')
    expect(
      desire({ app: 'echoes', env: 'dev', account: '123456789012' }, { bucket: 'echoes-dev-123456789012' }).name,
    ).toBe('echoes-dev-123456789012')
  })
})

describe('what nobody said', () => {
  it('is safe in prod', () => {
    expect(desire({}, media)).toMatchObject({
      env: 'prod',
      versioning: true,
      staleUploadDays: 7,
      tempDays: 7,
      quarantineDays: 30,
      origins: [],
      kmsKey: null,
      logging: null,
    })
  })

  it('is light in dev, which the embedded S3 is for', () => {
    expect(desire({}, { ...media, embedded: true })).toMatchObject({
      env: 'dev',
      versioning: false,
      staleUploadDays: 1,
    })
  })

  it('is private, encrypted and for TLS alone in every bucket', () => {
    for (const spec of bucketSpecs(desireEverything())) {
      expect(Object.values(spec.publicAccessBlock)).toEqual([true, true, true, true])
      expect(spec.ownership).toBe('BucketOwnerEnforced')
      expect(spec.statements.slice(0, 2)).toMatchObject([
        { Effect: 'Deny', Principal: '*', Action: ['s3:*'], Condition: { Bool: { 'aws:SecureTransport': ['false'] } } },
        {
          Effect: 'Deny',
          Principal: '*',
          Action: ['s3:*'],
          Condition: { NumericLessThan: { 's3:TlsVersion': ['1.2'] } },
        },
      ])
      expect(spec.statements[0]?.Resource).toEqual([`arn:aws:s3:::${spec.name}`, `arn:aws:s3:::${spec.name}/*`])
      expect(spec.statements.every(({ Sid }) => Sid?.startsWith('Keepsake'))).toBe(true)
      expect(spec.lifecycle.every(({ id }) => id.startsWith('keepsake-'))).toBe(true)
    }
  })

  it('names the partition of its region', () => {
    expect(bucketSpecs(desire({}, { ...media, region: 'us-gov-west-1' }))[0]?.statements[0]?.Resource?.[0]).toBe(
      'arn:aws-us-gov:s3:::media',
    )
  })
})

describe('origins', () => {
  it.each(['https://app.example', 'https://app.example:8443', 'https://*.app.example'])(
    '%s is one in prod',
    (origin) => {
      expect(desire({ origins: [origin] }, media).origins).toEqual([origin])
    },
  )

  it.each([
    '*',
    'http://localhost:3000',
    'https://*',
    'https://*.com',
    'https://a*.example.com',
    'https://*.*.example.com',
    'https://app.example/path',
    'app.example',
    'null',
    'https://user@app.example',
    'file:///x',
  ])('%s is none in prod', (origin) => {
    expect(() => desire({ origins: [origin] }, media)).toThrow('bucket.origins')
  })

  it('may be local or all in dev', () => {
    const origins = ['http://localhost:5173', '*']
    expect(desire({ env: 'dev', origins }, media).origins).toEqual(origins)
  })
})

describe('writes with another encryption', () => {
  const header = 's3:x-amz-server-side-encryption'
  const keyHeader = `${header}-aws-kms-key-id`
  const denied = (settings: Parameters<typeof desire>[0], context: Record<string, string>) => {
    const spec = bucketSpecs(desire({ denyOtherEncryption: true, ...settings }, media)).at(-1)
    const statements = spec?.statements.filter(({ Action }) => Action?.includes('s3:PutObject')) ?? []
    return isDenied(statements, { action: 's3:PutObject', resource: 'arn:aws:s3:::media/key', context })
  }
  const ownKey = { [`${header}-customer-algorithm`]: 'AES256' }

  it('are denied where SSE-S3 is asked for, and silent ones are not', () => {
    expect(denied({}, {})).toBe(false)
    expect(denied({}, { [header]: 'AES256' })).toBe(false)
    expect(denied({}, { [header]: 'aws:kms' })).toBe(true)
    expect(denied({}, ownKey)).toBe(true)
  })

  it('or with another key are denied where a key is named', () => {
    expect(denied({ kmsKey }, {})).toBe(false)
    expect(denied({ kmsKey }, { [header]: 'aws:kms', [keyHeader]: kmsKey })).toBe(false)
    expect(denied({ kmsKey }, { [header]: 'aws:kms' })).toBe(false)
    expect(denied({ kmsKey }, { [header]: 'aws:kms', [keyHeader]: `${kmsKey}5` })).toBe(true)
    expect(denied({ kmsKey }, { [header]: 'aws:kms:dsse' })).toBe(true)
    expect(denied({ kmsKey }, { [header]: 'AES256' })).toBe(true)
    expect(denied({ kmsKey }, ownKey)).toBe(true)
  })
})

describe('refused is what would do harm or nothing', () => {
  it.each([
    [{ retention: { '': 5 } }, 'everything in the bucket would expire'],
    [{ retention: { '/temp/': 5 } }, "write 'temp/'"],
    [{ retention: { '.keepsake/': 5 } }, 'needs to know the bucket by'],
    [{ retention: { '.': 5 } }, 'needs to know the bucket by'],
    [{ transitions: [{ prefix: '/a', days: 30, storageClass: 'GLACIER' }] }, 'Keys do not begin with a slash'],
    [{ transitions: [{ prefix: '', days: 5, storageClass: 'STANDARD_IA' }] }, 'S3 wants 30 at least'],
    [{ transitions: [{ prefix: '', days: 5, storageClass: 'STANDARD' }] }, 'Allowed: STANDARD_IA'],
    [{ kmsKey: 'alias/mine' }, 'the whole ARN of a key'],
    [{ kmsKey: replica.kmsKey }, 'is a key of eu-west-1, and the bucket lies in us-east-1'],
    [{ kmsKey, replication: { region: 'eu-west-1' } }, 'bucket.replication.kmsKey is missing'],
    [{ replication: { region: 'eu-west-1', kmsKey } }, 'is a key of us-east-1, and the bucket lies in eu-west-1'],
    [{ prefixes: ['/x/'] }, 'bucket.prefixes'],
    [{ logging: { bucket: 'media' } }, 'each log would be logged'],
    [{ replication: { region: 'us-east-1' } }, 'where the bucket itself is'],
    [{ replication: { region: 'eu-west-1', role: 'copies' } }, 'the ARN of a role'],
    [{ replication: { region: 'eu-west-1' }, versioning: false }, 'needs versions'],
    [{ distribution: 'E2QWRUHAPOMQZL' }, 'bucket.distribution'],
    [{ fileExtensions: ['*'] }, 'bucket.fileExtensions'],
  ])('%j', (settings, words) => {
    expect(() => desire(settings, media)).toThrow(words)
  })

  it('an expiry where a collection keeps its media', () => {
    const collections = [
      { name: 'generations', key: { source: 'ai-generated/{wallet}/{id}.{ext}' } },
      { name: 'free', key: { source: '{owner}/{id}.{ext}' } },
    ]
    for (const prefix of ['ai-generated/', 'ai-', 'ai-generated/0xabc/']) {
      expect(() => refuseCataloguedExpiry({ [prefix]: 5 }, collections)).toThrow("'generations'")
    }
    refuseCataloguedExpiry({ 'exports/': 5 }, collections)
  })
})
