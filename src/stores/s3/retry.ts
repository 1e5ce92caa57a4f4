import { setTimeout as sleep } from 'node:timers/promises'

/** Tokens that a store may spend on retries before it needs successes again. */
const capacity = 100
const retryCost = 5
const timeoutCost = 10

/**
 * The token bucket of the AWS SDKs' standard retry mode: a retry costs tokens, a success gives them back. When a store
 * is down the bucket runs dry, and callers get the error at once instead of multiplying the load.
 */
export class RetryBudget {
  #tokens = capacity

  /** Takes the tokens of one retry, or says that there are none. Gives what was taken. */
  take(isTimeout: boolean): number {
    const cost = isTimeout ? timeoutCost : retryCost
    if (this.#tokens < cost) return 0
    this.#tokens -= cost
    return cost
  }

  /** A call succeeded: what its last retry took comes back, or one token where it needed none. */
  succeed(taken: number): void {
    this.#tokens = Math.min(capacity, this.#tokens + (taken || 1))
  }
}

const baseMillis = 100
const throttledBaseMillis = 500
const longestMillis = 20_000

export type BackoffOptions = {
  /** 1 before the first retry. */
  readonly retry: number
  readonly throttled: boolean
  /** Seconds that the store asked for. */
  readonly retryAfter: number | undefined
  readonly random: () => number
}

/** Full jitter (AWS Architecture Blog, "Exponential Backoff and Jitter"), in milliseconds. */
export function backoffMillis({ retry, throttled, retryAfter, random }: BackoffOptions): number {
  const ceiling = Math.min(longestMillis, (throttled ? throttledBaseMillis : baseMillis) * 2 ** retry)
  const asked = Math.min(longestMillis, (retryAfter ?? 0) * 1000)
  return asked + random() * ceiling
}

/** Waits; rejects with the signal's reason when it is aborted. */
export async function pause(millis: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(millis, undefined, signal ? { signal } : {})
  } catch (error) {
    throw signal?.reason ?? error
  }
}
