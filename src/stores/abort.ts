import { KeepsakeError } from '../media/index.ts'

/** The reason of a caller's abort: as it is where it is one of ours. Not retryable: the caller has had enough. */
export function abortReason(name: string, reason: unknown): KeepsakeError {
  if (reason instanceof KeepsakeError) return reason
  const timedOut = reason instanceof Error && reason.name === 'TimeoutError'
  const message = timedOut
    ? `${name} took longer than its caller allows.`
    : `A call to ${name} was stopped by its caller.`
  return new KeepsakeError('timeout', message, { cause: reason, retryable: false })
}

/** @throws {KeepsakeError} `timeout` where the caller's signal is aborted already. */
export function throwIfAborted(name: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortReason(name, signal.reason)
}

/**
 * Waits for something that cannot be stopped itself.
 *
 * @throws {KeepsakeError} the reason of the caller's abort, as soon as it comes.
 */
export async function unlessAborted<T>(name: string, work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return await work
  const aborted = Promise.withResolvers<never>()
  const stop = () => aborted.reject(abortReason(name, signal.reason))
  if (signal.aborted) stop()
  else signal.addEventListener('abort', stop)
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
