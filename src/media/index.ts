export {
  type Asset,
  type AssetHealth,
  type AssetProblem,
  type AssetRecord,
  type AssetState,
  assetHealths,
  assetStates,
  canTransition,
  type LocalPlace,
  type MediaKind,
  mediaKinds,
  type Provenance,
  type StoreName,
  type StorePlace,
  storeNameOf,
  storeNames,
  type UploadTerms,
  type UrlSource,
} from './asset.ts'
export { isAssetId, newAssetId } from './asset-id.ts'
export {
  type AttributeDefinition,
  type Collection,
  type CollectionDefinition,
  defaultCollections,
  normalizeAttribute,
  parseAttributes,
  parseCollection,
} from './collection.ts'
export {
  acceptsContentType,
  attachmentOnly,
  extensionOf,
  keyKindOf,
  kindOf,
  normalizeContentType,
} from './content-type.ts'
export {
  type ErrorCode,
  type ErrorDetails,
  errorTable,
  isErrorCode,
  KeepsakeError,
  type KeepsakeErrorOptions,
} from './errors.ts'
export {
  isReservedKey,
  type KeyTemplate,
  type KeyValues,
  parseKeyTemplate,
  reservedPrefixes,
  sanitizeKeyValue,
} from './key-template.ts'
export { keyPrefix, publicPrefixes } from './public-prefix.ts'
export { formatSize, parseDuration, parseSize } from './quantity.ts'
