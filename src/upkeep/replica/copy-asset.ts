import { factsFromObject } from '../../intake/index.ts'
import { type AssetRecord, type Collection, KeepsakeError } from '../../media/index.ts'
import { isStoreFailure, type ObjectStore } from '../../stores/index.ts'
import { objectOf, requireWhole } from '../stored-object.ts'

export type CopyOptions = {
  readonly from: ObjectStore
  readonly to: ObjectStore
  readonly collection: Collection | undefined
  /** Puts the right bytes in the place of wrong ones. Default: an object that is there is left alone. */
  readonly overwrite?: boolean
  readonly signal: AbortSignal
}

/**
 * Copies an asset's object under its key to another store. It is read once; the receiving store holds its SHA-256 against
 * the row's. Where an object is there already it must be this one, from a try whose end nobody saw.
 *
 * @throws `object_missing` where there is nothing to copy; `content_mismatch` where it is not what the row says;
 * `object_exists` where the other store has another object under the key; what a store throws.
 */
export async function copyAsset(asset: AssetRecord, options: CopyOptions): Promise<void> {
  const { from, to, collection, overwrite = false, signal } = options
  const object = objectOf(requireWhole(asset), collection)
  try {
    await to.put({
      ...object,
      body: async function* () {
        yield* (await from.get(object.key, { signal })).body
      },
      createOnly: !overwrite,
      signal,
    })
  } catch (error) {
    signal.throwIfAborted()
    // Of an object that is to be overwritten, what it carries tells nothing.
    if (overwrite || !(KeepsakeError.is(error, 'object_exists') || isStoreFailure(error))) throw error
    if (await isCopied(asset, to, signal).catch(() => false)) return
    throw error
  }
}

/** Whether a store has this very object: its hash by the store's own word, or by what it carries from its put. */
export async function isCopied(asset: AssetRecord, store: ObjectStore, signal: AbortSignal): Promise<boolean> {
  const { key, size, sha256 } = requireWhole(asset)
  const head = await store.head(key, { checksum: true, signal })
  if (head === undefined || head.size !== size) return false
  const known = head.sha256 ?? factsFromObject(asset, head)?.sha256
  // A store's own replication takes an object along as it is; of a browser's upload nobody knew the hash then.
  return known === undefined ? head.metadata.asset === asset.id : known === sha256
}
