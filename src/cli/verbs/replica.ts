import { z } from 'zod'
import { formatSize } from '../../media/index.ts'
import { withClient } from '../client.ts'
import { type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { printable } from '../printable.ts'
import { type CommonOptions, jsonDocument } from './options.ts'

export const replicaStatus = z.looseObject({
  name: z.string(),
  copied: z.number(),
  copiedBytes: z.number(),
  waiting: z.number(),
  waitingBytes: z.number(),
  lag: z.number(),
  failing: z.number(),
  problem: z.looseObject({ code: z.string(), message: z.string() }).nullable(),
  leaving: z.number(),
  inUse: z.boolean(),
})
const answer = z.looseObject({ replica: replicaStatus.nullable() })

const restored = z.looseObject({
  dryRun: z.boolean(),
  looked: z.number(),
  restored: z.number(),
  bytes: z.number(),
  well: z.number(),
  failed: z.number(),
  failures: z.array(z.looseObject({ asset: z.string(), code: z.string(), message: z.string() })),
})

/** How far the replica is. Ends with 6 where copies fail, so that a cron job can tell. */
export async function replicaStatusVerb(options: CommonOptions, io: Io): Promise<ExitCode> {
  const { replica } = await withClient(options, io, (client) => client.json(answer, '/v1/replica'))
  if (options.json) io.stdout.write(jsonDocument({ replica }))
  else io.stdout.write(replica === null ? 'no replica: KEEPSAKE_REPLICA_BUCKET names one\n' : replicaText(replica))
  return replica !== null && replica.failing > 0 ? exitCodes.unavailable : exitCodes.ok
}

export function replicaText(replica: z.output<typeof replicaStatus>): string {
  const { name, copied, copiedBytes, waiting, waitingBytes, lag, failing, problem, leaving, inUse } = replica
  const waits =
    waiting === 0
      ? 'none waits'
      : `${waiting} wait (${formatSize(waitingBytes)}), the oldest for ${Math.round(lag)} seconds`
  const lines = [
    `${printable(name)}: ${copied} copied (${formatSize(copiedBytes)}), ${waits}`,
    ...(leaving === 0 ? [] : [`  ${leaving} of deleted assets will follow`]),
    ...(failing === 0 || problem === null ? [] : [`  ${failing} fail: ${problem.code}, ${printable(problem.message)}`]),
    ...(inUse ? ['  the bucket is down: links lead here'] : []),
  ]
  return `${lines.join('\n')}\n`
}

export type RestoreOptions = CommonOptions & { readonly all?: boolean; readonly dryRun?: boolean }

/** Brings lost objects back. Ends with 5 where some could not be. */
export async function replicaRestoreVerb({ all, dryRun, ...options }: RestoreOptions, io: Io): Promise<ExitCode> {
  const { type: _, ...result } = await withClient(options, io, (client) =>
    client.lines(restored, '/v1/replica/restore', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ all, dryRun }),
    }),
  )
  const { failures, failed, looked, well } = result
  if (options.json) io.stdout.write(jsonDocument(result))
  else {
    const done = dryRun ? 'would restore' : 'restored'
    io.stdout.write(
      `${done} ${result.restored} of ${looked} objects, ${formatSize(result.bytes)}; ${well} are there and right\n`,
    )
    for (const { asset, code, message } of failures) {
      io.stderr.write(`keepsake: ${asset} was not restored [${code}]: ${printable(message)}\n`)
    }
    if (failed > failures.length) io.stderr.write(`keepsake: and ${failed - failures.length} more\n`)
  }
  return failed === 0 ? exitCodes.ok : exitCodes.refused
}
