import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expiry, isFiltered, type LifecycleRule, midnightAfter, parseLifecycle } from './lifecycle.ts'
import type { Bucket, FolderStore } from './store/folder-store.ts'
import type { IndexRow } from './store/listing-index.ts'

const PAGE = 1000
const DAY = 86_400_000
/** Milliseconds. */
const EVERY = 3_600_000

export type UpkeepOptions = {
  readonly store: FolderStore
  readonly now: () => number
  /** Uploads under way that are older go, in every bucket; days. */
  readonly staleUploadDays: number
}

/**
 * Does what lifecycle rules say, in all buckets, at the start and each hour, and sweeps uploads that nobody finished. What
 * fails, such as a damaged object, holds up nothing else.
 */
export class Upkeep {
  readonly #options: UpkeepOptions
  readonly #timer: NodeJS.Timeout
  readonly #stopped = new AbortController()
  readonly #stopping = once(this.#stopped.signal, 'abort')
  #running: Promise<void> = Promise.resolve()

  constructor(options: UpkeepOptions) {
    this.#options = options
    // What fails is done at the next turn.
    const turn = () => void this.run().catch(() => undefined)
    this.#timer = setInterval(turn, EVERY)
    this.#timer.unref()
    // Who works an hour a day has rules that run, too.
    turn()
  }

  /** One turn, after those before it. Rejects with the first failure, when all else has been done. */
  run(): Promise<void> {
    const turn = this.#running.catch(() => undefined).then(() => this.#turn())
    this.#running = turn
    return turn
  }

  /** No more turns; resolves when the one under way has stopped. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#stopped.abort()
    await this.#running.catch(() => undefined)
  }

  async #turn(): Promise<void> {
    const { store, now, staleUploadDays } = this.#options
    const { signal } = this.#stopped
    if (signal.aborted) return
    // A stop does not wait for an index that is being rebuilt.
    await Promise.race([store.whenListable(), this.#stopping])
    const failures: unknown[] = []
    const turn: Turn = {
      ...{ store, signal, staleUploadDays, now: now() },
      async attempt(work) {
        if (signal.aborted) return
        await work().catch((error: unknown) => {
          if (failures.length === 0) failures.push(error)
        })
      },
    }
    for (const bucket of store.buckets()) await turn.attempt(() => tidy(turn, bucket))
    if (failures.length > 0) throw failures[0]
  }
}

type Turn = Pick<UpkeepOptions, 'store' | 'staleUploadDays'> & {
  /** Milliseconds since 1970. */
  readonly now: number
  readonly signal: AbortSignal
  /** Does a piece of work, and goes on where it fails; does none once the turn is to stop. */
  attempt(work: () => Promise<void>): Promise<void>
}

async function tidy(turn: Turn, { name, settings }: Bucket): Promise<void> {
  const rules = settings.lifecycle === undefined ? [] : parseLifecycle(settings.lifecycle)
  await abortUploads(turn, name, rules)
  for (const rule of rules) await expireObjects(turn, name, rule)
}

async function abortUploads(turn: Turn, bucket: string, rules: readonly LifecycleRule[]): Promise<void> {
  const { store, now, staleUploadDays } = turn
  for (const { id, key, initiated } of store.multipart.list(bucket)) {
    await turn.attempt(async () => {
      const ends = rules
        .filter(({ enabled, abortDays, filter }) => enabled && abortDays !== undefined && key.startsWith(filter.prefix))
        .map(({ abortDays = 0 }) => midnightAfter(initiated, abortDays))
      const isOver = now >= Math.min(...ends, initiated + staleUploadDays * DAY)
      // One that became an object, just before a kill, has only been left behind.
      if (!isOver && store.record(bucket, key)?.uploadId !== id) return
      await store.multipart.hold(id, async () => {
        if (store.multipart.find(bucket, id) !== undefined) await store.multipart.remove(bucket, id)
      })
    })
  }
}

async function expireObjects(turn: Turn, bucket: string, rule: LifecycleRule): Promise<void> {
  if (!rule.enabled || rule.expiration === undefined) return
  const { store, now, signal } = turn
  const query = { bucket, prefix: rule.filter.prefix, delimiter: '', startAfter: '', limit: PAGE }
  for (let from: Buffer | undefined; !signal.aborted; ) {
    const page = store.list({ ...query, from })
    for (const row of page.objects) {
      if (now < (expiry(rule, row.modified) ?? Number.POSITIVE_INFINITY)) continue
      await turn.attempt(() => expireObject(store, bucket, rule, row))
    }
    if (page.next === undefined) return
    from = page.next
    // A page without an old object has waited for nothing; requests must not wait for all of them.
    await nextTurn()
  }
}

async function expireObject(store: FolderStore, bucket: string, rule: LifecycleRule, row: IndexRow): Promise<void> {
  const key = row.key.toString()
  const tags = () => {
    const record = store.record(bucket, key)
    return record === undefined ? {} : store.tags(bucket, record)
  }
  if (!isFiltered(rule.filter, { key, size: row.size, tags })) return
  await deleteUnchanged(store, bucket, key, row.modified)
}

/** What was written since the listing is a new object, with its days before it. */
async function deleteUnchanged(store: FolderStore, bucket: string, key: string, modified: number): Promise<void> {
  const changed = new Error('changed')
  try {
    await store.delete(bucket, key, (current) => {
      if (current?.modified !== modified) throw changed
    })
  } catch (error) {
    if (error !== changed) throw error
  }
}
