import { createHash } from 'node:crypto'
import type { Database } from '../../src/catalogue/index.ts'
import type { Clock } from '../../src/clock.ts'
import type { GuardedFetch } from '../../src/intake/index.ts'
import type { JobHandlers, Jobs } from '../../src/jobs/index.ts'
import { silentLogger } from '../../src/logger.ts'
import type { ObjectStore } from '../../src/stores/index.ts'
import type { Keepsake } from '../../src/verbs.ts'
import { FaultPlan, faulty, LateCalls, Mortal, others } from './faults.ts'
import { contents } from './steps.ts'
import type { Subject } from './subject.ts'

const gif = Buffer.from(
  'GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;',
  'latin1',
)

/** The n-th piece of media: a GIF with its number behind it, so that sizes and hashes differ. */
export function contentOf(n: number): Buffer {
  return Buffer.concat([gif, Buffer.from(`#${n}`.repeat(n + 1))])
}

export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Bytes an owner may use: a few of the pieces above, so that the quota is often met. */
export const quota = 200

const storeReads = ['get', 'head', 'check']
const storeWrites = ['put', 'delete', 'copy', 'createMultipart', 'completeMultipart', 'abortMultipart']
const catalogueReads = [
  'localAssets',
  'copiesElsewhere',
  'get',
  'getMany',
  'getByKey',
  'list',
  'due',
  'dueRetiredKeys',
  'listAudit',
  'countByState',
]
const catalogueWrites = [
  'reserve',
  'assignKey',
  'confirm',
  'fail',
  'reopen',
  'postpone',
  'renew',
  'claim',
  'beginDelete',
  'purge',
  'sweptRetiredKeys',
  'recordIssuedUrls',
  'beginParts',
  'extendUpload',
  'holdUpload',
  'beginAbort',
  'moveUpload',
  'beginPromotion',
  'finishPromotion',
]

/** Seconds that the links of an upload live. */
export const linkLife = 3600

/** No timers: a wait is over in the next turn, and time only passes where the sequence says so. */
const eagerClock: Clock = {
  now: () => new Date(),
  sleep: (seconds, signal) =>
    seconds >= 20 ? new Promise((r) => signal?.addEventListener('abort', () => r())) : others(1),
}

/** The name by which rows know the local store. */
const place = 'local:00000000-0000-4000-8000-000000000001' as const

/**
 * Everything that outlives a process: the database, the bucket, the source, and calls that have yet to land. A process
 * is the real code over these, through ports that may fail.
 */
export class World {
  readonly late = new LateCalls()
  /** Every content that a key ever had, in the bucket and in the local store. */
  readonly written = { primary: new Map<string, Set<string>>(), local: new Map<string, Set<string>>() }
  /** Keys that a client may write to by itself. */
  readonly tickets = new Set<string>()
  readonly bucket: ObjectStore
  /** What is fallen back to, if anything is. */
  readonly local: ObjectStore
  /** The bucket is unreachable for everybody. */
  down = false
  /** Seconds by which the clock was moved. */
  elapsed = 0
  mood: 'well' | 'failing' | 'gone' | 'cut' | 'other' = 'well'
  keepsake!: Keepsake
  mortal = new Mortal()
  readonly faults = new FaultPlan()
  #handlers: JobHandlers | undefined
  readonly #subject: Subject
  readonly #database: Database

  readonly #fallsBack: boolean

  constructor(subject: Subject, database: Database, fallsBack: boolean) {
    this.#subject = subject
    this.#database = database
    this.#fallsBack = fallsBack
    this.bucket = this.#recorded(subject.createMemoryStore(), this.written.primary)
    this.local = this.#recorded(subject.createMemoryStore(), this.written.local)
  }

  store(name: 'primary' | 'local'): ObjectStore {
    return name === 'primary' ? this.bucket : this.local
  }

