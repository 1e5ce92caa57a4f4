export { type Client, type ClientOptions, createClient } from './client.ts'
export { KeepsakeClientError } from './error.ts'
export type { LinkOptions } from './links.ts'
export type {
  Asset,
  AssetPage,
  AssetState,
  Link,
  ListQuery,
  MediaKind,
  Provenance,
  Upload,
  UploadOptions,
  UploadProgress,
} from './types.ts'
