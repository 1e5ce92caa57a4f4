import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { type Picture, pictureBytes, pictureHash } from '../support/picture.ts'
import type { Answered, AssetAnswer, Client, ImportBody, Outcome } from './client.ts'
import type { Ledger, Order } from './ledger.ts'
import { type SourceKind, type Sources, sourceKinds } from './sources.ts'

export type LoadParts = {
  readonly client: Client
  readonly sources: Sources
  readonly ledger: Ledger
  readonly random: () => number
}

const workers = 8
const small = { least: 300, most: 40_000 }
const big = 5 * 1024 * 1024
/** Answers that say "not now". */
const passing = new Set(['stopping', 'catalogue_unavailable', 'store_unavailable', 'timeout'])
/** Milliseconds after which a worker goes on with something else, while an operation that was broken off is repeated. */
const impatience = 1000
/** Operations that are under way at the same time, at most. */
const mostOpen = 20

/** A steady mixed load: imports of every kind, deletes, lists. Each operation goes on until it has an answer. */
export class Load {
  readonly #parts: LoadParts
  readonly #work: Promise<unknown>
  readonly #open = new Set<Promise<void>>()
  #ending = false
  #deadline = Number.POSITIVE_INFINITY

  constructor(parts: LoadParts) {
    this.#parts = parts
    this.#work = Promise.all(Array.from({ length: workers }, () => this.#run()))
    // Whoever ends the load gets the failure.
    this.#work.catch(() => undefined)
  }

  /** Begins nothing new and waits until what was begun has its answer, at most so many seconds. */
  async end(seconds: number): Promise<void> {
    this.#ending = true
    this.#deadline = performance.now() + seconds * 1000
    await this.#work
    await Promise.all(this.#open)
  }

  async #run(): Promise<void> {
    const { random } = this.#parts
    while (!this.#ending) {
      const dice = random()
      const work =
        dice < 0.7 ? this.#import() : dice < 0.85 ? this.#delete() : dice < 0.93 ? this.#list() : this.#readDeleted()
      this.#open.add(work)
      const ended = work.then(() => this.#open.delete(work))
      await (this.#open.size < mostOpen ? Promise.race([ended, delay(impatience)]) : ended)
      await delay(random() * 30)
    }
  }

  async #import(): Promise<void> {
    const { client, ledger, random } = this.#parts
    const { order, body } = this.#order()
    ledger.orders.set(order.key, order)
    const doubled = random() < 0.05
    const impatient = random() < 0.04
    const send = async () => {
      const outcome = await this.#untilAnswered((tries) => {
        const signal = impatient && tries === 0 ? AbortSignal.timeout(Math.floor(random() * 100)) : undefined
        return client.import(body, order.key, signal)
      })
      if (outcome !== undefined) this.#conclude(order, outcome)
    }
    await Promise.all(doubled ? [send(), send()] : [send()])
  }

  #order(): { order: Order; body: ImportBody } {
    const { sources, random } = this.#parts
    const size = random() < 0.04 ? big : Math.floor(small.least + random() * (small.most - small.least))
    const picture: Picture = { id: randomUUID(), size }
    const key = randomUUID()
    const owner = `owner-${Math.floor(random() * 4)}`
    const attributes = { wallet: `0x${'ab'.repeat(20)}`, agent: 'kill', model: 'noise-1' }
    const facts = { key, sha256: pictureHash(picture), size }
    // The key stands in the row too, so that two assets for one key are seen whatever the catalogue says of keys.
    const rest = { owner, attributes, provenance: { requestId: key } }
    if (random() < 0.35) {
      const base64 = pictureBytes(picture).toString('base64')
      return { order: { ...facts, by: 'base64', alive: true }, body: { source: { base64 }, ...rest } }
    }
    const kind: SourceKind =
      random() < 0.5 ? 'good' : (sourceKinds[Math.floor(random() * sourceKinds.length)] ?? 'good')
    const body = { source: { url: sources.url(kind, picture) }, ...rest }
    return { order: { ...facts, by: 'url', alive: kind !== 'gone' }, body }
  }

  #conclude(order: Order, outcome: Answered<AssetAnswer>): void {
    const { ledger } = this.#parts
    if (outcome.kind === 'answer') {
      if (outcome.value.state === 'stored') ledger.stored(order, outcome.value)
      else ledger.pending(order, outcome.value)
      return
    }
    const { status, code, detail } = outcome
    // The second answer of a doubled request, after somebody deleted the asset.
    if (code === 'asset_gone' && ledger.assetOf(order.key) !== undefined) return
    if (code === 'source_gone' && order.by === 'url' && !order.alive) ledger.counts.refused += 1
    else ledger.violations.push(`an import by ${order.by} was answered ${status} ${code}: ${detail}`)
  }

  async #delete(): Promise<void> {
    const { client, ledger, random } = this.#parts
    const id = ledger.beginDelete(random)
    if (id === undefined) return
    let tries = 0
    const outcome = await this.#untilAnswered((before) => {
      tries = before + 1
      return client.delete(id)
    })
    if (outcome === undefined) return
    // Gone already is what a delete says that is sent again after its first answer was lost.
    if (outcome.kind === 'answer' || (outcome.code === 'asset_not_found' && tries > 1)) ledger.finishDelete(id)
    else ledger.violations.push(`the delete of ${id} was answered ${outcome.status} ${outcome.code}: ${outcome.detail}`)
  }

  async #list(): Promise<void> {
    const { client, ledger, random } = this.#parts
    const before = new Set(ledger.deleted)
    const outcome = await client.list({ limit: '50', owner: `owner-${Math.floor(random() * 4)}` })
    if (outcome.kind === 'broken' || outcome.kind === 'refused') return
    if (outcome.kind === 'problem') {
      if (!passing.has(outcome.code)) ledger.violations.push(`a list was answered ${outcome.code}: ${outcome.detail}`)
      return
    }
    ledger.counts.lists += 1
    for (const { id } of outcome.value.assets) {
      if (before.has(id)) ledger.violations.push(`${id} was deleted, and was listed afterwards`)
    }
  }

  async #readDeleted(): Promise<void> {
    const { client, ledger, random } = this.#parts
    const deleted = [...ledger.deleted]
    const id = deleted[Math.floor(random() * deleted.length)]
    if (id === undefined) return
    const outcome = await client.get(id)
    if (outcome.kind === 'answer') ledger.violations.push(`${id} was deleted, and was read afterwards`)
  }

  /** Sends again, as a client does whose connection broke, until there is an answer; undefined when time is over. */
  async #untilAnswered<T>(send: (tries: number) => Promise<Outcome<T>>): Promise<Answered<T> | undefined> {
    const { ledger, random } = this.#parts
    for (let tries = 0; performance.now() < this.#deadline; ) {
      const outcome = await send(tries)
      if (outcome.kind === 'answer') return outcome
      if (outcome.kind === 'problem' && !passing.has(outcome.code)) return outcome
      // Nobody was there to hear it: that was no try.
      if (outcome.kind !== 'refused') {
        tries += 1
        ledger.counts.retries += 1
      }
      await delay(50 + random() * 100)
    }
    ledger.violations.push('an operation never got an answer')
    return undefined
  }
}
