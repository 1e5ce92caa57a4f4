import type { Actor, Catalogue, IssuedUrl } from '../catalogue/index.ts'
import type { Clock } from '../clock.ts'
import { type Asset, type AssetRecord, type Collection, KeepsakeError, storeNameOf } from '../media/index.ts'
import type { Stores } from '../stores/index.ts'
import { checkExpiresIn, isPublic, type LinkOptions, type LinkSigner, publicLink, signLink } from './link.ts'

export type DeliveryParts = {
  readonly catalogue: Catalogue
  readonly stores: Stores
  readonly collections: ReadonlyMap<string, Collection>
  readonly clock: Clock
  /** Seconds. */
  readonly expiresIn: number
  /** Where public collections are read from: a CDN or a website in front of the bucket. */
  readonly baseUrl: string | null
  /** Signs links to a CDN before the primary store, in the store's place. Default: the store signs. */
  readonly cdn?: LinkSigner
}

export type DeliveryOptions = {
  readonly expiresIn?: number
  readonly download?: boolean
  readonly variant?: string
  readonly fresh?: boolean
}

type Link = { readonly id: string; readonly url: string; readonly expiresAt: Date }

/** The way out. A URL that opens an asset is only given after its audit row is written. */
export class Delivery {
  readonly #parts: DeliveryParts

  constructor(parts: DeliveryParts) {
    this.#parts = parts
  }

  /** Rows as callers see them, each with a link that opens it now. */
  async present(records: readonly AssetRecord[], actor: Actor): Promise<Asset[]> {
    const copies = await this.#copies(records)
    const issued: IssuedUrl[] = []
    const assets = records.map((record) => {
      const { sourceUrl, sourceExpiresAt, upload: _p, attempt: _a, failures: _f, until: _u, ...rest } = record
      const shown = { ...rest, store: storeNameOf(record.store) }
      const none = { url: null, urlSource: null, urlExpiresAt: null } as const
      if (record.state === 'pending') {
        const alive = sourceUrl !== null && (sourceExpiresAt === null || sourceExpiresAt > this.#parts.clock.now())
        return alive
          ? { ...shown, url: sourceUrl, urlSource: 'origin' as const, urlExpiresAt: sourceExpiresAt }
          : { ...shown, ...none }
      }
      // On the disk of another instance: that one has links to it, and this one will once it is in the bucket.
      if (record.state !== 'stored' || !this.#parts.stores.has(record.store)) return { ...shown, ...none }
      const link = this.#link(record, { expiresIn: this.#parts.expiresIn, download: false }, copies)
      if (link.expiresAt) issued.push({ asset: record.id, expiresAt: link.expiresAt })
      const urlSource = link.expiresAt ? ('store' as const) : ('public' as const)
      return { ...shown, url: link.url, urlSource, urlExpiresAt: link.expiresAt }
    })
    if (issued.length > 0) await this.#parts.catalogue.recordIssuedUrls(issued, actor)
    return assets
  }

  /**
   * A link for each stored asset, in the order of the rows; the code of what is wrong in place of the others.
   *
   * @throws `invalid_request` for a life that is not an integer from 1 to 3600 seconds, or a variant.
   */
  async links(
    records: readonly AssetRecord[],
    options: DeliveryOptions,
    actor: Actor,
  ): Promise<(Link | { id: string; code: string })[]> {
    const expiresIn = checkExpiresIn(options.expiresIn ?? this.#parts.expiresIn)
    const linkOptions = { expiresIn, download: options.download ?? false, fresh: options.fresh ?? false }
    const copies = await this.#copies(records)
    const issued: IssuedUrl[] = []
    const links = records.map((record) => {
      if (record.state !== 'stored') return { id: record.id, code: 'asset_not_stored' }
      if (!this.#parts.stores.has(record.store)) return { id: record.id, code: 'store_unavailable' }
      const { url, expiresAt } = this.#link(record, linkOptions, copies)
      if (expiresAt) issued.push({ asset: record.id, expiresAt })
      return {
        id: record.id,
        url,
        expiresAt: expiresAt ?? new Date(this.#parts.clock.now().getTime() + expiresIn * 1000),
      }
    })
    if (issued.length > 0) await this.#parts.catalogue.recordIssuedUrls(issued, actor)
    return links
  }

  /** One link. @throws `asset_not_stored`, `invalid_request`, `store_unavailable` for what lies on another instance's disk */
  async link(record: AssetRecord, options: DeliveryOptions, actor: Actor): Promise<Link> {
    checkVariant(options.variant)
    if (record.state === 'stored') this.#parts.stores.of(record.store)
    const [link] = await this.links([record], options, actor)
    if (link === undefined || 'code' in link) {
      const why = record.problem ? ` ${record.problem.message}` : ''
      throw new KeepsakeError(
        'asset_not_stored',
        `The asset is ${record.state}, so there is nothing to open yet.${why}`,
      )
    }
    return link
  }

  /** The keys of those that are to be read from the replica: the bucket is down, or has not got them as they should be. */
  async #copies(records: readonly AssetRecord[]): Promise<ReadonlySet<string>> {
    const { catalogue, stores } = this.#parts
    const { replica } = stores
    if (replica === null) return new Set()
    const isDown = stores.health('primary') === 'down'
    const keys = records
      .filter(({ state, store, health }) => state === 'stored' && store === 'primary' && (isDown || health !== 'ok'))
      .flatMap(({ key }) => key ?? [])
    return keys.length === 0 ? new Set() : catalogue.copiedKeys(replica.name, keys)
  }

  #link(
    record: AssetRecord,
    options: LinkOptions,
    copies: ReadonlySet<string>,
  ): { url: string; expiresAt: Date | null } {
    const { baseUrl, cdn, clock, collections, stores } = this.#parts
    const { key, collection } = record
    if (stores.replica && key !== null && copies.has(key)) {
      return signLink(stores.replica, record, options, clock.now())
    }
    // A CDN reads the primary bucket, and no other.
    const isBehindCdn = record.store === 'primary'
    if (baseUrl !== null && key !== null && isBehindCdn && !options.download) {
      if (isPublic(collections.get(collection), key)) return { url: publicLink(baseUrl, key), expiresAt: null }
    }
    return signLink((isBehindCdn ? cdn : undefined) ?? stores.of(record.store), record, options, clock.now())
  }
}

/** No collection declares variants yet; asking for one is a mistake to be told, not to be served the original. */
export function checkVariant(variant: string | undefined): void {
  if (variant === undefined) return
  throw new KeepsakeError(
    'invalid_request',
    `The collection declares no variant '${variant}'. Leave variant out for the original.`,
  )
}
