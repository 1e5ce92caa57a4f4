import { z } from '@hono/zod-openapi'
import type { ReplicaStatus } from '../upkeep/index.ts'

const count = z.int()

export const replicaOutput = z
  .strictObject({
    name: z.string(),
    copied: count.openapi({ description: 'Assets with a copy.' }),
    copiedBytes: count,
    waiting: count.openapi({ description: 'Stored assets without a copy yet.' }),
    waitingBytes: count,
    lag: z.number().openapi({ description: 'Seconds since the one was stored that has waited longest.' }),
    oldestWaiting: z.string().nullable().openapi({ format: 'date-time' }),
    failing: count.openapi({ description: 'Of those waiting, how many were tried in vain.' }),
    problem: z.strictObject({ code: z.string(), message: z.string() }).nullable(),
    leaving: count.openapi({ description: 'Copies of deleted assets, which follow later.' }),
    inUse: z.boolean().openapi({ description: 'Links lead to it, because the bucket is down.' }),
  })
  .openapi('Replica')

export function replicaJson({ oldestWaiting, problem, ...rest }: ReplicaStatus): z.infer<typeof replicaOutput> {
  return { ...rest, oldestWaiting: oldestWaiting?.toISOString() ?? null, problem: problem && { ...problem } }
}
