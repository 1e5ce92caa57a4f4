import type { Actor, Catalogue, IssuedUrl } from '../catalogue/index.ts'
import type { Clock } from '../clock.ts'
import { type Asset, type AssetRecord, type Collection, KeepsakeError } from '../media/index.ts'
import type { ObjectStore } from '../stores/index.ts'
import { checkExpiresIn, isPublic, type LinkOptions, publicLink, signLink } from './link.ts'

export type DeliveryParts = {
  readonly catalogue: Catalogue
  readonly store: ObjectStore
  readonly collections: ReadonlyMap<string, Collection>
  readonly clock: Clock
  /** Seconds. */
  readonly expiresIn: number
  /** Where public collections are read from: a CDN or a website in front of the bucket. */
  readonly baseUrl: string | null
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
    const issued: IssuedUrl[] = []
    const assets = records.map((record) => {
      const { sourceUrl, sourceExpiresAt, upload: _p, attempt: _a, failures: _f, until: _u, ...shown } = record
      const none = { url: null, urlSource: null, urlExpiresAt: null } as const
      if (record.state === 'pending') {
        const alive = sourceUrl !== null && (sourceExpiresAt === null || sourceExpiresAt > this.#parts.clock.now())
        return alive
          ? { ...shown, url: sourceUrl, urlSource: 'origin' as const, urlExpiresAt: sourceExpiresAt }
          : { ...shown, ...none }
      }
      if (record.state !== 'stored') return { ...shown, ...none }
      const link = this.#link(record, { expiresIn: this.#parts.expiresIn, download: false })
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
    const issued: IssuedUrl[] = []
    const links = records.map((record) => {
      if (record.state !== 'stored') return { id: record.id, code: 'asset_not_stored' }
      const { url, expiresAt } = this.#link(record, linkOptions)
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

  /** One link. @throws `asset_not_stored`, `invalid_request` */
  async link(record: AssetRecord, options: DeliveryOptions, actor: Actor): Promise<Link> {
    checkVariant(options.variant)
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

  #link(record: AssetRecord, options: LinkOptions): { url: string; expiresAt: Date | null } {
    const { baseUrl, collections, store } = this.#parts
    if (baseUrl !== null && record.key !== null && !options.download && isPublic(collections.get(record.collection))) {
      return { url: publicLink(baseUrl, record.key), expiresAt: null }
    }
    return signLink(store, record, options, this.#parts.clock.now())
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
