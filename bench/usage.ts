import { z } from 'zod'

/** What a process has used since its start. */
export const usageSchema = z.object({ cpuMicros: z.number(), peakBytes: z.number() })
export type Usage = z.infer<typeof usageSchema>

export function usage(): Usage {
  const { user, system } = process.cpuUsage()
  // getrusage(2): in kilobytes.
  return { cpuMicros: user + system, peakBytes: process.resourceUsage().maxRSS * 1024 }
}
