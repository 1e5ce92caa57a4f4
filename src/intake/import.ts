import type { Actor, Catalogue } from '../catalogue/index.ts'
import type { Clock } from '../clock.ts'
import type { Jobs } from '../jobs/index.ts'
import type { Logger } from '../logger.ts'
import {
  type AssetRecord,
  acceptsContentType,
  type Collection,
  isErrorCode,
  KeepsakeError,
  newAssetId,
  type StoreName,
} from '../media/index.ts'
import type { ObjectStore } from '../stores/index.ts'
import { backoff } from './backoff.ts'
import { type Collected, collect } from './collect.ts'
import { sourceExpiry } from './deadline.ts'
import type { GuardedFetch } from './fetch/index.ts'
import { keep } from './keep.ts'
import { Leases } from './leases.ts'
import { type Import, type ImportRequest, parseImport } from './request.ts'
import type { ImportSource } from './source.ts'

export type IntakeParts = {
  readonly catalogue: Catalogue
  readonly store: ObjectStore
  readonly storeName: StoreName
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
  /** Imports that move bytes at the same time in this process; more wait. Default: 48. */
  readonly transfers?: number
}

/** Seconds. */
const defaultPatience = 50
/** How a row that somebody else works on is looked at again. Seconds. */
const lookAgain = { base: 0.2, cap: 5 }
/** Seconds after which bytes that came with a request, and were not kept, are no longer waited for. */
export const bytesGiveUpAfter = 600
/** How a failing source is tried again while the caller waits. Seconds. */
const foreground = { tries: 4, base: 0.2, cap: 2 }
/** How it is tried again later. Seconds. */
const background = { base: 1, cap: 300 }

/**
 * Server-side intake. An import is one row first; then its attempt collects the bytes, keeps them, and confirms. What
 * fails for good is told and marked; what may yet work is put off, and the row says until when.
 */
export class Intake {
  readonly #parts: IntakeParts
  readonly #leases: Leases
  readonly #stopping = new AbortController()
  readonly #underWay = new Set<Promise<unknown>>()
  readonly #waiting: (() => void)[] = []
  #free: number
  #closed = false

  constructor(parts: IntakeParts) {
    this.#parts = parts
    this.#leases = new Leases(parts.catalogue)
    this.#free = parts.transfers ?? 48
  }

