import { createHash, randomUUID } from 'node:crypto'
import { reservation } from '../../../test/support/databases.ts'
import type { Actor, Catalogue, Reservation } from '../../catalogue/index.ts'
import type { AssetRecord, StorePlace } from '../../media/index.ts'
import type { ObjectStore } from '../../stores/index.ts'

const service: Actor = { role: 'service' }

export type StoredAssetOptions = Partial<Reservation> & {
  /** What the collection says of retention, in seconds. */
  readonly collectionKeep?: number | null
  readonly content?: string
  /** Where it is. Default: primary. */
  readonly place?: StorePlace
}

/** An asset with its object, on the way that an import goes. */
export async function storedAsset(
  catalogue: Catalogue,
  store: ObjectStore,
  { collectionKeep = null, content = `content ${randomUUID()}`, place = 'primary', ...given }: StoredAssetOptions = {},
): Promise<AssetRecord & { readonly key: string }> {
  const { asset } = await catalogue.reserve(reservation(given), service)
  const body = Buffer.from(content)
  const sha256 = createHash('sha256').update(body).digest('hex')
  const key = `k/${asset.id}.png`
  const keyed = { key, store: place, kind: 'image', contentType: 'image/png', lease: 30, quota: null } as const
  await catalogue.assignKey(asset.id, asset.attempt, keyed)
  const metadata = { asset: asset.id, sha256 }
  await store.put({ key, body, size: body.length, sha256, contentType: 'image/png', metadata })
  const facts = { size: body.length, sha256, width: null, height: null, duration: null, keep: collectionKeep }
  const stored = await catalogue.confirm(asset.id, asset.attempt, facts, service)
  if (stored === undefined) throw new Error('not stored')
  return { ...stored, key }
}

/** Puts other bytes under a key, as nobody who goes through Keepsake can. */
export async function overwrite(store: ObjectStore, key: string, content: string, sha256?: string): Promise<void> {
  const body = Buffer.from(content)
  const hash = createHash('sha256').update(body).digest('hex')
  const metadata = { sha256: sha256 ?? hash }
  await store.put({
    key,
    body,
    size: body.length,
    sha256: hash,
    contentType: 'image/png',
    metadata,
    createOnly: false,
  })
}

/** What the audit says of an asset, oldest first. */
export async function auditOf(catalogue: Catalogue, asset: string): Promise<readonly string[]> {
  const { entries } = await catalogue.listAudit({ asset, limit: 100 }, service)
  return entries.map(({ action }) => action).reverse()
}
