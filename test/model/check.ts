import { z } from 'zod'
import type { Database } from '../../src/catalogue/index.ts'
import { type AssetState, assetStates, canTransition } from '../../src/media/index.ts'
import type { ObjectStore } from '../../src/stores/index.ts'

export class Violation extends Error {
  constructor(invariant: string, what: string) {
    super(`${invariant}: ${what}`)
    this.name = 'Violation'
  }
}

/** A row as it lies in the database, read past the code under test. */
export type RawAsset = {
  readonly id: string
  readonly state: AssetState
  readonly owner: string
  readonly key: string | null
  readonly store: 'primary' | 'local'
  readonly sha256: string | null
  readonly size: number | null
}

/** What clients were told and may rely on. */
export type Promised = {
  /** Acknowledged `stored` and nobody asked for its deletion: id -> hash. */
  readonly kept: ReadonlyMap<string, string>
  /** Their deletion was acknowledged. */
  readonly deleted: ReadonlySet<string>
}

/** What lies in the database at one moment. */
export type RawCatalogue = {
  readonly assets: readonly RawAsset[]
  readonly usage: readonly { readonly owner: string; readonly bytes: number }[]
  /** Oldest first. */
  readonly audit: readonly { readonly asset: string; readonly action: string }[]
}

const rawSchema = z.object({
  assets: z.array(
    z.object({
      id: z.string(),
      state: z.enum(assetStates),
      owner: z.string(),
      key: z.string().nullable(),
      store: z.enum(['primary', 'local']),
      sha256: z.string().nullable(),
      size: z.number().nullable(),
    }),
  ),
  usage: z.array(z.object({ owner: z.string(), bytes: z.number() })),
  audit: z.array(z.object({ asset: z.string(), action: z.string() })),
})

const rawText = `select json_build_object(
  'assets', (select coalesce(json_agg(json_build_object('id', id, 'state', state, 'owner', owner, 'key', key,
    'store', split_part(store, ':', 1), 'sha256', sha256, 'size', size)), '[]') from keepsake.assets),
  'usage', (select coalesce(json_agg(json_build_object('owner', owner, 'bytes', bytes)), '[]') from keepsake.usage),
  'audit', (select coalesce(json_agg(json_build_object('asset', asset, 'action', action) order by id), '[]')
    from keepsake.audit where action like 'asset.%')) as raw`

/** One statement, so that what it sees is one moment. */
export async function readCatalogue(database: Database): Promise<RawCatalogue> {
  const { rows } = await database.service.query(rawText)
  return rawSchema.parse(rows[0]?.raw)
}

/** The bucket and the local store, and every content that each of their keys ever had. */
export type Stores = {
  store(name: 'primary' | 'local'): ObjectStore
  readonly written: Readonly<Record<'primary' | 'local', ReadonlyMap<string, ReadonlySet<string>>>>
}

/** Holds after every step, whatever failed in it. */
export async function checkAlways(
  { assets: rows, usage, audit }: RawCatalogue,
  stores: Stores,
  promised: Promised,
  quota: number,
): Promise<void> {
  const byId = new Map(rows.map((row) => [row.id, row]))
  for (const [id, sha256] of promised.kept) {
    const row = byId.get(id)
    if (row?.state !== 'stored' || row.sha256 !== sha256) {
      throw new Violation('I1', `${id} was acknowledged and is ${row?.state ?? 'not there'} with hash ${row?.sha256}`)
    }
  }
  for (const row of rows) {
    if (row.state !== 'stored' || row.key === null) continue
    const head = await stores.store(row.store).head(row.key)
    if (head === undefined)
      throw new Violation('I2', `${row.id} is stored in ${row.store}, without object at ${row.key}`)
    const [content] = stores.written[row.store].get(row.key) ?? []
    if (content !== row.sha256) throw new Violation('I1', `${row.id} says ${row.sha256} and its object is ${content}`)
  }
  for (const id of promised.deleted) {
    const state = byId.get(id)?.state
    if (state !== undefined) throw new Violation('I4', `the deletion of ${id} was acknowledged and it is ${state}`)
  }
  for (const [key, contents] of [...stores.written.primary, ...stores.written.local]) {
    if (contents.size > 1) throw new Violation('I6', `${key} had ${contents.size} contents`)
  }
  const keys = rows.flatMap(({ key }) => (key === null ? [] : [key]))
  if (new Set(keys).size !== keys.length) throw new Violation('I6', 'two rows share a key')
  for (const { owner, bytes } of usage) {
    if (bytes > quota) throw new Violation('I7', `${owner} uses ${bytes} of ${quota} bytes`)
    const stored = rows.filter((row) => row.owner === owner && row.state === 'stored')
    const size = stored.reduce((sum, row) => sum + (row.size ?? 0), 0)
    if (size > bytes) throw new Violation('I7', `${owner} stores ${size} bytes and ${bytes} are counted`)
  }
  checkAudit(byId, audit)
}

/** I8: the audit tells every row's life, transition by transition, and ends where the row is. */
function checkAudit(rows: ReadonlyMap<string, RawAsset>, audit: RawCatalogue['audit']): void {
  const states = new Map<string, AssetState | 'purged'>()
  const after: Readonly<Record<string, AssetState | 'purged'>> = {
    'asset.reserved': 'pending',
    'asset.stored': 'stored',
    'asset.failed': 'failed',
    'asset.reopened': 'pending',
    'asset.deleting': 'deleting',
    'asset.purged': 'purged',
  }
  for (const { asset: id, action } of audit) {
    const next = after[action]
    const before = states.get(id)
    if (next === undefined) continue
    const allowed = before === undefined ? next === 'pending' : before !== 'purged' && canTransition(before, next)
    if (!allowed) throw new Violation('I8', `the audit of ${id} goes from ${before} to ${next}`)
    states.set(id, next)
  }
  for (const [id, state] of states) {
    const row = rows.get(id)?.state ?? 'purged'
    if (row !== state) throw new Violation('I8', `the audit of ${id} ends with ${state} and the row is ${row}`)
  }
  for (const id of rows.keys()) {
    if (!states.has(id)) throw new Violation('I8', `${id} has no audit row`)
  }
}

/** Holds once everything had the time to recover. */
export async function checkRecovered(rows: readonly RawAsset[], stores: Stores, promised: Promised): Promise<void> {
  const stuck = rows.find(({ state }) => state === 'pending' || state === 'deleting')
  if (stuck) throw new Violation('I3', `${stuck.id} is still ${stuck.state}`)
  const left = rows.find(({ store }) => store === 'local')
  if (left) throw new Violation('I3', `${left.id} is still in the local store`)
  for (const name of ['primary', 'local'] as const) {
    const objects = new Set<string>()
    for await (const { key } of stores.store(name).list()) objects.add(key)
    const own = rows.filter(({ state, store }) => state === 'stored' && store === name)
    const keys = new Set(own.flatMap(({ key }) => (key === null ? [] : [key])))
    for (const key of objects) if (!keys.has(key)) throw new Violation('I3', `the object ${key} in ${name} is nobody's`)
    for (const key of keys) if (!objects.has(key)) throw new Violation('I3', `the object ${key} in ${name} is missing`)
  }
  for (const id of promised.deleted) {
    if (rows.some((row) => row.id === id)) throw new Violation('I4', `${id} was deleted and is still there`)
  }
}
