import type { Actor, AssetFilter, AuditFilter, Catalogue } from './catalogue/index.ts'
import { checkVariant, type Delivery } from './delivery/index.ts'
import type { Completion, Intake, UploadPart, UploadRequest, Uploads, UploadTicket } from './intake/index.ts'
import type { Jobs } from './jobs/index.ts'
import type { Logger } from './logger.ts'
import {
  type Asset,
  type AssetRecord,
  type Collection,
  isAssetId,
  KeepsakeError,
  normalizeAttribute,
} from './media/index.ts'
import { isStoreFailure, type ObjectContent, type Stores } from './stores/index.ts'
import {
  type AssetChanges,
  changeRetention,
  finishDelete,
  type Replica,
  type Report,
  type ReportRequest,
  report,
} from './upkeep/index.ts'
import type { AssetUrl, ImportRequest, ListRequest, UploadProgress, UrlOptions, Verbs } from './verbs.ts'

export type VerbParts = {
  readonly catalogue: Catalogue
  readonly stores: Stores
  readonly jobs: Jobs
  readonly intake: Intake
  readonly uploads: Uploads
  readonly delivery: Delivery
  readonly replica: Replica
  readonly collections: ReadonlyMap<string, Collection>
  readonly logger: Logger
}

const maxUrls = 1000
const maxParts = 1000
const maxLimit = 1000
/** Seconds within which a delete must be finished before the sweep takes over. */
const deleteLease = 30

/** The verbs as one actor. It holds no state of its own: what an actor may see is the catalogue's to decide. */
export class BoundVerbs implements Verbs {
  readonly #parts: VerbParts
  readonly #actor: Actor

  constructor(parts: VerbParts, actor: Actor) {
    this.#parts = parts
    this.#actor = actor
  }

  async import(collection: string, request: ImportRequest): Promise<Asset> {
    return this.#present(await this.#parts.intake.import(this.#collection(collection), request, this.#actor))
  }

