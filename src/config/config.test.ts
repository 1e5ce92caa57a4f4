import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect, promisify } from 'node:util'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { redact } from '../logging/index.ts'
import { KeepsakeError } from '../media/index.ts'
import {
  aliases,
  defineConfig,
  describeConfig,
  type KeepsakeConfig,
  loadConfigFile,
  readEnvironment,
  resolveConfig,
  type SchemaSetting,
  settingNames,
} from './index.ts'

function errorOf(work: () => unknown): KeepsakeError {
  try {
    work()
  } catch (error) {
    if (KeepsakeError.is(error, 'invalid_setting')) return error
    throw error
  }
  throw new Error('Nothing was refused.')
}

const aws = { S3_BUCKET_NAME: 'media', AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE', AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI' }

describe('without any setting', () => {
  test('everything has a default that runs', () => {
    const config = resolveConfig({ env: {}, cwd: '/srv/app' })
    expect(config).toMatchObject({
      dataDir: '/srv/app/.keepsake',
      database: { kind: 'pglite' },
      objectStore: { kind: 'embedded', port: null, publicEndpoint: null },
      imports: { allowHosts: [], allowHttp: false, giveUpAfter: 86_400 },
      urls: { expiresIn: 3600, baseUrl: null },
      http: { port: 8000, host: '127.0.0.1', apiKey: null, jwt: null },
      fallback: null,
      webhooks: { endpoints: [], allowHosts: [] },
      upkeep: {},
      logLevel: 'info',
      recipes: { maxAudioFileSize: null },
      warnings: [],
    })
    expect([...config.collections.keys()]).toEqual(['generations'])
  })

  test('empty texts count as not set', () => {
    const env = Object.fromEntries([...settingNames, ...Object.keys(aliases)].map((name) => [name, ' ']))
    expect(readEnvironment(env)).toEqual({})
  })
})

describe('what is fallen back to', () => {
  const fallbackOf = (env: Record<string, string>) => resolveConfig({ env: { ...aws, ...env } }).fallback

  test('is nothing unless it is asked for', () => {
    expect(fallbackOf({ KEEPSAKE_FALLBACK: 'false', KEEPSAKE_FALLBACK_PORT: '9000' })).toBeNull()
    expect(fallbackOf({ KEEPSAKE_FALLBACK: 'true' })).toEqual({ port: null, publicEndpoint: null, minFree: 2 ** 30 })
    const all = { KEEPSAKE_FALLBACK_PORT: '9000', KEEPSAKE_FALLBACK_MIN_FREE: '5 GiB' }
    const publicEndpoint = 'https://media.example'
    expect(
      fallbackOf({ KEEPSAKE_FALLBACK: 'true', ...all, KEEPSAKE_FALLBACK_PUBLIC_ENDPOINT: publicEndpoint }),
    ).toEqual({ port: 9000, publicEndpoint, minFree: 5 * 2 ** 30 })
    expect(
      resolveConfig({ env: aws, config: { fallback: { enabled: true, minFree: '1 MiB' } } }).fallback,
    ).toMatchObject({
      minFree: 2 ** 20,
    })
  })

  test('is warned of where it has no effect, or where nobody could reach it', () => {
    expect(resolveConfig({ env: { KEEPSAKE_FALLBACK: 'true' } }).warnings).toEqual([
      expect.stringContaining('no effect'),
    ])
    const open = { ...aws, KEEPSAKE_FALLBACK: 'true', HOST: '0.0.0.0' }
    expect(resolveConfig({ env: open }).warnings).toEqual([
      expect.stringContaining('KEEPSAKE_FALLBACK_PUBLIC_ENDPOINT'),
    ])
  })
})

describe('how the bucket is to be set up', () => {
  test('comes from the options, the file and the environment, field by field', () => {
    const { bucket } = resolveConfig({
      env: {
        KEEPSAKE_BUCKET_ENV: 'PROD',
        KEEPSAKE_BUCKET_APP: 'echoes',
        KEEPSAKE_BUCKET_ORIGINS: 'https://a.example, https://b.example',
      },
      file: { bucket: { app: 'from-the-file', retention: { 'exports/': 90 }, logging: true } },
      config: { bucket: { retention: { 'other/': 5 } } },
    })
    expect(bucket).toEqual({
      env: 'prod',
      app: 'from-the-file',
      origins: ['https://a.example', 'https://b.example'],
      retention: { 'other/': 5 },
      logging: true,
    })
  })

  test('lets those pages in that may call the API, in prod over https alone, unless it says others', () => {
    const corsOrigins = ['https://app.example', 'http://localhost:5173']
    const originsOf = (config: KeepsakeConfig) => resolveConfig({ env: {}, config }).bucket.origins
    const s3 = { bucket: 'media' }
    expect(originsOf({ http: { corsOrigins } })).toEqual(corsOrigins)
    expect(originsOf({ http: { corsOrigins }, s3 })).toEqual(['https://app.example'])
    expect(originsOf({ http: { corsOrigins }, s3, bucket: { env: 'dev' } })).toEqual(corsOrigins)
    expect(originsOf({ http: { corsOrigins }, s3, bucket: { origins: [] } })).toEqual([])
    expect(originsOf({ s3 })).toBeUndefined()
  })

  test('is refused where it is none, by its name', () => {
    const { message } = errorOf(() =>
      resolveConfig({ env: { KEEPSAKE_BUCKET_ENV: 'test' }, config: { bucket: { tempDays: 0, account: '12' } } }),
    )
    for (const words of ['KEEPSAKE_BUCKET_ENV', 'dev or prod', 'bucket.tempDays', 'bucket.account', 'twelve digits']) {
      expect(message).toContain(words)
    }
  })
})