  /** A new process after the old one was killed. */
  async start(): Promise<void> {
    this.mortal.kill()
    this.mortal = new Mortal()
    const { KeepsakeError, composeKeepsake, createCatalogue, parseCollection } = this.#subject
    const base = { mortal: this.mortal, late: this.late, next: (method: string) => this.faults.next(method) }
    const storePort = {
      ...base,
      error: () => new KeepsakeError('store_unavailable', 'The store failed (a fault of the test).'),
      reads: storeReads,
      writes: storeWrites,
    }
    const store = faulty(this.bucket, { ...storePort, next: (method) => (this.down ? 'fail' : base.next(method)) })
    const local = faulty(this.local, { ...storePort, next: (method) => base.next(`local:${method}`) })
    const catalogue = faulty(createCatalogue(this.#database), {
      ...base,
      error: () => new KeepsakeError('catalogue_unavailable', 'The catalogue failed (a fault of the test).'),
      reads: catalogueReads,
      writes: catalogueWrites,
    })
    const jobs: Jobs = {
      // Every nudge is lost: the sweep alone must bring everything forward.
      nudge: async () => {},
      check: async () => 0,
      start: async (handlers) => {
        this.#handlers = handlers
      },
      schedule: async () => {},
      stop: async () => {},
    }
    const small = parseCollection('small', { key: '{owner}/{id8}.{ext}', accept: ['image'], quota })
    this.keepsake = await composeKeepsake({
      catalogue,
      store,
      ...(this.#fallsBack ? { local: { place, store: local, requireRoom: async () => {} }, promoteEvery: 30 } : {}),
      bucketPlace: { bucket: 'memory', region: 'us-east-1', endpoint: null, embedded: false },
      openBucket: async () => store,
      jobs,
      fetch: this.#fetch(),
      clock: eagerClock,
      collections: new Map([['small', small]]),
      spoolDir: '/nonexistent',
      logger: silentLogger,
      expiresIn: linkLife,
      // The larger of the contents go in parts, of which there is one.
      uploads: { partThreshold: 47, resumeWithin: linkLife },
      baseUrl: null,
      giveUpAfter: 1800,
      patience: 60,
      checkCatalogue: async () => {},
      release: async () => {},
    })
  }

  async sweep(): Promise<void> {
    await this.#handlers?.sweep(new AbortController().signal)
  }

  /** Moves the database's clock. A call cannot land later than the watch over retired keys lasts: no request lives an hour. */
  async jump(seconds: number): Promise<void> {
    this.elapsed += seconds
    if (seconds > 600) await this.late.land()
    await this.#database.service.query(
      "select set_config('keepsake.clock_offset', (coalesce(nullif(current_setting('keepsake.clock_offset', true), ''), '0')::bigint + $1::bigint)::text, false)",
      [seconds],
    )
  }

  #fetch(): GuardedFetch {
    const { KeepsakeError } = this.#subject
    const { mortal } = this
    const world = this
    return {
      check() {},
      async open(url) {
        if (mortal.killed) return new Promise<never>(() => {})
        const drawn = world.faults.next('open')
        if (drawn === 'slow') await others(400)
        if (drawn.startsWith('killed')) {
          mortal.kill()
          return new Promise<never>(() => {})
        }
        if (world.mood === 'gone') throw new KeepsakeError('source_gone', 'The source is gone.')
        if (world.mood === 'failing' || drawn !== 'ok')
          throw new KeepsakeError('source_unavailable', 'The source failed.')
        const n = Number(new URL(url).pathname.slice(1))
        // The same URL may give another picture when it is asked again.
        const bytes = contentOf(world.mood === 'other' ? n + contents : n)
        async function* body(): AsyncGenerator<Uint8Array> {
          if (world.mood !== 'cut') {
            yield bytes
            return
          }
          yield bytes.subarray(0, 20)
          throw new KeepsakeError('content_truncated', 'The source was cut.', { retryable: true })
        }
        return { body: body(), size: bytes.length, framed: true, contentType: null, headers: {}, close: async () => {} }
      },
      close: async () => {},
    }
  }

  /** A store, remembering every content that a key ever had. */
  #recorded(store: ObjectStore, written: Map<string, Set<string>>): ObjectStore {
    const { tickets } = this
    return new Proxy(store, {
      get(target, name) {
        if (name === 'delete') {
          // A link may be used again after its upload was given up: that is another object, which nobody ever reads.
          const remove: ObjectStore['delete'] = async (keys, options) => {
            const result = await target.delete(keys, options)
            for (const key of keys) if (tickets.has(key)) written.delete(key)
            return result
          }
          return remove
        }
        if (name === 'completeMultipart') {
          const complete: ObjectStore['completeMultipart'] = async (upload, parts, options) => {
            const result = await target.completeMultipart(upload, parts, options)
            const { body } = await target.get(upload.key)
            const bytes: Uint8Array[] = []
            for await (const chunk of body) bytes.push(chunk)
            const sha256 = hashOf(Buffer.concat(bytes))
            written.set(upload.key, (written.get(upload.key) ?? new Set()).add(sha256))
            return result
          }
          return complete
        }
        if (name !== 'put') {
          const value: unknown = Reflect.get(target, name, target)
          return typeof value === 'function' ? value.bind(target) : value
        }
        const put: ObjectStore['put'] = async (request) => {
          const result = await target.put(request)
          written.set(request.key, (written.get(request.key) ?? new Set()).add(request.sha256))
          return result
        }
        return put
      },
    })
  }
}
