import type { StorageClassPrices, Tier } from './prices/price-table.ts'

/** What is paid for in a month. */
export type MonthlyUsage = {
  /** Bytes stored, all month. */
  readonly bytes: number
  /** The same, where each object counts for 128 KiB at least. */
  readonly bytesOf128KiB: number
  /** Objects of 128 KiB and more. */
  readonly objectsOf128KiB: number
  /** Requests that write, and that read. */
  readonly puts: number
  readonly gets: number
  /** Bytes sent to the internet. */
  readonly egress: number
}

/** US dollars a month; null where the price is not known, which `total` then leaves out. */
export type MonthlyCost = {
  /** With what watching objects costs, for a class that does. */
  readonly storage: number
  readonly requests: number | null
  /** With what retrieval costs, for a class that has it. */
  readonly egress: number | null
  readonly total: number
}

type Prices = StorageClassPrices & { readonly egress?: readonly Tier[]; readonly gigabyte: number }

/** What a month of this usage costs at list prices, without free allowances. */
export function monthlyCost(usage: MonthlyUsage, prices: Prices): MonthlyCost {
  const { gigabyte } = prices
  const billed = prices.atLeast128KiB ? usage.bytesOf128KiB : usage.bytes
  const watched = (usage.objectsOf128KiB / 1000) * (prices.monitoring ?? 0)
  const storage = tiered(billed / gigabyte, prices.storage) + watched
  const requests =
    prices.puts === undefined || prices.gets === undefined
      ? null
      : (usage.puts / 1000) * prices.puts + (usage.gets / 1000) * prices.gets
  const egress = prices.egress === undefined ? null : egressCost(usage.egress / gigabyte, prices.egress, prices)
  return { storage, requests, egress, total: storage + (requests ?? 0) + (egress ?? 0) }
}

function egressCost(gigabytes: number, tiers: readonly Tier[], { retrieval, atLeast128KiB }: Prices): number | null {
  // Every class for rare access charges for reading; where how much is not known, neither is the whole.
  if (atLeast128KiB && retrieval === undefined) return null
  return tiered(gigabytes, tiers) + gigabytes * (retrieval ?? 0)
}

function tiered(gigabytes: number, tiers: readonly Tier[]): number {
  let [cost, below] = [0, 0]
  for (const { upTo, price } of tiers) {
    const end = Math.min(gigabytes, upTo ?? Number.POSITIVE_INFINITY)
    cost += Math.max(0, end - below) * price
    below = end
  }
  return cost
}
