import { z } from 'zod'
import { KeepsakeError } from '../../media/index.ts'
import { failedAnswer, failedConnection, type RequestContext } from './errors.ts'
import { noCredentials } from './no-credentials.ts'

/** What a call by the AWS SDK was about. */
export type ExplainedCall = {
  /** The permission that it needs, such as `s3:GetBucketPolicy`. */
  readonly action: string
  readonly bucket: string
  readonly region: string
  /** The address that was called, scheme and host. Default: AWS's of the region. */
  readonly origin?: string
}

/** What the SDK tells of a failed call (`ServiceException`), without importing it. */
const serviceException = z.looseObject({
  name: z.string(),
  message: z.string().optional(),
  Region: z.string().optional(),
  ServerTime: z.string().optional(),
  $metadata: z.looseObject({ httpStatusCode: z.number() }),
  $response: z.looseObject({ headers: z.record(z.string(), z.string()).optional() }).optional(),
})

/** Names that the SDK makes up where the answer has none, as HEAD never has one. */
const madeUp = /^(Unknown|UnknownError|Error|NotFound|\d+)$/

/**
 * Whatever a call of the AWS SDK threw, in the same sentences that the data path has: the settings of a bucket, the
 * caller's identity. S3's own code stays in `details.s3Code`, the action of a refusal in `details.action`.
 *
 * @example
 * try { await s3.send(new GetBucketPolicyCommand({ Bucket })) }
 * catch (error) { throw explainS3Error(error, { action: 's3:GetBucketPolicy', bucket, region }) }
 */
export function explainS3Error(error: unknown, call: ExplainedCall): KeepsakeError {
  if (error instanceof KeepsakeError) return error
  const { action, bucket, region, origin = `https://s3.${region}.amazonaws.com` } = call
  const context: RequestContext = { storeName: `s3://${bucket}`, origin, bucket, region, action, key: undefined }
  const exception = serviceException.safeParse(error)
  if (exception.success) {
    const { name, message, Region, ServerTime, $metadata, $response } = exception.data
    const status = $metadata.httpStatusCode
    const code = madeUp.test(name) ? (status === 404 ? 'NoSuchBucket' : undefined) : name
    const answer = { code, message, region: Region, serverTime: ServerTime }
    return failedAnswer(context, { status, headers: lowerCase($response?.headers ?? {}) }, answer)
  }
  if (error instanceof Error && /^(CredentialsProviderError|TokenProviderError)$/.test(error.name)) {
    return noCredentials(error)
  }
  if (error instanceof Error && /^(TimeoutError|AbortError)$/.test(error.name)) {
    return new KeepsakeError('timeout', `The object store at ${origin} did not answer ${action} in time.`, {
      cause: error,
    })
  }
  return failedConnection(context, error)
}

function lowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}
