import { hash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Catalogue, createCatalogue, type Database } from '../../../catalogue/index.ts'
import { newAssetId, parseCollection } from '../../../media/index.ts'
import { createMemoryStore, type ObjectStore } from '../../../stores/index.ts'
import type { ApplyOptions } from '../apply.ts'
import { type Finding, parseFinding } from '../finding.ts'
import type { ReconcileParts, RecoverySource } from '../parts.ts'
import { createReconcile, type Reconcile } from '../reconcile.ts'
import type { ScanOptions } from '../scan.ts'

const day = 86_400

/** A catalogue and a bucket whose clocks are moved together, with ways to put into one, the other, or both. */
export class Fixture {
  readonly catalogue: Catalogue
  readonly store: ObjectStore
  readonly reconcile: Reconcile
  readonly parts: ReconcileParts
  readonly database: Database
  readonly #dir: string
  #seconds = 0

  private constructor(database: Database, dir: string, options: FixtureOptions) {
    this.database = database
    this.#dir = dir
    const now = () => Date.now() + this.#seconds * 1000
    const bucket = options.store ?? createMemoryStore({ now, name: `memory://${newAssetId()}` })
    this.catalogue = options.wrapCatalogue?.(createCatalogue(database)) ?? createCatalogue(database)
    this.store = options.wrapStore?.(bucket) ?? bucket
    const collections = new Map([['small', parseCollection('small', { key: 'media/{owner}/{id}.{ext}' })]])
    this.parts = {
      catalogue: this.catalogue,
      store: this.store,
      collections,
      spoolDir: dir,
      recoverySources: options.recoverySources ?? [],
    }
    this.reconcile = createReconcile(this.parts)
  }

  /** Empties the catalogue: the database is shared by the tests of a file. */
  static async open(database: Database, options: FixtureOptions = {}): Promise<Fixture> {
    await database.service.query(
      "delete from keepsake.assets; delete from keepsake.scans; delete from keepsake.sightings; delete from keepsake.quarantine; delete from keepsake.retired_keys; delete from keepsake.usage; delete from keepsake.idempotency_keys; select set_config('keepsake.clock_offset', '0', false)",
    )
    return new Fixture(database, await mkdtemp(join(tmpdir(), 'keepsake-reconcile-')), options)
  }

  async close(): Promise<void> {
    await rm(this.#dir, { recursive: true, force: true })
  }

  /** Moves both clocks. */
  async pass(seconds: number): Promise<void> {
    this.#seconds += seconds
    await this.database.service.query("select set_config('keepsake.clock_offset', $1, false)", [
      `${this.#seconds} seconds`,
    ])
  }

  /** A stored asset with its object. */
  async keep(key: string, text = key): Promise<string> {
    const id = await this.row(key, text)
    await this.object(key, text, id)
    return id
  }

  /** A stored asset, without its object. */
  async row(key: string, text = key): Promise<string> {
    const id = newAssetId()
    const actor = { role: 'service' } as const
    const reservation = {
      id,
      collection: 'small',
      owner: 'ada',
      attributes: {},
      provenance: {},
      filename: null,
      sourceUrl: null,
      sourceExpiresAt: null,
      lease: 30,
      reservedBytes: 0,
      quota: null,
      idempotency: null,
    }
    await this.catalogue.reserve(reservation, actor)
    const content = { key, store: 'primary', kind: 'image', contentType: 'image/gif', lease: 30, quota: null } as const
    await this.catalogue.assignKey(id, 1, content)
    const facts = { size: Buffer.byteLength(text), sha256: hash('sha256', text, 'hex') }
    await this.catalogue.confirm(id, 1, { ...facts, width: null, height: null, duration: null, keep: null }, actor)
    return id
  }

  /** An object as Keepsake writes them, without a row, of an asset that the catalogue had once. */
  async object(key: string, text = key, asset = newAssetId()): Promise<void> {
    await this.database.service.query(
      "insert into keepsake.audit (action, asset, owner, collection, actor) values ('asset.reserved', $1, 'ada', 'small', 'system')",
      [asset],
    )
    await this.unheardOf(key, text, asset)
  }

  /** The same, of an asset that the catalogue never had. */
  async unheardOf(key: string, text = key, asset = newAssetId()): Promise<void> {
    const sha256 = hash('sha256', text, 'hex')
    const metadata = { asset, owner: 'ada', collection: 'small', sha256, created: new Date().toISOString() }
    const body = Buffer.from(text)
    await this.store.put({ key, body, size: body.length, sha256, contentType: 'image/gif', metadata })
  }

  /** An object that somebody else put there. */
  async stranger(key: string, text = key): Promise<void> {
    const body = Buffer.from(text)
    const sha256 = hash('sha256', body, 'hex')
    await this.store.put({ key, body, size: body.length, sha256, contentType: 'text/plain' })
  }

  async read(key: string): Promise<string | undefined> {
    if ((await this.store.head(key)) === undefined) return undefined
    let text = ''
    for await (const chunk of (await this.store.get(key)).body) text += Buffer.from(chunk).toString()
    return text
  }

  async keys(): Promise<string[]> {
    const keys: string[] = []
    for await (const { key } of this.store.list()) if (!key.startsWith('.keepsake/')) keys.push(key)
    return keys
  }

  /** Scans, and gives the manifest's lines. */
  async scan(options?: ScanOptions): Promise<string[]> {
    const { scan } = await this.reconcile.scan(options)
    return this.manifest(scan.id)
  }

  async manifest(scan: string): Promise<string[]> {
    return collect(this.reconcile.manifest(scan))
  }

  /** A scan, a day, and another scan: what is an orphan in both may be moved. */
  async scanTwice(): Promise<string[]> {
    await this.scan()
    await this.pass(day + 1)
    return this.scan()
  }

  apply(lines: readonly string[], options: ApplyOptions = {}) {
    return this.reconcile.apply(toStream(lines), { maxShare: 1, ...options })
  }
}

export type FixtureOptions = {
  readonly store?: ObjectStore
  readonly wrapStore?: (store: ObjectStore) => ObjectStore
  readonly wrapCatalogue?: (catalogue: Catalogue) => Catalogue
  readonly recoverySources?: readonly RecoverySource[]
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

export async function* toStream(lines: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const line of lines) yield Buffer.from(`${line}\n`)
}

/** The findings of a manifest, each as `kind key`. */
export function found(lines: readonly string[]): string[] {
  return findings(lines).map(({ kind, key }) => `${kind} ${key}`)
}

export function findings(lines: readonly string[]): Finding[] {
  return lines.slice(1).flatMap((line) => parseFinding(line) ?? [])
}

/** Fails the n-th call of the given methods, before or after it took effect. */
export function failingAt<T extends object>(
  port: T,
  plan: { readonly calls: () => number; readonly at: number; readonly after: boolean },
  error: () => Error,
): T {
  return new Proxy(port, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        const result = () => Reflect.apply(value, target, args)
        if (name === 'list' || name === 'listMultipart' || name === 'signGet') return result()
        const isIt = plan.calls() === plan.at
        if (!isIt) return result()
        return plan.after ? Promise.resolve(result()).then(() => Promise.reject(error())) : Promise.reject(error())
      }
    },
  })
}
