import { z } from 'zod'
import { formatSize } from '../../media/index.ts'
import { withClient } from '../client.ts'
import { type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { printable } from '../printable.ts'
import { table } from '../text.ts'
import { type CommonOptions, jsonDocument } from './options.ts'

export type RebuildOptions = CommonOptions & {
  readonly yes?: boolean
  readonly intoExisting?: boolean
  readonly hash: boolean
}

const resultSchema = z.looseObject({
  dryRun: z.boolean(),
  listed: z.number(),
  skipped: z.number(),
  added: z.number(),
  bytes: z.number(),
  verdicts: z.record(z.string(), z.number()),
  findings: z.array(
    z.looseObject({
      key: z.string(),
      verdict: z.string(),
      asset: z.string().nullable(),
      otherKey: z.string().nullable(),
    }),
  ),
  undeclared: z.array(z.string()),
  catalogueId: z.string().nullable(),
})
type Result = z.output<typeof resultSchema>

const progressSchema = z.union([
  z.looseObject({ phase: z.literal('list'), listed: z.number() }),
  z.looseObject({
    phase: z.string(),
    done: z.number(),
    of: z.number(),
    rate: z.number(),
    secondsLeft: z.number().nullable(),
  }),
])

/** What each verdict means, in the order they are told. */
const meanings: readonly (readonly [verdict: string, meaning: string])[] = [
  ['present', 'are in the catalogue already'],
  ['foreign', 'name no asset: not Keepsake’s, left alone'],
  ['invalid', 'name an asset, but the rest of what they say cannot be read'],
  ['unhashed', 'have no hash; without --no-hash they are read and hashed'],
  ['differs', 'have a row that says something else; the row stays'],
  ['retired', 'lie under a key that the catalogue gave up'],
  ['deleted', 'hold an asset that the catalogue deleted'],
  ['duplicate', 'claim an asset that another object holds'],
  ['other-object', 'claim an asset whose row names another object'],
  ['key-taken', 'lie under a key that another asset’s row names'],
]

export async function rebuildVerb(options: RebuildOptions, io: Io): Promise<ExitCode> {
  const body = JSON.stringify({
    dryRun: options.yes !== true,
    intoExisting: options.intoExisting === true,
    hash: options.hash,
  })
  const quiet = options.json === true || io.stderr.isTTY !== true
  const result = await withClient(options, io, (client) =>
    client.lines(
      resultSchema,
      '/v1/rebuild',
      { method: 'POST', headers: { 'content-type': 'application/json' }, body },
      (line) => quiet || io.stderr.write(`\r\u001b[K${progressText(line)}`),
    ),
  )
  if (!quiet) io.stderr.write('\r\u001b[K')
  io.stdout.write(options.json ? jsonDocument(result) : resultText(result))
  return exitCodes.ok
}

function progressText(line: unknown): string {
  const parsed = progressSchema.safeParse(line)
  if (!parsed.success) return ''
  const progress = parsed.data
  if ('listed' in progress) return `listed ${progress.listed}`
  const verb = progress.phase === 'look' ? 'looked at' : 'judged'
  const left = progress.secondsLeft === null ? '' : `, ${progress.secondsLeft} s left`
  return `${verb} ${progress.done} of ${progress.of} (${progress.rate}/s${left})`
}

function resultText(result: Result): string {
  const added = result.dryRun ? 'would become assets' : 'became assets'
  const rows = [
    [String(result.added), `of ${result.listed} objects ${added} (${formatSize(result.bytes)})`],
    ...meanings.flatMap(([verdict, meaning]) => {
      const count = result.verdicts[verdict] ?? 0
      return count === 0 ? [] : [[String(count), meaning]]
    }),
  ]
  const findings = result.findings.map(({ verdict, key, asset, otherKey }) => [
    verdict,
    key,
    asset ?? '-',
    otherKey ?? '-',
  ])
  const undeclared =
    result.undeclared.length === 0
      ? ''
      : `\nCollections that are not declared: ${result.undeclared.map(printable).join(', ')}. Declare them to use their assets.\n`
  const marker =
    result.catalogueId === null
      ? ''
      : `\nThe catalogue ${result.dryRun ? 'would take' : 'took'} over the bucket’s id ${result.catalogueId}.\n`
  return (
    rows.map(([count, meaning]) => `${count}  ${meaning}\n`).join('') +
    (findings.length === 0 ? '' : `\n${table(['WHY', 'KEY', 'ASSET', 'OTHER OBJECT'], findings)}`) +
    undeclared +
    marker +
    (result.dryRun ? '\nNothing was changed. Add --yes to do it.\n' : '')
  )
}
