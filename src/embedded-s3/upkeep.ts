import { setImmediate as nextTurn } from 'node:timers/promises'
import { expiry, isFiltered, type LifecycleRule, midnightAfter, parseLifecycle } from './lifecycle.ts'
import type { FolderStore } from './store/folder-store.ts'

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

/** Does what lifecycle rules say, in all buckets, each hour, and sweeps uploads that nobody finished. */
export class Upkeep {
  readonly #options: UpkeepOptions
  readonly #timer: NodeJS.Timeout
  readonly #stopped = new AbortController()
  #running: Promise<void> = Promise.resolve()

  constructor(options: UpkeepOptions) {
    this.#options = options
    // What fails is done at the next turn.
    this.#timer = setInterval(() => void this.run().catch(() => undefined), EVERY)
    this.#timer.unref()
  }

  /** One turn, after those before it. */
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
    await store.whenListable()
    for (const { name, settings } of store.buckets()) {
      const rules = settings.lifecycle === undefined ? [] : parseLifecycle(settings.lifecycle)
      await abortUploads(store, name, rules, now(), staleUploadDays)
      for (const rule of rules) await expireObjects(store, name, rule, now(), signal)
    }
  }
}

async function abortUploads(
  store: FolderStore,
  bucket: string,
  rules: readonly LifecycleRule[],
  now: number,
  staleDays: number,
): Promise<void> {
  for (const { id, key, initiated } of store.multipart.list(bucket)) {
    const ends = rules
      .filter(({ enabled, abortDays, filter }) => enabled && abortDays !== undefined && key.startsWith(filter.prefix))
      .map(({ abortDays = 0 }) => midnightAfter(initiated, abortDays))
    // One that became an object, just before a kill, has only been left behind.
    const done = store.record(bucket, key)?.uploadId === id
    if (!done && now < Math.min(...ends, initiated + staleDays * DAY)) continue
    await store.multipart.hold(id, async () => {
      if (store.multipart.find(bucket, id) !== undefined) await store.multipart.remove(bucket, id)
    })
  }
}

async function expireObjects(
  store: FolderStore,
  bucket: string,
  rule: LifecycleRule,
  now: number,
  signal: AbortSignal,
): Promise<void> {
  if (!rule.enabled || rule.expiration === undefined) return
  const query = { bucket, prefix: rule.filter.prefix, delimiter: '', startAfter: '', limit: PAGE }
  for (let from: Buffer | undefined; ; ) {
    const page = store.list({ ...query, from })
    for (const row of page.objects) {
      if (signal.aborted) return
      const key = row.key.toString()
      const tags = () => {
        const record = store.record(bucket, key)
        return record === undefined ? {} : store.tags(bucket, record)
      }
      if (now < (expiry(rule, row.modified) ?? Number.POSITIVE_INFINITY)) continue
      if (!isFiltered(rule.filter, { key, size: row.size, tags })) continue
      await deleteUnchanged(store, bucket, key, row.modified)
    }
    if (page.next === undefined) return
    from = page.next
    // A page without an old object has waited for nothing; requests must not wait for all of them.
    await nextTurn()
  }
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
