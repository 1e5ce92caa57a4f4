import { request } from 'undici'
import type { PublicAccessBlock, Reading } from '../bucket/index.ts'
import { type Credentials, Signer } from '../stores/index.ts'

export type AccountBlockRequest = {
  readonly account: string
  readonly region: string
  readonly credentials: Credentials
  /** Default: AWS's S3 Control of the account and the region. */
  readonly origin?: string
  readonly signal: AbortSignal
}

const action = 's3:GetAccountPublicAccessBlock'
const path = '/v20180820/configuration/publicAccessBlock'
const emptySha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

/**
 * The account's own block of public access. One call of S3 Control, signed as S3's are, so that a second SDK is not
 * needed for it. https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_GetPublicAccessBlock.html
 */
export async function readAccountBlock(asked: AccountBlockRequest): Promise<Reading<PublicAccessBlock>> {
  const { account, region, credentials, signal } = asked
  const suffix = region.startsWith('cn-') ? '.cn' : ''
  const origin = asked.origin ?? `https://${account}.s3-control.${region}.amazonaws.com${suffix}`
  const { host } = new URL(origin)
  const address = { origin, host, bucketPath: '/', keyPrefix: '/' }
  const headers = new Signer(credentials, region).signHeaders(address, {
    method: 'GET',
    path,
    headers: { 'x-amz-account-id': account },
    payloadHash: emptySha256,
    at: new Date(),
  })
  try {
    const { statusCode, body } = await request(origin + path, { headers, signal })
    const text = await body.text()
    const code = /<Code>(\w{1,64})<\/Code>/.exec(text)?.[1] ?? String(statusCode)
    if (statusCode === 200) return { status: 'set', value: parseBlock(text) }
    if (code === 'NoSuchPublicAccessBlockConfiguration') return { status: 'absent' }
    return { status: statusCode === 403 ? 'denied' : 'error', action, code, message: code }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'no answer'
    return { status: 'error', action, code, message: code }
  }
}

/** A setting that is left out is off. */
function parseBlock(xml: string): PublicAccessBlock {
  const isOn = (name: string) => new RegExp(`<${name}>\\s*true\\s*</${name}>`, 'i').test(xml)
  return {
    blockPublicAcls: isOn('BlockPublicAcls'),
    ignorePublicAcls: isOn('IgnorePublicAcls'),
    blockPublicPolicy: isOn('BlockPublicPolicy'),
    restrictPublicBuckets: isOn('RestrictPublicBuckets'),
  }
}