  /**
   * Keeps a piece of media. The row comes back `stored`, or `pending` while the source or the store is failing or the
   * caller's patience is over.
   *
   * @throws what is wrong with the request, the source or the content; the row is then `failed`, or was never made.
   */
  async import(collection: Collection, request: ImportRequest, actor: Actor): Promise<AssetRecord> {
    if (this.#closed) throw stopping()
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

  /** Takes no more imports and waits for those under way, at most so many seconds; the rest goes back to the queue. */
  async close(timeoutSeconds = 25): Promise<void> {
    this.#closed = true
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
    const content = await this.#transfer(() => this.#collect(source, collection))
    try {
      const { asset, replayed } = await this.#reserve(collection, request, actor, null, content.size)
      if (replayed) return await this.#takeOver(asset, collection, content, actor)
      using _lease = this.#leases.hold(asset)
      return await this.#keep(asset, collection, content, actor, request.idempotency !== null)
    } finally {
      await content.dispose()
    }
  }

  /**
   * The same bytes, sent again under their idempotency key. Whoever got them first may still be at work, which is
   * waited for; or it died with its process, or met a failing store: then the work is done with the bytes that are here.
   */
  async #takeOver(asset: AssetRecord, collection: Collection, content: Collected, actor: Actor): Promise<AssetRecord> {
    const { catalogue, clock, patience = defaultPatience } = this.#parts
    const { signal } = this.#stopping
    let now: AssetRecord | undefined = asset
    for (let looks = 0, waited = 0; now !== undefined; looks += 1) {
      if (now.state !== 'pending') return replay(now)
      const claimed = await catalogue.claim(now.id, now.attempt, this.#leases.seconds, { role: 'system' })
      if (claimed !== undefined) {
        using _lease = this.#leases.hold(claimed)
        return await this.#keep(claimed, collection, content, actor, true)
      }
      if (waited >= patience || signal.aborted) return replay(now)
      const pause = backoff(looks, lookAgain)
      await clock.sleep(pause, signal)
      waited += pause
      now = await catalogue.get(asset.id, { role: 'system' })
    }
    throw new KeepsakeError('asset_gone', 'The asset was deleted while it was imported.')
  }

  #reserve(
    collection: Collection,
    request: Import,
    actor: Actor,
    source: Extract<ImportSource, { url: string }> | null,
    reservedBytes: number,
  ) {
    const { owner, attributes, provenance, filename, idempotency } = request
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
      },
      actor,
    )
  }

  /** One attempt at a URL: collect, with a few tries at a failing source, then keep. */
  async #attempt(record: AssetRecord, collection: Collection, actor: Actor, tries: number): Promise<AssetRecord> {
    const { sourceUrl: url } = record
    if (url === null) throw new KeepsakeError('internal', 'The asset has no source to import from.')
    using _lease = this.#leases.hold(record)
    return this.#transfer(async () => {
      for (let failures = 0; ; failures += 1) {
        let content: Collected
        try {
          content = await this.#collect({ url }, collection)
        } catch (error) {
          const problem = KeepsakeError.from(error)
          const pause = problem.retryAfter ?? backoff(failures, foreground)
          const last = failures + 1 >= tries || pause > foreground.cap || this.#stopping.signal.aborted
          if (!problem.retryable || last) return this.#settleFailure(record, problem, actor)
          await this.#parts.clock.sleep(pause, this.#stopping.signal)
          continue
        }
        try {
          return await this.#keep(record, collection, content, actor)
        } finally {
          await content.dispose()
        }
      }
    })
  }

  #collect(source: ImportSource, collection: Collection): Promise<Collected> {
    return collect(source, {
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

  /** @param comesAgain Whether a caller who is told of a failing store can send the same bytes for the same row. */
  async #keep(
    record: AssetRecord,
    collection: Collection,
    content: Collected,
    actor: Actor,
    comesAgain = false,
  ): Promise<AssetRecord> {
    let kept: AssetRecord | undefined
    try {
      const parts = { ...this.#parts, lease: this.#leases.seconds }
      kept = await keep(parts, record, collection, content, actor, this.#stopping.signal)
    } catch (error) {
      const problem = KeepsakeError.from(error)
      // The row may be confirmed or not: only the catalogue can tell, and the sweep will ask the object.
      if (problem.code === 'catalogue_unavailable') throw problem
      return this.#settleFailure(record, problem, actor, comesAgain)
    }
    if (kept === undefined) throw new KeepsakeError('asset_gone', 'The asset was deleted while it was imported.')
    return replay(kept)
  }

  /** Marks what went wrong: put off what may yet work and has a source to try again, else failed for good. */
  async #settleFailure(
    record: AssetRecord,
    problem: KeepsakeError,
    actor: Actor,
    comesAgain = false,
  ): Promise<AssetRecord> {
    const { catalogue, jobs, giveUpAfter } = this.#parts
    const told = { code: problem.code, message: problem.message }
    const hopeful = problem.retryable || problem.code === 'store_denied' || problem.code === 'object_exists'
    if (hopeful && comesAgain) {
      const retry = { retryIn: 1, giveUpAfter: bytesGiveUpAfter }
      await catalogue.postpone(record.id, record.attempt, told, retry, actor)
      throw withAsset(problem, record.id)
    }
    if (!hopeful || record.sourceUrl === null) {
      await catalogue.fail(record.id, record.attempt, told, actor)
      throw withAsset(problem, record.id)
    }
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
    const timeout = this.#parts.clock.sleep(this.#parts.patience ?? defaultPatience, timer.signal).then(() => undefined)
    try {
      const outcome = await Promise.race([work, timeout])
      return outcome ?? replay((await this.#parts.catalogue.get(asset.id, { role: 'system' })) ?? asset)
    } finally {
      timer.abort()
    }
  }

  /** At most so many at a time move bytes: memory and sockets stay bounded however many callers come. */
  async #transfer<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free += 1
    }
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work)
    const forget = () => this.#underWay.delete(work)
    work.then(forget, forget)
    return work
  }
}

/** What a caller is told of a row that somebody else may have settled: the row while there is hope, else its problem. */
function replay(record: AssetRecord): AssetRecord {
  if (record.state === 'stored' || record.state === 'pending') return record
  if (record.state === 'deleting') throw new KeepsakeError('asset_gone', 'The asset was deleted.')
  throw withAsset(problemOf(record), record.id)
}

function problemOf(record: AssetRecord): KeepsakeError {
  const { code, message } = record.problem ?? { code: 'source_unavailable', message: 'The import failed.' }
  return new KeepsakeError(isErrorCode(code) ? code : 'source_unavailable', message, { retryable: false })
}

function withAsset(problem: KeepsakeError, asset: string): KeepsakeError {
  const { retryable, retryAfter, cause } = problem
  const options = {
    details: { ...problem.details, asset },
    retryable,
    ...(retryAfter === undefined ? {} : { retryAfter }),
  }
  return new KeepsakeError(problem.code, problem.message, { ...options, cause })
}

function stopping(): KeepsakeError {
  return new KeepsakeError(
    'stopping',
    'This server is stopping. Send the request again, to another one or in a moment.',
    {
      retryAfter: 5,
    },
  )
}
