import type { ScanRange, ScanRecord, ScanTotals } from '../../catalogue/index.ts'
import { KeepsakeError } from '../../media/index.ts'
import { checkObjectKey, type ListedObject } from '../../stores/index.ts'
import type { Inventory } from './inventory.ts'
import { requireMark, storeTime } from './marker.ts'
import { scanUploads } from './multipart.ts'
import { callOptions, type ReconcileParts } from './parts.ts'
import { scanRange } from './scan-range.ts'
import { sorted } from './sorted.ts'

export type ScanOptions = {
  /** Only keys under this prefix, which ends with a slash. Default: the whole bucket. */
  readonly prefix?: string
  /** Ranges of keys that are compared at the same time. Default: 4. */
  readonly shards?: number
  /** Go on with the latest scan of this prefix, where it was not finished. */
  readonly resume?: boolean
  /** Ask every object for the hash and the asset that it states: a request each. Default: sizes only. */
  readonly hashes?: boolean
  /** Objects from an inventory in place of a listing, in any order. */
  readonly inventory?: Inventory
  /** Rows in a range: a position is kept for each. Default: 50000. */
  readonly rangeRows?: number
  readonly signal?: AbortSignal
  /** Told what was looked at so far, about twice a second. */
  readonly onProgress?: (seen: ScanProgress) => void
}

export type ScanProgress = { readonly objects: number; readonly rows: number; readonly findings: number }

export type ScanResult = ScanTotals & {
  readonly scan: ScanRecord
  /** The catalogue's id. */
  readonly catalogue: string
}

/** No key comes after it: 1024 bytes of the highest character. */
const highestCharacter = '\u{10ffff}'
const maxKeyBytes = 1024
const progressMillis = 500

/** The last key that could lie under a prefix. */
export function lastKeyUnder(prefix: string): string {
  return prefix + highestCharacter.repeat(Math.floor((maxKeyBytes - Buffer.byteLength(prefix)) / 4))
}

/**
 * Compares the bucket with the catalogue and keeps what it finds. It changes neither: what is found stands in a
 * manifest, and acting upon it is another step.
 *
 * @throws {KeepsakeError} `invalid_request` for a prefix without a slash; `upkeep_refused` for another catalogue's
 * bucket; `attempt_superseded`; `store_unavailable`, `store_denied`, `catalogue_unavailable`.
 */
export async function scan(parts: ReconcileParts, options: ScanOptions = {}): Promise<ScanResult> {
  const { prefix = '', shards = 4, inventory, onProgress } = options
  checkPrefix(prefix)
  checkShards(shards)
  if (inventory) checkSource(parts.store, inventory)
  const stop = new AbortController()
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal
  const catalogue = await requireMark(parts, signal)
  const record = await begin(parts, prefix, options)
  const ranges = await Ranges.open(parts, record, inventory ? Number.POSITIVE_INFINITY : (options.rangeRows ?? 50_000))
  const seen = { objects: 0, rows: 0, findings: 0 }
  let told = performance.now()
  const onSeen = (more: ScanProgress) => {
    seen.objects += more.objects
    seen.rows += more.rows
    seen.findings += more.findings
    if (performance.now() - told < progressMillis) return
    told = performance.now()
    onProgress?.({ ...seen })
  }
  const worker = async () => {
    for (let range = await ranges.next(); range !== undefined; range = await ranges.next()) {
      await scanRange(parts, record, range, {
        signal,
        onSeen,
        ...(inventory ? { objects: sorted(within(inventory.objects, prefix), parts.spoolDir) } : {}),
      })
    }
  }
  const workers = Array.from({ length: inventory ? 1 : shards }, async () => {
    try {
      await worker()
    } catch (error) {
      stop.abort(error)
      throw error
    }
  })
  // Until all have ended, so that nobody works on behind the back of whoever is told that it failed.
  const ends = await Promise.allSettled(workers)
  const failed = ends.find((end) => end.status === 'rejected')
  if (failed) throw failed.reason
  const uploads = await scanUploads(parts, {
    prefix,
    before: await storeTime(parts.store, signal),
    ...callOptions(signal),
  })
  for (const findings of uploads) await parts.catalogue.addFindings(record.id, findings)
  const finished = await parts.catalogue.finishScan(record.id)
  return { scan: finished ?? record, catalogue, ...(await parts.catalogue.scanTotals(record.id)) }
}

