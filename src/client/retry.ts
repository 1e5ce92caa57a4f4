import { KeepsakeClientError } from './error.ts'

/** What browsers have beyond Node, as far as it is used here. */
declare const navigator: { readonly onLine?: boolean } | undefined
declare const addEventListener:
  | ((type: 'online', listener: () => void, options: { signal: AbortSignal }) => void)
  | undefined

/** Failures in a row that are borne: about a minute and a half by the pauses alone. */
const budget = 8
/** Milliseconds. */
const firstPause = 500
const longestPause = 30_000
/** Seconds. A server that wants more gets its error shown instead: nobody looks at a progress bar that long. */
const longestRetryAfter = 300
/** Milliseconds after which an `online` event that never came is no longer waited for. */
const offlineCheck = 15_000

/**
 * Does the work until it succeeds, fails for good, or has failed too often. Pauses grow exponentially with full jitter
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/) and are never shorter than the server's
 * Retry-After. While the browser is offline nothing counts as a failure: it waits to be online.
 */
export async function retry<T>(
  work: () => Promise<T>,
  passes: (error: KeepsakeClientError) => boolean,
  signal: AbortSignal,
): Promise<T> {
  for (let failures = 0; ; ) {
    signal.throwIfAborted()
    try {
      return await work()
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof KeepsakeClientError && passes(error)) || error.retryAfter > longestRetryAfter) throw error
      if (error.status === 0 && isOffline()) {
        await pause(offlineCheck, signal, true)
      } else {
        failures += 1
        if (failures > budget) throw error
        const jitter = Math.random() * Math.min(longestPause, firstPause * 2 ** failures)
        await pause(error.retryAfter * 1000 + jitter, signal)
      }
    }
  }
}

function isOffline(): boolean {
  return typeof navigator === 'object' && navigator.onLine === false
}

/** Milliseconds; shorter where the browser comes online, if that is waited for. Rejects when the signal aborts. */
export function pause(milliseconds: number, signal: AbortSignal, untilOnline = false): Promise<void> {
  return new Promise((resolve, reject) => {
    const over = new AbortController()
    const end = (settle: () => void) => {
      clearTimeout(timer)
      over.abort()
      settle()
    }
    const timer = setTimeout(() => end(resolve), milliseconds)
    signal.addEventListener('abort', () => end(() => reject(signal.reason)), over)
    if (untilOnline) addEventListener?.('online', () => end(resolve), over)
  })
}
