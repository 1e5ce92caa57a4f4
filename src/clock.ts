import { setTimeout as delay } from 'node:timers/promises'

/** This machine's time, for waiting and for signing. What decides anything is the database's. */
export interface Clock {
  now(): Date
  /** Waits so many seconds. Resolves early, without an error, when the signal is aborted. */
  sleep(seconds: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => new Date(),
  sleep: (seconds, signal) => delay(seconds * 1000, undefined, { signal }).catch(() => {}),
}
