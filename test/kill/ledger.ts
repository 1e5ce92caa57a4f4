import type { AssetAnswer } from './client.ts'

/** What an idempotency key was used for, and what must come of it. */
export type Order = {
  readonly key: string
  readonly sha256: string
  readonly size: number
  readonly by: 'url' | 'base64'
  /** Whether the source gives its content sooner or later. */
  readonly alive: boolean
}

/** What was told to a caller, and so has to be true for ever after. */
export class Ledger {
  /** Everything that was ever asked for. */
  readonly orders = new Map<string, Order>()
  /** Told to be stored, and not deleted since. */
  readonly kept = new Map<string, Order>()
  /** Told to be pending, on a source that lives: has to be stored in the end. */
  readonly promised = new Map<string, Order>()
  /** Told to be deleted. */
  readonly deleted = new Set<string>()
  /** What was wrong as soon as it was seen. */
  readonly violations: string[] = []
  readonly counts = { imports: 0, pending: 0, refused: 0, deletes: 0, retries: 0, lists: 0 }
  readonly #assetOf = new Map<string, string>()
  readonly #told = new Set<string>()

  stored(order: Order, asset: AssetAnswer): void {
    this.#sameAsset(order, asset)
    if (asset.sha256 !== order.sha256 || asset.size !== order.size) {
      this.violations.push(`${asset.id} was acknowledged with sha256 ${asset.sha256} instead of ${order.sha256}`)
    }
    // A doubled request is answered twice, the second time perhaps after a delete.
    if (this.#told.has(asset.id)) return
    this.#told.add(asset.id)
    this.promised.delete(asset.id)
    this.counts.imports += 1
    this.kept.set(asset.id, order)
  }

  pending(order: Order, asset: AssetAnswer): void {
    this.#sameAsset(order, asset)
    if (this.#told.has(asset.id) || this.promised.has(asset.id)) return
    this.counts.pending += 1
    if (order.alive) this.promised.set(asset.id, order)
  }

  /** Takes an asset out of what must be kept, since a delete is about to be sent. */
  beginDelete(random: () => number): string | undefined {
    const from = random() < 0.9 || this.promised.size === 0 ? this.kept : this.promised
    const id = [...from.keys()][Math.floor(random() * from.size)]
    if (id === undefined) return undefined
    from.delete(id)
    // A doubled request may still be answered after this.
    this.#told.add(id)
    return id
  }

  finishDelete(id: string): void {
    this.counts.deletes += 1
    this.deleted.add(id)
  }

  #sameAsset(order: Order, { id }: AssetAnswer): void {
    const before = this.#assetOf.get(order.key)
    if (before === undefined) this.#assetOf.set(order.key, id)
    else if (before !== id) this.violations.push(`the key ${order.key} was answered with ${before} and with ${id}`)
  }

  /** The asset that a key was answered with. */
  assetOf(key: string): string | undefined {
    return this.#assetOf.get(key)
  }
}
