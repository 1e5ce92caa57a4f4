import { createHash } from 'node:crypto'
import type { Actor, Catalogue, Reopening } from '../catalogue/index.ts'
import type { Clock } from '../clock.ts'
import type { Jobs } from '../jobs/index.ts'
import type { Logger } from '../logger.ts'
import {
  type AssetRecord,
  acceptsContentType,
  type Collection,
  KeepsakeError,
  newAssetId,
  type StorePlace,
} from '../media/index.ts'
import { isStoreFailure, type ObjectStore, type Stores } from '../stores/index.ts'
import { backoff } from './backoff.ts'
import { type Collected, collect } from './collect.ts'
import { sourceExpiry } from './deadline.ts'
import type { GuardedFetch } from './fetch/index.ts'
import { keep } from './keep.ts'
import { Leases } from './leases.ts'
import { problemOf, stopping, withAsset } from './outcome.ts'
import { type Import, type ImportRequest, parseImport } from './request.ts'
import type { ImportSource } from './source.ts'
import { TransferGate } from './transfer-gate.ts'

export type IntakeParts = {
  readonly catalogue: Catalogue
  readonly stores: Stores
  readonly jobs: Jobs
  readonly clock: Clock
  readonly fetch: GuardedFetch
  /** A folder for bodies that are too large for memory. */
  readonly spoolDir: string
  readonly logger: Logger
  /** Seconds after which a pending import whose source does not say when it dies is given up. */
  readonly giveUpAfter: number
  /** Seconds that a caller waits for work that goes on; then it is told `pending`. Default: 50, less than a usual gateway's minute. */
  readonly patience?: number
  /** Sources that are read at the same time in this process; more wait, long ones not counted. Default: 48. */
  readonly transfers?: number
}

type Target = { readonly name: StorePlace; readonly store: ObjectStore }

/** How a failing source is tried again while the caller waits. Seconds. */
const foreground = { tries: 4, base: 0.2, cap: 2 }
/** How it is tried again later. Seconds. */
const background = { base: 1, cap: 300 }
/** Seconds after which a transfer keeps nobody else waiting, and how many there may be of all ages. */
const transfer = { longAfter: 5, most: 256 }
/** How often a caller who sends bytes again looks whether the first try has ended. Seconds. */
const replayPause = 0.5

/**
 * Server-side intake. An import is one row first; then its attempt collects the bytes, keeps them, and confirms. What
 * fails for good is told and marked; what may yet work is put off, and the row says until when.
 */
export class Intake {
  readonly #parts: IntakeParts
  readonly #leases: Leases
  readonly #stopping = new AbortController()
  readonly #underWay = new Set<Promise<unknown>>()
  readonly #gate: TransferGate
  #closing: Promise<void> | undefined

  constructor(parts: IntakeParts) {
    this.#parts = parts
    this.#leases = new Leases(parts.catalogue)
    this.#gate = new TransferGate({ ...transfer, atOnce: parts.transfers ?? 48 })
  }

  /** Whether no more imports are taken. */
  get closing(): boolean {
    return this.#closing !== undefined
  }

  /**
   * Keeps a piece of media. The row comes back `stored`, or `pending` while the source or the store is failing or the
   * caller's patience is over.
   *
   * @throws what is wrong with the request, the source or the content; the row is then `failed`, or was never made.
   */
  async import(collection: Collection, request: ImportRequest, actor: Actor): Promise<AssetRecord> {
    if (this.closing) throw stopping()
    return this.#track(this.#import(collection, request, actor))
  }

