import { isDeepStrictEqual } from 'node:util'
import type { Actor, Catalogue, Reservation } from '../../catalogue/index.ts'
import type { Clock } from '../../clock.ts'
import type { Jobs } from '../../jobs/index.ts'
import type { Logger } from '../../logger.ts'
import {
  type AssetRecord,
  type Collection,
  extensionOf,
  KeepsakeError,
  keyKindOf,
  kindOf,
  newAssetId,
  parseAttributes,
  type StorePlace,
  type UploadTerms,
} from '../../media/index.ts'
import { isStoreFailure, type ObjectContent, type PartRange, planParts, type Stores } from '../../stores/index.ts'
import { confirm, type Served, servedAs } from '../keep.ts'
import { Leases } from '../leases.ts'
import { announcedMetadata, objectMetadata } from '../object-metadata.ts'
import { problemOf, stopping, withAsset } from '../outcome.ts'
import { TransferGate } from '../transfer-gate.ts'
import { type Examined, examine } from './examine.ts'
import { inboxKey, movedIn, moveIn } from './inbox.ts'
import { changedMeanwhile, openObject } from './object-reader.ts'
import { arrivedParts, dropParts, joinParts, type NamedPart, type UploadedPart } from './parts.ts'
import { parseUpload, type Upload, type UploadRequest } from './request.ts'
import { open, rangesOf, signParts, signWhole, type UploadPart, type UploadTicket } from './ticket.ts'

export type UploadSettings = {
  /** Bytes from which on an upload comes in parts. Default: 16 MiB. */
  readonly partThreshold?: number
  /** Bytes of a part, from 5 MiB; more where 10000 parts would not suffice. Default: 16 MiB. */
  readonly partSize?: number
  /** Seconds for which an upload in parts may be gone on with, from each look at it. Default: a day. */
  readonly resumeWithin?: number
}

export type UploadsParts = {
  readonly catalogue: Catalogue
  readonly stores: Stores
  readonly collections: ReadonlyMap<string, Collection>
  readonly clock: Clock
  readonly jobs: Jobs
  readonly logger: Logger
  readonly spoolDir: string
  /** Seconds that a link of an upload lives, 1 to 3600. */
  readonly expiresIn: number
  readonly uploads?: UploadSettings
  /** Seconds that a caller waits for a verification; then it is told `pending`. Default: 50. */
  readonly patience?: number
}

/** What a client may say at the end. */
export type Completion = {
  /** The tags of the parts as it was answered them, to be compared with what the store has. */
  readonly parts?: readonly NamedPart[] | undefined
  /** Attributes that it did not know at the beginning; the key stays what it is. */
  readonly attributes?: Readonly<Record<string, string>> | undefined
}

export type UploadState = {
  readonly asset: AssetRecord
  /** Null once the upload is over. */
  readonly upload: UploadTicket | null
  readonly uploadedParts: readonly UploadedPart[]
}

/** What lies at the client's key, or what an earlier verification made of it. */
type Arrived = ObjectContent | { readonly moved: Examined }

const mebibyte = 1024 * 1024
/** Part links in a ticket; the rest is asked for as it is needed. */
const firstParts = 100
/** Seconds by which a row outlives its links: a request that began in the last second may take its time. */
const grace = 300
/** Bytes above which reading takes long enough to say so in the row, for whoever goes on after a crash. */
const longReading = 8 * mebibyte
/** Verifications in their first seconds, and of all ages, at the same time in this process. */
const verifying = { atOnce: 32, most: 128, longAfter: 5 }
/** Keys end in random digits; two that are the same are a matter of luck. */
const maxKeys = 3

/**
 * Direct intake: the client sends its bytes to the bucket by signed requests, and nothing it says is believed. The row
 * is there before any link is, and it becomes `stored` when this process has read the object.
 */
