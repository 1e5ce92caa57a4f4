import { type AssetRecord, isErrorCode, KeepsakeError } from '../media/index.ts'

/** What a failed row says, as an error. */
export function problemOf(record: AssetRecord): KeepsakeError {
  const { code, message } = record.problem ?? { code: 'source_unavailable', message: 'The work failed.' }
  return new KeepsakeError(isErrorCode(code) ? code : 'source_unavailable', message, { retryable: false })
}

/** The same problem, naming the asset. */
export function withAsset(problem: KeepsakeError, asset: string): KeepsakeError {
  const { retryable, retryAfter, cause } = problem
  const options = {
    details: { ...problem.details, asset },
    retryable,
    ...(retryAfter === undefined ? {} : { retryAfter }),
  }
  return new KeepsakeError(problem.code, problem.message, { ...options, cause })
}

export function stopping(): KeepsakeError {
  return new KeepsakeError(
    'stopping',
    'This server is stopping. Send the request again, to another one or in a moment.',
    {
      retryAfter: 5,
    },
  )
}