  /** Works on an attempt that was just claimed. Never throws for what the row can tell. */
  async retry(record: AssetRecord, collection: Collection): Promise<void> {
    await this.#track(this.#attempt(record, collection, { role: 'system' }, 1)).catch((error: unknown) => {
      const problem = KeepsakeError.from(error)
      this.#parts.logger.warn(
        { asset: record.id, attempt: record.attempt, code: problem.code, err: problem },
        'import failed',
      )
    })
  }

  /**
   * Takes no more imports and waits for those under way, at most so many seconds. The rest is put off, for the next
   * process, and whoever waits for one is told that it is pending. Harmless when repeated.
   */
  close(timeoutSeconds: number): Promise<void> {
    this.#closing ??= this.#close(timeoutSeconds)
    return this.#closing
  }

  async #close(timeoutSeconds: number): Promise<void> {
    const all = Promise.allSettled([...this.#underWay])
    const timer = new AbortController()
    await Promise.race([all, this.#parts.clock.sleep(timeoutSeconds, timer.signal)])
    timer.abort()
    this.#stopping.abort(stopping())
    await all
  }

  async #import(collection: Collection, request: ImportRequest, actor: Actor): Promise<AssetRecord> {
    const parsed = await parseImport(collection, request, actor)
    const { source } = parsed
    if ('url' in source) return this.#importUrl(collection, parsed, source, actor)
    return this.#importBytes(collection, parsed, source, actor)
  }

  async #importUrl(
    collection: Collection,
    request: Import,
    source: Extract<ImportSource, { url: string }>,
    actor: Actor,
  ): Promise<AssetRecord> {
    // What its text alone rules out never gets a row: nothing of it can ever be kept.
    this.#parts.fetch.check(source.url)
    const { asset, replayed } = await this.#reserve(collection, request, actor, source, 0)
    if (replayed) return replay(asset)
    const work = this.#track(this.#attempt(asset, collection, actor, foreground.tries))
    return this.#withPatience(asset, work)
  }

  /** The bytes are here already: they are judged before there is a row, so that bad input leaves nothing behind. */
  async #importBytes(
    collection: Collection,
    request: Import,
    source: ImportSource,
    actor: Actor,
  ): Promise<AssetRecord> {
    // Not through the gate: these bytes are in this process already, and must not wait for those of slow sources.
    const content = await this.#collect(source, collection)
    try {
      const known = withContent(request, content.sha256)
      const { asset, replayed } = await this.#reserve(collection, known, actor, null, content.size)
      const room = { lease: this.#leases.seconds, reservedBytes: content.size, quota: collection.quota }
      let mine = replayed ? await this.#takeOver(asset, room, actor) : asset
      while (mine.state === 'pending') {
        using _lease = this.#leases.hold(mine)
        const kept = await this.#keep(mine, collection, content, actor)
        if (kept.state === 'stored') return kept
        // The lease ran out under this attempt, and whoever took the row over has no bytes to go on with.
        mine = await this.#takeOver(kept, room, actor)
      }
      return replay(mine)
    } finally {
      await content.dispose()
    }
  }

  /**
   * The same bytes came again. Whoever works on the first request may finish it; if it was left behind by a crash, these
   * bytes are the only ones there are, so this one goes on with them, also where the row has failed for want of them.
   * Answers a pending row only where it is ours now.
   *
   * @throws `timeout` while the first request is still at work: a row that only another request's bytes can finish is
   * not to be promised.
   */
  async #takeOver(record: AssetRecord, room: Reopening, actor: Actor): Promise<AssetRecord> {
    const { catalogue, clock } = this.#parts
    let found = record
    for (let waited = 0; found.state === 'pending' || found.state === 'failed'; waited += replayPause) {
      const { id, attempt, state } = found
      const taken =
        state === 'failed'
          ? await catalogue.reopen(id, attempt, room, actor)
          : await catalogue.claim(id, attempt, room.lease, actor)
      if (taken !== undefined) return taken
      if (state === 'pending') {
        if (this.closing) throw stopping()
        if (waited >= this.#patience) throw stillAtWork()
        await clock.sleep(replayPause, this.#stopping.signal)
      }
      const now = await catalogue.get(id, { role: 'system' })
      if (now === undefined) throw new KeepsakeError('asset_gone', 'The asset was deleted while it was imported.')
      // Failed for good, then: what it failed for stands.
      if (state === 'failed' && now.state === 'failed' && now.attempt === attempt) return now
      found = now
    }
    return found
  }

  get #patience(): number {
    return this.#parts.patience ?? 50
  }

  #reserve(
    collection: Collection,
    request: Import,
    actor: Actor,
    source: Extract<ImportSource, { url: string }> | null,
    reservedBytes: number,
  ) {
    const { owner, attributes, provenance, filename, keep, idempotency } = request
    return this.#parts.catalogue.reserve(
      {
        id: newAssetId(),
        collection: collection.name,
        owner,
        attributes,
        provenance,
        filename,
        sourceUrl: source?.url ?? null,
        sourceExpiresAt: source === null ? null : sourceExpiry(source.url, source.expiresAt),
        lease: this.#leases.seconds,
        reservedBytes,
        quota: collection.quota,
        idempotency,
        keep,
      },
      actor,
    )
  }

  /** One attempt at a URL: collect, with a few tries at a failing source, then keep. */
  async #attempt(record: AssetRecord, collection: Collection, actor: Actor, tries: number): Promise<AssetRecord> {
    const { sourceUrl: url } = record
    if (url === null) throw new KeepsakeError('internal', 'The asset has no source to import from.')
    using _lease = this.#leases.hold(record)
    const { signal } = this.#stopping
    for (let failures = 0; ; failures += 1) {
      let content: Collected
      try {
        content = await this.#collect({ url }, collection, () => this.#gate.enter(signal))
      } catch (error) {
        const problem = KeepsakeError.from(error)
        const pause = problem.retryAfter ?? backoff(failures, foreground)
        const last = failures + 1 >= tries || pause > foreground.cap || signal.aborted
        if (!problem.retryable || last) return this.#settleFailure(record, problem, actor)
        await this.#parts.clock.sleep(pause, signal)
        continue
      }
      try {
        return await this.#keep(record, collection, content, actor)
      } finally {
        await content.dispose()
      }
    }
  }

  #collect(source: ImportSource, collection: Collection, enter?: () => Promise<Disposable>): Promise<Collected> {
    return collect(source, {
      ...(enter ? { enter } : {}),
      fetch: this.#parts.fetch,
      spoolDir: this.#parts.spoolDir,
      maxBytes: collection.maxSize,
      signal: this.#stopping.signal,
      accept: (contentType) => {
        if (acceptsContentType(collection.accept, contentType)) return
        throw new KeepsakeError(
          'content_type_refused',
          `The content is ${contentType}, as its first bytes say. The collection '${collection.name}' accepts: ` +
            `${collection.accept.join(', ')}.`,
          { details: { contentType } },
        )
      },
    })
  }

  async #keep(
    record: AssetRecord,
    collection: Collection,
    content: Collected,
    actor: Actor,
    { name: place, store }: Target = this.#parts.stores.writing(),
  ): Promise<AssetRecord> {
    const { catalogue, stores } = this.#parts
    const { seconds: lease } = this.#leases
    const fallback = place === 'primary' ? stores.local : null
    let kept: AssetRecord | undefined
    try {
      if (place !== 'primary') await stores.local?.requireRoom(content.size)
      const parts = { ...this.#parts, store, place, lease, hasFallback: fallback !== null }
      kept = await keep(parts, record, collection, content, actor, this.#stopping.signal)
    } catch (error) {
      const problem = KeepsakeError.from(error)
      // The row may be confirmed or not: only the catalogue can tell, and the sweep will ask the object.
      if (problem.code === 'catalogue_unavailable') throw problem
      if (fallback === null || !isStoreFailure(problem)) return this.#settleFailure(record, problem, actor)
      // What was sent to the bucket may land there yet: a new attempt, whose key is another one, whatever becomes of it.
      const next = await catalogue.claim(record.id, record.attempt, lease, actor, { held: true })
      if (next !== undefined) {
        using _lease = this.#leases.hold(next)
        return await this.#keep(next, collection, content, actor, { name: fallback.place, store: fallback.store })
      }
      kept = await catalogue.get(record.id, { role: 'system' })
    }
    if (kept === undefined) throw new KeepsakeError('asset_gone', 'The asset was deleted while it was imported.')
    // Overtaken by the same request, which holds the bytes too and has not ended.
    if (kept.state === 'pending' && kept.sourceUrl === null) throw stillAtWork()
    // Bytes are here still, and may go on in a row that was given up for want of them.
    return record.sourceUrl === null && kept.state === 'failed' ? kept : replay(kept)
  }

  /** Marks what went wrong: put off what may yet work and has a source to try again, else failed for good. */
  async #settleFailure(record: AssetRecord, problem: KeepsakeError, actor: Actor): Promise<AssetRecord> {
    const { catalogue, jobs, giveUpAfter } = this.#parts
    const hopeful = problem.retryable || problem.code === 'store_denied' || problem.code === 'object_exists'
    if (!hopeful || record.sourceUrl === null) {
      const told = { code: problem.code, message: problem.message }
      // Only the caller has these bytes. Sent again under the same idempotency key, they are a new try.
      await catalogue.fail(record.id, record.attempt, told, actor, { reopenable: hopeful })
      throw withAsset(problem, record.id)
    }
    const message =
      problem.code === 'stopping' ? 'The server stopped during the import. It goes on by itself.' : problem.message
    const told = { code: problem.code, message }
    const retryIn = Math.max(problem.retryAfter ?? 0, backoff(record.failures, background))
    const postponed = await catalogue.postpone(record.id, record.attempt, told, { retryIn, giveUpAfter }, actor)
    const now = postponed ?? (await catalogue.get(record.id, { role: 'system' }))
    if (now === undefined) throw new KeepsakeError('asset_gone', 'The asset was deleted while it was imported.')
    if (now.state === 'pending') await jobs.nudge(record.id, retryIn)
    return replay(now)
  }

  /** The outcome, or the pending row when it takes longer than a caller waits; the work goes on either way. */
  async #withPatience(asset: AssetRecord, work: Promise<AssetRecord>): Promise<AssetRecord> {
    const timer = new AbortController()
    const timeout = this.#parts.clock.sleep(this.#patience, timer.signal).then(() => undefined)
    try {
      const outcome = await Promise.race([work, timeout])
      return outcome ?? replay((await this.#parts.catalogue.get(asset.id, { role: 'system' })) ?? asset)
    } finally {
      timer.abort()
    }
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work)
    const forget = () => this.#underWay.delete(work)
    work.then(forget, forget)
    return work
  }
}

/** A stream could not be told from another one before it was read; now its hash says which content was asked for. */
function withContent(request: Import, sha256: string): Import {
  const { source, idempotency } = request
  if (idempotency === null || !('bytes' in source) || source.bytes instanceof Uint8Array) return request
  const fingerprint = createHash('sha256').update(`${idempotency.fingerprint}\n${sha256}`).digest('hex')
  return { ...request, idempotency: { key: idempotency.key, fingerprint } }
}

/** What a caller is told of a row that somebody else may have settled: the row while there is hope, else its problem. */
function replay(record: AssetRecord): AssetRecord {
  if (record.state === 'stored' || record.state === 'pending') return record
  if (record.state === 'deleting') throw new KeepsakeError('asset_gone', 'The asset was deleted.')
  throw withAsset(problemOf(record), record.id)
}

function stillAtWork(): KeepsakeError {
  return new KeepsakeError(
    'timeout',
    'Another request with this idempotency key is still at work on the same bytes. Send it again in a moment.',
    { retryAfter: 5 },
  )
}
