import type { Actor, Catalogue, ReportCounts, ReportGroup, ReportQuery } from '../../catalogue/index.ts'
import { type Collection, KeepsakeError, type MediaKind, mediaKinds } from '../../media/index.ts'
import type { Replica, ReplicaStatus } from '../replica/index.ts'
import { type MonthlyCost, type MonthlyUsage, monthlyCost } from './cost.ts'
import { type ChosenPrices, choosePrices } from './prices/index.ts'

export type ReportRequest = {
  /**
   * `owner`, `collection`, `kind`, `month`, `day` (those in which an asset was made, in UTC), or a declared attribute
   * (`attributes.month` for one whose name has a meaning here). Default: no rows, only the total.
   */
  readonly by?: string
  readonly owner?: string
  readonly collection?: string
  readonly kind?: MediaKind
  /** Made at or after. */
  readonly from?: Date
  /** Made before. */
  readonly to?: Date
  /** Add what a month costs at list prices: `aws:us-east-1`, `aws:us-east-1:standard-ia`, `r2`, `b2`, `self-hosted`. */
  readonly prices?: string
  /**
   * Requests and bytes sent in a month, in place of the estimate from the audit (each link issued in the last 30 days is
   * one read of the whole asset, each asset stored is one write).
   */
  readonly usage?: { readonly puts?: number; readonly gets?: number; readonly egress?: number }
  /** Rows a page, 1 to 1000. Default: 100. */
  readonly limit?: number
  readonly cursor?: string
}

export type ReportFigures = {
  /** Stored assets. */
  readonly objects: number
  readonly bytes: number
  readonly pending: number
  readonly failed: number
  /** Stored assets whose object was found missing, or with other bytes. */
  readonly missing: number
  readonly corrupt: number
  /** By month and day: what was stored and deleted then, as the audit has it, whatever is left of it. */
  readonly growth?: {
    readonly added: number
    readonly addedBytes: number
    readonly removed: number
    readonly removedBytes: number
  }
  /** Where prices were asked for: a month's requests and bytes sent, and what all of it costs. */
  readonly month?: { readonly puts: number; readonly gets: number; readonly egress: number; readonly cost: MonthlyCost }
}

export type ReportRow = ReportFigures & {
  /** Null: assets without the attribute, or without a kind because nobody has seen their bytes yet. */
  readonly name: string | null
}

export type Report = {
  readonly at: Date
  readonly by: string | null
  /** Times newest first, all else by bytes, the most first. */
  readonly rows: readonly ReportRow[]
  /** How many rows there are on all pages. */
  readonly groups: number
  /** Over all rows of all pages. */
  readonly total: ReportFigures
  readonly nextCursor: string | null
  /** The copy of the bucket elsewhere; null where there is none, and for a user. */
  readonly replica: ReplicaStatus | null
  /** What the costs were made with. */
  readonly prices: {
    readonly id: string
    readonly name: string
    readonly storageClass: string
    readonly asOf: string
    readonly page: string
    readonly currency: 'USD'
  } | null
}

type ReportParts = {
  readonly catalogue: Catalogue
  readonly collections: ReadonlyMap<string, Collection>
  readonly replica: Pick<Replica, 'status'>
}

/** Seconds: what a month's requests are estimated from. */
const month = 30 * 86_400
const builtIn = ['owner', 'collection', 'kind', 'month', 'day'] as const
const prefix = 'attributes.'

/**
 * What is stored, for whom, and what it costs; as far as the actor may see it.
 *
 * @throws `invalid_request`
 */
