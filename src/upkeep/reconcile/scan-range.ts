import { type KeyedRow, rowFlags, type ScanFinding, type ScanRange, type ScanRecord } from '../../catalogue/index.ts'
import { isReservedKey, KeepsakeError } from '../../media/index.ts'
import { compareObjectKeys, type ListedObject, type ListOptions } from '../../stores/index.ts'
import { compare } from './compare.ts'
import { type Candidates, judge } from './judge.ts'
import { callOptions, type ReconcileParts } from './parts.ts'

/** What a row must be to lack its object where the listing has none. */
const lacking = rowFlags.stored | rowFlags.settled
/** Objects that are compared at a time. */
const pageSize = 1000
/** Rows a statement. */
const rowsAtOnce = 2000
/** Milliseconds, and findings, after which the position is kept with what was found on the way to it. */
const checkpointMillis = 2000
const checkpointFindings = 500

export type RangeParts = Pick<ReconcileParts, 'catalogue' | 'store'>

export type RangeOptions = {
  readonly signal?: AbortSignal
  /** Objects from elsewhere than a listing, in byte order. */
  readonly objects?: AsyncIterable<ListedObject>
  readonly onSeen?: (seen: { readonly objects: number; readonly rows: number; readonly findings: number }) => void
}

type Seen = { objects: number; bytes: number; rows: number; reserved: number }

/**
 * Compares one range of keys, page by page, from where it stands to its end.
 *
 * The order is what the safety of it all rests on: a page of the bucket is listed, and only then are the rows of the
 * same stretch of keys read. A key is written to its row before anything is put under it, so an object in the page had
 * its row before; where the row is gone when the rows are read, it left its key in `retired_keys` by the same
 * statement, which is read last. So nothing that lives is ever taken for an orphan, however fast it comes and goes. The
 * other way round an object put between the two reads would be one.
 *
 * What is missing needs the reverse: a row that was stored after its page was listed is no finding. `settled` says that
 * a row was stored before the scan began, by the one clock of the database.
 */
export async function scanRange(
  { catalogue, store }: RangeParts,
  scan: ScanRecord,
  range: ScanRange,
  options: RangeOptions,
): Promise<void> {
  const { signal, onSeen } = options
  const { prefix, listedAt } = scan
  let { position } = range
  const from = { ...(prefix === '' ? {} : { prefix }), ...(position === '' ? {} : { startAfter: position }) }
  const listed = options.objects
    ? inPages(options.objects, range.until)
    : listPages(store, { ...from, pageSize, ...callOptions(signal) }, range.until)
  let seen: Seen = { objects: 0, bytes: 0, rows: 0, reserved: 0 }
  let found: ScanFinding[] = []
  let saved = { position, at: performance.now() }
  for await (const page of pagesOf(listed, range.until)) {
    const through = page.isLast ? range.until : (page.objects.at(-1)?.key ?? position)
    const rows = await rowsThrough(catalogue, { after: position, until: through, listedAt })
    signal?.throwIfAborted()
    const candidates = candidatesOf(page.objects, rows, position, scan, seen)
    const before = found.length
    found.push(...(await judge({ catalogue, store }, candidates, signal)))
    onSeen?.({ objects: page.objects.length, rows: rows.length, findings: found.length - before })
    position = through
    const isDue = found.length >= checkpointFindings || performance.now() - saved.at >= checkpointMillis
    if (!page.isLast && !isDue) continue
    const to = { position, done: page.isLast }
    if (!(await catalogue.saveProgress({ ...range, position: saved.position }, to, seen, found))) throw overtaken()
    saved = { position, at: performance.now() }
    seen = { objects: 0, bytes: 0, rows: 0, reserved: 0 }
    found = []
  }
}

function candidatesOf(
  objects: readonly ListedObject[],
  rows: readonly KeyedRow[],
  after: string,
  scan: ScanRecord,
  seen: Seen,
): Candidates {
  const candidates: Candidates = { unclaimed: [], suspects: [] }
  seen.rows += rows.length
  seen.objects += objects.length
  for (const { size } of objects) seen.bytes += size
  compare(objects, rows, after, {
    both(object, row) {
      // A list tells sizes. The hash that an object states costs a request each.
      const [key, size, flags] = row
      const isSuspect = object.size !== size || (flags & rowFlags.missing) !== 0 || scan.hashes
      if (isSuspect && (flags & rowFlags.stored) !== 0) candidates.suspects.push(key)
    },
    objectOnly(object) {
      if (!isReservedKey(object.key)) {
        candidates.unclaimed.push(object)
        return
      }
      seen.reserved += 1
      seen.objects -= 1
      seen.bytes -= object.size
    },
    rowOnly([key, , flags]) {
      if ((flags & lacking) === lacking) candidates.suspects.push(key)
    },
  })
  return candidates
}

async function rowsThrough(
  catalogue: RangeParts['catalogue'],
  range: { readonly after: string; readonly until: string; readonly listedAt: Date },
): Promise<readonly KeyedRow[]> {
  const rows = await catalogue.keyedRows(range, rowsAtOnce)
  if (rows.length < rowsAtOnce) return rows
  const all = [...rows]
  for (let last = rows; last.length === rowsAtOnce; ) {
    last = await catalogue.keyedRows({ ...range, after: all.at(-1)?.[0] ?? range.until }, rowsAtOnce)
    for (const row of last) all.push(row)
  }
  return all
}

type Page = { readonly objects: readonly ListedObject[]; readonly isLast: boolean }

/** Objects up to a key in pages; the next page is listed while one is worked on, which is only ever earlier. */
async function* pagesOf(pages: AsyncIterable<readonly ListedObject[]>, until: string): AsyncGenerator<Page> {
  const iterator = pages[Symbol.asyncIterator]()
  const read = async (): Promise<Page> => {
    const { done, value } = await iterator.next()
    if (done) return { objects: [], isLast: true }
    const last = value.at(-1)
    if (last === undefined || compareObjectKeys(last.key, until) <= 0) return { objects: value, isLast: false }
    return { objects: value.filter(({ key }) => compareObjectKeys(key, until) <= 0), isLast: true }
  }
  let next = read()
  try {
    for (;;) {
      const page = await next
      if (!page.isLast) {
        next = read()
        // Its error is met when its turn comes.
        next.catch(() => {})
      }
      yield page
      if (page.isLast) return
    }
  } finally {
    await next.catch(() => {})
    await iterator.return?.()
  }
}

/** A store's own pages where it gives them: a million objects one by one cost a second. */
function listPages(
  store: RangeParts['store'],
  options: ListOptions,
  until: string,
): AsyncIterable<readonly ListedObject[]> {
  return store.listPages?.(options) ?? inPages(store.list(options), until)
}

async function* inPages(objects: AsyncIterable<ListedObject>, until: string): AsyncGenerator<readonly ListedObject[]> {
  let page: ListedObject[] = []
  for await (const object of objects) {
    page.push(object)
    const isBeyond = compareObjectKeys(object.key, until) > 0
    if (page.length < pageSize && !isBeyond) continue
    yield page
    if (isBeyond) return
    page = []
  }
  if (page.length > 0) yield page
}

function overtaken(): KeepsakeError {
  return new KeepsakeError(
    'attempt_superseded',
    'Another process goes on with this scan, so this one stopped. Wait for it, or begin a new scan.',
  )
}
