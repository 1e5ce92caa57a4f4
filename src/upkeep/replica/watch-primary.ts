import { setTimeout as sleep } from 'node:timers/promises'
import type { Stores } from '../../stores/index.ts'

/** Milliseconds between looks, and those after which one that has not answered is taken for a bad sign. */
const pause = 5000
/** Looks at once after a bad sign: enough for a circuit to open, if they fail too. */
const closer = 5

/**
 * Asks the bucket from time to time whether it is there. Links are signed without asking it, so a process that only gives
 * links would never notice that it is down; what is found out is for its circuit to judge.
 */
export async function watchPrimary(stores: Stores, signal: AbortSignal): Promise<void> {
  const look = () =>
    stores.primary.check().then(
      () => true,
      () => false,
    )
  while (!signal.aborted) {
    const isWell = await Promise.race([look(), sleep(pause, false, { ref: false })])
    if (!isWell && stores.health('primary') === 'up') await Promise.all(Array.from({ length: closer }, look))
    await sleep(pause, undefined, { signal, ref: false }).catch(() => {})
  }
}
