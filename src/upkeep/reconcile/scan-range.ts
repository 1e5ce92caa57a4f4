import { type KeyedRows, rowFlags, type ScanFinding, type ScanRange, type ScanRecord } from '../../catalogue/index.ts'
import { isReservedKey, KeepsakeError } from '../../media/index.ts'
import { compareObjectKeys, type ListedObject, ListedPage, type ListOptions } from '../../stores/index.ts'
import { lastRowKeyUpTo } from '../row-key.ts'
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
    const through = page.isLast ? range.until : lastRowKeyUpTo(page.objects.key(page.objects.length - 1) ?? position)
    let { objects } = page
    for (let isThrough = false; !isThrough; ) {
      const rows = await catalogue.keyedRows({ after: position, until: through, listedAt }, rowsAtOnce)
      signal?.throwIfAborted()
      // Where there are more rows than that, the page is compared as far as these go, and then on.
      const end = (rows.keys.length < rowsAtOnce ? undefined : rows.keys.at(-1)) ?? through
      isThrough = end === through
      const stretch = isThrough ? objects : objects.slice(0, objects.countUpTo(end))
      objects = objects.slice(stretch.length)
      const candidates = candidatesOf(stretch, rows, position, scan, seen)
      const findings = await judge({ catalogue, store }, candidates, signal)
      for (const finding of findings) found.push(finding)
      onSeen?.({ objects: stretch.length, rows: rows.keys.length, findings: findings.length })
      position = end
      const isDone = page.isLast && isThrough
      const isDue = found.length >= checkpointFindings || performance.now() - saved.at >= checkpointMillis
      if (!isDone && !isDue) continue
      const to = { position, done: isDone }
      if (!(await catalogue.saveProgress({ ...range, position: saved.position }, to, seen, found))) throw overtaken()
      saved = { position, at: performance.now() }
      seen = { objects: 0, bytes: 0, rows: 0, reserved: 0 }
      found = []
    }
  }
}

function candidatesOf(objects: ListedPage, rows: KeyedRows, after: string, scan: ScanRecord, seen: Seen): Candidates {
  const candidates: Candidates = { unclaimed: [], suspects: [] }
  seen.rows += rows.keys.length
  compare(objects, rows, after, {
    both(key, object, row) {
      // A list tells sizes. The hash that an object states costs a request each.
      const flags = rows.flags[row] ?? 0
      const isSuspect = objects.size(object) !== rows.sizes[row] || (flags & rowFlags.missing) !== 0 || scan.hashes
      if (isSuspect && (flags & rowFlags.stored) !== 0) candidates.suspects.push(key)
      seen.objects += 1
      seen.bytes += objects.size(object)
    },
    objectOnly(key, object) {
      if (isReservedKey(key)) {
        seen.reserved += 1
        return
      }
      candidates.unclaimed.push(key)
      seen.objects += 1
      seen.bytes += objects.size(object)
    },
    rowOnly(key, row) {
      const flags = rows.flags[row] ?? 0
      if ((flags & lacking) === lacking) candidates.suspects.push(key)
    },
  })
  return candidates
}

type Page = { readonly objects: ListedPage; readonly isLast: boolean }

/** Objects up to a key in pages; the next page is listed while one is worked on, which is only ever earlier. */
async function* pagesOf(pages: AsyncIterable<ListedPage>, until: string): AsyncGenerator<Page> {
  const iterator = pages[Symbol.asyncIterator]()
  const read = async (): Promise<Page> => {
    const { done, value } = await iterator.next()
    if (done) return { objects: ListedPage.ofObjects([]), isLast: true }
    const count = value.countUpTo(until)
    return count === value.length ? { objects: value, isLast: false } : { objects: value.slice(0, count), isLast: true }
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
function listPages(store: RangeParts['store'], options: ListOptions, until: string): AsyncIterable<ListedPage> {
  return store.listPages?.(options) ?? inPages(store.list(options), until)
}

async function* inPages(objects: AsyncIterable<ListedObject>, until: string): AsyncGenerator<ListedPage> {
  let page: ListedObject[] = []
  for await (const object of objects) {
    page.push(object)
    const isBeyond = compareObjectKeys(object.key, until) > 0
    if (page.length < pageSize && !isBeyond) continue
    yield ListedPage.ofObjects(page)
    if (isBeyond) return
    page = []
  }
  if (page.length > 0) yield ListedPage.ofObjects(page)
}

function overtaken(): KeepsakeError {
  return new KeepsakeError(
    'attempt_superseded',
    'Another process goes on with this scan, so this one stopped. Wait for it, or begin a new scan.',
  )
}
