import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { z } from 'zod'
import type { Catalogue, Database } from '../../src/catalogue/index.ts'
import type { Clock } from '../../src/clock.ts'
import type { JobHandlers, Jobs } from '../../src/jobs/index.ts'
import { silentLogger } from '../../src/logger.ts'
import type { ObjectStore } from '../../src/stores/index.ts'
import type { Keepsake } from '../../src/verbs.ts'
import { type Act, type Interleaving, owners, type Wait } from './acts.ts'
import type { Subject } from './subject.ts'
import { Turns } from './turns.ts'

/** A promise of reconcile was broken. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

const day = 86_400
/** Seconds: the age an orphan must have is more than the time between two sightings, so that each is seen to count. */
const minAge = 2 * day
const apart = day
/** Seconds that pass in truth while a sequence runs. */
const slack = 120
const quarantinePrefix = 'quarantine/'

const gif = Buffer.from(
  'GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;',
  'latin1',
)
/** No timers: a wait is over at once, and time only passes between rounds. */
const eagerClock: Clock = {
  now: () => new Date(),
  sleep: (seconds, signal) =>
    seconds >= 20 ? new Promise((r) => signal?.addEventListener('abort', () => r())) : Promise.resolve(),
}

const catalogueCalls = new Set<string>(
  [
    ['reserve', 'assignKey', 'confirm', 'fail', 'postpone', 'claim', 'due', 'beginDelete', 'purge', 'dueRetiredKeys'],
    ['sweptRetiredKeys', 'get', 'keyedRows', 'storedWithKeys', 'retiredAmong', 'recordSightings', 'saveProgress'],
    [
      'statesOfKeys',
      'claimMove',
      'resumeRemoval',
      'beginRemoval',
      'finishMove',
      'stepBack',
      'dropMove',
      'beginRestore',
    ],
    ['finishRestore', 'getQuarantined', 'noteHealth'],
  ].flat(),
)
const storeCalls = new Set(['put', 'head', 'delete', 'copy'])
/** What may fail under reconcile's hands. */
const faultyCalls = new Set([
  'delete',
  'copy',
  'head',
  'claimMove',
  'beginRemoval',
  'finishMove',
  'finishRestore',
  'saveProgress',
])
/** The steps of a move that others can wait for, and the key in the first argument of each. */
const stepNames = new Set(['claimMove', 'copy', 'beginRemoval'])
const stepKey = z.union([
  z.string(),
  z.object({ source: z.string() }).transform(({ source }) => source.replace(/^quarantine\//, '')),
  z.object({ key: z.string() }).transform(({ key }) => key),
])
const landsLater = new Set(['delete', 'copy'])

/** What came of it: a run in which nothing is moved, or no row ever came in between, would prove nothing. */
export type Tally = {
  /** Orphans that were moved to quarantine, and that were put back. */
  quarantined: number
  restored: number
  /** Rows that took the key of an object which an apply had claimed, or was about to claim. */
  takenInTime: number
  /** Rows that were refused the key of an object that was being moved, or in quarantine. */
  refused: number
}

/** Runs one interleaving against the real code and throws a {@link Violation} where a promise is broken. */
export async function interleave(subject: Subject, database: Database, what: Interleaving): Promise<Tally> {
  await database.service.query(
    "delete from keepsake.assets; delete from keepsake.retired_keys; delete from keepsake.usage; delete from keepsake.scans; delete from keepsake.sightings; delete from keepsake.quarantine; select set_config('keepsake.clock_offset', '0', false)",
  )
  const world = new World(subject, database, what)
  await world.start()
  for (const { acts, then } of what.rounds) {
    // All end, so that none works on in the database of the next interleaving.
    const ends = await Promise.allSettled(acts.map((act) => world.act(act)))
    const failed = ends.find((end) => end.status === 'rejected')
    if (failed) throw failed.reason
    await world.check()
    await world.pass(then)
  }
  await world.landAll()
  await world.check()
  return world.tally
}

type ObjectContent = {
  readonly body: Buffer
  readonly size: number
  readonly sha256: string
  readonly contentType: 'image/gif'
  readonly metadata: { readonly asset: string; readonly owner: string } & Readonly<Record<string, string>>
}

class World {
  readonly tally: Tally = { quarantined: 0, restored: 0, takenInTime: 0, refused: 0 }
  readonly #subject: Subject
  readonly #database: Database
  readonly #turns: Turns
  readonly #faults: number
  readonly #bucket: ObjectStore
  readonly #late: (() => Promise<unknown>)[] = []
  readonly #manifests: string[][] = []
  readonly #known: { readonly id: string; readonly owner: string }[] = []
  /** Keys of objects without a row, or that had none for a while: a scan may rightly name them. */
  readonly #rowless = new Set<string>()
  /** Keys whose asset somebody asked to delete, with what its object says. */
  readonly #given = new Map<string, ObjectContent>()
  /** What lies, or lay, under the keys of objects without a row. */
  readonly #contentOf = new Map<string, ObjectContent>()
  /** When each object was seen without a row: `key etag`. */
  readonly #seen = new Map<string, number[]>()
  /** The first promise that was broken: the code under test catches what its store throws, and this too. */
  #violation: Violation | undefined
  #keepsake!: Keepsake
  #reconcile!: Keepsake['reconcile']
  #handlers: JobHandlers | undefined
  /** Scans, applies and restores under way, and the calls that they have made. */
  #busy = 0
  #calls = 0
  readonly #sleepers: { readonly at: Wait; readonly wake: (key: string | undefined) => void }[] = []
  #installation: Promise<unknown> | undefined
  #seconds = 0
  #contents = 0

  constructor(subject: Subject, database: Database, { seed, faults }: Interleaving) {
    this.#subject = subject
    this.#database = database
    this.#turns = new Turns(seed)
    this.#faults = faults
    this.#bucket = subject.createMemoryStore({ now: () => Date.now() + this.#seconds * 1000 })
  }

  async start(): Promise<void> {
    const { composeKeepsake, createCatalogue, createReconcile, parseCollection } = this.#subject
    const catalogue = createCatalogue(this.#database)
    const jobs: Jobs = {
      nudge: async () => {},
      start: async (handlers) => {
        this.#handlers = handlers
      },
      stop: async () => {},
      schedule: async () => {},
      check: async () => 0,
    }
    const parts = {
      collections: new Map([['small', parseCollection('small', { key: '{owner}/{id8}.{ext}', accept: ['image'] })]]),
      spoolDir: tmpdir(),
    }
    this.#keepsake = await composeKeepsake({
      ...parts,
      catalogue: this.#inTurns(catalogue, catalogueCalls, false),
      store: this.#inTurns(this.#bucket, storeCalls, false),
      bucketPlace: { bucket: 'memory', region: 'us-east-1', endpoint: null, embedded: false },
      openBucket: async () => this.#bucket,
      jobs,
      fetch: { check() {}, open: () => Promise.reject(new Error('Nothing is fetched here.')), close: async () => {} },
      clock: eagerClock,
      logger: silentLogger,
      expiresIn: 3600,
      baseUrl: null,
      giveUpAfter: 1800,
      patience: 60,
      checkCatalogue: async () => {},
      release: async () => {},
    })
    this.#reconcile = createReconcile({
      ...parts,
      catalogue: this.#inTurns(catalogue, catalogueCalls, true),
      store: this.#inTurns(this.#bucket, storeCalls, true),
    })
  }

  async pass(seconds: number): Promise<void> {
    // No request is under way for longer than the watch over an unsure removal.
    if (seconds > 600) await this.landAll()
    if (seconds === 0) return
    this.#seconds += seconds
    await this.#database.service.query("select set_config('keepsake.clock_offset', $1, false)", [
      `${this.#seconds} seconds`,
    ])
  }

  async landAll(): Promise<void> {
    for (const land of this.#late.splice(0)) await land()
  }

  async act(act: Act): Promise<void> {
    const isReconcile = act.do === 'scan' || act.do === 'apply' || act.do === 'restore'
    if (isReconcile) this.#busy += 1
    const outcome = await this.#try(act).catch((error: unknown) => error)
    if (isReconcile) this.#busy -= 1
    this.#wake()
    if (this.#violation) throw this.#violation
    if (outcome === undefined) return
    if (!this.#subject.KeepsakeError.is(outcome)) throw outcome
    // A defect, not a refusal.
    if (outcome.code === 'internal') throw outcome.cause instanceof Error ? outcome.cause : outcome
  }

  async #try(act: Act): Promise<void> {
    switch (act.do) {
      case 'import': {
        const owner = owners[act.owner] ?? owners[0]
        this.#contents += 1
        const bytes = Buffer.concat([gif, Buffer.from(`#${this.#contents}`)])
        const asset = await this.#keepsake.import('small', { source: { bytes }, owner })
        this.#known.push({ id: asset.id, owner })
        return
      }
      case 'delete': {
        const target = this.#pick(this.#known, act.pick)
        if (target === undefined) return
        for (const { id, key } of await this.#rows()) {
          if (id === target.id && key !== null) this.#given.set(key, this.#content(id, target.owner))
        }
        await this.#keepsake.as({ role: 'user', owner: target.owner }).delete(target.id)
        return
      }
      case 'sweep':
        return this.#handlers?.sweep(new AbortController().signal)
      case 'plant':
        return this.#plant(owners[act.owner] ?? owners[0])
      case 'lose': {
        const target = this.#pick(await this.#rows(), act.pick)
        if (target?.state !== 'stored' || target.key === null) return
        this.#rowless.add(target.key)
        await this.#turns.call(() =>
          this.#database.service.query('delete from keepsake.assets where id = $1', [target.id]),
        )
        return
      }
      case 'late':
        await this.#idle(act.wait)
        return this.#landLate(act.pick)
      case 'adopt': {
        const moved = await this.#idle(act.wait)
        return this.#adopt(moved ?? (await this.#pickRowless(act.pick)))
      }
      case 'take': {
        const moved = await this.#idle(act.wait)
        return this.#take(moved ?? (await this.#pickRowless(act.pick)))
      }
      case 'block': {
        const key = await this.#pickRowless(act.pick)
        if (key === undefined) return
        const content = this.#content(this.#subject.newAssetId(), owners[0])
        await this.#turns.call(() => this.#bucket.put({ key: quarantinePrefix + key, ...content }))
        return
      }
      case 'scan': {
        const options = { shards: act.shards, rangeRows: 2, ...(act.prefix ? { prefix: 'a/' } : {}) }
        const { scan } = await this.#reconcile.scan(options)
        const lines: string[] = []
        for await (const line of this.#reconcile.manifest(scan.id)) lines.push(line)
        this.#manifests.push(lines)
        return this.#checkManifest(lines, act.prefix ? 'a/' : '')
      }
      case 'apply': {
        const lines = this.#manifests.at(-1 - (act.pick % Math.max(1, Math.min(2, this.#manifests.length))))
        if (lines === undefined) return
        const manifest = (async function* () {
          for (const line of lines) yield `${line}\n`
        })()
        await this.#reconcile.apply(manifest, {
          maxShare: 1,
          minAge,
          apart,
          onOutcome: ({ outcome, reason }) => {
            if (outcome === 'quarantined') this.tally.quarantined += 1
            if (reason?.startsWith('an asset ')) this.tally.takenInTime += 1
          },
        })
        return
      }
      case 'restore': {
        const { restored } = await this.#reconcile.restore('all')
        this.tally.restored += restored
        return
      }
    }
  }

  /**
   * Reconcile makes so many calls first, or takes a step of a move, or ends: what is aimed at the middle of a move must
   * not come before it. Answers the key of the move.
   */
  #idle(wait: Wait): Promise<string | undefined> {
    if (this.#busy === 0) return Promise.resolve(undefined)
    const { promise, resolve } = Promise.withResolvers<string | undefined>()
    this.#sleepers.push({ at: typeof wait === 'number' ? this.#calls + wait : wait, wake: resolve })
    return promise
  }

  #wake(step?: string, key?: string): void {
    for (const sleeper of this.#sleepers.splice(0)) {
      if (sleeper.at === step) sleeper.wake(key)
      else if (this.#busy === 0 || (typeof sleeper.at === 'number' && sleeper.at <= this.#calls))
        sleeper.wake(undefined)
      else this.#sleepers.push(sleeper)
    }
  }

  #content(asset: string, owner: string): ObjectContent {
    this.#contents += 1
    const body = Buffer.concat([gif, Buffer.from(`#${this.#contents}`)])
    const sha256 = createHash('sha256').update(body).digest('hex')
    const metadata = { asset, owner, collection: 'small', sha256, created: new Date().toISOString() }
    return { body, size: body.length, sha256, contentType: 'image/gif', metadata }
  }

  async #plant(owner: string): Promise<void> {
    const id = this.#subject.newAssetId()
    const key = `${owner}/${id.slice(-8)}.gif`
    await this.#put(key, this.#content(id, owner))
    this.#rowless.add(key)
  }

  async #landLate(pick: number): Promise<void> {
    const target = this.#pick([...this.#given], pick)
    if (target === undefined) return
    const [key, content] = target
    await this.#put(key, content)
    await this.#noteForgotten()
  }

  async #put(key: string, content: ObjectContent): Promise<void> {
    this.#contentOf.set(key, content)
    // An answer that came late is nobody's business here, and nothing is ever overwritten.
    await this.#turns.call(() => this.#bucket.put({ key, ...content }).then(() => {}, swallowRefusal))
  }

  /** Keys that were let go of and are no longer watched: what lands there now may rightly be found. */
  async #noteForgotten(): Promise<void> {
    const { rows } = await this.#database.service.query(
      'select key from keepsake.retired_keys union select key from keepsake.assets where key is not null',
    )
    const watched = new Set(
      z
        .array(z.object({ key: z.string() }))
        .parse(rows)
        .map(({ key }) => key),
    )
    for (const key of this.#given.keys()) if (!watched.has(key)) this.#rowless.add(key)
  }

  async #pickRowless(pick: number): Promise<string | undefined> {
    const there: string[] = []
    for (const key of this.#rowless) if ((await this.#bucket.head(key)) !== undefined) there.push(key)
    return this.#pick(there, pick)
  }

  /** As a rebuild does it: the object is asked, and then its row is made. */
  async #adopt(key: string | undefined): Promise<void> {
    if (key === undefined) return
    const head = await this.#turns.call(() => this.#bucket.head(key))
    if (head === undefined) return
    await this.#insert(key, 'stored', head.metadata, head.size)
  }

  /** As a migration that keeps keys does it: a row, then the object where it is not there already, then `stored`. */
  async #take(key: string | undefined): Promise<void> {
    const content = key === undefined ? undefined : this.#contentOf.get(key)
    if (key === undefined || content === undefined) return
    if (!(await this.#insert(key, 'pending', content.metadata, content.size))) return
    await this.#put(key, content)
    const head = await this.#turns.call(() => this.#bucket.head(key))
    if (head === undefined) return
    await this.#turns.call(() =>
      this.#database.service.query(
        `update keepsake.assets set state = 'stored', until = null, stored_at = keepsake.now()
        where id = $1 and state = 'pending' and key = $2`,
        [content.metadata.asset, key],
      ),
    )
  }

  async #insert(
    key: string,
    state: 'stored' | 'pending',
    { asset, owner, sha256 }: Readonly<Record<string, string>>,
    size: number,
  ): Promise<boolean> {
    const text = `
      insert into keepsake.assets (id, collection, owner, state, kind, key, content_type, size, sha256, stored_at, until)
      select $1::uuid, 'small', $2, $6, 'image', $3::text, 'image/gif', $4::bigint, $5,
        case $6 when 'stored' then keepsake.now() end, case $6 when 'pending' then keepsake.now() + interval '900 seconds' end
      where not exists (select from keepsake.retired_keys where key = $3::text) on conflict do nothing`
    return this.#turns.call(() =>
      this.#database.service.query(text, [asset, owner, key, size, sha256, state]).then(
        ({ rowCount }) => {
          if (rowCount > 0) this.#known.push({ id: asset ?? '', owner: owner ?? '' })
          return rowCount > 0
        },
        (error: unknown) => {
          // The key is held by a move.
          if (!this.#subject.KeepsakeError.is(error, 'object_exists')) throw error
          this.tally.refused += 1
          return false
        },
      ),
    )
  }

  /** What is stored has its object, at the end of every round. */
  async check(): Promise<void> {
    if (this.#violation) throw this.#violation
    for (const { id, key, state } of await this.#rows()) {
      if (state !== 'stored' || key === null) continue
      if ((await this.#bucket.head(key)) === undefined) throw this.#broken(`${id} is stored and ${key} is gone`)
    }
  }

  /** What a scan calls an orphan has, and had, no row: no key of an import, however it came and went. */
  async #checkManifest(lines: readonly string[], prefix: string): Promise<void> {
    for (const line of lines.slice(1)) {
      const { kind, key } = z.looseObject({ kind: z.string(), key: z.string() }).parse(JSON.parse(line))
      if (!key.startsWith(prefix)) throw this.#broken(`a scan of ${prefix} names ${key}`)
      if (kind === 'orphan' && !this.#rowless.has(key))
        throw this.#broken(`${key} has or had a row, and is called an orphan`)
      if (kind === 'missing' && !this.#rowless.has(key) && !this.#given.has(key)) {
        throw this.#broken(`${key} was never away, and is called missing`)
      }
    }
  }

  /** When reconcile removes an object, at the very moment it takes effect. */
  async #checkRemoval(keys: readonly string[]): Promise<void> {
    const rows = await this.#rows()
    for (const key of keys) {
      if (key.startsWith(quarantinePrefix)) {
        const original = key.slice(quarantinePrefix.length)
        if ((await this.#bucket.head(key)) === undefined || this.#given.has(original)) continue
        if ((await this.#bucket.head(original)) === undefined)
          throw this.#broken(`the last copy of ${original} is removed`)
        continue
      }
      const head = await this.#bucket.head(key)
      if (head === undefined) continue
      const live = rows.find((row) => row.key === key && (row.state === 'stored' || row.state === 'pending'))
      if (live) throw this.#broken(`${key} lives (${live.state}) and is moved to quarantine`)
      const copy = await this.#bucket.head(quarantinePrefix + key)
      if (copy?.metadata.sha256 !== head.metadata.sha256) throw this.#broken(`${key} is removed without a copy`)
      const age = Date.now() / 1000 + this.#seconds - head.lastModified.getTime() / 1000
      if (age < minAge - slack) throw this.#broken(`${key} is ${age} seconds old and is moved`)
      const times = this.#seen.get(`${key} ${head.etag} ${head.lastModified.getTime()}`) ?? []
      if (Math.max(...times) - Math.min(...times) < apart - slack)
        throw this.#broken(`${key} was not seen twice, and is moved`)
    }
  }

  #broken(message: string): Violation {
    this.#violation ??= new Violation(message)
    return this.#violation
  }

  async #rows() {
    const { rows } = await this.#database.service.query('select id, key, state from keepsake.assets order by id')
    return z.array(z.object({ id: z.string(), key: z.string().nullable(), state: z.string() })).parse(rows)
  }

  #pick<T>(from: readonly T[], n: number): T | undefined {
    return from[n % Math.max(1, from.length)]
  }

  /** A port whose calls take turns; under reconcile's hands they may fail too, and its removals are looked at. */
  #inTurns<T extends Catalogue | ObjectStore>(port: T, calls: ReadonlySet<string>, isReconcile: boolean): T {
    const { KeepsakeError } = this.#subject
    const failure = () => new KeepsakeError('store_unavailable', 'It failed (a fault of the test).')
    return new Proxy(port, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target)
        if (typeof value !== 'function' || typeof name !== 'string') return value
        const call = async (args: unknown[]): Promise<unknown> => {
          if (isReconcile) {
            this.#calls += 1
            this.#wake()
          }
          if (isReconcile && name === 'delete') await this.#checkRemoval(z.array(z.string()).parse(args[0]))
          if (isReconcile && name === 'recordSightings') this.#noteSeen(args[0])
          const answer: unknown = await Reflect.apply(value, target, args)
          if (isReconcile && stepNames.has(name)) this.#wake(name, stepKey.parse(args[0]))
          if (name === 'sweptRetiredKeys') await this.#noteForgotten()
          return answer
        }
        // It never changes, and is asked for again and again.
        if (name === 'installationId') return () => (this.#installation ??= Promise.resolve(call([])))
        if (name === 'list') return (...args: unknown[]) => this.#listInTurns(Reflect.apply(value, target, args))
        if (!calls.has(name)) return (...args: unknown[]) => Reflect.apply(value, target, args)
        return (...args: unknown[]) =>
          this.#turns.call(async () => {
            if (!isReconcile || !faultyCalls.has(name) || this.#turns.random() >= this.#faults) return call(args)
            const drawn = this.#turns.random()
            if (drawn < 0.3) throw failure()
            if (drawn < 0.7 && landsLater.has(name)) {
              this.#late.push(() => call(args).catch(swallowRefusal))
              // Some land in this round, between the calls of others.
              if (drawn < 0.5) void this.#turns.call(() => this.#landOne())
              throw failure()
            }
            await call(args)
            throw failure()
          })
      },
    })
  }

  async #landOne(): Promise<void> {
    await this.#late.shift()?.()
  }

  /** A listing is one call, a page of it: what changes afterwards is not in it. */
  async *#listInTurns(objects: AsyncIterable<unknown>): AsyncGenerator<unknown> {
    const page = await this.#turns.call(async () => {
      const all: unknown[] = []
      for await (const object of objects) all.push(object)
      return all
    })
    yield* page
  }

  #noteSeen(objects: unknown): void {
    const seen = z.array(z.looseObject({ key: z.string(), etag: z.string(), lastModified: z.date() })).parse(objects)
    for (const { key, etag, lastModified } of seen) {
      const name = `${key} ${etag} ${lastModified.getTime()}`
      this.#seen.set(name, [...(this.#seen.get(name) ?? []), this.#seconds])
    }
  }
}

function swallowRefusal(error: unknown): void {
  if (error instanceof Violation) throw error
}