export async function report(
  { catalogue, collections, replica }: ReportParts,
  request: ReportRequest,
  actor: Actor,
): Promise<Report> {
  const by = request.by === undefined ? null : parseGroup(request.by, collections)
  const chosen = request.prices === undefined ? null : choosePrices(request.prices)
  checkUsage(request)
  const isTime = by === 'month' || by === 'day'
  if (isTime && chosen !== null) {
    throw new KeepsakeError(
      'invalid_request',
      `Costs are those of a month as things are now, so they do not go with by=${by}. Leave prices out, or ask by owner.`,
    )
  }
  if (request.kind !== undefined && !mediaKinds.includes(request.kind)) {
    throw new KeepsakeError('invalid_request', `kind is '${request.kind}'. Allowed: ${mediaKinds.join(', ')}.`)
  }
  const { owner, collection, kind, from, to, cursor } = request
  const query: ReportQuery = {
    by,
    limit: request.limit ?? 100,
    ...(owner === undefined ? {} : { owner }),
    ...(collection === undefined ? {} : { collection }),
    ...(kind === undefined ? {} : { kind }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(cursor === undefined ? {} : { cursor }),
    ...(chosen === null ? {} : { requests: month }),
  }
  const page = await catalogue.report(query, actor)
  // The audit knows owners and collections, not kinds: by kind it would count what was not asked for.
  const grows = isTime && kind === undefined
  const price = chosen && pricing(chosen, page.total, request.usage ?? {})
  const figures = (counts: ReportCounts): ReportFigures => ({
    objects: counts.objects,
    bytes: counts.bytes,
    pending: counts.pending,
    failed: counts.failed,
    missing: counts.missing,
    corrupt: counts.corrupt,
    ...(grows ? { growth: growthOf(counts) } : {}),
    ...(price === null ? {} : { month: price(counts) }),
  })
  return {
    at: page.at,
    by: request.by ?? null,
    rows: page.rows.map((row) => ({ name: row.name, ...figures(row) })),
    groups: by === null ? 0 : page.groups,
    total: figures(page.total),
    nextCursor: page.nextCursor,
    replica: actor.role === 'user' ? null : await replica.status(),
    prices: chosen && {
      id: chosen.table.id,
      name: chosen.table.name,
      storageClass: chosen.className,
      asOf: chosen.table.asOf,
      page: chosen.table.page,
      currency: 'USD',
    },
  }
}

function growthOf({ added, addedBytes, removed, removedBytes }: ReportCounts) {
  return { added, addedBytes, removed, removedBytes }
}

/**
 * Tiers are of the whole bill, so the whole is priced, and each row bears its share of each part: by bytes, by writes,
 * by reads, by bytes sent. What was given in place of the estimate is shared by bytes stored.
 */
function pricing({ table, prices }: ChosenPrices, total: ReportCounts, given: NonNullable<ReportRequest['usage']>) {
  const usageOf = (counts: ReportCounts): MonthlyUsage => {
    const share = total.bytes === 0 ? 0 : counts.bytes / total.bytes
    const whole = counts === total
    return {
      bytes: counts.bytes,
      bytesOf128KiB: counts.bytesOf128KiB,
      objectsOf128KiB: counts.objectsOf128KiB,
      puts: given.puts === undefined ? counts.writes : whole ? given.puts : given.puts * share,
      gets: given.gets === undefined ? counts.reads : whole ? given.gets : given.gets * share,
      egress: given.egress === undefined ? counts.readBytes : whole ? given.egress : given.egress * share,
    }
  }
  const all = { ...prices, gigabyte: table.gigabyte, ...(table.egress ? { egress: table.egress } : {}) }
  const flatCost = (counts: ReportCounts) => monthlyCost(usageOf(counts), all)
  const totalUsage = usageOf(total)
  const totalCost = monthlyCost(totalUsage, all)
  const billed = (usage: MonthlyUsage) => (prices.atLeast128KiB ? usage.bytesOf128KiB : usage.bytes)
  return (counts: ReportCounts): NonNullable<ReportFigures['month']> => {
    const usage = usageOf(counts)
    const { puts, gets, egress } = usage
    if (counts === total) return { puts, gets, egress, cost: totalCost }
    const storage = share(totalCost.storage, billed(usage), billed(totalUsage))
    const requests = flatCost(counts).requests
    const sent = totalCost.egress === null ? null : share(totalCost.egress, egress, totalUsage.egress)
    const cost = { storage, requests, egress: sent, total: storage + (requests ?? 0) + (sent ?? 0) }
    return { puts, gets, egress, cost }
  }
}

function share(cost: number, part: number, whole: number): number {
  return whole === 0 ? 0 : cost * (part / whole)
}

function parseGroup(by: string, collections: ReadonlyMap<string, Collection>): ReportGroup {
  const known = builtIn.find((name) => name === by)
  if (known !== undefined) return known
  const declared = new Set([...collections.values()].flatMap(({ attributes }) => Object.keys(attributes)))
  const attribute = by.startsWith(prefix) ? by.slice(prefix.length) : by
  if (declared.has(attribute)) return { attribute }
  throw new KeepsakeError(
    'invalid_request',
    `by is '${by}'. Allowed: ${[...builtIn, ...[...declared].sort()].join(', ')}.`,
  )
}

function checkUsage({ prices, usage }: ReportRequest): void {
  if (usage === undefined) return
  if (prices === undefined) {
    throw new KeepsakeError('invalid_request', 'Requests and egress are given for costs. Say which prices as well.')
  }
  for (const [name, value] of Object.entries(usage)) {
    if (value === undefined || (Number.isFinite(value) && value >= 0)) continue
    throw new KeepsakeError('invalid_request', `${name} is ${value}. Allowed is a number from 0.`)
  }
}
