import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'

const assetSchema = z.looseObject({
  id: z.string(),
  state: z.string(),
  store: z.string(),
  sha256: z.string().nullable(),
  url: z.string().nullable(),
})
const ticketSchema = z.looseObject({
  asset: assetSchema,
  upload: z.looseObject({ url: z.string(), headers: z.record(z.string(), z.string()) }).nullable(),
})

/** What a client was told is stored. */
export type Kept = { readonly id: string; readonly sha256: string; readonly store: string; readonly phase: string }
export type Latency = { readonly phase: string; readonly kind: 'import' | 'upload'; readonly millis: number }

const gif = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64')
/** Milliseconds between the tries of a client, and after which it gives up. */
const pause = 200
const longest = 120_000

/** Clients that import and upload at a steady rate, whatever becomes of it, and note what they were told. */
export class Load {
  phase = ''
  readonly kept: Kept[] = []
  readonly latencies: Latency[] = []
  readonly refused: string[] = []
  /** Tries that failed, by phase. */
  readonly retries = new Map<string, number>()
  readonly #url: string
  readonly #headers: Readonly<Record<string, string>>
  readonly #underWay = new Set<Promise<void>>()
  #count = 0
  #running = true

  constructor(url: string, apiKey: string) {
    this.#url = url
    this.#headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }
  }

  /** So many a second, every fifth a direct upload. */
  async run(perSecond: number): Promise<void> {
    const started = performance.now()
    for (let n = 0; this.#running; n += 1) {
      await delay(Math.max(0, started + (n * 1000) / perSecond - performance.now()))
      const work = this.#intake(n % 5 === 4 ? 'upload' : 'import')
      this.#underWay.add(work)
      void work.finally(() => this.#underWay.delete(work))
    }
  }

  async end(): Promise<void> {
    this.#running = false
    await Promise.all(this.#underWay)
  }

  get begun(): number {
    return this.#count
  }

  async #intake(kind: Latency['kind']): Promise<void> {
    const { phase } = this
    this.#count += 1
    // One in ten is large enough for a spool file.
    const bytes = Buffer.concat([gif, randomBytes(this.#count % 10 === 0 ? 1_200_000 : 20_000)])
    const key = randomUUID()
    const started = performance.now()
    let last = 'nothing was answered'
    while (performance.now() - started < longest) {
      try {
        const asset = kind === 'import' ? await this.#import(bytes, key) : await this.#upload(bytes, key)
        if (asset?.state === 'stored') {
          const sha256 = createHash('sha256').update(bytes).digest('hex')
          this.kept.push({ id: asset.id, sha256, store: asset.store, phase })
          this.latencies.push({ phase, kind, millis: performance.now() - started })
          return
        }
      } catch (error) {
        last = error instanceof Error ? error.message : String(error)
      }
      this.retries.set(phase, (this.retries.get(phase) ?? 0) + 1)
      await delay(pause)
    }
    this.refused.push(`${kind} in '${phase}': ${last}`)
  }

  async #import(bytes: Buffer, key: string) {
    const source = { base64: bytes.toString('base64') }
    return assetSchema.parse(await this.#call('/v1/collections/generations/imports', { source }, key))
  }

  async #upload(bytes: Buffer, key: string) {
    const announced = { contentType: 'image/gif', size: bytes.length }
    const ticket = ticketSchema.parse(await this.#call('/v1/collections/generations/uploads', announced, key))
    if (ticket.upload === null) return ticket.asset
    const { url, headers } = ticket.upload
    const sent = await fetch(url, {
      method: 'PUT',
      headers,
      body: new Uint8Array(bytes),
      signal: AbortSignal.timeout(30_000),
    })
    await sent.arrayBuffer()
    // 412: an earlier try arrived.
    if (!sent.ok && sent.status !== 412) throw new Error(`The store answered ${sent.status} to an upload.`)
    return assetSchema.parse(await this.#call(`/v1/uploads/${ticket.asset.id}/complete`, {}))
  }

  async #call(path: string, body: object, key?: string): Promise<unknown> {
    const response = await fetch(this.#url + path, {
      method: 'POST',
      headers: { ...this.#headers, ...(key === undefined ? {} : { 'idempotency-key': key }) },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(60_000),
    })
    const answer: unknown = await response.json()
    if (!response.ok) throw new Error(`${response.status} ${JSON.stringify(answer)}`)
    return answer
  }
}
