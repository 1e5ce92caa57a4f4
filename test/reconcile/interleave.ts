import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import type { Database } from '../../src/catalogue/index.ts'
import type { Clock } from '../../src/clock.ts'
import type { JobHandlers, Jobs } from '../../src/jobs/index.ts'
import { silentLogger } from '../../src/logger.ts'
import type { ObjectStore } from '../../src/stores/index.ts'
import type { Keepsake } from '../../src/verbs.ts'
import { type Act, type Interleaving, owners } from './acts.ts'
import { Ports, swallowRefusal } from './ports.ts'
import { apart, minAge, type ObjectContent, Promises, quarantinePrefix } from './promises.ts'
import type { Subject } from './subject.ts'
import { Turns } from './turns.ts'
import { Waits } from './waits.ts'

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

class World {
  readonly tally: Tally = { quarantined: 0, restored: 0, takenInTime: 0, refused: 0 }
  readonly #subject: Subject
  readonly #database: Database
  readonly #turns: Turns
  readonly #bucket: ObjectStore
  readonly #ports: Ports
  readonly #manifests: string[][] = []
  readonly #known: { readonly id: string; readonly owner: string }[] = []
  /** What lies, or lay, under the keys of objects without a row. */
  readonly #contentOf = new Map<string, ObjectContent>()
  readonly #promises: Promises
  readonly #waits = new Waits()
  #keepsake!: Keepsake
  #reconcile!: Keepsake['reconcile']
  #handlers: JobHandlers | undefined
  #contents = 0

  constructor(subject: Subject, database: Database, { seed, faults }: Interleaving) {
    this.#subject = subject
    this.#database = database
    this.#turns = new Turns(seed)
    this.#bucket = subject.createMemoryStore({ now: () => Date.now() + this.#promises.seconds * 1000 })
    this.#promises = new Promises(database, this.#bucket)
    this.#ports = new Ports(subject, this.#turns, faults, this.#promises, this.#waits)
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
      catalogue: this.#ports.inTurns(catalogue, false),
      store: this.#ports.inTurns(this.#bucket, false),
      location: { bucket: 'memory', region: 'us-east-1', endpoint: null, embedded: false },
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
      recoverySources: [],
      catalogue: this.#ports.inTurns(catalogue, true),
      store: this.#ports.inTurns(this.#bucket, true),
    })
  }

  async pass(seconds: number): Promise<void> {
    // No request is under way for longer than the watch over an unsure removal.
    if (seconds > 600) await this.#ports.landAll()
    if (seconds === 0) return
    this.#promises.seconds += seconds
    await this.#database.service.query("select set_config('keepsake.clock_offset', $1, false)", [
      `${this.#promises.seconds} seconds`,
    ])
  }

  check(): Promise<void> {
    return this.#promises.check()
  }

  landAll(): Promise<void> {
    return this.#ports.landAll()
  }

  async act(act: Act): Promise<void> {
    const isReconcile = act.do === 'scan' || act.do === 'apply' || act.do === 'restore'
    if (isReconcile) this.#waits.begin()
    const outcome = await this.#try(act).catch((error: unknown) => error)
    if (isReconcile) this.#waits.end()
    else this.#waits.wake()
    if (this.#promises.violation) throw this.#promises.violation
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
        for (const { id, key } of await this.#promises.rows()) {
          if (id === target.id && key !== null) this.#promises.given.set(key, this.#content(id, target.owner))
        }
        await this.#keepsake.as({ role: 'user', owner: target.owner }).delete(target.id)
        return
      }
      case 'sweep':
        return this.#handlers?.sweep(new AbortController().signal)
      case 'plant':
        return this.#plant(owners[act.owner] ?? owners[0])
      case 'lose': {
        const target = this.#pick(await this.#promises.rows(), act.pick)
        if (target?.state !== 'stored' || target.key === null) return
        this.#promises.rowless.add(target.key)
        await this.#turns.call(() =>
          this.#database.service.query('delete from keepsake.assets where id = $1', [target.id]),
        )
        return
      }
      case 'late':
        await this.#waits.idle(act.wait)
        return this.#landLate(act.pick)
      case 'adopt': {
        const moved = await this.#waits.idle(act.wait)
        return this.#adopt(moved ?? (await this.#pickRowless(act.pick)))
      }
      case 'take': {
        const moved = await this.#waits.idle(act.wait)
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
        return this.#promises.checkManifest(lines, act.prefix ? 'a/' : '')
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
    // The catalogue had it once: of what it never heard, it moves nothing by itself.
    await this.#database.service.query(
      "insert into keepsake.audit (action, asset, owner, collection, actor) values ('asset.reserved', $1, $2, 'small', 'system')",
      [id, owner],
    )
    await this.#put(key, this.#content(id, owner))
    this.#promises.rowless.add(key)
  }

  async #landLate(pick: number): Promise<void> {
    const target = this.#pick([...this.#promises.given], pick)
    if (target === undefined) return
    const [key, content] = target
    await this.#put(key, content)
    await this.#promises.noteForgotten()
  }

  async #put(key: string, content: ObjectContent): Promise<void> {
    this.#contentOf.set(key, content)
    // An answer that came late is nobody's business here, and nothing is ever overwritten.
    await this.#turns.call(() => this.#bucket.put({ key, ...content }).then(() => {}, swallowRefusal))
  }

  async #pickRowless(pick: number): Promise<string | undefined> {
    const there: string[] = []
    for (const key of this.#promises.rowless) if ((await this.#bucket.head(key)) !== undefined) there.push(key)
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
      where not exists (select from keepsake.retired_keys where key = $3::text)
        -- What was deleted is not brought back, as by a rebuild: a sweep may be about to remove what landed late.
        and not ($6 = 'stored' and exists (select from keepsake.audit where asset = $1::uuid
          and action in ('asset.deleting', 'asset.purged')))
      on conflict do nothing`
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

  #pick<T>(from: readonly T[], n: number): T | undefined {
    return from[n % Math.max(1, from.length)]
  }
}
