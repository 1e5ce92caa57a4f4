import {
  type ControlClient,
  openControlClient,
  type PublicAccessBlock,
  type Reading,
  readBucket,
} from '../bucket/index.ts'
import { type CredentialsProvider, explainS3Error } from '../stores/index.ts'
import { readAccountBlock } from './account-block.ts'
import type { Facts } from './controls/index.ts'
import { fail, notOffered, pass, unknown, type Verdict } from './finding.ts'
import { isLoopback } from './probe/index.ts'

/** Where a bucket is, for reading its settings. */
export type BucketPlace = {
  readonly bucket: string
  readonly region: string
  /** Null: AWS's own. */
  readonly endpoint: string | null
  readonly forcePathStyle: boolean
  readonly dualStack: boolean
  readonly credentials: CredentialsProvider
}

/** What is known of a bucket, and of whose credentials these are. */
export type BucketFacts = { readonly facts: Facts; readonly identity: Verdict }

/** Milliseconds for one call. */
const callMillis = 8_000

/** Reads everything that controls are judged by. The SDK is loaded here. */
export async function readBucketFacts(place: BucketPlace, signal: AbortSignal): Promise<BucketFacts> {
  const { bucket, region, endpoint, forcePathStyle, dualStack, credentials } = place
  const client = await openControlClient({
    region,
    ...(endpoint === null ? {} : { endpoint }),
    forcePathStyle,
    dualStack,
    credentials,
    timeoutMs: callMillis,
  })
  try {
    const [live, { identity, account, accountBlock }] = await Promise.all([
      readBucket(client, bucket),
      readAccount(client, place, signal),
    ])
    return { identity, facts: { live, account, accountBlock, transport: transportOf(endpoint) } }
  } finally {
    client.close()
  }
}

type Account = {
  readonly identity: Verdict
  readonly account: string | undefined
  readonly accountBlock: Reading<PublicAccessBlock>
}

/** The identity by STS, which AWS answers to any credentials that are valid: "No permissions are required". */
export async function readAccount(
  client: Pick<ControlClient, 'account'>,
  place: BucketPlace,
  signal: AbortSignal,
): Promise<Account> {
  const blockAction = 's3:GetAccountPublicAccessBlock'
  let account: string | undefined
  try {
    account = await client.account()
  } catch (error) {
    const problem = explainS3Error(error, {
      action: 'sts:GetCallerIdentity',
      bucket: place.bucket,
      region: place.region,
      origin: 'AWS STS',
    })
    const isRefused = problem.code === 'store_denied'
    return {
      identity: isRefused ? fail(problem.message) : unknown(problem.message),
      account: undefined,
      accountBlock: {
        status: 'error',
        action: blockAction,
        code: 'the account is not known',
        message: 'the account is not known',
      },
    }
  }
  if (account === undefined) {
    return {
      identity: notOffered('The store is not AWS’s, and has no accounts to ask for.'),
      account,
      accountBlock: { status: 'not offered', action: blockAction, code: 'not AWS', message: 'not AWS' },
    }
  }
  const accountBlock = await readAccountBlock({
    account,
    region: place.region,
    credentials: await place.credentials(),
    signal: AbortSignal.any([signal, AbortSignal.timeout(callMillis)]),
  })
  return { identity: pass(`Account ${account}.`), account, accountBlock }
}

function transportOf(endpoint: string | null): Facts['transport'] {
  if (endpoint === null) return 'tls'
  const { protocol, hostname } = new URL(endpoint)
  if (protocol === 'https:') return 'tls'
  return isLoopback(hostname) ? 'loopback' : 'plain'
}