describe('the environment', () => {
  test('each setting arrives', () => {
    const config = resolveConfig({
      cwd: '/',
      env: {
        ...aws,
        PORT: '0',
        HOST: '0.0.0.0',
        KEEPSAKE_DATA_DIR: '/data',
        KEEPSAKE_API_KEY: 'ks_key',
        KEEPSAKE_JWKS_URL: 'https://auth.example.com/jwks.json?v=1',
        KEEPSAKE_JWT_AUDIENCE: 'app',
        KEEPSAKE_JWT_ISSUER: 'https://auth.example.com/',
        DATABASE_URL: 'postgres://me:pw@db.example.com:6543/app?sslmode=require',
        KEEPSAKE_IMPORT_ALLOW_HOSTS: 'Media.Internal, 127.1:8080,[::1]:9000,',
        KEEPSAKE_IMPORT_ALLOW_HTTP: 'TRUE',
        KEEPSAKE_LOG_LEVEL: 'debug',
        AWS_REGION: 'eu-central-1',
        AWS_SESSION_TOKEN: 'token',
        S3_ENDPOINT: 'http://minio:9000/',
        S3_PUBLIC_ENDPOINT: 'https://media.example.com',
        S3_BASE_URL: 'https://cdn.example.com/media/',
        S3_PRESIGNED_URL_EXPIRATION: '900',
        MAX_AUDIO_FILE_SIZE: '10485760',
      },
    })
    expect(config).toMatchObject({
      dataDir: '/data',
      objectStore: {
        kind: 's3',
        bucket: 'media',
        region: 'eu-central-1',
        endpoint: 'http://minio:9000',
        publicEndpoint: 'https://media.example.com',
        forcePathStyle: true,
        credentials: { accessKeyId: 'AKIAEXAMPLE' },
      },
      imports: { allowHosts: ['media.internal', '127.0.0.1:8080', '[::1]:9000'], allowHttp: true },
      urls: { expiresIn: 900, baseUrl: 'https://cdn.example.com/media' },
      http: {
        port: 0,
        host: '0.0.0.0',
        jwt: {
          keys: { jwksUrl: 'https://auth.example.com/jwks.json?v=1' },
          audience: 'app',
          issuer: 'https://auth.example.com/',
        },
      },
      logLevel: 'debug',
      recipes: { maxAudioFileSize: 10_485_760 },
    })
    const { database, http, objectStore } = config
    expect(database.kind === 'postgres' && database.connectionString.reveal()).toContain('pw@db')
    expect(http.apiKey?.reveal()).toBe('ks_key')
    expect(objectStore.kind === 's3' && objectStore.credentials?.secretAccessKey.reveal()).toBe('wJalrXUtnFEMI')
    expect(objectStore.kind === 's3' && objectStore.credentials?.sessionToken?.reveal()).toBe('token')
  })

  test('all bad settings are told at once: name, what was found, what is allowed', () => {
    const error = errorOf(() =>
      readEnvironment({
        PORT: '70000',
        S3_PRESIGNED_URL_EXPIRATION: '7200',
        S3_ENDPOINT: 'minio:9000',
        KEEPSAKE_IMPORT_ALLOW_HTTP: 'perhaps',
        HOST: 'localhost',
      }),
    )
    expect(error.message).toContain("PORT is '70000'. Allowed is a port, a whole number from 0 to 65535.")
    expect(error.message).toContain(
      "S3_PRESIGNED_URL_EXPIRATION is '7200'. Allowed is a whole number of seconds from 1",
    )
    expect(error.message).toContain("S3_ENDPOINT is 'minio:9000'. Allowed is an http or https URL")
    expect(error.message).toContain("KEEPSAKE_IMPORT_ALLOW_HTTP is 'perhaps'. Allowed is true or false.")
    expect(error.message).not.toContain('HOST')
    expect(error.message).toMatch(/^4 settings are not valid/)
    expect(error.details.settings).toContain('PORT')
  })

  const refused: readonly (readonly [string, string])[] = [
    ['PORT', '-1'],
    ['PORT', '80.5'],
    ['PORT', '0x50'],
    ['HOST', 'http://localhost'],
    ['DATABASE_URL', 'mysql://localhost/app'],
    ['DATABASE_URL', 'postgres://me:p#ss@[host/app'],
    ['S3_BUCKET_NAME', 'arn:aws:s3:::media'],
    ['S3_BUCKET_NAME', 'a/b'],
    ['AWS_REGION', 'us east'],
    ['S3_BASE_URL', 'https://cdn.example.com/?key=1'],
    ['S3_ENDPOINT', 'ftp://store'],
    ['KEEPSAKE_JWKS_URL', 'file:///etc/passwd'],
    ['KEEPSAKE_API_KEY', 'two words'],
    ['S3_PRESIGNED_URL_EXPIRATION', '0'],
    ['S3_PRESIGNED_URL_EXPIRATION', '3601'],
    ['KEEPSAKE_IMPORT_ALLOW_HOSTS', 'https://media.internal'],
    ['KEEPSAKE_IMPORT_ALLOW_HOSTS', 'media.internal/path'],
    ['KEEPSAKE_IMPORT_ALLOW_HOSTS', '*.internal'],
    ['KEEPSAKE_IMPORT_ALLOW_HOSTS', 'media.internal:0'],
    ['KEEPSAKE_IMPORT_ALLOW_HOSTS', '::1'],
    ['KEEPSAKE_LOG_LEVEL', 'loud'],
    ['MAX_AUDIO_FILE_SIZE', 'ten'],
  ]
  test.each(refused)('%s=%s is refused', (name, text) => {
    expect(errorOf(() => readEnvironment({ [name]: text })).message).toContain(`${name} is `)
  })

  test('no bad value of a secret, and no password in a URL, stands in an error', () => {
    const secret = fc.stringMatching(/^[a-z]{12,20}$/)
    fc.assert(
      fc.property(secret, (text) => {
        const error = errorOf(() =>
          resolveConfig({
            config: {
              http: { apiKey: `${text} 1` },
              databaseUrl: `x://${text}`,
              s3: { endpoint: `ftp://me:${text}@host` },
            },
            env: {
              KEEPSAKE_API_KEY: `${text} 2`,
              DATABASE_URL: `postgres:${text}`,
              AWS_SECRET_ACCESS_KEY: `${text} 3`,
              S3_ENDPOINT: `https://me:a/${text}@store/?key=${text}`,
            },
          }),
        )
        expect(error.message).toContain('7 settings')
        expect(error.message).not.toContain(text)
        expect(JSON.stringify(error.details)).not.toContain(text)
      }),
    )
  })

  test('a shared secret and a keys address are never mixed', () => {
    const env = { KEEPSAKE_JWT_SECRET: 'x'.repeat(32), KEEPSAKE_JWKS_URL: 'https://auth.example.com/jwks' }
    expect(errorOf(() => readEnvironment(env)).message).toContain('never mixed')
  })
})

