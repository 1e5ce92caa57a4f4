/** Up to so many gigabytes a month, each costs `price`; `upTo: null` is the rest. */
export type Tier = { readonly upTo: number | null; readonly price: number }

/** What a class of storage costs. What is not known from a source is left out, and so is its part of a cost. */
export type StorageClassPrices = {
  /** A gigabyte for a month. */
  readonly storage: readonly Tier[]
  /** A thousand writes (PUT, COPY, POST, LIST). */
  readonly puts?: number
  /** A thousand reads (GET and all others). */
  readonly gets?: number
  /** A gigabyte that is read, on top of egress. */
  readonly retrieval?: number
  /** A thousand objects of 128 KiB and more, watched for a month. */
  readonly monitoring?: number
  /** Objects are billed as 128 KiB at least. */
  readonly atLeast128KiB?: boolean
}

/** List prices of one provider and region, in US dollars, without free allowances, taxes and discounts. */
export type PriceTable = {
  /** `aws:eu-central-1`, `r2` … */
  readonly id: string
  readonly name: string
  /** The day of the oldest figure in it. */
  readonly asOf: string
  /** The page where the provider itself states its prices. */
  readonly page: string
  /** Where the figures were read, as they stood at `asOf`. */
  readonly source: string
  /** Bytes of the gigabyte that is billed. */
  readonly gigabyte: number
  /** By name; `standard` is what an upload without a storage class gets. */
  readonly classes: { readonly standard: StorageClassPrices; readonly [name: string]: StorageClassPrices }
  /** A gigabyte to the internet. */
  readonly egress?: readonly Tier[]
}
