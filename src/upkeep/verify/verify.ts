import type { Actor, Catalogue, CheckDepth, CheckScope, DueCheck } from '../../catalogue/index.ts'
import type { Clock } from '../../clock.ts'
import type { Logger } from '../../logger.ts'
import { type AssetHealth, type AssetRecord, KeepsakeError } from '../../media/index.ts'
import type { Stores } from '../../stores/index.ts'
import type { UpkeepRunOptions } from '../cleanup.ts'
import { eachOf } from '../each-of.ts'
import { recorded } from '../recorded.ts'
import { type Finding, lookAt, type VerifyLevel } from './look.ts'
import { type ParsedVerify, parseVerify, type VerifyRequest } from './request.ts'
import { Throttle } from './throttle.ts'

export type VerifyParts = {
  readonly catalogue: Catalogue
  readonly stores: Stores
  readonly clock: Clock
  readonly logger: Logger
}

export type VerifyResult = {
  readonly level: VerifyLevel
  /** Assets whose object was looked at with an outcome. */
  readonly checked: number
  readonly ok: number
  /** Found missing or corrupt, those that were known to be so included. */
  readonly missing: number
  readonly corrupt: number
  /** Whose health this run changed for the worse, and for the better. */
  readonly marked: number
  readonly recovered: number
  /** Of which nothing is known: the store refused or failed. Their health is as it was. */
  readonly unknown: number
  /** At the level `checksum`: fine as far as size and metadata tell, but the store keeps no hash of the bytes. */
  readonly unproven: number
  readonly bytesRead: number
  /** Whether every asset in scope had its turn before the budget was spent. */
  readonly complete: boolean
}

export type VerifyProgress = {
  readonly checked: number
  readonly missing: number
  readonly corrupt: number
  readonly unknown: number
  /** An asset that is not well; once for each. */
  readonly found?: {
    readonly asset: string
    readonly owner: string
    readonly key: string
    readonly health: AssetHealth
  }
}

/** A first sighting. It is believed after a second one. */
type Suspect = { readonly asset: AssetRecord; readonly finding: Finding }

const page = 200
const atOnce: Readonly<Record<VerifyLevel, number>> = { exists: 16, checksum: 16, full: 4 }
/** Seconds between the two looks. */
const secondLookAfter = 5
/** Suspects that are kept in memory. */
const mostSuspects = 10_000
/** From so many on it counts what share of all they are. */
const fewSuspects = 20
/** Failures in a row after which the store is taken to be failing as a whole. */
const patience = 20

/**
 * Looks at objects, those first that were looked at longest ago, and keeps each asset's health. It can be stopped at any
 * time and goes on where it was: the cursor is in the rows.
 *
 * A store that is down, slow or refuses marks nothing. What looks missing or corrupt is looked at once more, seconds
 * later, and marked only if the row is still the one that was read.
 *
 * @throws `invalid_request`; `upkeep_refused` where most objects are missing; `store_unavailable`, `store_denied` where
 * the store fails as a whole; `catalogue_unavailable`
 */
export async function verify(
  parts: VerifyParts,
  request: VerifyRequest,
  actor: Actor,
  options: UpkeepRunOptions<VerifyProgress> = {},
): Promise<VerifyResult> {
  const parsed = parseVerify(request)
  let run: VerifyRun | undefined
  return recorded(
    parts.catalogue,
    `verify.${parsed.level}`,
    (startedAt) => {
      run = new VerifyRun(parts, parsed, actor, startedAt, options)
      return run.toTheEnd()
    },
    () => run?.counts ?? {},
  )
}

class VerifyRun {
  readonly counts = {
    checked: 0,
    ok: 0,
    missing: 0,
    corrupt: 0,
    marked: 0,
    recovered: 0,
    unknown: 0,
    unproven: 0,
    bytesRead: 0,
  }
  readonly #parts: VerifyParts
  readonly #request: ParsedVerify
  readonly #actor: Actor
  readonly #scope: CheckScope
  readonly #depth: CheckDepth
  readonly #signal: AbortSignal
  readonly #onProgress: (progress: VerifyProgress) => void
  readonly #throttle: Throttle | undefined
  readonly #deadline: number
  readonly #suspects: Suspect[] = []
  #failuresInARow = 0
  #lastFailure: KeepsakeError | undefined

