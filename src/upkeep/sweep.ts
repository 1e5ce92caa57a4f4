import { type AssetRecord, KeepsakeError, type StorePlace } from '../media/index.ts'
import { settle, type UpkeepParts } from './settle.ts'

const page = 100
/** Most of them wait: for a source, for the store. */
const atOnce = 32
/** Milliseconds that a sweep waits for one asset. A slow source is fetched on; it holds a lease and keeps nobody up. */
const longestWait = 20_000
/** A sweep ends by itself; the next one goes on. */
const maxPages = 1000

/**
 * Looks for everything that is due and brings it forward: pending and deleting assets whose lease ran out, stored ones
 * past their retention, and keys that no row holds any more, whose objects are removed.
 *
 * A failing asset does not stop the others: it is logged and comes up again in the next sweep. What lies on another
 * instance's disk is that one's.
 */
export async function sweep(
  parts: UpkeepParts,
  signal: AbortSignal,
  places: readonly StorePlace[] = parts.stores.places,
): Promise<void> {
  // Before the assets, which may take long, and again after them, for the keys that they left.
  await sweepRetiredKeysLogged(parts, signal, places)
  await sweepDue(parts, signal, places)
  await sweepRetiredKeysLogged(parts, signal, places)
}

/** A bucket that refuses deletes must not keep imports from being brought forward. */
async function sweepRetiredKeysLogged(
  parts: UpkeepParts,
  signal: AbortSignal,
  places: readonly StorePlace[],
): Promise<void> {
  for (const place of places) {
    try {
      await sweepRetiredKeys(parts, signal, place)
    } catch (error) {
      const problem = KeepsakeError.from(error)
      parts.logger.warn({ place, code: problem.code, err: problem }, 'retired objects could not be removed yet')
    }
  }
}

async function sweepDue(parts: UpkeepParts, signal: AbortSignal, places: readonly StorePlace[]): Promise<void> {
  // Each asset once: those that fail stay due, and must not hide what is due behind them.
  const seen: string[] = []
  for (let pages = 0; pages < maxPages && !signal.aborted; pages += 1) {
    const due = await parts.catalogue.due(page, seen, places)
    if (due.length === 0) return
    for (const { id } of due) seen.push(id)
    await each(due, signal, (record) => atMost(longestWait, settleLogged(parts, record)))
  }
}

async function atMost(milliseconds: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds)
  })
  await Promise.race([work, late])
  clearTimeout(timer)
}

async function settleLogged(parts: UpkeepParts, record: AssetRecord): Promise<void> {
  try {
    await settle(parts, record)
  } catch (error) {
    const problem = KeepsakeError.from(error)
    parts.logger.warn({ asset: record.id, state: record.state, code: problem.code, err: problem }, 'settling failed')
  }
}

/**
 * A put that was given up may still land. Its key was retired when it left its row, and the key is watched for as long
 * as a request can be under way: whatever turns up there is nobody's.
 */
async function sweepRetiredKeys(parts: UpkeepParts, signal: AbortSignal, place: StorePlace): Promise<void> {
  const store = parts.stores.of(place)
  for (let pages = 0; pages < maxPages && !signal.aborted; pages += 1) {
    const retired = await parts.catalogue.dueRetiredKeys(1000, [place])
    if (retired.length === 0) return
    const { deleted, failed } = await store.delete(
      retired.map(({ key }) => key),
      { signal },
    )
    await parts.catalogue.sweptRetiredKeys(deleted, place)
    if (failed.length > 0) {
      parts.logger.warn({ count: failed.length, code: failed[0]?.code }, 'retired objects could not be removed yet')
      return
    }
  }
}

async function each(
  records: readonly AssetRecord[],
  signal: AbortSignal,
  work: (record: AssetRecord) => Promise<void>,
): Promise<void> {
  const queue = records.values()
  const worker = async () => {
    for (const record of queue) {
      if (signal.aborted) return
      await work(record)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}
