import type { Database } from '../../src/catalogue/index.ts'
import type { Asset } from '../../src/media/index.ts'
import type { UploadTicket } from '../../src/verbs.ts'
import { checkAlways, checkRecovered, readCatalogue, Violation } from './check.ts'
import { others } from './faults.ts'
import { type Act, contents, owners, type Step } from './steps.ts'
import type { Subject } from './subject.ts'
import { contentOf, hashOf, linkLife, quota, World } from './world.ts'

/** Runs one sequence against the real code and throws a {@link Violation} where an invariant does not hold. */
export async function runSequence(subject: Subject, database: Database, steps: readonly Step[]): Promise<void> {
  await database.service.query(
    "delete from keepsake.assets; delete from keepsake.audit; delete from keepsake.idempotency_keys; delete from keepsake.retired_keys; delete from keepsake.usage; select set_config('keepsake.clock_offset', '0', false)",
  )
  const run = new Run(
    subject,
    database,
    steps.some(({ at }) => at === 'outage'),
  )
  await run.world.start()
  for (const step of steps) await run.step(step)
  await run.recover()
}

/** What a client holds that was given a ticket. */
type Ticket = {
  readonly id: string
  readonly owner: string
  readonly key: string
  readonly store: 'primary' | 'local'
  readonly content: number
  readonly inParts: boolean
  /** When its links end, on the moved clock. */
  readonly until: number
}

class Run {
  readonly world: World
  readonly #subject: Subject
  readonly #database: Database
  /** Ids that a client heard of, in order. */
  readonly #known: { id: string; owner: string; key: string | null; stores: Set<'primary' | 'local'> }[] = []
  readonly #kept = new Map<string, string>()
  readonly #deleted = new Set<string>()
  /** Somebody asked for their deletion, whatever came of it. */
  readonly #unwanted = new Set<string>()
  readonly #tickets: Ticket[] = []
  readonly #keyed = new Map<string, string>()
  readonly #requests = new Map<string, string>()

  constructor(subject: Subject, database: Database, fallsBack: boolean) {
    this.#subject = subject
    this.#database = database
    this.world = new World(subject, database, fallsBack)
  }