  constructor(
    parts: VerifyParts,
    request: ParsedVerify,
    actor: Actor,
    before: Date,
    { signal, onProgress }: UpkeepRunOptions<VerifyProgress>,
  ) {
    this.#parts = parts
    this.#request = request
    this.#actor = actor
    this.#depth = request.level === 'full' ? 'bytes' : 'head'
    this.#scope = {
      depth: this.#depth,
      stores: parts.stores.places,
      owner: request.owner,
      collection: request.collection,
      // Each asset once a run.
      before,
    }
    this.#signal = signal ?? new AbortController().signal
    this.#onProgress = onProgress ?? (() => {})
    this.#throttle = request.bandwidth === null ? undefined : new Throttle(request.bandwidth, parts.clock)
    this.#deadline = parts.clock.now().getTime() + request.budget
  }

  async toTheEnd(): Promise<VerifyResult> {
    const complete = await this.#firstLooks()
    if (this.counts.checked === 0 && this.#lastFailure) throw this.#lastFailure
    this.#refuseAnotherBucket()
    await this.#secondLooks()
    this.#signal.throwIfAborted()
    return { level: this.#request.level, ...this.counts, complete }
  }

  get #spent(): boolean {
    return this.#parts.clock.now().getTime() >= this.#deadline
  }

  /** @returns Whether every asset had its turn. */
  async #firstLooks(): Promise<boolean> {
    let after: DueCheck | undefined
    for (;;) {
      this.#signal.throwIfAborted()
      const due = await this.#parts.catalogue.dueChecks(this.#scope, after, page)
      after = due.at(-1)
      if (after === undefined) return true
      const well: string[] = []
      let skipped = 0
      await eachOf(due, atOnce[this.#request.level], async ({ asset }) => {
        // At least one a run, or a budget that is too small for the first would never let it have its turn.
        if (this.#spent && this.counts.checked + this.counts.unknown > 0) skipped += 1
        else if (await this.#firstLook(asset)) well.push(asset.id)
      }).finally(() => this.#parts.catalogue.recordChecks(well, this.#depth))
      this.#tell()
      if (skipped > 0) return false
      if (this.#suspects.length >= mostSuspects) return false
      if (this.#spent) return (await this.#parts.catalogue.dueChecks(this.#scope, after, 1)).length === 0
    }
  }

  /** @returns Whether the look is to be written down: not where nothing is known, and not before a second look. */
  async #firstLook(asset: AssetRecord): Promise<boolean> {
    const finding = await this.#look(asset)
    if (finding === undefined) return false
    this.counts.checked += 1
    if (finding.health === 'ok' && asset.health === 'corrupt' && !finding.proven) {
      // That something of the right size is there does not show that what was corrupt is well again.
      this.#count(asset, 'corrupt')
      return true
    }
    if (finding.health === 'ok') {
      this.counts.ok += 1
      if (this.#request.level === 'checksum' && !finding.proven) this.counts.unproven += 1
      if (asset.health !== 'ok') {
        const marked = await this.#parts.catalogue.markHealth(asset, 'ok', this.#detail(finding), this.#actor)
        if (marked) this.counts.recovered += 1
      }
      return true
    }
    if (asset.health === finding.health) {
      this.#count(asset, finding.health)
      return true
    }
    this.#suspects.push({ asset, finding })
    return false
  }

  async #secondLooks(): Promise<void> {
    if (this.#suspects.length === 0) return
    await this.#parts.clock.sleep(secondLookAfter, this.#signal)
    const seen: string[] = []
    await eachOf(this.#suspects, atOnce[this.#request.level], async ({ asset, finding }) => {
      const now = await this.#parts.catalogue.get(asset.id, { role: 'system' })
      const same =
        now?.state === 'stored' && now.attempt === asset.attempt && now.key === asset.key && now.store === asset.store
      // Deleted in between, or changed: whoever did that knows better.
      if (!same) return
      const again = await this.#look(now)
      if (again === undefined || again.health !== finding.health) return
      const marked = await this.#parts.catalogue.markHealth(now, again.health, this.#detail(again), this.#actor)
      if (marked) this.counts.marked += 1
      seen.push(now.id)
      this.#count(now, again.health)
    }).finally(() => this.#parts.catalogue.recordChecks(seen, this.#depth))
    this.#tell()
  }

  /** @returns undefined where nothing is known. @throws where the store fails as a whole. */
  async #look(asset: AssetRecord): Promise<Finding | undefined> {
    this.#signal.throwIfAborted()
    try {
      const options = { signal: this.#signal, throttle: this.#throttle }
      const finding = await lookAt(this.#parts.stores.of(asset.store), asset, this.#request.level, options)
      if (this.#depth === 'bytes' && finding.health !== 'missing') this.counts.bytesRead += asset.size ?? 0
      this.#failuresInARow = 0
      return finding
    } catch (error) {
      this.#signal.throwIfAborted()
      const problem = KeepsakeError.from(error)
      this.counts.unknown += 1
      this.#failuresInARow += 1
      this.#lastFailure = problem
      this.#parts.logger.warn({ asset: asset.id, code: problem.code, err: problem }, 'an object could not be looked at')
      if (this.#failuresInARow >= patience) throw problem
      return undefined
    }
  }

  /** Credentials that point to another bucket, or an endpoint to another store, must not raise a thousand alarms. */
  #refuseAnotherBucket(): void {
    const gone = this.#suspects.filter(({ finding }) => finding.health === 'missing').length
    if (this.#request.force || gone < fewSuspects || gone * 2 <= this.counts.checked) return
    throw new KeepsakeError(
      'upkeep_refused',
      `${gone} of ${this.counts.checked} objects are not in ${this.#parts.stores.primary.name}. That looks like another bucket, so ` +
        'nothing was marked. Look at S3_BUCKET_NAME and S3_ENDPOINT; where it is true, run it again with force.',
      { details: { missing: gone, checked: this.counts.checked } },
    )
  }

  #detail(finding: Finding): Readonly<Record<string, string | number>> {
    return { level: this.#request.level, ...finding.detail }
  }

  #count({ id, owner, key }: AssetRecord, health: AssetHealth): void {
    if (health === 'missing') this.counts.missing += 1
    if (health === 'corrupt') this.counts.corrupt += 1
    this.#tell({ asset: id, owner, key: key ?? '', health })
  }

  #tell(found?: VerifyProgress['found']): void {
    const { checked, missing, corrupt, unknown } = this.counts
    this.#onProgress({ checked, missing, corrupt, unknown, ...(found ? { found } : {}) })
  }
}
