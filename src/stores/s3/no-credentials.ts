import { KeepsakeError } from '../../media/index.ts'
import { tellable } from './errors.ts'

/** What the AWS SDK's chain says when it has come to its end: nothing that helps. */
const endOfChain = /^Could not load credentials from any providers/

/** A provider of credentials that failed, as the one error that callers get, with its own reason where it has one. */
export function noCredentials(cause: unknown): KeepsakeError {
  if (cause instanceof KeepsakeError) return cause
  const reason = cause instanceof Error && !endOfChain.test(cause.message) ? tellable(cause.message) : undefined
  const message =
    `No credentials for the object store could be loaded${reason === undefined ? '' : `: ${reason}`}. ` +
    'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role.'
  return new KeepsakeError('store_denied', message, { cause })
}