async function begin({ catalogue, store }: ReconcileParts, prefix: string, options: ScanOptions): Promise<ScanRecord> {
  const { resume = false, hashes = false, inventory } = options
  if (!resume) {
    const source = inventory ? 'inventory' : 'list'
    return catalogue.beginScan({ bucket: store.name, prefix, source, hashes }, inventory?.madeAt)
  }
  if (inventory)
    throw new KeepsakeError(
      'invalid_request',
      'A comparison with an inventory begins from the start: leave out resume.',
    )
  const unfinished = await catalogue.unfinishedScan(store.name, prefix)
  if (unfinished) return unfinished
  throw new KeepsakeError(
    'invalid_request',
    `There is no unfinished scan of ${store.name}${prefix === '' ? '' : ` under '${prefix}'`} to go on with. Leave out resume to begin one.`,
  )
}

/**
 * The ranges of a scan, made as they are needed: each ends so many rows after the one before, so that they weigh alike
 * whatever the keys look like, and no more than a position each is kept.
 */
class Ranges {
  readonly #parts: Pick<ReconcileParts, 'catalogue'>
  readonly #scan: ScanRecord
  readonly #rows: number
  readonly #left: ScanRange[]
  readonly #end: string
  #frontier: string
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(
    parts: Pick<ReconcileParts, 'catalogue'>,
    scan: ScanRecord,
    rows: number,
    known: readonly (ScanRange & { readonly done: boolean })[],
  ) {
    this.#parts = parts
    this.#scan = scan
    this.#rows = rows
    this.#left = known.filter(({ done }) => !done)
    this.#end = lastKeyUnder(scan.prefix)
    this.#frontier = known.at(-1)?.until ?? scan.prefix
  }

  static async open(parts: Pick<ReconcileParts, 'catalogue'>, scan: ScanRecord, rows: number): Promise<Ranges> {
    return new Ranges(parts, scan, rows, await parts.catalogue.ranges(scan.id))
  }

  /** One at a time, whoever asks. */
  next(): Promise<ScanRange | undefined> {
    const range = this.#turn.then(() => this.#next())
    this.#turn = range.catch(() => {})
    return range
  }

  async #next(): Promise<ScanRange | undefined> {
    const left = this.#left.shift()
    if (left) return left
    if (this.#frontier === this.#end) return undefined
    const { catalogue } = this.#parts
    const after = this.#frontier
    const further = Number.isFinite(this.#rows) ? await catalogue.keyFurtherOn(after, this.#end, this.#rows) : undefined
    const range = { scan: this.#scan.id, after, until: further ?? this.#end }
    await catalogue.openRange(range)
    this.#frontier = range.until
    return { ...range, position: after }
  }
}

async function* within(objects: AsyncIterable<ListedObject>, prefix: string): AsyncGenerator<ListedObject> {
  for await (const object of objects) if (object.key.startsWith(prefix) && object.key !== prefix) yield object
}

/** Peers lost data by prefixes without a slash: 'alice' is the beginning of 'alice2/' too. */
function checkPrefix(prefix: string): void {
  if (prefix === '') return
  checkObjectKey(prefix)
  if (prefix.endsWith('/')) return
  throw new KeepsakeError(
    'invalid_request',
    `The prefix '${prefix}' does not end with a slash, so it would mean '${prefix}-other/' too. Write '${prefix}/'.`,
  )
}

/** Every row would be looked at, one by one, for an inventory that has none of them. */
function checkSource({ name }: ReconcileParts['store'], { bucket }: Inventory): void {
  if (bucket === undefined || !name.startsWith('s3://') || name === `s3://${bucket}`) return
  throw new KeepsakeError(
    'invalid_request',
    `The inventory is of the bucket '${bucket}', and this is ${name}. Give the inventory of this bucket.`,
  )
}

function checkShards(shards: number): void {
  if (Number.isInteger(shards) && shards >= 1 && shards <= 32) return
  throw new KeepsakeError('invalid_request', `${shards} shards are not possible. Allowed is an integer from 1 to 32.`)
}
