import { randomUUID } from 'node:crypto'
import type { FoundFile, Move, MoveCounts, MoveFile, MoveFileState, MoveStage } from '../../catalogue/index.ts'
import { type Collection, KeepsakeError, newAssetId } from '../../media/index.ts'
import { Pace } from '../pace.ts'
import { batches, copyBatch } from './copy.ts'
import { Troubles } from './outcomes.ts'
import { planFiles } from './plan-file.ts'
import { type MoveProgress, ProgressMeter } from './progress.ts'
import type { MoveParts, MoveRun } from './run.ts'
import type { MoveSource, Oddity } from './source.ts'
import { verifyPage } from './verify.ts'

export type MigrateOptions = {
  readonly collection: Collection
  /** What a path says, such as `{owner}/{name}.{ext}`; see {@link parsePathPattern}. Default: nothing. */
  readonly match?: string
  /** The key template of the new objects. Default: the collection's. */
  readonly map?: string
  /** The path below the source is the key, as it is. Default: false. */
  readonly keepKeys?: boolean
  /** Whose the files are where their paths do not say. Default: `default`. */
  readonly owner?: string
  /** What all of them carry; those of a path come on top. */
  readonly attributes?: Readonly<Record<string, string>>
  /**
   * `head`: the bucket still has, at each key, the very object whose bytes the store checked against their hash when
   * they came in; `full`: its bytes are read back too. Default: `head`.
   */
  readonly verify?: 'head' | 'full'
  /** Try the files again that failed in an earlier run. Default: false. */
  readonly retry?: boolean
  /** Store what came over although some files failed. Default: false: all of them, or none yet. */
  readonly skipFailed?: boolean
  /** Files on their way at a time at most; fewer where the store is overloaded. Default: 32. */
  readonly concurrency?: number
  /** Bytes a second at most. Default: as many as there are. */
  readonly bandwidth?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: MoveProgress) => void
}

/** How a move stands. `stage` is `done` once everything that can be is stored. */
export type MigrateResult = {
  readonly move: Move
  readonly counts: MoveCounts
  /** What the source holds beside files, up to a hundred. */
  readonly odd: readonly Oddity[]
}

/** Seconds without a sign of life after which another process may take a move over, and between such signs. */
const lease = 30
const beatEvery = 5
/** Files a statement reads. */
const page = 1000
/** Batches on their way at a time: while one is put, the next is read. */
const copyLanes = 3
/** Pages at a time of what mostly waits for the list, or the database: one is looked at while another is written down. */
const pageLanes = 2

/**
 * Takes existing media into a collection: takes stock of the source, copies, verifies, and only then lets the assets
 * be seen, all at once. The source is not touched. Where it was stopped, by whatever, the next call goes on.
 *
 * @throws {KeepsakeError} `invalid_request`, `invalid_source`, `quota_exceeded` is told by file, `store_unavailable`,
 * `catalogue_unavailable`; `attempt_superseded` while another process works on the same move.
 */
export async function migrate(parts: MoveParts, source: MoveSource, options: MigrateOptions): Promise<MigrateResult> {
  const { collection, concurrency = 32 } = options
  const { catalogue } = parts
  const move = await openMove(parts, source, options)
  const plan = planFiles(collection, move.options)
  const runner = randomUUID()
  const lost = new AbortController()
  const hold = async () => {
    if ((await catalogue.holdMove(move.id, runner, lease)) === undefined) throw superseded(move)
  }
  await takeHold(parts, move, () => catalogue.holdMove(move.id, runner, lease), options.signal)
  const signal = options.signal ? AbortSignal.any([options.signal, lost.signal]) : lost.signal
  // A move whose catalogue cannot be reached stops at its next statement anyway.
  const beat = setInterval(() => hold().catch((error: unknown) => lost.abort(error)), beatEvery * 1000)
  const run: MoveRun = {
    parts,
    move,
    source,
    collection,
    plan,
    reading: new Pace({ start: 8, most: concurrency, bandwidth: null }),
    pace: new Pace({ start: 8, most: concurrency, bandwidth: options.bandwidth ?? null }),
    progress: new ProgressMeter(options.onProgress ?? (() => {})),
    troubles: new Troubles(),
    verification: options.verify ?? 'head',
    signal,
  }
  try {
    return await runStages(run, runner, options)
  } finally {
    clearInterval(beat)
    await catalogue.releaseMove(move.id, runner).catch(() => {})
  }
}

/**
 * Who was killed still holds a move until its lease is over: that is waited for. Who is alive renews it, and is left alone.
 */
async function takeHold(
  { catalogue, clock }: Pick<MoveParts, 'catalogue' | 'clock'>,
  move: Move,
  hold: () => Promise<Move | undefined>,
  signal: AbortSignal | undefined,
): Promise<void> {
  let known: Date | undefined
  while ((await hold()) === undefined) {
    const until = await catalogue.moveHeldUntil(move.id)
    if (known && until && until > known) throw superseded(move)
    known = until ?? known
    await clock.sleep(1, signal)
    signal?.throwIfAborted()
  }
}

function superseded({ id, source }: Move): KeepsakeError {
  return new KeepsakeError('attempt_superseded', `Another process is at work on the move of ${source}.`, {
    details: { move: id },
  })
}