  async upload(collection: string, request: UploadRequest): Promise<{ asset: Asset; upload: UploadTicket | null }> {
    const { asset, upload } = await this.#parts.uploads.create(this.#collection(collection), request, this.#actor)
    return { asset: await this.#present(asset), upload }
  }

  async uploadStatus(id: string): Promise<UploadProgress> {
    const record = await this.#find(id)
    const collection = this.#parts.collections.get(record.collection)
    const state = await this.#parts.uploads.status(record, collection, this.#actor)
    return { ...state, asset: await this.#present(state.asset) }
  }

  async uploadParts(id: string, partNumbers: readonly number[]): Promise<readonly UploadPart[]> {
    if (partNumbers.length === 0 || partNumbers.length > maxParts) {
      throw new KeepsakeError(
        'invalid_request',
        `Links for ${partNumbers.length} parts were asked for. Allowed are 1 to ${maxParts} at once.`,
      )
    }
    return this.#parts.uploads.parts(await this.#find(id), partNumbers, this.#actor)
  }

  async completeUpload(id: string, options: Completion = {}): Promise<Asset> {
    const record = await this.#find(id)
    const collection = this.#collection(record.collection)
    return this.#present(await this.#parts.uploads.complete(record, collection, options, this.#actor))
  }

  async abortUpload(id: string): Promise<{ done: boolean }> {
    const record = await this.#find(id)
    const aborting = await this.#parts.catalogue.beginAbort(id, deleteLease, this.#actor)
    if (aborting !== undefined) return this.#finishDelete(aborting)
    // Given up already, by its own failure, or not an upload (any more): what is stored is deleted, not aborted.
    const now = (await this.#parts.catalogue.get(id, this.#actor)) ?? record
    if (now.state === 'failed' || now.state === 'deleting') return { done: true }
    throw new KeepsakeError(
      'upload_closed',
      'The asset is no upload that is under way. To remove it, delete the asset.',
    )
  }

  async get(id: string): Promise<Asset> {
    return this.#present(await this.#find(id))
  }

  async getByKey(key: string): Promise<Asset> {
    const record = isKey(key) ? await this.#parts.catalogue.getByKey(key, this.#actor) : undefined
    if (record === undefined) {
      throw new KeepsakeError('asset_not_found', 'There is no asset with this key. It may have been deleted.')
    }
    return this.#present(record)
  }

  async list(name: string, request: ListRequest = {}): Promise<{ assets: Asset[]; nextCursor: string | null }> {
    const filter = this.#filter(this.#collection(name), request)
    const { assets, nextCursor } = await this.#parts.catalogue.list(filter, this.#actor)
    return { assets: await this.#parts.delivery.present(assets, this.#actor), nextCursor }
  }

  async delete(id: string): Promise<{ done: boolean }> {
    const { catalogue } = this.#parts
    const record = isAssetId(id) ? await catalogue.beginDelete(id, deleteLease, this.#actor) : undefined
    if (record === undefined) throw notFound(id)
    return this.#finishDelete(record)
  }

  async #finishDelete(record: AssetRecord): Promise<{ done: boolean }> {
    const { id } = record
    const { jobs, logger } = this.#parts
    try {
      await finishDelete(this.#parts, record, this.#actor)
      return { done: true }
    } catch (error) {
      const problem = KeepsakeError.from(error)
      if (problem.code === 'internal') throw problem
      logger.warn({ asset: id, code: problem.code, err: problem }, 'delete goes on in the background')
      await jobs.nudge(id, 1)
      return { done: false }
    }
  }

  async update(id: string, changes: AssetChanges): Promise<Asset> {
    const { catalogue } = this.#parts
    return this.#present(await changeRetention(catalogue, () => this.#find(id), changes, this.#actor))
  }

  async url(id: string, options: UrlOptions = {}): Promise<AssetUrl> {
    checkVariant(options.variant)
    return this.#parts.delivery.link(await this.#find(id), options, this.#actor)
  }

  async urls(
    assets: readonly { readonly id: string; readonly variant?: string }[],
    options: Pick<UrlOptions, 'expiresIn'> = {},
  ): Promise<(AssetUrl | { id: string; code: string })[]> {
    if (assets.length > maxUrls) {
      throw new KeepsakeError(
        'invalid_request',
        `${assets.length} links were asked for. Allowed are ${maxUrls} at once.`,
      )
    }
    const wanted = new Set(assets.filter(({ variant }) => variant === undefined).map(({ id }) => id))
    const records = await this.#parts.catalogue.getMany([...wanted].filter(isAssetId), this.#actor)
    const links = await this.#parts.delivery.links(records, options, this.#actor)
    const byId = new Map(links.map((link) => [link.id, link]))
    return assets.map(({ id, variant }) => {
      if (variant !== undefined) return { id, code: 'invalid_request' }
      return byId.get(id) ?? { id, code: 'asset_not_found' }
    })
  }

  async read(id: string): Promise<{ asset: Asset; body: AsyncIterable<Uint8Array> }> {
    const record = await this.#find(id)
    if (record.state !== 'stored' || record.key === null) {
      throw new KeepsakeError('asset_not_stored', `The asset is ${record.state}, so there is nothing to read.`)
    }
    const asset = await this.#present(record)
    const { body } = await this.#open(record, record.key)
    return { asset, body }
  }

  /** Where the bucket fails, or has lost it, a copy will do. */
  async #open({ store }: AssetRecord, key: string): Promise<ObjectContent> {
    const { catalogue, stores } = this.#parts
    const { replica } = stores
    try {
      return await stores.of(store).get(key)
    } catch (error) {
      const isLost = isStoreFailure(error) || KeepsakeError.is(error, 'object_missing')
      if (replica === null || store !== 'primary' || !isLost) throw error
      if (!(await catalogue.copiedKeys(replica.name, [key])).has(key)) throw error
      return replica.get(key)
    }
  }

  audit(filter: Partial<AuditFilter> = {}) {
    return this.#parts.catalogue.listAudit({ ...filter, limit: checkLimit(filter.limit ?? 100) }, this.#actor)
  }

  report(request: ReportRequest = {}): Promise<Report> {
    return report(this.#parts, request, this.#actor)
  }

  async #find(id: string): Promise<AssetRecord> {
    const record = isAssetId(id) ? await this.#parts.catalogue.get(id, this.#actor) : undefined
    if (record === undefined) throw notFound(id)
    return record
  }

  async #present(record: AssetRecord): Promise<Asset> {
    const [asset] = await this.#parts.delivery.present([record], this.#actor)
    if (asset === undefined) throw notFound(record.id)
    return asset
  }

  #collection(name: string): Collection {
    const { collections } = this.#parts
    const collection = collections.get(name)
    if (collection) return collection
    throw new KeepsakeError(
      'collection_not_found',
      `There is no collection '${name}'. Declared: ${[...collections.keys()].join(', ')}.`,
    )
  }

  #filter(collection: Collection, request: ListRequest): AssetFilter {
    const attributes: Record<string, string> = {}
    for (const [name, value] of Object.entries(request.attributes ?? {})) {
      const definition = Object.hasOwn(collection.attributes, name) ? collection.attributes[name] : undefined
      if (definition === undefined) {
        throw new KeepsakeError(
          'invalid_request',
          `The attribute '${name}' is not declared for the collection '${collection.name}'. ` +
            `Declared: ${Object.keys(collection.attributes).join(', ') || 'none'}.`,
        )
      }
      attributes[name] = normalizeAttribute(definition, value)
    }
    if (request.parent !== undefined && !isAssetId(request.parent)) {
      throw new KeepsakeError('invalid_request', 'parent is no asset id. Name the asset whose children are looked for.')
    }
    return { ...request, collection: collection.name, attributes, limit: checkLimit(request.limit ?? 50) }
  }
}

function checkLimit(limit: number): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= maxLimit) return limit
  throw new KeepsakeError('invalid_request', `limit is ${limit}. Allowed is an integer from 1 to ${maxLimit}.`)
}

/** Whether an object could have this key at all (AWS, "Naming Amazon S3 objects"): other text is not for the database. */
function isKey(key: string): boolean {
  const bytes = Buffer.byteLength(key)
  return bytes >= 1 && bytes <= 1024 && !key.includes('\0') && key.isWellFormed()
}

/** The same words for an asset that is not there and for one that is another owner's. */
function notFound(id: string): KeepsakeError {
  const shown = isAssetId(id) ? `'${id}'` : 'with this id'
  return new KeepsakeError('asset_not_found', `There is no asset ${shown}. It may have been deleted.`)
}
