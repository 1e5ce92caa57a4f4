import { hash } from 'node:crypto'
import type { S3Client } from '@aws-sdk/client-s3'
import {
  type CredentialsProvider,
  explainS3Error,
  type ProviderName,
  providerOfAnswer,
  providerOfHost,
} from '../stores/index.ts'
import type { Make } from './offers.ts'

export type ControlOptions = {
  readonly region: string
  /** Default: AWS's own endpoint of the region. */
  readonly endpoint?: string
  readonly forcePathStyle?: boolean
  readonly dualStack?: boolean
  readonly credentials: CredentialsProvider
  /** The make of the store, where it is known. Default: by its host name, or by how it answers. */
  readonly provider?: ProviderName
  /** Milliseconds a call may take. Default: 15,000. */
  readonly timeoutMs?: number
}

/** What an error of the SDK is told with. */
export function placeOf(
  { region, endpoint }: Pick<ControlClient, 'region' | 'endpoint'>,
  action: string,
  bucket: string,
) {
  return { action, bucket, region, ...(endpoint === null ? {} : { origin: endpoint }) }
}

export type S3Module = typeof import('@aws-sdk/client-s3')

/** The AWS SDK for what is asked of a bucket rather than of an object. */
export type ControlClient = {
  readonly s3: S3Client
  /** The SDK's module, loaded: its commands. */
  readonly sdk: S3Module
  /** Null: AWS's own. */
  readonly endpoint: string | null
  readonly region: string
  /** The make of the store, as far as its address or its answers until now told. */
  make(): Make
  /**
   * The account of the credentials, by STS; undefined where the endpoint is not AWS's.
   *
   * @throws {KeepsakeError} `store_denied` where there are no credentials, or none that hold.
   */
  account(): Promise<string | undefined>
  close(): void
}

const maxAnswerBytes = 4 * 1024 ** 2
/** A PUT or GET whose answer lists objects was taken for another request than it is. */
const listing = /<ListBucketResult[\s>]/

/** Loads the SDK, which takes a third of a second, and opens a client. Makes no request. */
export async function openControlClient(options: ControlOptions): Promise<ControlClient> {
  const sdk = await import('@aws-sdk/client-s3')
  const { region, endpoint, credentials, timeoutMs = 15_000 } = options
  const s3 = new sdk.S3Client({
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
    forcePathStyle: options.forcePathStyle ?? false,
    useDualstackEndpoint: options.dualStack ?? false,
    credentials: async () => ({ ...(await credentials()) }),
    // On AWS a bucket may lie in another region than one thinks, and one wants to be told of it, not be refused. A store
    // of one's own has one region, and no other setting is right for it.
    followRegionRedirects: endpoint === undefined,
    maxAttempts: 3,
    requestHandler: { requestTimeout: timeoutMs, connectionTimeout: 5_000, throwOnRequestTimeout: true },
  })
  if (endpoint !== undefined) sendContentMd5(s3)
  const make = options.provider ?? (endpoint === undefined ? 'aws' : providerOfHost(new URL(endpoint).host))
  let answered: Make | undefined
  watchAnswers(s3, (headers) => {
    answered ??= headers.server === 'EmbeddedS3' ? 'embedded' : providerOfAnswer(headers)
  })
  return {
    s3,
    sdk,
    endpoint: endpoint ?? null,
    region,
    make: () => make ?? answered ?? 'other',
    account: async () => {
      if (endpoint !== undefined) return undefined
      const { GetCallerIdentityCommand, STSClient } = await import('@aws-sdk/client-sts')
      const sts = new STSClient({ region, credentials: async () => ({ ...(await credentials()) }) })
      try {
        return (await sts.send(new GetCallerIdentityCommand({}))).Account
      } catch (cause) {
        throw explainS3Error(cause, { action: 'sts:GetCallerIdentity', bucket: '', region, origin: 'AWS STS' })
      } finally {
        sts.destroy()
      }
    },
    close: () => s3.destroy(),
  }
}

type HttpMessage = { readonly headers: Record<string, string>; body?: unknown }

function isMessage(value: unknown): value is HttpMessage {
  return typeof value === 'object' && value !== null && 'headers' in value
}

/** Other stores ask for Content-MD5 where AWS takes a CRC32 (aws-sdk-js-v3, "MD5 fallback for S3"). */
function sendContentMd5(s3: S3Client): void {
  s3.middlewareStack.add(
    (next) => async (args) => {
      const { request } = args
      if (isMessage(request) && typeof request.body === 'string' && request.body !== '') {
        for (const name of Object.keys(request.headers)) {
          if (/^x-amz-(sdk-)?checksum-/i.test(name)) delete request.headers[name]
        }
        request.headers['content-md5'] = hash('md5', request.body, 'base64')
      }
      return next(args)
    },
    { step: 'build', priority: 'low', name: 'keepsakeContentMd5' },
  )
}

/**
 * A store that does not know a sub-resource may take `GET /bucket?inventory` for `GET /bucket` and list the bucket, with
 * 200 (seen on radosgw). None of the calls made here lists objects, so that is a setting which is not offered.
 */
function watchAnswers(s3: S3Client, onHeaders: (headers: Readonly<Record<string, string>>) => void): void {
  s3.middlewareStack.add(
    (next) => async (args) => {
      const answer = await next(args)
      const { response } = answer
      if (!isMessage(response)) return answer
      onHeaders(lowerNames(response.headers))
      if (!isStream(response.body)) return answer
      const body = await readAll(response.body)
      if (listing.test(body.subarray(0, 512).toString())) throw new NotOfferedError()
      response.body = body
      return answer
    },
    { step: 'deserialize', priority: 'low', name: 'keepsakeWatchAnswers' },
  )
}

function lowerNames(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

/** In the shape of the SDK's own errors. */
class NotOfferedError extends Error {
  override readonly name = 'NotImplemented'
  readonly $metadata = { httpStatusCode: 501 }
  constructor() {
    super('The store does not know this setting: it answered with a list of objects.')
  }
}

function isStream(body: unknown): body is AsyncIterable<Uint8Array> {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body
}

async function readAll(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of stream) {
    size += piece.byteLength
    if (size > maxAnswerBytes) throw new Error(`The store's answer is larger than ${maxAnswerBytes} bytes.`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}
