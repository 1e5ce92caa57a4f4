import { createHash } from 'node:crypto'
import type { Client } from './client.ts'
import type { Inspection } from './inspection.ts'
import type { Ledger, Order } from './ledger.ts'

/** What was found wrong, by name; empty lists everywhere are what is wanted. */
export type Findings = {
  /** Acknowledged, and not there: no row, not stored, no bytes. */
  readonly lost: string[]
  /** Acknowledged, and other bytes. */
  readonly wrong: string[]
  /** Answered as pending from a source that lives, and not stored in the end. */
  readonly forsaken: string[]
  /** Deleted with an acknowledgement, and still there in some way. */
  readonly undead: string[]
  /** Idempotency keys with more than one asset. */
  readonly doubled: string[]
  /** Objects that no stored row names. */
  readonly orphans: string[]
  /** Stored rows without their object. */
  readonly hollow: string[]
  /** Rows that are still pending or deleting, and keys that are still watched an hour later. */
  readonly stuck: string[]
  /** Bookkeeping that does not add up: the audit, the used bytes. */
  readonly bookkeeping: string[]
  /** Files of imports that nobody works on any more. */
  readonly leftovers: string[]
  /** What was wrong as soon as it was seen. */
  readonly violations: readonly string[]
}

const page = 500
const downloadsAtOnce = 8

/** Asks the running server for everything that it acknowledged, as a caller does. */
export async function judgeAnswers(
  client: Client,
  ledger: Ledger,
): Promise<Pick<Findings, 'lost' | 'wrong' | 'forsaken' | 'undead'>> {
  const lost: string[] = []
  const wrong: string[] = []
  const forsaken: string[] = []
  const undead: string[] = []
  const missing = (expected: ReadonlyMap<string, Order>) => (expected === ledger.kept ? lost : forsaken)
  for (const expected of [ledger.kept, ledger.promised]) {
    for (const ids of pages([...expected.keys()])) {
      const links = await linksOf(client, ids)
      const queue = links.values()
      const download = async () => {
        for (const link of queue) {
          const order = expected.get(link.id)
          if ('code' in link || order === undefined) {
            missing(expected).push(`${link.id}: ${'code' in link ? link.code : 'not asked for'}`)
            continue
          }
          const response = await fetch(link.url, { signal: AbortSignal.timeout(30_000) })
          const bytes = Buffer.from(await response.arrayBuffer())
          if (!response.ok) missing(expected).push(`${link.id}: the link answers ${response.status}`)
          else if (createHash('sha256').update(bytes).digest('hex') !== order.sha256) wrong.push(link.id)
        }
      }
      await Promise.all(Array.from({ length: downloadsAtOnce }, download))
    }
  }
  for (const ids of pages([...ledger.deleted])) {
    for (const link of await linksOf(client, ids)) {
      if (!('code' in link) || link.code !== 'asset_not_found') undead.push(`${link.id}: a link was given`)
    }
  }
  return { lost, wrong, forsaken, undead }
}

/** Looks at the bucket and the catalogue themselves, with no Keepsake in between. */
export async function judgeRemains(
  inspection: Inspection,
  ledger: Ledger,
): Promise<Pick<Findings, 'lost' | 'wrong' | 'undead' | 'doubled' | 'orphans' | 'hollow' | 'stuck' | 'bookkeeping'>> {
  const { rows, retiredKeys, bookkeeping } = await inspection.catalogue()
  const objects = await inspection.objects()
  const byId = new Map(rows.map((row) => [row.id, row]))
  const stored = rows.filter(({ state }) => state === 'stored')
  const keys = new Set(stored.map(({ key }) => key))
  const byOrder = new Map<string, string[]>()
  for (const { id, order } of rows) byOrder.set(order, [...(byOrder.get(order) ?? []), id])

  return {
    lost: [...ledger.kept.keys()].filter((id) => byId.get(id)?.state !== 'stored').map((id) => `${id}: no stored row`),
    // Also those that were stored with nobody left to tell.
    wrong: stored
      .filter(({ order, sha256 }) => ledger.orders.get(order)?.sha256 !== sha256)
      .map(({ id }) => `${id}: the row has another hash than was sent`),
    undead: [...ledger.deleted].filter((id) => byId.has(id)).map((id) => `${id}: the row is there`),
    doubled: [
      ...[...byOrder].filter(([, ids]) => ids.length > 1).map(([order, ids]) => `${order}: ${ids.join(', ')}`),
      ...rows
        .filter(({ id, order }) => (ledger.assetOf(order) ?? id) !== id)
        .map(({ id, order }) => `${order}: answered with ${ledger.assetOf(order)}, the row is ${id}`),
    ],
    orphans: [...objects.keys()].filter((key) => !keys.has(key)),
    hollow: stored.filter(({ key, size }) => key === null || objects.get(key) !== size).map(({ id }) => id),
    stuck: [
      ...rows
        .filter(({ state }) => state === 'pending' || state === 'deleting')
        .map(({ id, state, problem }) => `${id}: ${state}${problem === null ? '' : `, ${problem}`}`),
      ...retiredKeys.map((key) => `${key}: still watched`),
    ],
    bookkeeping,
  }
}

async function linksOf(client: Client, ids: readonly string[]) {
  const outcome = await client.urls(ids)
  if (outcome.kind === 'answer') return outcome.value.urls
  throw new Error(`The links were not given: ${outcome.kind === 'problem' ? outcome.code : 'no answer'}.`)
}

function* pages(ids: readonly string[]): Generator<readonly string[]> {
  for (let start = 0; start < ids.length; start += page) yield ids.slice(start, start + page)
}
