import { resolve } from 'node:path'
import { z } from 'zod'
import { formatSize, parseSize } from '../../media/index.ts'
import { withClient } from '../client.ts'
import { CliFailure, type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { printable } from '../printable.ts'
import { Progress } from '../progress.ts'
import { parsePairs, table } from '../text.ts'
import { moveSchema, summaryOf } from './moves.ts'
import { type CommonOptions, jsonDocument } from './options.ts'

export type MigrateOptions = CommonOptions & {
  readonly collection: string
  readonly match?: string
  readonly map?: string
  readonly keepKeys?: boolean
  readonly owner?: string
  readonly attr: readonly string[]
  readonly dryRun?: boolean
  readonly full?: boolean
  readonly retry?: boolean
  readonly skipFailed?: boolean
  readonly concurrency?: string
  readonly bandwidth?: string
}

const odd = z.array(z.looseObject({ path: z.string(), why: z.string() }))
const resultSchema = z.looseObject({ move: moveSchema, odd })
const rehearsalSchema = z.looseObject({
  files: z.number(),
  bytes: z.number(),
  refused: z.number(),
  refusals: z.array(z.looseObject({ path: z.string(), code: z.string(), message: z.string() })),
  samples: z.array(z.looseObject({ path: z.string(), key: z.string(), owner: z.string() })),
  odd,
})

const progressSchema = z.looseObject({
  stage: z.string(),
  files: z.number(),
  ofFiles: z.number().optional(),
  bytes: z.number(),
  failed: z.number().optional(),
  rate: z.number().optional(),
  left: z.number().nullable().optional(),
})

export async function migrateVerb(source: string, options: MigrateOptions, io: Io): Promise<ExitCode> {
  const request = {
    // The server may have been started in another folder.
    source: /^[a-z0-9]+:\/\//i.test(source) ? source : resolve(source),
    collection: options.collection,
    match: options.match,
    map: options.map,
    keepKeys: options.keepKeys,
    owner: options.owner,
    attributes: options.attr.length === 0 ? undefined : parsePairs(options.attr),
    verify: options.full ? 'full' : undefined,
    retry: options.retry,
    skipFailed: options.skipFailed,
    concurrency: options.concurrency === undefined ? undefined : positive('--concurrency', options.concurrency),
    bandwidth: options.bandwidth === undefined ? undefined : bytesOf(options.bandwidth),
  }
  const progress = new Progress(io, options.dryRun ? 'looking' : 'migrating', { quiet: options.json === true })
  const init = { method: 'POST', headers: { 'content-type': 'application/json' } }
  const show = (line: Readonly<Record<string, unknown>>) => progress.say(progressText(line))
  try {
    return await withClient(options, io, async (client) => {
      if (options.dryRun) {
        const body = JSON.stringify({ ...request, verify: undefined, dryRun: true })
        const found = await client.lines(rehearsalSchema, '/v1/moves', { ...init, body }, show)
        progress.stop()
        io.stdout.write(options.json ? jsonDocument(found) : rehearsalText(found))
        return exitCodes.ok
      }
      const body = JSON.stringify(request)
      const { move, odd } = await client.lines(resultSchema, '/v1/moves', { ...init, body }, show)
      progress.stop()
      io.stdout.write(options.json ? jsonDocument({ move, odd }) : summaryOf(move) + oddText(odd))
      return move.stage === 'done' ? exitCodes.ok : exitCodes.refused
    })
  } finally {
    progress.stop()
  }
}

function progressText(line: Readonly<Record<string, unknown>>): string {
  const parsed = progressSchema.safeParse(line)
  if (!parsed.success) return ''
  const { stage, files, ofFiles, bytes, failed = 0, rate = 0, left } = parsed.data
  return [
    stage,
    ofFiles === undefined || ofFiles < files ? `${files} files` : `${files} of ${ofFiles} files`,
    formatSize(bytes),
    ...(rate > 0 ? [`${formatSize(rate)}/s`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(left ? [`${Math.floor(left / 60)}m ${left % 60}s left`] : []),
  ].join('  ')
}

function rehearsalText(found: z.output<typeof rehearsalSchema>): string {
  const { files, bytes, refused, refusals, samples } = found
  const samplesText =
    samples.length === 0
      ? ''
      : `\n${table(
          ['PATH', 'OWNER', 'KEY'],
          samples.map(({ path, owner, key }) => [path, owner, key]),
        )}`
  const more = refused > refusals.length ? `… and ${refused - refusals.length} more\n` : ''
  const refusalsText =
    refused === 0
      ? ''
      : `\n${table(
          ['REFUSED', 'WHY'],
          refusals.map(({ path, message }) => [path, message]),
        )}${more}`
  const summary = `${files} files, ${formatSize(bytes)}: ${files - refused} would come in, ${refused} would be refused.\n`
  return `${samplesText}${refusalsText}${oddText(found.odd)}\n${summary}Nothing was changed.\n`
}

function oddText(odd: readonly { readonly path: string; readonly why: string }[]): string {
  return odd.map(({ path, why }) => `passed over: ${printable(path)} (${why})\n`).join('')
}

function positive(name: string, value: string): number {
  if (/^[1-9]\d{0,3}$/.test(value)) return Number(value)
  throw CliFailure.usage(`${name} is '${value}'. Allowed is a whole number from 1.`)
}

function bytesOf(value: string): number {
  try {
    return Math.max(1, parseSize(value))
  } catch {
    throw CliFailure.usage(`--bandwidth is '${value}'. Allowed is a size such as 20MB, for a second.`)
  }
}
