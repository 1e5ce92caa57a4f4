import type { Actor } from '../catalogue/index.ts'
import type { ScheduledWork } from '../jobs/index.ts'
import type { Logger } from '../logger.ts'
import { type CleanupParts, type CleanupRequest, cleanUp } from './cleanup.ts'
import { type VerifyParts, type VerifyRequest, verify } from './verify/index.ts'

/** What is to be run by the clock, each with its cron expression (UTC). */
export type UpkeepSchedules = {
  readonly verify?: VerifyRequest & { readonly cron: string }
  /** `atMost`: assets that one run may delete; it refuses to begin where there are more. */
  readonly cleanup?: Omit<CleanupRequest, 'dryRun' | 'expect'> & { readonly cron: string; readonly atMost: number }
}

export type Scheduled = { readonly name: string; readonly cron: string; readonly work: ScheduledWork }

const system: Actor = { role: 'system' }

/** The table of scheduled work: one entry for each kind that is in the configuration. */
export function scheduledWork(
  parts: VerifyParts & CleanupParts & { readonly logger: Logger },
  { verify: verifying, cleanup }: UpkeepSchedules,
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
  return entries
}