export class Uploads {
  readonly #parts: UploadsParts
  readonly #leases: Leases
  readonly #gate = new TransferGate(verifying)
  readonly #stopping = new AbortController()
  /** Verifications under way, by asset and attempt: a client that asks twice waits for one. */
  readonly #running = new Map<string, Promise<AssetRecord>>()
  #closing: Promise<void> | undefined

  constructor(parts: UploadsParts) {
    this.#parts = parts
    this.#leases = new Leases(parts.catalogue)
  }

  /**
   * Reserves an asset and gives the requests by which its bytes reach the bucket. A replay of the same request gives
   * fresh ones; null where its asset is stored already.
   */
  async create(
    collection: Collection,
    request: UploadRequest,
    actor: Actor,
  ): Promise<{ readonly asset: AssetRecord; readonly upload: UploadTicket | null }> {
    this.#requireRunning()
    const upload = parseUpload(collection, request, actor)
    await this.#requireRoom(upload.size)
    const reserved = await this.#reserve(collection, upload, actor)
    const reopened =
      reserved.asset.state === 'failed' ? await this.#reopen(reserved.asset, collection, upload, actor) : undefined
    const replayed = reserved.replayed && reopened === undefined
    // Failed and not ours to reopen: for good, or the same request beside this one was faster.
    const isLate = reserved.asset.state === 'failed' && reopened === undefined
    const asset = reopened ?? (isLate ? await this.#now(reserved.asset) : reserved.asset)
    if (replayed && asset.state !== 'pending') return { asset: settled(asset), upload: null }
    const terms = asset.upload
    if (terms === null) throw new KeepsakeError('internal', 'The row of an upload has no terms.')
    const moved = replayed ? await this.#moved(asset, collection, actor) : asset
    if (terms.partSize !== null && open(moved).terms.uploadId === null) return this.#begin(moved, collection, actor)
    if (!replayed || moved !== asset) return { asset: moved, upload: this.#ticket(moved) }
    return this.#renewed(moved, actor)
  }

  /**
   * Requests for more parts.
   *
   * @throws `upload_closed` where the upload is over or comes in one piece; `invalid_request` for a number it has not.
   */
  async parts(record: AssetRecord, partNumbers: readonly number[], actor: Actor): Promise<UploadPart[]> {
    const ranges = rangesOf(openTerms(record))
    if (ranges.length === 0) throw new KeepsakeError('invalid_request', 'This upload comes in one piece, not in parts.')
    const wanted = partNumbers.map((partNumber) => {
      const range = ranges[partNumber - 1]
      if (range !== undefined) return range
      throw new KeepsakeError('invalid_request', `The upload has the parts 1 to ${ranges.length}; found ${partNumber}.`)
    })
    const now = await this.#extend(record, wanted.length, actor)
    return signParts(this.#parts.stores.of(now.store), now, wanted, this.#signing)
  }

  /** What has arrived, and the requests to go on with, for a client that lost its own notes. */
  async status(record: AssetRecord, collection: Collection | undefined, actor: Actor): Promise<UploadState> {
    if (record.state !== 'pending' || record.upload === null) {
      return { asset: record, upload: null, uploadedParts: [] }
    }
    // Parts that have arrived are worth waiting for; who would rather begin anew asks for the upload again.
    if (record.upload.uploadId === null && collection !== undefined) {
      const moved = await this.#moved(record, collection, actor)
      if (moved !== record) return { asset: moved, upload: this.#ticket(moved), uploadedParts: [] }
    }
    const arrived = (await arrivedParts(this.#parts.stores.of(record.store), record, this.#stopping.signal)) ?? []
    const uploadedParts = arrived.map(({ partNumber, etag, size }) => ({ partNumber, etag, size }))
    return { ...(await this.#renewed(record, actor, uploadedParts)), uploadedParts }
  }

  /**
   * Verifies what arrived and stores it. The row comes back `pending` where that takes longer than the caller's patience;
   * it goes on by itself. Harmless when repeated.
   *
   * @throws `upload_incomplete` while bytes are missing; what is wrong with the content, which is then removed.
   */
  async complete(
    record: AssetRecord,
    collection: Collection,
    { parts: named, attributes }: Completion,
    actor: Actor,
  ): Promise<AssetRecord> {
    const described = attributes && describe(collection, record, attributes)
    if (record.state !== 'pending') return settled(record)
    openTerms(record)
    this.#requireRunning()
    const timer = new AbortController()
    const patience = this.#parts.clock.sleep(this.#parts.patience ?? 50, timer.signal).then(() => undefined)
    try {
      const work = this.#verify(record, collection, { parts: named, attributes: described }, actor)
      const outcome = await Promise.race([work, patience])
      return outcome ?? settled((await this.#read(record.id)) ?? record)
    } finally {
      timer.abort()
    }
  }

  /**
   * Brings an upload forward that its client left: stored where all of it is there, given up where its time is over.
   * Doing it twice, or beside the client, does no harm.
   */
  async settle(record: AssetRecord, collection: Collection | undefined, actor: Actor): Promise<void> {
    if (this.#closing !== undefined) return
    const { catalogue, logger } = this.#parts
    let problem: KeepsakeError
    try {
      if (collection !== undefined) {
        await this.#verify(record, collection, {}, actor)
        return
      }
      problem = new KeepsakeError('collection_not_found', `The collection '${record.collection}' is not declared.`)
    } catch (error) {
      problem = KeepsakeError.from(error)
      // What is wrong with the content is in the row by now.
      if (problem.code !== 'upload_incomplete') {
        if (problem.retryable || problem.code === 'internal' || problem.code === 'store_denied') throw problem
        return
      }
    }
    const told = { code: problem.code, message: 'The bytes did not come before the links of the upload ended.' }
    const failed = await catalogue.fail(
      record.id,
      record.attempt,
      collection === undefined ? { code: problem.code, message: problem.message } : told,
      actor,
      { reopenable: true, onlyDue: true },
    )
    if (failed === undefined) return
    await this.#remove(record)
    logger.debug({ asset: record.id }, 'an upload was given up')
  }

  /** Takes no more work and waits for verifications under way, at most so many seconds; others go on with the rest. */
  close(timeoutSeconds: number): Promise<void> {
    this.#closing ??= this.#close(timeoutSeconds)
    return this.#closing
  }

  async #close(timeoutSeconds: number): Promise<void> {
    const all = Promise.allSettled([...this.#running.values()])
    const timer = new AbortController()
    await Promise.race([all, this.#parts.clock.sleep(timeoutSeconds, timer.signal)])
    timer.abort()
    this.#stopping.abort(stopping())
    await all
  }

  #requireRunning(): void {
    if (this.#closing !== undefined) throw stopping()
  }

  get #signing() {
    return { expiresIn: this.#parts.expiresIn, at: this.#parts.clock.now() }
  }

  get #resumeWithin(): number {
    return this.#parts.uploads?.resumeWithin ?? 86_400
  }

  #read(id: string): Promise<AssetRecord | undefined> {
    return this.#parts.catalogue.get(id, { role: 'system' })
  }

  async #reserve(collection: Collection, upload: Upload, actor: Actor) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#parts.catalogue.reserve(this.#reservation(collection, upload), actor)
      } catch (error) {
        if (tries >= maxKeys || !KeepsakeError.is(error, 'object_exists')) throw error
      }
    }
  }

  /** The same request after its first upload was given up: one row for an idempotency key, under a new key of the store. */
  async #reopen(record: AssetRecord, collection: Collection, upload: Upload, actor: Actor) {
    const { id, attempt, createdAt } = record
    const planned = this.#planned(collection, upload, { id, attempt: attempt + 1, createdAt })
    return this.#parts.catalogue.reopen(
      id,
      attempt,
      { lease: this.#leaseOf(planned.terms), reservedBytes: upload.size, quota: collection.quota, upload: planned },
      actor,
    )
  }

  #leaseOf({ partSize }: UploadTerms): number {
    return partSize === null ? this.#parts.expiresIn + grace : this.#resumeWithin
  }

  #reservation(collection: Collection, upload: Upload): Reservation {
    const { size, owner, attributes, provenance, filename, idempotency } = upload
    const id = newAssetId()
    // The one time that this machine's clock names: the database's is only known once the row is there.
    const planned = this.#planned(collection, upload, { id, attempt: 1, createdAt: this.#parts.clock.now() })
    return {
      id,
      collection: collection.name,
      owner,
      attributes,
      provenance,
      filename,
      sourceUrl: null,
      sourceExpiresAt: null,
      lease: this.#leaseOf(planned.terms),
      reservedBytes: size,
      quota: collection.quota,
      upload: planned,
      idempotency,
      ...(upload.keep === undefined ? {} : { keep: upload.keep }),
    }
  }

  /** What is fixed of an upload from the start: its key, its type as announced, its parts. */
  #planned(
    collection: Collection,
    upload: Upload,
    row: Pick<AssetRecord, 'id' | 'attempt' | 'createdAt'>,
  ): NonNullable<Reservation['upload']> {
    const { contentType, size, atMost, plain, sameType, sha256, owner, attributes } = upload
    const { partThreshold = 16 * mebibyte, partSize } = this.#parts.uploads ?? {}
    const inParts = !plain && (upload.partSize !== null || size > partThreshold)
    const extension = extensionOf(contentType)
    const terms: UploadTerms = {
      size,
      atMost,
      sameType,
      inbox: plain ? inboxKey(row, extension) : null,
      sha256,
      partSize: inParts ? planParts(size, upload.partSize ?? partSize).partSize : null,
      uploadId: null,
    }
    const values = { ...row, owner, collection: collection.name, kind: keyKindOf(contentType), extension, attributes }
    const key = collection.key.render(values)
    const kind = kindOf(contentType)
    return { key, store: this.#parts.stores.writing().name, kind, contentType, terms }
  }

  /** The store's side of an upload in parts, after the row: whatever becomes of this, the row's key leads to it. */
  async #begin(
    record: AssetRecord,
    collection: Collection,
    actor: Actor,
  ): Promise<{ readonly asset: AssetRecord; readonly upload: UploadTicket | null }> {
    const { catalogue, stores } = this.#parts
    const store = stores.of(record.store)
    const { key, contentType, terms } = open(record)
    try {
      const { uploadId } = await store.createMultipart({
        key,
        contentType,
        ...this.#served(record),
        metadata: announcedMetadata(record, terms.sha256),
        signal: this.#stopping.signal,
      })
      const begun = await catalogue.beginParts(record.id, record.attempt, uploadId)
      if (begun !== undefined) return { asset: begun, upload: this.#ticket(begun) }
      // A replay beside this one was faster, or the upload is over.
      await store.abortMultipart({ key, uploadId })
    } catch (error) {
      const problem = KeepsakeError.from(error)
      if (isStoreFailure(problem) && stores.local && record.store === 'primary') {
        await stores.local.requireRoom(terms.size)
        const moved = await this.#move(record, collection, stores.local.place, actor)
        if (moved !== undefined) return this.#begin(moved, collection, actor)
      }
      const told = { code: problem.code, message: problem.message }
      // A replay beside this one may have given links: then it goes on. Where the catalogue fails too, the row's time
      // runs out and it is settled then.
      const failed = await catalogue
        .fail(record.id, record.attempt, told, actor, { reopenable: true, onlyUnbegun: true })
        .catch(() => undefined)
      if (failed !== undefined) await this.#remove(record)
      throw withAsset(problem, record.id)
    }
    const now = await this.#read(record.id)
    if (now === undefined) throw gone()
    if (now.state !== 'pending') return { asset: settled(now), upload: null }
    return { asset: now, upload: this.#ticket(now) }
  }

  /** The upload where its client can reach a store that works: a bucket that fails now is left for the local store. */
  async #moved(record: AssetRecord, collection: Collection, actor: Actor): Promise<AssetRecord> {
    const { name } = this.#parts.stores.writing()
    if (record.store !== 'primary' || name === 'primary') return record
    await this.#requireRoom(open(record).terms.size)
    const moved = await this.#move(record, collection, name, actor)
    if (moved !== undefined) return moved
    const now = await this.#now(record)
    openTerms(now)
    return now
  }

  /** A new attempt under a new key in another store. What the client sent to the old one is not waited for any more. */
  #move(record: AssetRecord, collection: Collection, store: StorePlace, actor: Actor) {
    const { contentType, terms } = open(record)
    const { id, owner, attributes, createdAt } = record
    const attempt = record.attempt + 1
    const [kind, extension] = [keyKindOf(contentType), extensionOf(contentType)]
    const values = { id, attempt, createdAt, owner, collection: collection.name, kind, extension, attributes }
    const inbox = terms.inbox === null ? null : inboxKey({ id, attempt }, extension)
    const to = { key: collection.key.render(values), store, inbox, lease: this.#leaseOf(terms) }
    return this.#parts.catalogue.moveUpload(id, record.attempt, to, actor)
  }

  async #requireRoom(bytes: number): Promise<void> {
    const { local, writing } = this.#parts.stores
    if (local && writing().name === local.place) await local.requireRoom(bytes)
  }

  #ticket(record: AssetRecord, arrived: readonly UploadedPart[] = []): UploadTicket {
    const store = this.#parts.stores.of(record.store)
    const { terms } = open(record)
    if (terms.partSize === null) return signWhole(store, record, this.#served(record), this.#signing)
    return {
      strategy: 'multipart',
      partSize: terms.partSize,
      partCount: rangesOf(terms).length,
      parts: signParts(store, record, firstMissing(terms, arrived), this.#signing),
      expiresAt: record.until ?? this.#parts.clock.now(),
    }
  }

  #served(record: AssetRecord): Served {
    return servedAs(this.#parts.collections.get(record.collection), open(record).contentType)
  }

  async #renewed(record: AssetRecord, actor: Actor, arrived: readonly UploadedPart[] = []) {
    const { terms } = open(record)
    const parts = terms.partSize === null ? null : firstMissing(terms, arrived).length
    const now = await this.#extend(record, parts, actor)
    return { asset: now, upload: this.#ticket(now, arrived) }
  }

  /** More time for the client, before it is given links that need it. */
  async #extend(record: AssetRecord, parts: number | null, actor: Actor): Promise<AssetRecord> {
    const { catalogue, expiresIn } = this.#parts
    const seconds = parts === null ? expiresIn + grace : Math.max(this.#resumeWithin, expiresIn + grace)
    const extended = await catalogue.extendUpload(record.id, record.attempt, { seconds, parts }, actor)
    if (extended !== undefined) return extended
    const now = await this.#read(record.id)
    if (now === undefined) throw gone()
    openTerms(now)
    throw new KeepsakeError('upload_closed', 'The upload changed in the same moment. Look at it again.')
  }

  #verify(record: AssetRecord, collection: Collection, completion: Completion, actor: Actor): Promise<AssetRecord> {
    // A moved upload is another one: what was sent to its old key is nobody's.
    const name = `${record.id}/${record.attempt}`
    const running = this.#running.get(name)
    if (running) return running
    const work = this.#finish(record, collection, completion, actor).finally(() => this.#running.delete(name))
    this.#running.set(name, work)
    work.catch((error: unknown) => {
      const problem = KeepsakeError.from(error)
      this.#parts.logger.debug({ asset: record.id, code: problem.code, err: problem }, 'upload not stored')
    })
    return work
  }

  async #finish(
    record: AssetRecord,
    collection: Collection,
    { parts: named, attributes }: Completion,
    actor: Actor,
  ): Promise<AssetRecord> {
    const { catalogue } = this.#parts
    const store = this.#parts.stores.of(record.store)
    const stop = new AbortController()
    const signal = AbortSignal.any([this.#stopping.signal, stop.signal])
    using _lease = this.#leases.hold(record)
    try {
      using _place = await this.#gate.enter(signal)
      const described = attributes === undefined ? record : { ...record, attributes }
      const content = await this.#arrived(record, named, signal)
      if ('size' in content && content.size > longReading) {
        const held = await catalogue.holdUpload(record.id, record.attempt, this.#leases.seconds)
        if (held === undefined) return settled(await this.#now(record))
      }
      const isNew = !isDeepStrictEqual(described.attributes, record.attributes)
      const { contentType, ...facts } = await this.#takeIn(described, collection, content, isNew, signal)
      const { inbox } = open(record).terms
      const type = { contentType, kind: kindOf(contentType) }
      const found = { ...facts, type, inbox, ...(attributes === undefined ? {} : { attributes }) }
      const stored = await confirm(this.#parts, record, found, collection, actor)
      if (stored === undefined) throw gone()
      // Nobody reads it; what cannot be removed now is watched, as what its link may write later is.
      if (inbox !== null) await store.delete([inbox]).catch(() => undefined)
      return settled(stored)
    } catch (error) {
      const problem = KeepsakeError.from(error)
      if (problem.code === 'object_missing') return await this.#elsewhere(record)
      if (!isVerdict(problem)) throw withAsset(problem, record.id)
      const told = { code: problem.code, message: problem.message }
      const failed = await catalogue.fail(record.id, record.attempt, told, actor)
      if (failed === undefined) return settled(await this.#now(record))
      await this.#remove(record)
      throw withAsset(problem, record.id)
    } finally {
      stop.abort()
    }
  }

  /** Judges what arrived, and sees that the asset's key holds it as it is: moved there, of its true type, described. */
  async #takeIn(
    record: AssetRecord,
    collection: Collection,
    content: Arrived,
    isNew: boolean,
    signal: AbortSignal,
  ): Promise<Examined> {
    if ('moved' in content) return content.moved
    const store = this.#parts.stores.of(record.store)
    const { spoolDir } = this.#parts
    const { terms, contentType: announced } = open(record)
    if (terms.inbox === null) requireOwn(content.metadata, record)
    const examined = await examine(content, terms, collection, { store, spoolDir, signal, announced })
    const { contentType, ...facts } = examined
    const settings = {
      contentType,
      ...servedAs(collection, contentType),
      metadata: objectMetadata(record, facts),
    }
    if (terms.inbox !== null) return moveIn({ store, record, content, signal }, settings, examined)
    if (isNew || contentType !== content.contentType) {
      // Readers are told what it is, by whatever way they come: a public one gets the object's own header.
      await store.copy({
        source: content.key,
        key: content.key,
        sourceEtag: content.etag,
        size: content.size,
        settings,
        createOnly: false,
        signal,
      })
    }
    return examined
  }

  async #arrived(record: AssetRecord, named: readonly NamedPart[] | undefined, signal: AbortSignal): Promise<Arrived> {
    const { terms } = open(record)
    const content = await this.#object(record, signal)
    if (content !== undefined) return content
    if (terms.inbox === null) return this.#joined(record, named, signal)
    // A verification before this one may have come as far as that.
    const moved = await movedIn(this.#parts.stores.of(record.store), record, signal)
    if (moved === undefined) throw notArrived()
    return { moved }
  }

  async #object(record: AssetRecord, signal: AbortSignal) {
    try {
      const { clock, stores } = this.#parts
      const { key, terms } = open(record)
      return await openObject({ clock, store: stores.of(record.store) }, terms.inbox ?? key, signal)
    } catch (error) {
      if (KeepsakeError.is(error, 'object_missing')) return undefined
      throw error
    }
  }

  async #joined(record: AssetRecord, named: readonly NamedPart[] | undefined, signal: AbortSignal) {
    if (open(record).terms.partSize !== null) {
      await joinParts(this.#parts.stores.of(record.store), record, named, signal)
      const content = await this.#object(record, signal)
      if (content !== undefined) return content
    }
    throw notArrived()
  }

  /** The object is not the one that was opened: another process verifies it too, or it was removed. The row knows. */
  async #elsewhere(record: AssetRecord): Promise<AssetRecord> {
    const now = await this.#now(record)
    if (now.state !== 'pending') return settled(now)
    throw withAsset(changedMeanwhile(), record.id)
  }

  async #now(record: AssetRecord): Promise<AssetRecord> {
    const now = await this.#read(record.id)
    if (now === undefined) throw gone()
    return now
  }

  /** What is given up is removed at once; where that fails, the watch over retired keys does it. */
  async #remove(record: AssetRecord): Promise<void> {
    const { stores, logger } = this.#parts
    try {
      const store = stores.of(record.store)
      await dropParts(store, record)
      const inbox = record.upload?.inbox ?? null
      await store.delete([record.key, inbox].filter((key) => key !== null))
    } catch (error) {
      const problem = KeepsakeError.from(error)
      logger.warn({ asset: record.id, code: problem.code, err: problem }, 'what an upload left is removed later')
    }
  }
}

function firstMissing(terms: UploadTerms, arrived: readonly UploadedPart[]): PartRange[] {
  const sizes = new Map(arrived.map(({ partNumber, size }) => [partNumber, size]))
  return rangesOf(terms)
    .filter(({ partNumber, start, end }) => sizes.get(partNumber) !== end - start)
    .slice(0, firstParts)
}

/** What a client is told of an upload that is over; a pending one goes on. */
function settled(record: AssetRecord): AssetRecord {
  if (record.state === 'stored' || record.state === 'pending') return record
  if (record.state === 'deleting') throw gone()
  throw withAsset(problemOf(record), record.id)
}

/** @throws `upload_closed`, or what the upload failed for. */
function openTerms(record: AssetRecord): UploadTerms {
  if (record.state === 'pending' && record.upload !== null) return record.upload
  if (record.state === 'failed' || record.state === 'deleting') settled(record)
  throw new KeepsakeError(
    'upload_closed',
    record.state === 'stored' ? 'The upload is complete: its asset is stored.' : 'The asset is no direct upload.',
  )
}

/** Whether it is the content that is wrong, for good. */
function isVerdict(problem: KeepsakeError): boolean {
  return KeepsakeError.is(problem, 'content_mismatch', 'content_type_refused', 'content_too_large', 'content_empty')
}

function requireOwn(metadata: Readonly<Record<string, string>>, record: AssetRecord): void {
  if (metadata.asset === record.id) return
  throw new KeepsakeError('content_mismatch', 'The object under the key of this upload was not put by its ticket.')
}

/** The attributes that are known at the end, those of the beginning among them. @throws `invalid_request` */
function describe(collection: Collection, record: AssetRecord, more: Readonly<Record<string, string>>) {
  const attributes = parseAttributes(collection, { ...record.attributes, ...more })
  const moved = collection.replaceBy?.find((name) => attributes[name] !== record.attributes[name])
  if (moved === undefined) return attributes
  throw new KeepsakeError(
    'invalid_request',
    `The attribute '${moved}' says which place the asset takes. Give it when the upload begins.`,
  )
}

function notArrived(): KeepsakeError {
  return new KeepsakeError(
    'upload_incomplete',
    'The bytes have not arrived in the bucket. Send them by the link of the ticket, then complete again.',
    { details: { missing: 'object' } },
  )
}

function gone(): KeepsakeError {
  return new KeepsakeError('asset_gone', 'The upload was aborted.')
}
