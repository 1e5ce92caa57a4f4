import { KeepsakeError } from '../../media/index.ts'
import type { Credentials, CredentialsProvider } from './credentials.ts'
import { tellable } from './errors.ts'
import { noCredentials } from './no-credentials.ts'

type AwsCredentialsOptions = { readonly profile?: string }
/** Whoever signs in again writes the files of ~/.aws anew; the SDK would keep what it once read. */
const fresh = { ignoreCache: true } as const

type Chain = (options: { forceRefresh: boolean }) => Promise<Credentials>

/**
 * The AWS SDK's chain: environment, profile (SSO and assumed roles included), web identity, container, machine role.
 * The SDK is loaded at the first call.
 */
export function awsCredentials(options: AwsCredentialsOptions = {}): CredentialsProvider {
  let chain: Chain | undefined
  return async () => {
    if (!chain) {
      const { fromNodeProviderChain } = await import('@aws-sdk/credential-providers')
      chain = fromNodeProviderChain({ ...options, ...fresh })
    }
    try {
      return await chain({ forceRefresh: true })
    } catch (cause) {
      throw (await fromProfile(options, cause)) ?? (await fromContainer(cause)) ?? noCredentials(cause)
    }
  }
}

/** The chain goes on after a profile that gives nothing, and forgets why: it is asked again, alone. */
async function fromProfile(options: AwsCredentialsOptions, cause: unknown): Promise<KeepsakeError | undefined> {
  const named = options.profile ?? process.env.AWS_PROFILE
  const { fromIni } = await import('@aws-sdk/credential-providers')
  const reason = await reasonOf(fromIni({ ...(named === undefined ? {} : { profile: named }), ...fresh }))
  // Nobody said that there is a default one.
  if (reason === undefined || (!named && /^Could not resolve credentials using profile/.test(reason))) return undefined
  return new KeepsakeError(
    'store_denied',
    `The profile '${named ?? 'default'}' gives no credentials for the object store: ${reason}. Look at AWS_PROFILE and ~/.aws/config.`,
    { cause },
  )
}

async function fromContainer(cause: unknown): Promise<KeepsakeError | undefined> {
  const { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: relative, AWS_CONTAINER_CREDENTIALS_FULL_URI: full } = process.env
  if (!relative && !full) return undefined
  const { fromContainerMetadata } = await import('@aws-sdk/credential-providers')
  const reason = await reasonOf(fromContainerMetadata({ timeout: 1000, maxRetries: 0 }))
  if (reason === undefined) return undefined
  return new KeepsakeError(
    'store_denied',
    `The container's service gives no credentials for the object store: ${reason}. Look at the role of the task and at AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI.`,
    { cause },
  )
}

async function reasonOf(provider: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await provider()
    return undefined
  } catch (error) {
    return error instanceof Error ? tellable(error.message) : undefined
  }
}