  async step(step: Step): Promise<void> {
    const { world } = this
    switch (step.at) {
      case 'acts':
        world.faults.set(step.faults)
        await Promise.all(step.acts.map((act) => this.#act(act)))
        world.faults.set([])
        if (world.mortal.killed) await world.start()
        break
      case 'restart':
        await world.start()
        break
      case 'land':
        await world.late.land()
        break
      case 'jump':
        await world.jump(step.seconds)
        break
      case 'source':
        world.mood = step.mood
        break
      case 'outage':
        world.down = step.down
        // The circuit's next probe.
        await others(3)
        break
    }
    await this.#checkAlways()
  }

  /** Faults end, what was late lands, time passes, and the regular sweep runs. */
  async recover(): Promise<void> {
    const { world } = this
    world.faults.set([])
    world.mood = 'well'
    world.down = false
    await world.late.land()
    for (let round = 0; round < 3; round += 1) {
      await world.sweep()
      await world.jump(61)
      await world.sweep()
      await world.jump(700)
      await world.sweep()
      await world.jump(7200)
    }
    await this.#checkAlways()
    const { assets } = await readCatalogue(this.#database)
    await checkRecovered(assets, world, this.#promised())
    await this.#checkReplays()
  }

  async #act(act: Act): Promise<void> {
    const { mortal } = this.world
    const outcome = await mortal.run(this.#try(act)).catch((error: unknown) => error)
    if (outcome instanceof Violation) throw outcome
    if (outcome instanceof Error && !this.#subject.KeepsakeError.is(outcome)) throw outcome
    if (this.#subject.KeepsakeError.is(outcome, 'internal')) throw outcome.cause
  }

  async #try(act: Act): Promise<void> {
    const { keepsake, mortal } = this.world
    switch (act.do) {
      case 'import':
        return this.#import(act)
      case 'ticket':
        return this.#ticket(act)
      case 'send': {
        const ticket = this.#tickets[act.pick % Math.max(1, this.#tickets.length)]
        if (ticket !== undefined && this.world.elapsed < ticket.until) await this.#send(ticket, act.wrong)
        return
      }
      case 'complete': {
        const ticket = this.#tickets[act.pick % Math.max(1, this.#tickets.length)]
        if (ticket === undefined) return
        const asset = await keepsake.as({ role: 'user', owner: ticket.owner }).completeUpload(ticket.id)
        if (asset.state !== 'stored') return
        const { sha256 } = asset
        if (sha256 === null || sha256 !== hashOf(contentOf(ticket.content))) {
          throw new Violation('I1', `${asset.id} was completed with a content that is not its ticket's`)
        }
        if (!this.#unwanted.has(ticket.id)) this.#kept.set(ticket.id, sha256)
        return
      }
      case 'abort': {
        const ticket = this.#tickets[act.pick % Math.max(1, this.#tickets.length)]
        if (ticket === undefined) return
        const known = this.#kept.get(ticket.id)
        await keepsake.as({ role: 'user', owner: ticket.owner }).abortUpload(ticket.id)
        if (known !== undefined && this.#kept.has(ticket.id)) {
          throw new Violation('I1', `${ticket.id} was acknowledged, and an abort of it was acknowledged too`)
        }
        return
      }
      case 'delete': {
        const target = this.#known[act.pick % Math.max(1, this.#known.length)]
        if (target === undefined) return
        // From the moment of asking, nobody is promised the asset any more.
        this.#kept.delete(target.id)
        this.#unwanted.add(target.id)
        const { done } = await keepsake.as({ role: 'user', owner: target.owner }).delete(target.id)
        if (!done) return
        this.#deleted.add(target.id)
        // Whoever still has a link to it finds nothing, from now on.
        for (const store of target.stores) {
          if (target.key === null || (await this.world.store(store).head(target.key)) === undefined) continue
          throw new Violation('I4', `the deletion of ${target.id} was acknowledged, and ${target.key} is in ${store}`)
        }
        return
      }
      case 'read': {
        const target = this.#known[act.pick % Math.max(1, this.#known.length)]
        if (target === undefined) return
        const owner = owners[act.owner] ?? owners[0]
        const deletedBefore = this.#deleted.has(target.id)
        const asset = await keepsake.as({ role: 'user', owner }).get(target.id)
        if (owner !== target.owner) throw new Violation('tenancy', `${owner} read an asset of ${target.owner}`)
        if (deletedBefore) throw new Violation('I4', `${asset.id} was read after its deletion was acknowledged`)
        if (asset.state === 'stored') target.stores.add(asset.store)
        return
      }
      case 'sweep':
        return this.world.sweep()
      case 'promote':
        await keepsake.promote()
        return
      case 'look': {
        const ticket = this.#tickets[act.pick % Math.max(1, this.#tickets.length)]
        if (ticket === undefined) return
        const { asset, upload } = await keepsake.as({ role: 'user', owner: ticket.owner }).uploadStatus(ticket.id)
        this.#given(asset, upload, ticket.content)
        return
      }
      case 'overtake':
        await others(act.after)
        await this.world.jump(31)
        // Its process may be dead by now, and another one may be up: that one's sweep is not this act's.
        if (!mortal.killed) await this.world.sweep()
        return
    }
  }

  async #ticket(act: Extract<Act, { do: 'ticket' }>): Promise<void> {
    const owner = owners[act.owner] ?? owners[0]
    const bytes = contentOf(act.content)
    const slot = `${owner}/${act.idempotency}`
    const { asset, upload } = await this.world.keepsake.as({ role: 'user', owner }).upload('small', {
      contentType: 'image/gif',
      size: bytes.length,
      ...(act.hashed ? { sha256: hashOf(bytes) } : {}),
      ...(act.idempotency === null ? {} : { idempotencyKey: `key-${act.idempotency}` }),
    })
    this.#heard(asset, [hashOf(bytes)])
    this.#given(asset, upload, act.content)
    if (act.idempotency !== null) this.#used(slot, asset.id, `ticket:${act.content}:${act.hashed}`)
  }

  #given({ id, owner, key, store }: Asset, upload: UploadTicket | null, content: number): void {
    if (key === null || upload === null) return
    const until = this.world.elapsed + linkLife
    this.world.tickets.add(key)
    this.#tickets.unshift({ id, owner, key, store, content, inParts: upload.strategy === 'multipart', until })
  }

  /** What the client does at the bucket: create-only, of the size that is signed; past Keepsake, and at any time. */
  async #send({ id, owner, key, store, content, inParts }: Ticket, wrong: boolean): Promise<void> {
    const { KeepsakeError } = this.#subject
    const right = contentOf(content)
    const body = wrong ? Buffer.alloc(right.length, '<html>') : right
    const facts = { body, size: body.length, sha256: hashOf(body) }
    if (store === 'primary' && this.world.down) return
    const bucket = this.world.store(store)
    try {
      if (!inParts) {
        await bucket.put({ key, ...facts, contentType: 'image/gif', metadata: { asset: id, owner } })
        return
      }
      for await (const { key: found, uploadId } of bucket.listMultipart({ prefix: key })) {
        if (found === key) await bucket.putPart({ key, uploadId }, { partNumber: 1, ...facts })
      }
    } catch (error) {
      if (!KeepsakeError.is(error, 'object_exists', 'object_missing')) throw error
    }
  }

  async #import(act: Extract<Act, { do: 'import' }>): Promise<void> {
    const owner = owners[act.owner] ?? owners[0]
    const bytes = contentOf(act.content)
    const source = act.source === 'bytes' ? { bytes } : { url: `https://source.test/${act.content}` }
    const request = `${act.source}:${act.content}`
    const slot = `${owner}/${act.idempotency}`
    const idempotency = act.idempotency === null ? {} : { idempotencyKey: `key-${act.idempotency}` }
    const asset = await this.world.keepsake
      .import('small', { source, owner, ...idempotency })
      .catch((error: unknown) => {
        // A failure that names its asset says whose the key is, too.
        const id = this.#subject.KeepsakeError.is(error) ? error.details.asset : undefined
        if (act.idempotency !== null && typeof id === 'string') this.#used(slot, id, request)
        throw error
      })
    this.#heard(asset, [hashOf(bytes), hashOf(contentOf(act.content + contents))])
    if (act.idempotency !== null) this.#used(slot, asset.id, request)
  }

  /** A key is for one request and one asset, whatever became of it. */
  #used(slot: string, id: string, request: string): void {
    const known = this.#keyed.get(slot)
    if (known !== undefined && known !== id) throw new Violation('I5', `${slot} gave ${known}, then ${id}`)
    const before = this.#requests.get(slot)
    if (before !== undefined && before !== request) throw new Violation('I5', `${slot} took ${before} and ${request}`)
    this.#keyed.set(slot, id)
    this.#requests.set(slot, request)
  }

  #heard(asset: Asset, hashes: readonly string[]): void {
    const first = !this.#known.some(({ id }) => id === asset.id)
    if (first) {
      const key = asset.state === 'stored' ? asset.key : null
      this.#known.push({ id: asset.id, owner: asset.owner, key, stores: new Set() })
    }
    if (asset.state !== 'stored') return
    // A link was given.
    const known = this.#known.find(({ id }) => id === asset.id)
    known?.stores.add(asset.store)
    const { sha256 } = asset
    if (sha256 === null || !hashes.includes(sha256)) {
      throw new Violation('I1', `${asset.id} was acknowledged with a hash that is not its content's`)
    }
    // A replay of what somebody meanwhile asked to delete promises nothing.
    if (first) this.#kept.set(asset.id, sha256)
  }

  /** I5 to the end: a different request under a key that was used is a conflict, the same one is never a second asset. */
  async #checkReplays(): Promise<void> {
    for (const [slot, id] of this.#keyed) {
      const [owner = '', n = ''] = slot.split('/')
      const source = { bytes: Buffer.concat([contentOf(0), Buffer.from('another')]) }
      const outcome = await this.world.keepsake.import('small', { source, owner, idempotencyKey: `key-${n}` }).then(
        (asset) => asset.id,
        (error: unknown) => error,
      )
      if (!this.#subject.KeepsakeError.is(outcome, 'idempotency_conflict')) {
        throw new Violation('I5', `${slot} belongs to ${id} and another request under it gave ${String(outcome)}`)
      }
    }
  }

  async #checkAlways(): Promise<void> {
    await this.world.late.quiet()
    await checkAlways(await readCatalogue(this.#database), this.world, this.#promised(), quota)
  }

  #promised() {
    return { kept: this.#kept, deleted: this.#deleted }
  }
}