describe('other spellings', () => {
  test.each(Object.entries(aliases))('%s is %s', (alias, name) => {
    const text = {
      S3_PRESIGNED_URL_EXPIRATION: '60',
      S3_BASE_URL: 'https://a.example',
      S3_ENDPOINT: 'https://a.example',
    }
    const value = Object.entries(text).find(([known]) => known === name)?.[1] ?? 'some-name'
    expect(readEnvironment({ [alias]: value })).toEqual(readEnvironment({ [name]: value }))
    expect(readEnvironment({ [alias]: value })).toHaveProperty(name)
    expect(readEnvironment({ [alias]: value, [name]: value })).toHaveProperty(name)
  })

  test('two spellings with two values are refused, naming both', () => {
    const { message } = errorOf(() =>
      readEnvironment({ S3_BUCKET_NAME: 'one-bucket', AWS_BUCKET_NAME: 'other-bucket' }),
    )
    for (const part of ['S3_BUCKET_NAME', 'AWS_BUCKET_NAME', 'one-bucket', 'other-bucket'])
      expect(message).toContain(part)
    expect(
      errorOf(() => readEnvironment({ S3_BUCKET: 'one-bucket', AWS_BUCKET_NAME: 'other-bucket' })).message,
    ).toContain('Set only S3_BUCKET_NAME')
  })

  test('the environments of the five documents are understood', () => {
    const key = { AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE', AWS_SECRET_ACCESS_KEY: 'secret', AWS_REGION: 'us-east-1' }
    const environments = [
      { ...key, S3_BUCKET_NAME: 'burnie-content-storage', S3_BASE_URL: 'https://cdn.burnie.io' },
      {
        S3_BUCKET_NAME: 'echoes-audio-dev-123456789012',
        AWS_REGION: 'us-east-1',
        AWS_PROFILE: 'your-profile-name',
        S3_PRESIGNED_URL_EXPIRATION: '3600',
        MAX_AUDIO_FILE_SIZE: '10485760',
      },
      { ...key, AWS_S3_BUCKET_NAME: 'nolmt-ai-generations' },
      {
        ...key,
        S3_BUCKET: 'product-photos-ai',
        S3_PUBLIC_BASE: 'https://product-photos-ai.s3.us-east-1.amazonaws.com',
        S3_PRESIGNED_URL_EXPIRY: '3600',
      },
      { ...key, AWS_BUCKET_NAME: 'videovote-uploads', USE_CLOUD_STORAGE: 'true' },
    ]
    const stores = environments.map((env) => resolveConfig({ env }).objectStore)
    expect(stores.map((store) => store.bucket)).toEqual([
      'burnie-content-storage',
      'echoes-audio-dev-123456789012',
      'nolmt-ai-generations',
      'product-photos-ai',
      'videovote-uploads',
    ])
    for (const store of stores) expect(store).toMatchObject({ kind: 's3', region: 'us-east-1', forcePathStyle: false })
    expect(stores[1]).toMatchObject({ credentials: null, profile: 'your-profile-name' })
  })
})

describe('which object store', () => {
  test('USE_CLOUD_STORAGE=false keeps to the embedded one although a bucket is named', () => {
    expect(resolveConfig({ env: { ...aws, USE_CLOUD_STORAGE: 'false' } }).objectStore.kind).toBe('embedded')
    expect(resolveConfig({ env: { ...aws, USE_CLOUD_STORAGE: 'true' } }).objectStore.kind).toBe('s3')
  })

  test('a store that was asked for without a bucket is refused instead of ignored', () => {
    expect(errorOf(() => resolveConfig({ env: { USE_CLOUD_STORAGE: 'true' } })).message).toContain('Name the bucket')
    expect(errorOf(() => resolveConfig({ env: { S3_ENDPOINT: 'http://minio:9000' } })).message).toContain(
      'Name the bucket',
    )
    // Keys for other things lie around in many environments.
    expect(resolveConfig({ env: { AWS_ACCESS_KEY_ID: 'AKIA', AWS_REGION: 'us-east-1' } }).objectStore.kind).toBe(
      'embedded',
    )
  })

  test('half an access key is refused', () => {
    const id = errorOf(() => resolveConfig({ env: { S3_BUCKET_NAME: 'media', AWS_ACCESS_KEY_ID: 'AKIA' } }))
    expect(id.message).toMatch(/^AWS_SECRET_ACCESS_KEY is not set/)
    const secret = errorOf(() => resolveConfig({ env: { S3_BUCKET_NAME: 'media', AWS_SECRET_ACCESS_KEY: 'x' } }))
    expect(secret.message).toMatch(/^AWS_ACCESS_KEY_ID is not set/)
  })

  const styles: readonly (readonly [Record<string, string>, boolean])[] = [
    [{}, false],
    [{ S3_ENDPOINT: 'https://s3.eu-west-1.amazonaws.com' }, false],
    [{ S3_ENDPOINT: 'https://s3.cn-north-1.amazonaws.com.cn' }, false],
    [{ S3_ENDPOINT: 'https://notamazonaws.com' }, true],
    [{ S3_ENDPOINT: 'http://127.0.0.1:9000' }, true],
    [{ S3_ENDPOINT: 'http://127.0.0.1:9000', S3_FORCE_PATH_STYLE: 'false' }, false],
    [{ S3_BUCKET_NAME: 'media.example.com' }, true],
    [{ S3_FORCE_PATH_STYLE: '1' }, true],
  ]
  test.each(styles)('the address style of %j', (env, pathStyle) => {
    expect(resolveConfig({ env: { ...aws, ...env } }).objectStore).toMatchObject({ forcePathStyle: pathStyle })
  })
})

describe('the store', () => {
  test('AWS over IPv6, and the make of a store behind a name of its own', () => {
    const resolve = (env: Record<string, string>) => resolveConfig({ env: { ...aws, ...env } }).objectStore
    expect(resolve({})).toMatchObject({ dualStack: false, provider: null })
    expect(resolve({ AWS_USE_DUALSTACK_ENDPOINT: 'true' })).toMatchObject({ dualStack: true })
    const place = { S3_ENDPOINT: 'https://media.example.com' }
    expect(resolve({ ...place, S3_PROVIDER: 'B2' })).toMatchObject({ provider: 'b2' })
    expect(() => resolve({ ...place, S3_PROVIDER: 'wasabi' })).toThrow(/S3_PROVIDER is 'wasabi'.*one of aws, minio/)
    expect(() => resolve({ ...place, AWS_USE_DUALSTACK_ENDPOINT: '1' })).toThrow(
      /AWS_USE_DUALSTACK_ENDPOINT .* S3_ENDPOINT/,
    )
  })

  test("the AWS tools' address of all services, where S3 has none of its own, and only with a bucket", () => {
    const env = { AWS_ENDPOINT_URL: 'http://localhost:4566' }
    expect(resolveConfig({ env: { ...aws, ...env } }).objectStore).toMatchObject({
      endpoint: 'http://localhost:4566',
      forcePathStyle: true,
    })
    const own = { ...env, S3_ENDPOINT: 'http://localhost:9000' }
    expect(resolveConfig({ env: { ...aws, ...own } }).objectStore).toMatchObject({ endpoint: 'http://localhost:9000' })
    expect(resolveConfig({ env }).objectStore).toMatchObject({ kind: 'embedded' })
  })

  test('a session token with its end, as the AWS CLI exports both, and without it', () => {
    const token = { ...aws, AWS_SESSION_TOKEN: 'token' }
    const known = resolveConfig({ env: { ...token, AWS_CREDENTIAL_EXPIRATION: '2026-11-20T14:00:00+02:00' } })
    expect(known.objectStore).toMatchObject({ credentials: { expiration: new Date('2026-11-20T12:00:00Z') } })
    expect(known.warnings).toEqual([])
    const unknown = resolveConfig({ env: token })
    expect(unknown.objectStore).toMatchObject({ credentials: { expiration: null } })
    expect(unknown.warnings).toEqual([
      expect.stringMatching(
        /^AWS_CREDENTIAL_EXPIRATION is not set, but a session token is: a link to s3:\/\/media may/,
      ),
    ])
    expect(() => resolveConfig({ env: { ...token, AWS_CREDENTIAL_EXPIRATION: 'tomorrow' } })).toThrow(
      /AWS_CREDENTIAL_EXPIRATION is 'tomorrow'. Allowed is a time such as /,
    )
    const given = { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'secret', sessionToken: 'token' }
    const config = { s3: { bucket: 'media', credentials: { ...given, expiration: '2026-11-20T12:00:00Z' } } }
    expect(resolveConfig({ env: {}, config }).objectStore).toMatchObject({
      credentials: { expiration: new Date('2026-11-20T12:00:00Z') },
    })
  })
})

describe('CloudFront', () => {
  const pem = '-----BEGIN PRIVATE KEY-----\nnobody-may-see-this\n-----END PRIVATE KEY-----'
  const env = { ...aws, KEEPSAKE_CLOUDFRONT_KEY_PAIR_ID: 'K2JCJMDEHXQW5F', KEEPSAKE_CLOUDFRONT_PRIVATE_KEY: pem }
  const resolved = (more: Record<string, string>, config: KeepsakeConfig = {}) => {
    const { cloudfront } = resolveConfig({ env: { ...env, ...more }, config, cwd: '/srv/app' }).delivery
    return cloudfront
  }

  test('takes a domain, or the address of the public collections', () => {
    expect(resolved({ KEEPSAKE_CLOUDFRONT_DOMAIN: 'media.example.com' })).toMatchObject({
      ...{ url: 'https://media.example.com', keyPairId: 'K2JCJMDEHXQW5F', hash: 'sha256' },
    })
    expect(resolved({ S3_BASE_URL: 'https://d111.cloudfront.net' })?.url).toBe('https://d111.cloudfront.net')
    expect(resolved({ KEEPSAKE_CLOUDFRONT_DOMAIN: 'a.example', KEEPSAKE_CLOUDFRONT_HASH: 'SHA-1' })?.hash).toBe('sha1')
  })

  test('takes the id and the key from one source', () => {
    const cloudfront = { keyPairId: 'K3AAAAAAAAAAAA', privateKeyFile: 'cdn.pem' }
    expect(resolved({ KEEPSAKE_CLOUDFRONT_DOMAIN: 'a.example' }, { delivery: { cloudfront } })).toEqual({
      ...{ url: 'https://a.example', keyPairId: 'K3AAAAAAAAAAAA', hash: 'sha256' },
      privateKey: { file: '/srv/app/cdn.pem' },
    })
  })

  test('is nothing before the embedded S3', () => {
    expect(resolved({ KEEPSAKE_CLOUDFRONT_DOMAIN: 'a.example', USE_CLOUD_STORAGE: 'false' })).toBeNull()
  })

  test('does not show the key', () => {
    const config = resolveConfig({ env: { ...env, KEEPSAKE_CLOUDFRONT_DOMAIN: 'a.example' } })
    expect(inspect(config, { depth: 9 }) + JSON.stringify(config)).not.toContain('nobody-may-see')
    expect(describeConfig(config).links).toBe('signed for https://a.example')
  })

  test.each<[string, Record<string, string>, string]>([
    ['no domain', {}, 'KEEPSAKE_CLOUDFRONT_DOMAIN is not set'],
    ['an address with a path', { S3_BASE_URL: 'https://cdn.example/media' }, 'KEEPSAKE_CLOUDFRONT_DOMAIN is not set'],
    ['plain http', { KEEPSAKE_CLOUDFRONT_DOMAIN: 'http://cdn.example' }, "is 'http://cdn.example'"],
    ['an ARN for an id', { KEEPSAKE_CLOUDFRONT_KEY_PAIR_ID: 'arn:aws:x' }, "is 'arn:aws:x'"],
    ['two keys', { KEEPSAKE_CLOUDFRONT_DOMAIN: 'a.example', KEEPSAKE_CLOUDFRONT_PRIVATE_KEY_FILE: 'x' }, 'both set'],
    [
      'no key',
      { KEEPSAKE_CLOUDFRONT_DOMAIN: 'a.example', KEEPSAKE_CLOUDFRONT_PRIVATE_KEY: '' },
      'PRIVATE_KEY is not set',
    ],
  ])('%s stops the start', (_, more, why) => {
    const { message } = errorOf(() => resolved(more))
    expect(message).toContain(why)
    expect(message).not.toContain('nobody-may-see')
  })
})

describe('a replica', () => {
  const resolved = (more: Record<string, string>, config: KeepsakeConfig = {}) =>
    resolveConfig({ env: { ...aws, ...more }, config }).replica

  test('of AWS is reached over IPv6 where the bucket is', () => {
    const env = { AWS_USE_DUALSTACK_ENDPOINT: 'true', KEEPSAKE_REPLICA_BUCKET: 'media-copy' }
    expect(resolved(env)).toMatchObject({ dualStack: true })
    expect(resolved({ ...env, KEEPSAKE_REPLICA_ENDPOINT: 'https://s3.example.com' })).toMatchObject({
      dualStack: false,
    })
  })

  test('is none until it is named', () => {
    expect(resolved({})).toBeNull()
  })

  test('in another region of AWS shares the credentials of the bucket', () => {
    const replica = resolved({ KEEPSAKE_REPLICA_BUCKET: 'media-copy', KEEPSAKE_REPLICA_REGION: 'eu-west-1' })
    expect(replica).toMatchObject({
      ...{ bucket: 'media-copy', region: 'eu-west-1', endpoint: null, deleteAfter: 604_800, copiedBy: 'keepsake' },
      credentials: { accessKeyId: 'AKIAEXAMPLE' },
    })
  })

  test('at another provider does not', () => {
    const env = {
      KEEPSAKE_REPLICA_BUCKET: 'media',
      KEEPSAKE_REPLICA_ENDPOINT: 'https://s3.eu-central-003.backblazeb2.com',
      KEEPSAKE_REPLICA_DELETE_AFTER: '0',
    }
    expect(resolved(env)).toMatchObject({ credentials: null, profile: null, deleteAfter: 0, forcePathStyle: true })
    const keys = { KEEPSAKE_REPLICA_ACCESS_KEY_ID: 'ID', KEEPSAKE_REPLICA_SECRET_ACCESS_KEY: 'hidden-secret' }
    const replica = resolved({ ...env, ...keys })
    expect(replica?.credentials?.secretAccessKey.reveal()).toBe('hidden-secret')
    expect(inspect(replica, { depth: 9 })).not.toContain('hidden-secret')
  })

  test('is copied by the bucket itself, where that is how the bucket is set up', () => {
    const config = { bucket: { replication: { region: 'eu-west-1' } } }
    expect(resolved({ KEEPSAKE_REPLICA_BUCKET: 'media-replica' }, config)?.copiedBy).toBe('store')
    expect(resolved({ KEEPSAKE_REPLICA_BUCKET: 'elsewhere' }, config)?.copiedBy).toBe('keepsake')
    const env = { KEEPSAKE_REPLICA_BUCKET: 'media-replica', KEEPSAKE_REPLICA_COPIED_BY: 'keepsake' }
    expect(resolved(env, config)?.copiedBy).toBe('keepsake')
  })

  test.each<[string, Record<string, string>, string]>([
    ['the bucket itself', { KEEPSAKE_REPLICA_BUCKET: 'media' }, 'the bucket itself'],
    ['no bucket', { KEEPSAKE_REPLICA_REGION: 'eu-west-1' }, 'KEEPSAKE_REPLICA_BUCKET is not set'],
    [
      'half of the credentials',
      { KEEPSAKE_REPLICA_BUCKET: 'copy', KEEPSAKE_REPLICA_ACCESS_KEY_ID: 'x' },
      'KEEPSAKE_REPLICA_SECRET_ACCESS_KEY is not set',
    ],
    ['another copier', { KEEPSAKE_REPLICA_BUCKET: 'copy', KEEPSAKE_REPLICA_COPIED_BY: 'me' }, 'keepsake or store'],
  ])('%s stops the start', (_, env, why) => {
    expect(errorOf(() => resolved(env)).message).toContain(why)
  })
})

describe('precedence', () => {
  const env = {
    PORT: '1',
    HOST: 'env.host',
    S3_BUCKET_NAME: 'env-bucket',
    KEEPSAKE_LOG_LEVEL: 'warn',
    AWS_REGION: 'env-1',
  }
  const file: KeepsakeConfig = { http: { port: 2, host: 'file.host' }, s3: { bucket: 'file-bucket' } }
  const config: KeepsakeConfig = { http: { port: 3 } }

  test('options over file over environment over default, field by field', () => {
    const resolved = resolveConfig({ config, file, env })
    expect(resolved.http).toMatchObject({ port: 3, host: 'file.host' })
    expect(resolved.objectStore).toMatchObject({ bucket: 'file-bucket', region: 'env-1' })
    expect(resolved.logLevel).toBe('warn')
    expect(resolved.urls.expiresIn).toBe(3600)
  })

  test('a profile that was configured is not overruled by keys that lie in the environment', () => {
    const { objectStore } = resolveConfig({ config: { s3: { profile: 'mine' } }, env: aws })
    expect(objectStore).toMatchObject({ credentials: null, profile: 'mine' })
  })

  test('a token secret in the environment gives way to a keys address in the options', () => {
    const jwt = { jwksUrl: 'https://auth.example.com/jwks' }
    const { http } = resolveConfig({ config: { http: { jwt } }, env: { KEEPSAKE_JWT_SECRET: 'x'.repeat(32) } })
    expect(http.jwt?.keys).toEqual(jwt)
  })
})

describe('collections', () => {
  test('are checked, and add to the default one or take its place', () => {
    const added = resolveConfig({
      config: { collections: { avatars: { accept: ['image'], maxSize: '5 MB' } } },
      env: {},
    })
    expect([...added.collections.keys()].sort()).toEqual(['avatars', 'generations'])
    expect(added.collections.get('avatars')?.maxSize).toBe(5_000_000)
    const replaced = resolveConfig({ config: { collections: { generations: { maxSize: 7 } } }, env: {} })
    expect(replaced.collections.get('generations')).toMatchObject({ maxSize: 7, attributes: {} })
  })

  test('bad ones are told together with all other problems', () => {
    const { message } = errorOf(() =>
      resolveConfig({
        config: { collections: { Bad: {}, short: { key: 'fixed.png' } }, imports: { giveUpAfter: 'soon' } },
        env: { PORT: 'x' },
      }),
    )
    for (const part of ["'Bad'", 'fixed.png', "giveUpAfter is 'soon'", "PORT is 'x'"]) expect(message).toContain(part)
  })

  test('a setting that does not exist is refused with its place', () => {
    const config = JSON.parse('{"s3":{"bukket":"media"},"prot":1}')
    const { message } = errorOf(() => resolveConfig({ config, env: {} }))
    expect(message).toContain('In the options, s3 is refused: there is no setting bukket here.')
    expect(message).toContain('prot')
  })
})

describe('what is shown', () => {
  const config = resolveConfig({
    config: { http: { jwt: { secret: 'shared-secret-1' } } },
    env: {
      ...aws,
      KEEPSAKE_API_KEY: 'shared-secret-2',
      AWS_SECRET_ACCESS_KEY: 'shared-secret-3',
      AWS_SESSION_TOKEN: 'shared-secret-4',
      DATABASE_URL: 'postgres://me:shared-secret-5@db:5432/app?password=shared-secret-6',
      KEEPSAKE_DATADIR: 'x',
    },
  })

  test('no secret, in the description, in JSON or when printed', () => {
    for (const text of [
      JSON.stringify(describeConfig(config)),
      JSON.stringify(config),
      inspect(config, { depth: 9 }),
    ]) {
      expect(text).not.toContain('shared-secret')
    }
    expect(describeConfig(config)).toMatchObject({
      database: 'PostgreSQL db:5432/app',
      objectStore: 's3://media',
      keyOrigin: 'given',
      tokens: 'HS256, audience authenticated',
    })
  })

  test('whole: the log hides nothing of a description without secrets', () => {
    for (const shown of [config, resolveConfig({ env: {} })]) {
      expect(redact(describeConfig(shown))).toEqual(describeConfig(shown))
    }
  })

  test('a session token without its end, a short token secret and a name nobody knows are warned about', () => {
    expect(config.warnings).toEqual([
      expect.stringContaining('AWS_CREDENTIAL_EXPIRATION is not set'),
      expect.stringContaining('KEEPSAKE_JWT_SECRET has fewer than 32 bytes'),
      'KEEPSAKE_DATADIR is not a setting of Keepsake.',
    ])
  })

  test('keys that come over plain http are warned about, unless they come from this machine', () => {
    const warnings = (KEEPSAKE_JWKS_URL: string) => resolveConfig({ env: { KEEPSAKE_JWKS_URL } }).warnings
    expect(warnings('http://auth.example.com/jwks')).toEqual([
      expect.stringContaining('KEEPSAKE_JWKS_URL is plain http'),
    ])
    expect(warnings('http://127.0.0.1:9999/jwks')).toEqual([])
    expect(warnings('https://auth.example.com/jwks')).toEqual([])
  })
})

describe('the configuration file', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keepsake-config-'))
  })
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true })
  })
  const write = (name: string, text: string) => writeFile(join(folder, name), text)
  const refusal = async () => {
    const error: unknown = await loadConfigFile(folder).catch((thrown: unknown) => thrown)
    return errorOf(() => {
      throw error
    }).message
  }

  test('is TypeScript or JavaScript, and need not be there', async () => {
    expect(await loadConfigFile(folder)).toBeUndefined()
    const door = new URL('./index.ts', import.meta.url).href
    await write(
      'keepsake.config.ts',
      `import { defineConfig, type KeepsakeConfig } from ${JSON.stringify(door)}
       const http: KeepsakeConfig['http'] = { port: 4000 }
       export default defineConfig({ http })`,
    )
    const file = await loadConfigFile(folder)
    expect(file?.path).toBe(join(folder, 'keepsake.config.ts'))
    expect(resolveConfig({ env: {}, ...(file && { file: file.config }) }).http.port).toBe(4000)
  })

  test('is refused with its path where it is not a configuration', async () => {
    await write('keepsake.config.mjs', 'export const config = {}')
    expect(await refusal()).toContain(`${join(folder, 'keepsake.config.mjs')} exports config`)
    await write('keepsake.config.js', 'export default 1')
    expect(await refusal()).toContain('There are both')
    await rm(join(folder, 'keepsake.config.mjs'))
    expect(await refusal()).toContain('a number')
  })

  test('is refused with the reason where it does not load', async () => {
    await write('keepsake.config.mjs', "throw new Error('no such region')")
    expect(await refusal()).toContain('no such region')
  })

  test('says what to do where a clone was not built', async () => {
    await write('package.json', '{"name":"keepsake","type":"module","exports":{".":"./dist/index.js"}}')
    await write('keepsake.config.mjs', "import { defineConfig } from 'keepsake'\nexport default defineConfig({})")
    // By Node itself: Vitest resolves packages in a way of its own.
    const door = new URL('./index.ts', import.meta.url).href
    const script = `import { loadConfigFile } from '${door}'; await loadConfigFile(process.argv[1])`
    const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, folder])
    await expect(run).rejects.toThrow('npm run build')
  })
})

