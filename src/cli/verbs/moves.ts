import { z } from 'zod'
import { formatSize } from '../../media/index.ts'
import { withClient } from '../client.ts'
import { confirm } from '../confirm.ts'
import { type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { printable } from '../printable.ts'
import { localTime, table } from '../text.ts'
import { type CommonOptions, jsonDocument, queryOf } from './options.ts'

const count = z.looseObject({ files: z.number(), bytes: z.number() })

export const moveSchema = z.looseObject({
  id: z.string(),
  source: z.string(),
  collection: z.string(),
  stage: z.string(),
  counts: z.looseObject({
    found: count,
    placed: count,
    copied: count,
    verified: count,
    done: count,
    failed: count,
    skipped: count,
    retired: count,
  }),
  createdAt: z.string(),
})
export type MoveAnswer = z.output<typeof moveSchema>

const movesSchema = z.looseObject({ moves: z.array(moveSchema) })
const failuresSchema = z.looseObject({
  failures: z.array(z.looseObject({ path: z.string(), code: z.string(), message: z.string() })),
})
const retiredSchema = z.looseObject({
  removed: z.number(),
  kept: z.array(z.looseObject({ path: z.string(), why: z.string() })),
})

const pageSize = 1000

export async function listMovesVerb(options: CommonOptions, io: Io): Promise<ExitCode> {
  const found = await withClient(options, io, (client) => client.json(movesSchema, '/v1/moves'))
  if (options.json) io.stdout.write(jsonDocument(found))
  else if (found.moves.length === 0) io.stdout.write('No moves yet.\n')
  else {
    const rows = found.moves.map(({ id, source, collection, stage, counts, createdAt }) => [
      id,
      localTime(createdAt),
      stage,
      `${counts.done.files + counts.retired.files}`,
      `${counts.failed.files}`,
      collection,
      source,
    ])
    io.stdout.write(table(['ID', 'BEGUN', 'STAGE', 'DONE', 'FAILED', 'COLLECTION', 'SOURCE'], rows))
  }
  return exitCodes.ok
}

export async function failuresVerb(id: string, options: CommonOptions, io: Io): Promise<ExitCode> {
  const failures: z.output<typeof failuresSchema>['failures'] = []
  await withClient(options, io, async (client) => {
    for (;;) {
      const query = queryOf({ after: failures.at(-1)?.path, limit: String(pageSize) })
      const page = await client.json(failuresSchema, `/v1/moves/${encodeURIComponent(id)}/failures${query}`)
      failures.push(...page.failures)
      if (page.failures.length < pageSize) return
    }
  })
  if (options.json) io.stdout.write(jsonDocument({ failures }))
  else if (failures.length === 0) io.stdout.write('No file failed.\n')
  else {
    const rows = failures.map(({ path, code, message }) => [path, code, message])
    io.stdout.write(table(['PATH', 'CODE', 'WHY'], rows))
  }
  return exitCodes.ok
}

export async function retireVerb(
  id: string,
  options: CommonOptions & { readonly yes?: boolean },
  io: Io,
): Promise<ExitCode> {
  if (!options.yes) {
    await confirm(
      `Remove from the source what ${printable(id)} took over?`,
      'retire removes files for good and there is no terminal to ask on. Add --yes.',
      'Nothing was removed.',
      io,
    )
  }
  const { removed, kept } = await withClient(options, io, (client) =>
    client.lines(retiredSchema, `/v1/moves/${encodeURIComponent(id)}/retire`, { method: 'POST' }),
  )
  if (options.json) io.stdout.write(jsonDocument({ removed, kept }))
  else {
    for (const { path, why } of kept) io.stdout.write(`kept ${printable(path)}: ${why}\n`)
    io.stdout.write(`Removed ${removed} files from the source.\n`)
  }
  return exitCodes.ok
}

/** What a run of a move left, and what to do about it. */
export function summaryOf({ id, stage, counts }: MoveAnswer): string {
  const { done, failed, skipped, found, placed, copied } = counts
  const open = found.files + placed.files + copied.files
  const lines = [
    ...(done.files > 0 ? [`${done.files} files are stored, ${formatSize(done.bytes)}.`] : []),
    ...(skipped.files > 0 ? [`${skipped.files} had been taken over before.`] : []),
    ...(failed.files > 0 ? [`${failed.files} failed: keepsake moves failures ${id}`] : []),
  ]
  if (stage === 'done') {
    if (done.files > 0)
      lines.push(`The source is as it was. To remove from it what was stored: keepsake moves retire ${id}`)
    else if (failed.files === 0) lines.push('There was nothing new.')
  } else if (open > 0) lines.push(`${open} wait. Run the same command again to go on.`)
  else {
    lines.push(
      ...(counts.verified.files > 0
        ? [`Nothing is stored yet: ${counts.verified.files} files are copied and verified, and wait for the others.`]
        : []),
      'Mend those that failed and run the same command again with --retry, or go on without them: --skip-failed.',
    )
  }
  return `${lines.join('\n')}\n`
}
