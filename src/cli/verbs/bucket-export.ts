import { readFile, writeFile } from 'node:fs/promises'
import {
  awsCli,
  cloudFormation,
  cloudFront,
  type DesiredBucket,
  desireBucket,
  type IamRole,
  iamPolicy,
  iamRoles,
  type Missing,
  missingFeatures,
  terraform,
} from '../../bucket/index.ts'
import type { ResolvedConfig } from '../../config/index.ts'
import { publicPrefixes } from '../../media/index.ts'
import { openBucket } from '../../open-bucket.ts'
import { providerOfHost } from '../../stores/index.ts'
import { type BucketConfig, type BucketOptions, bucketConfig, readableBy } from '../bucket-options.ts'
import { CliFailure, type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { jsonDocument } from './options.ts'

export const exportFormats = ['iam', 'cloudformation', 'terraform', 'aws-cli', 'cloudfront'] as const
type Format = (typeof exportFormats)[number]

export type ExportVerbOptions = BucketOptions & {
  readonly role?: string
  /** A file with the public key that CloudFront is to take signed links by. */
  readonly publicKey?: string
  readonly out?: string
}

/** Writes the desired state in the form of another tool. Asks AWS for nothing but the account, where the name takes it. */
export async function exportVerb(format: string, options: ExportVerbOptions, io: Io): Promise<ExitCode> {
  const known = exportFormats.find((one) => one === format)
  if (known === undefined) {
    throw CliFailure.usage(`'${format}' is not a form of export. Allowed: ${exportFormats.join(', ')}.`)
  }
  const role = roleOf(options.role, known)
  const settings = await bucketConfig(options, io)
  const desired = desireBucket(settings.config.bucket, await contextOf(settings))
  const text = render(known, desired, { role, publicKey: await publicKeyOf(options.publicKey, known) }, settings.config)
  if (settings.config.objectStore.kind === 'embedded' && known !== 'aws-cli' && !options.json) {
    io.stderr.write(onlyEmbedded)
  }
  if (options.out !== undefined) await writeFile(options.out, text)
  else if (options.json && !text.startsWith('{')) io.stdout.write(jsonDocument({ format: known, text }))
  else io.stdout.write(text)
  return exitCodes.ok
}

const onlyEmbedded =
  'keepsake: nothing names a bucket at AWS, so this is about the one of the embedded S3. Give --app, --bucket or S3_BUCKET_NAME.\n'

async function publicKeyOf(file: string | undefined, format: Format): Promise<string | null> {
  if (file === undefined) return null
  if (format !== 'cloudfront') throw CliFailure.usage('--public-key is for `bucket export cloudfront` alone.')
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw CliFailure.usage(`${file} cannot be read (${error.code}). --public-key is a file with a public key in PEM.`)
  })
}

function roleOf(name: string | undefined, format: Format): IamRole | undefined {
  const role = iamRoles.find((one) => one === name)
  if (name !== undefined && role === undefined) {
    throw CliFailure.usage(`--role is '${name}'. Allowed: ${iamRoles.join(', ')}.`)
  }
  if (role !== undefined && format !== 'iam') throw CliFailure.usage('--role is for `bucket export iam` alone.')
  return role
}

async function contextOf({ config, bucket }: BucketConfig) {
  const { objectStore: store } = config
  const region = store.kind === 's3' ? store.region : 'us-east-1'
  const context = { embedded: store.kind === 'embedded', bucket, region, readable: readableBy(config) }
  if (bucket !== null || config.bucket.account !== undefined) return { ...context, account: config.bucket.account }
  const access = await openBucket(config)
  try {
    return { ...context, account: await (await access.clientOf(region)).account() }
  } finally {
    await access.close()
  }
}

type Asked = { readonly role: IamRole | undefined; readonly publicKey: string | null }

function render(format: Format, desired: DesiredBucket, { role, publicKey }: Asked, config: ResolvedConfig): string {
  switch (format) {
    case 'iam':
      return jsonDocument(
        role === undefined
          ? Object.fromEntries(iamRoles.map((one) => [one, iamPolicy(desired, one)]))
          : iamPolicy(desired, role),
      )
    case 'cloudformation':
      return jsonDocument(cloudFormation(desired))
    case 'cloudfront':
      return jsonDocument(
        cloudFront(desired, { publicPrefixes: publicPrefixes(config.collections.values()), publicKey }),
      )
    case 'terraform':
      return terraform(desired)
    case 'aws-cli':
      return awsCli(desired, storeOf(config))
  }
}

/** Commands are for the store that is set, as far as its address tells which it is; the others are for AWS. */
function storeOf({ objectStore: store }: ResolvedConfig): { missing: Missing; endpoint: string | null } {
  // Its port is known only while somebody serves it.
  if (store.kind === 'embedded')
    return { missing: missingFeatures({ make: 'embedded', plainHttp: true }), endpoint: 'environment' }
  const { endpoint } = store
  if (endpoint === null) return { missing: {}, endpoint }
  const url = new URL(endpoint)
  const make = store.provider ?? providerOfHost(url.host) ?? 'other'
  return { missing: missingFeatures({ make, plainHttp: url.protocol === 'http:' }), endpoint }
}
