import { z } from 'zod'
import { formatSize } from '../../media/index.ts'
import { withClient } from '../client.ts'
import { CliFailure, type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { localTime } from '../text.ts'
import { type CommonOptions, jsonDocument } from './options.ts'

export type CleanupOptions = CommonOptions & {
  readonly olderThan: string
  readonly owner?: string
  readonly collection?: string
  readonly dryRun?: boolean
  readonly expect?: string
}

const resultSchema = z.looseObject({
  dryRun: z.boolean(),
  before: z.string(),
  assets: z.number(),
  bytes: z.number(),
  pinned: z.number(),
  oldest: z.string().nullable(),
  deleted: z.number(),
  deletedBytes: z.number(),
  unfinished: z.number(),
})

export async function cleanupVerb(options: CleanupOptions, io: Io): Promise<ExitCode> {
  const { olderThan, owner, collection, dryRun } = options
  const expect = options.expect === undefined ? undefined : Number(options.expect)
  if (expect !== undefined && !(Number.isSafeInteger(expect) && expect >= 0)) {
    throw CliFailure.usage(`--expect is '${options.expect}'. Allowed is the count of a dry run.`)
  }
  if (!dryRun && expect === undefined) {
    throw CliFailure.usage('cleanup deletes for good. Count first with --dry-run, then confirm the count by --expect.')
  }
  const { type: _, ...result } = await withClient(options, io, (client) =>
    client.lines(resultSchema, '/v1/cleanup', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ olderThan, owner, collection, dryRun, expect }),
    }),
  )
  if (options.json) {
    io.stdout.write(jsonDocument(result))
    return exitCodes.ok
  }
  const pinned = result.pinned === 0 ? '' : `; ${result.pinned} more are pinned and stay`
  if (!dryRun) {
    io.stdout.write(`deleted ${result.deleted} assets, ${formatSize(result.deletedBytes)}${pinned}\n`)
    return exitCodes.ok
  }
  const oldest = result.oldest === null ? '' : `, the oldest of ${localTime(result.oldest)}`
  io.stdout.write(
    `${result.assets} assets, ${formatSize(result.bytes)}, made before ${localTime(result.before)}${oldest}${pinned}\n`,
  )
  if (result.assets > 0)
    io.stderr.write(`To delete them, run the same with --expect ${result.assets} in place of --dry-run.\n`)
  return exitCodes.ok
}