async function openMove(
  { catalogue }: Pick<MoveParts, 'catalogue'>,
  source: MoveSource,
  { collection, match, map, keepKeys = false, owner, attributes = {} }: MigrateOptions,
): Promise<Move> {
  if (keepKeys && map !== undefined) {
    throw new KeepsakeError('invalid_request', 'Keys are kept or laid anew by a template, not both.')
  }
  const wanted = { match: match ?? null, map: map ?? null, keepKeys, owner: owner ?? null, attributes }
  planFiles(collection, wanted)
  const request = { id: newAssetId(), source: source.name, collection: collection.name, options: wanted }
  const move = await catalogue.openMove(request)
  if (JSON.stringify(sorted(move.options)) === JSON.stringify(sorted(wanted))) return move
  throw new KeepsakeError(
    'invalid_request',
    `The move of ${source.name} was begun with other options: ${JSON.stringify(move.options)}. ` +
      'Go on with those; when it is done, a new one may have others.',
    { details: { move: move.id } },
  )
}

function sorted(options: Move['options']) {
  const { match, map, keepKeys, owner, attributes } = options
  const entries = Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1))
  return [match, map, keepKeys, owner, entries]
}

async function runStages(run: MoveRun, runner: string, options: MigrateOptions): Promise<MigrateResult> {
  const { move, parts, signal } = run
  const { catalogue } = parts
  const odd: Oddity[] = []
  const advance = async (stage: MoveStage) => {
    if (await catalogue.advanceMove(move.id, runner, stage)) return
    throw new KeepsakeError('attempt_superseded', 'Another process took this move over.')
  }
  const result = async (): Promise<MigrateResult> => {
    const now = await catalogue.getMove(move.id)
    return { move: now ?? move, counts: await catalogue.countMoveFiles(move.id), odd }
  }
  if (options.retry) await catalogue.retryMoveFiles(move.id)
  // Always anew: what came to the source since the last run comes along.
  await takeStock(run, odd)
  await advance('copy')
  run.progress.begin('copy', await catalogue.countMoveFiles(move.id))
  await eachBatch(run, ['found', 'placed'], (files) => copyBatch(run, files))
  await advance('verify')
  run.progress.begin('verify', await catalogue.countMoveFiles(move.id))
  await verifyAll(run)
  signal.throwIfAborted()
  const { failed, found, placed, copied } = await catalogue.countMoveFiles(move.id)
  const open = found.files + placed.files + copied.files
  if (open > 0 || (failed.files > 0 && !options.skipFailed)) return result()
  await advance('cutover')
  run.progress.begin('cutover', await catalogue.countMoveFiles(move.id))
  await cutOver(run)
  await advance('done')
  return result()
}

async function takeStock(run: MoveRun, odd: Oddity[]): Promise<void> {
  const { move, source, parts, signal, progress } = run
  let files: FoundFile[] = []
  let noting = Promise.resolve()
  // One page is written down while the next is found.
  const note = async () => {
    await noting
    const found = files
    files = []
    if (found.length > 0) noting = parts.catalogue.addMoveFiles(move.id, found)
    // Whoever waits for it is told; until then nobody may be listening.
    noting.catch(() => {})
  }
  const passedOver = (oddity: Oddity) => {
    if (odd.length < 100) odd.push(oddity)
  }
  for await (const file of source.list(passedOver, signal)) {
    files.push(file)
    progress.passed(file.size)
    if (files.length === page) await note()
  }
  await note()
  await noting
}

function verifyAll(run: MoveRun): Promise<void> {
  const { catalogue } = run.parts
  const pages = pagesOf((after) => catalogue.copiedFiles(run.move.id, after, page))
  return inLanes(run, pageLanes, pages, (files) => verifyPage(run, files))
}

/** Each statement takes its own files, so that a second core of the database's has something to do. */
async function cutOver({ parts, move, collection, signal }: MoveRun): Promise<void> {
  const settle = { limit: page, keep: collection.keep }
  const lane = async () => {
    while ((await parts.catalogue.cutOverMoveFiles(move.id, settle)) > 0) signal.throwIfAborted()
  }
  await allSettledThrow(Array.from({ length: pageLanes }, lane))
}

/** Every file in these states once, in batches, several batches at a time. */
function eachBatch(
  run: MoveRun,
  states: readonly MoveFileState[],
  work: (files: readonly MoveFile[]) => Promise<void>,
): Promise<void> {
  const { catalogue } = run.parts
  const pages = pagesOf((after) => catalogue.moveFiles(run.move.id, states, after, page))
  return inLanes(run, copyLanes, batchesOf(pages), work)
}

/** From page to page without a gap: the next one is read while batches of this one are still on their way. */
async function* batchesOf(
  pages: AsyncIterable<readonly MoveFile[]>,
): AsyncGenerator<readonly MoveFile[], void, undefined> {
  for await (const files of pages) yield* batches(files)
}

async function* pagesOf<T extends { readonly path: string }>(
  read: (after: string) => Promise<readonly T[]>,
): AsyncGenerator<readonly T[], void, undefined> {
  for (let after = ''; ; ) {
    const files = await read(after)
    const last = files.at(-1)
    if (last === undefined) return
    after = last.path
    yield files
  }
}

/** Several at work on one queue. The first error ends it, once what is under way has ended. */
function inLanes<T>(
  run: MoveRun,
  lanes: number,
  queue: AsyncGenerator<T, void, undefined>,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const lane = async () => {
    for await (const item of queue) {
      run.signal.throwIfAborted()
      await work(item)
    }
  }
  return allSettledThrow(Array.from({ length: lanes }, lane))
}

/** Waits for all of them, so that nobody works on behind the caller's back, then throws what the first threw. */
async function allSettledThrow(works: readonly Promise<void>[]): Promise<void> {
  const outcomes = await Promise.allSettled(works)
  const failed = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failed) throw failed.reason
}
