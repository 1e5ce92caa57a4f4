import type { Actor } from '../catalogue/index.ts'
import type { ScheduledWork } from '../jobs/index.ts'
import type { Logger } from '../logger.ts'
import { type CleanupParts, type CleanupRequest, cleanUp } from './cleanup.ts'
import { type NightlyRequest, reconcileNightly } from './reconcile/nightly.ts'
import type { ReconcileParts } from './reconcile/parts.ts'
import { type VerifyParts, type VerifyRequest, verify } from './verify/index.ts'

/** What is to be run by the clock, each with its cron expression (UTC). */
export type UpkeepSchedules = {
  readonly verify?: VerifyRequest & { readonly cron: string }
  /** `atMost`: assets that one run may delete; it refuses to begin where there are more. */
  readonly cleanup?: Omit<CleanupRequest, 'dryRun' | 'expect'> & { readonly cron: string; readonly atMost: number }
  readonly reconcile?: NightlyRequest & { readonly cron: string }
}

export type Scheduled = { readonly name: string; readonly cron: string; readonly work: ScheduledWork }

const system: Actor = { role: 'system' }

/** The table of scheduled work: one entry for each kind that is in the configuration. */
export function scheduledWork(
  parts: VerifyParts & CleanupParts & ReconcileParts & { readonly logger: Logger; readonly manifestDir?: string },
  { verify: verifying, cleanup, reconcile }: UpkeepSchedules,
): readonly Scheduled[] {
  const entry = (name: string, cron: string, work: (signal: AbortSignal) => Promise<object>): Scheduled => ({
    name,
    cron,
    work: async (signal) => {
      const result = await work(signal)
      parts.logger.info({ work: name, ...result }, 'scheduled work is done')
    },
  })
  const entries: Scheduled[] = []
  if (verifying) {
    const { cron, ...request } = verifying
    entries.push(entry('verify', cron, (signal) => verify(parts, request, system, { signal })))
  }
  if (cleanup) {
    const { cron, atMost, ...request } = cleanup
    entries.push(entry('cleanup', cron, (signal) => cleanUp(parts, { ...request, expect: atMost }, system, { signal })))
  }
  if (reconcile) {
    const { cron, ...request } = reconcile
    const within = { ...parts, manifestDir: parts.manifestDir ?? parts.spoolDir }
    entries.push(entry('reconcile', cron, (signal) => reconcileNightly(within, request, system, signal)))
  }
  return entries
}
