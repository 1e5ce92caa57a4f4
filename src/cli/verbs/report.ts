import { z } from 'zod'
import { formatSize, parseSize } from '../../media/index.ts'
import { withClient } from '../client.ts'
import { CliFailure, type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { printable } from '../printable.ts'
import { numberTable, parseTime } from '../text.ts'
import { type CommonOptions, jsonDocument, queryOf } from './options.ts'
import { replicaStatus, replicaText } from './replica.ts'

export type ReportOptions = CommonOptions & {
  readonly by?: string
  readonly owner?: string
  readonly collection?: string
  readonly kind?: string
  readonly from?: string
  readonly to?: string
  readonly prices?: string
  readonly puts?: string
  readonly gets?: string
  readonly egress?: string
  readonly format?: string
  readonly limit?: string
  readonly cursor?: string
  readonly all?: boolean
}

const cost = z.looseObject({
  storage: z.number(),
  requests: z.number().nullable(),
  egress: z.number().nullable(),
  total: z.number(),
})
const figures = {
  objects: z.number(),
  bytes: z.number(),
  pending: z.number(),
  failed: z.number(),
  missing: z.number(),
  corrupt: z.number(),
  growth: z
    .looseObject({ added: z.number(), addedBytes: z.number(), removed: z.number(), removedBytes: z.number() })
    .optional(),
  month: z.looseObject({ puts: z.number(), gets: z.number(), egress: z.number(), cost }).optional(),
}
const reportSchema = z.looseObject({
  at: z.string(),
  by: z.string().nullable(),
  rows: z.array(z.looseObject({ name: z.string().nullable(), ...figures })),
  groups: z.number(),
  total: z.looseObject(figures),
  nextCursor: z.string().nullable(),
  /** A server before 0.2 says nothing of it. */
  replica: replicaStatus.nullable().default(null),
  prices: z
    .looseObject({ id: z.string(), name: z.string(), storageClass: z.string(), asOf: z.string(), page: z.string() })
    .nullable(),
})
type Report = z.output<typeof reportSchema>
type Figures = Report['total']

const largestPage = '1000'

export async function reportVerb(options: ReportOptions, io: Io): Promise<ExitCode> {
  const format = formatOf(options)
  const parameters = parametersOf(options)
  return withClient(options, io, async (client) => {
    const pages = async (take: (cursor: string | undefined) => Promise<string | null>) => {
      let cursor: string | null | undefined = options.cursor
      do cursor = await take(cursor ?? undefined)
      while (options.all && cursor !== null)
      if (cursor !== null) io.stderr.write(`There are more: --all, or --cursor ${cursor}\n`)
    }
    if (format === 'csv') {
      await pages(async (cursor) => {
        const answer = await client.call(`/v1/report${queryOf({ ...parameters, cursor, format })}`)
        io.stdout.write(await answer.text())
        return nextCursorOf(answer.headers.get('link'))
      })
      return exitCodes.ok
    }
    let report: Report | undefined
    await pages(async (cursor) => {
      const page = await client.json(reportSchema, `/v1/report${queryOf({ ...parameters, cursor })}`)
      report = { ...page, rows: [...(report?.rows ?? []), ...page.rows] }
      return page.nextCursor
    })
    if (report !== undefined) io.stdout.write(format === 'json' ? jsonDocument(report) : reportText(report, options))
    return exitCodes.ok
  })
}

function formatOf({ format, json }: ReportOptions): 'text' | 'json' | 'csv' {
  if (json || format === 'json') return 'json'
  if (format === undefined || format === 'text') return 'text'
  if (format === 'csv') return format
  throw CliFailure.usage(`The format '${format}' is not known. Allowed: text, json, csv.`)
}

function parametersOf(options: ReportOptions): Record<string, string | undefined> {
  const { by, owner, collection, kind, prices, puts, gets } = options
  return {
    by,
    owner,
    collection,
    kind,
    from: options.from === undefined ? undefined : parseTime(options.from),
    to: options.to === undefined ? undefined : parseTime(options.to),
    prices,
    puts,
    gets,
    egress: options.egress === undefined ? undefined : String(sizeOf(options.egress)),
    limit: options.limit ?? (options.all ? largestPage : undefined),
  }
}

function sizeOf(value: string): number {
  try {
    return parseSize(value)
  } catch {
    throw CliFailure.usage(`'${value}' is not a size. Allowed: a number of bytes, or a text such as '20 GB'.`)
  }
}

/** RFC 8288: `</v1/report?…&cursor=…>; rel="next"`. */
function nextCursorOf(link: string | null): string | null {
  const address = /^<([^>]*)>;\s*rel="next"$/.exec(link ?? '')?.[1]
  return address === undefined ? null : new URLSearchParams(address.slice(address.indexOf('?') + 1)).get('cursor')
}

/** A table with the total at its end, and below it what the costs were made with. */
function reportText(report: Report, { cursor }: ReportOptions): string {
  const shown = report.rows.map((row) => [row.name ?? '(none)', ...cellsOf(row, report)])
  const rest = report.groups - report.rows.length
  // Only of the first page it is known what the rows that are not shown come to.
  if (cursor === undefined && rest > 0) shown.push([`(${rest} more)`, ...cellsOf(restOf(report), report)])
  const rows = [...shown, ['TOTAL', ...cellsOf(report.total, report)]]
  const name = report.by?.toUpperCase() ?? ''
  const replica = report.replica === null ? '' : `\nReplica ${replicaText(report.replica)}`
  return `${numberTable([name, ...headOf(report)], rows)}${notes(report)}${replica}`
}

function headOf({ total, prices }: Report): string[] {
  return [
    'OBJECTS',
    'SIZE',
    ...(total.growth === undefined ? [] : ['ADDED', 'SIZE', 'REMOVED', 'SIZE']),
    'PENDING',
    'FAILED',
    'MISSING',
    'CORRUPT',
    ...(prices === null ? [] : ['STORAGE $', 'REQUESTS $', 'EGRESS $', 'A MONTH $']),
  ]
}

function cellsOf({ growth, month, ...row }: Figures, { total, prices }: Report): string[] {
  return [
    String(row.objects),
    formatSize(row.bytes),
    ...(total.growth === undefined
      ? []
      : [growth?.added, growth?.addedBytes, growth?.removed, growth?.removedBytes].map((value, index) =>
          value === undefined ? '-' : index % 2 === 0 ? String(value) : formatSize(value),
        )),
    String(row.pending),
    String(row.failed),
    String(row.missing),
    String(row.corrupt),
    ...(prices === null
      ? []
      : [month?.cost.storage, month?.cost.requests, month?.cost.egress, month?.cost.total].map(dollars)),
  ]
}

function dollars(value: number | null | undefined): string {
  if (value === null || value === undefined) return '-'
  return value > 0 && value < 0.005 ? '<0.01' : value.toFixed(2)
}

function restOf({ rows, total }: Report): Figures {
  const minus = (of: (figures: Figures) => number) => rows.reduce((left, row) => left - of(row), of(total))
  const costs = (of: (part: z.output<typeof cost>) => number | null) =>
    total.month === undefined || of(total.month.cost) === null
      ? null
      : Math.max(
          0,
          minus(({ month }) => (month && of(month.cost)) ?? 0),
        )
  return {
    objects: minus((row) => row.objects),
    bytes: minus((row) => row.bytes),
    pending: minus((row) => row.pending),
    failed: minus((row) => row.failed),
    missing: minus((row) => row.missing),
    corrupt: minus((row) => row.corrupt),
    growth: total.growth && {
      added: minus(({ growth }) => growth?.added ?? 0),
      addedBytes: minus(({ growth }) => growth?.addedBytes ?? 0),
      removed: minus(({ growth }) => growth?.removed ?? 0),
      removedBytes: minus(({ growth }) => growth?.removedBytes ?? 0),
    },
    month: total.month && {
      ...total.month,
      cost: {
        storage: costs((part) => part.storage) ?? 0,
        requests: costs((part) => part.requests),
        egress: costs((part) => part.egress),
        total: costs((part) => part.total) ?? 0,
      },
    },
  }
}

function notes({ prices, total }: Report): string {
  if (prices === null || total.month === undefined) return ''
  const { puts, gets, egress, cost } = total.month
  const unknown = [...(cost.requests === null ? ['requests'] : []), ...(cost.egress === null ? ['egress'] : [])]
  const left = unknown.length === 0 ? '' : ` Left out, because no price is known: ${unknown.join(', ')}.`
  return (
    `\n${printable(prices.name)}, ${printable(prices.storageClass)}: list prices in US dollars as of ${prices.asOf}, ` +
    `without free allowances and taxes (${printable(prices.page)}).\n` +
    `A month with ${Math.round(puts)} writes, ${Math.round(gets)} reads and ${formatSize(egress)} sent.${left}\n`
  )
}
