import { objectMetadata, servedAs } from '../intake/index.ts'
import { type AssetRecord, type Collection, KeepsakeError } from '../media/index.ts'
import type { PutRequest } from '../stores/index.ts'

/** A stored asset's row, with what is never missing from it. */
export type WholeAsset = AssetRecord & {
  readonly key: string
  readonly size: number
  readonly sha256: string
  readonly contentType: string
}

export function isWhole(asset: AssetRecord): asset is WholeAsset {
  return asset.key !== null && asset.size !== null && asset.sha256 !== null && asset.contentType !== null
}

export function requireWhole(asset: AssetRecord): WholeAsset {
  if (isWhole(asset)) return asset
  throw new KeepsakeError('internal', 'The row of a stored asset has no key, size, hash or type.')
}

/** How an asset's object is put, wherever it is put again: all but its bytes. */
export function objectOf(asset: WholeAsset, collection: Collection | undefined): Omit<PutRequest, 'body'> {
  const { key, size, sha256, contentType, width, height, duration } = asset
  return {
    key,
    size,
    sha256,
    contentType,
    metadata: objectMetadata(asset, { size, sha256, width, height, duration }),
    ...servedAs(collection, contentType),
  }
}
