/** Every environment variable that one of the five documents names, as `grep` finds them there, and what it does here. */
import { expect, test } from 'vitest'
import { aliases, type ResolvedConfig, resolveConfig, settingNames } from './index.ts'

type Environment = Readonly<Record<string, string>>
type Effect = readonly [documents: string, text: string, read: (config: ResolvedConfig) => unknown, expected: unknown]

const bucket = { S3_BUCKET_NAME: 'media' }
const keys = { AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE', AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI' }
const s3 = ({ objectStore }: ResolvedConfig) => (objectStore.kind === 's3' ? objectStore : undefined)

const effects: Readonly<Record<string, Effect>> = {
  AWS_ACCESS_KEY_ID: ['000 002 003 004', 'AKIAOTHER', (config) => s3(config)?.credentials?.accessKeyId, 'AKIAOTHER'],
  AWS_SECRET_ACCESS_KEY: [
    '000 002 003 004',
    'another',
    (config) => s3(config)?.credentials?.secretAccessKey.reveal(),
    'another',
  ],
  AWS_REGION: ['000 001 002 003 004', 'eu-central-1', (config) => s3(config)?.region, 'eu-central-1'],
  AWS_PROFILE: ['001', 'echoes', (config) => s3(config)?.profile, 'echoes'],
  S3_BUCKET_NAME: ['000 001', 'one', ({ objectStore }) => objectStore.bucket, 'one'],
  AWS_S3_BUCKET_NAME: ['002', 'two', ({ objectStore }) => objectStore.bucket, 'two'],
  S3_BUCKET: ['003', 'three', ({ objectStore }) => objectStore.bucket, 'three'],
  AWS_BUCKET_NAME: ['004', 'four', ({ objectStore }) => objectStore.bucket, 'four'],
  S3_BASE_URL: ['000', 'https://cdn.burnie.io', ({ urls }) => urls.baseUrl, 'https://cdn.burnie.io'],
  S3_PUBLIC_BASE: ['003', 'https://b.s3.amazonaws.com/', ({ urls }) => urls.baseUrl, 'https://b.s3.amazonaws.com'],
  S3_PRESIGNED_URL_EXPIRATION: ['001', '900', ({ urls }) => urls.expiresIn, 900],
  S3_PRESIGNED_URL_EXPIRY: ['003', '1800', ({ urls }) => urls.expiresIn, 1800],
  MAX_AUDIO_FILE_SIZE: ['001', '5242880', ({ recipes }) => recipes.maxAudioFileSize, 5_242_880],
  USE_CLOUD_STORAGE: ['004', 'false', ({ objectStore }) => objectStore.kind, 'embedded'],
}

/** What a variable needs beside it to mean anything. */
function beside(name: string): Environment {
  const isBucket = name === 'S3_BUCKET_NAME' || (name in aliases && aliasOf(name) === 'S3_BUCKET_NAME')
  // A profile counts where no keys stand beside it.
  return { ...(isBucket ? {} : bucket), ...(name === 'AWS_PROFILE' ? {} : keys) }
}

function aliasOf(name: string): string | undefined {
  return Object.entries(aliases).find(([alias]) => alias === name)?.[1]
}

test.each(Object.entries(effects))('%s', (name, [, text, read, expected]) => {
  const config = resolveConfig({ env: { ...beside(name), [name]: text } })
  expect(read(config)).toEqual(expected)
  expect(read(resolveConfig({ env: beside(name) }))).not.toEqual(expected)
  expect(config.warnings).toEqual([])
})

test('every other spelling that there is has an effect in one of the documents, or is AWS’s own', () => {
  const own = ['AWS_DEFAULT_REGION', 'AWS_ENDPOINT_URL_S3']
  expect(
    Object.keys(aliases)
      .filter((alias) => !(alias in effects))
      .sort(),
  ).toEqual(own)
  for (const name of Object.keys(effects)) expect([...settingNames, ...Object.keys(aliases)]).toContain(name)
})

test('two spellings of one setting with two values are refused, and both are named; with one value they are one', () => {
  const spellings = Map.groupBy(Object.entries(aliases), ([, name]) => name)
  for (const [name, group] of spellings) {
    const [text, other] = aliasTexts(name)
    const names = [name, ...group.map(([alias]) => alias)]
    for (const one of names) {
      for (const two of names.filter((found) => found !== one)) {
        const env = { ...beside(one), [one]: text, [two]: other }
        expect(() => resolveConfig({ env })).toThrow(
          new RegExp(`(${one} .*${two} |${two} .*${one} ).*Set only ${name}`),
        )
        expect(() => resolveConfig({ env: { ...env, [two]: text } })).not.toThrow()
      }
    }
  }
})

function aliasTexts(name: string): readonly [string, string] {
  if (name === 'S3_PRESIGNED_URL_EXPIRATION') return ['60', '61']
  return /BASE_URL|ENDPOINT/.test(name) ? ['https://one.example', 'https://two.example'] : ['one', 'two']
}

test('USE_CLOUD_STORAGE: false is the embedded store although a bucket is named, true needs one', () => {
  const kind = (env: Environment) => resolveConfig({ env }).objectStore.kind
  expect(kind({ ...keys, AWS_BUCKET_NAME: 'videovote-uploads', USE_CLOUD_STORAGE: 'false' })).toBe('embedded')
  expect(kind({ ...keys, AWS_BUCKET_NAME: 'videovote-uploads', USE_CLOUD_STORAGE: 'True' })).toBe('s3')
  expect(kind({ ...keys, AWS_BUCKET_NAME: 'videovote-uploads' })).toBe('s3')
  expect(() => kind({ ...keys, USE_CLOUD_STORAGE: 'true' })).toThrow(/S3_BUCKET_NAME is not set.*Name the bucket/)
  expect(() => kind({ ...bucket, USE_CLOUD_STORAGE: 'perhaps' })).toThrow(
    /USE_CLOUD_STORAGE is 'perhaps'.*true or false/,
  )
})
