const minute = 60
const hour = 3600

/** Seconds after each failed attempt until the next: Standard Webhooks' own example, 75 hours in all. */
const pauses = [5, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour] as const

/** Share of a pause that is added by chance, so that what failed together does not come back together. */
const jitter = 0.2

/**
 * Seconds until the next attempt; undefined where there is none.
 *
 * @param attempts How many have failed.
 * @param retryAfter Seconds that the receiver asked for; it may make a pause longer.
 */
export function nextPause(attempts: number, retryAfter: number | null, random = Math.random): number | undefined {
  const pause = pauses[attempts - 1]
  return pause === undefined ? undefined : Math.max(pause * (1 + random() * jitter), retryAfter ?? 0)
}