test('defineConfig gives back what it got', () => {
  const config = { http: { port: 1 } }
  expect(defineConfig(config)).toBe(config)
})

describe('collections that extensions bring', () => {
  const one = { name: 'one', collections: { avatars: { maxSize: '1 MB' } } }
  const two = { name: 'two', collections: { avatars: { maxSize: '2 MB' } } }

  test('add to those that are declared, which win', () => {
    const { collections } = resolveConfig({ env: {}, config: { extensions: [one] } })
    expect(collections.get('avatars')?.maxSize).toBe(1_000_000)
    const declared = { extensions: [one, two], collections: { avatars: { maxSize: '3 MB' } } }
    expect(resolveConfig({ env: {}, config: declared }).collections.get('avatars')?.maxSize).toBe(3_000_000)
  })

  test('of one name from two are refused, naming both', () => {
    const { message } = errorOf(() => resolveConfig({ env: {}, config: { extensions: [one, two] } }))
    expect(message).toContain("The extensions 'one' and 'two' both bring a collection 'avatars'")
  })
})

describe('extensions', () => {
  const schemasOf = (extensions: NonNullable<KeepsakeConfig['extensions']>, env = {}) =>
    resolveConfig({ config: { extensions }, env }).extensions.map(({ schema }) => schema)

  test('bring a schema as a text, or make it for the database and the public address at hand', () => {
    const made = { name: 'b', schema: (setting: SchemaSetting) => `${setting.database} ${setting.baseUrl}` }
    expect(schemasOf([{ name: 'a', schema: 'select 1' }, made, { name: 'c' }])).toEqual([
      'select 1',
      'pglite null',
      null,
    ])
    const env = { DATABASE_URL: 'postgres://db/app', S3_BASE_URL: 'https://cdn.example.com/' }
    expect(schemasOf([made, { name: 'none', schema: () => null }], env)).toEqual([
      'postgres https://cdn.example.com',
      null,
    ])
  })

  test('are told apart by their names', () => {
    const error = errorOf(() => schemasOf([{ name: 'notes' }, { name: 'echoes' }, { name: 'notes' }]))
    expect(error.message).toContain("There are two extensions called 'notes'")
  })
})
