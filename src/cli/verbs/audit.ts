import type { z } from 'zod'
import { auditPageSchema, withClient } from '../client.ts'
import { type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { localTime, parseTime, table } from '../text.ts'
import { type CommonOptions, jsonDocument, queryOf } from './options.ts'

export type AuditOptions = CommonOptions & {
  readonly owner?: string
  readonly from?: string
  readonly to?: string
  readonly limit?: string
  readonly cursor?: string
  readonly all?: boolean
}

type Entry = z.output<typeof auditPageSchema>['entries'][number]

export async function auditVerb(asset: string | undefined, options: AuditOptions, io: Io): Promise<ExitCode> {
  const filters = {
    asset,
    owner: options.owner,
    from: options.from === undefined ? undefined : parseTime(options.from),
    to: options.to === undefined ? undefined : parseTime(options.to),
    limit: options.limit ?? (options.all ? '1000' : undefined),
  }
  const entries: Entry[] = []
  const nextCursor = await withClient(options, io, async (client) => {
    let cursor = options.cursor
    for (;;) {
      const page = await client.json(auditPageSchema, `/v1/audit${queryOf({ ...filters, cursor })}`)
      entries.push(...page.entries)
      if (!options.all || page.nextCursor === null) return page.nextCursor
      cursor = page.nextCursor
    }
  })
  if (options.json) {
    io.stdout.write(jsonDocument({ entries, nextCursor }))
    return exitCodes.ok
  }
  io.stdout.write(entries.length === 0 ? '' : table(head, entries.map(rowOf)))
  if (nextCursor !== null) io.stderr.write(`There are more: --all, or --cursor ${nextCursor}\n`)
  return exitCodes.ok
}

const head = ['TIME', 'ACTION', 'ASSET', 'OWNER', 'ACTOR', 'REQUEST']

function rowOf(entry: Entry): string[] {
  return [localTime(entry.at), entry.action, entry.asset, entry.owner, entry.actor, entry.requestId ?? '-']
}
