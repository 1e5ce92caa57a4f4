export {
  type FileUploaded,
  type ImageStorage,
  type ImageStorageOptions,
  type ImageUploaded,
  imageStorage,
  type Migrated,
  type UploadFailed,
} from './image-storage.ts'
export type { Bytes } from './images.ts'
export type { Folder } from './places.ts'
export { type ProfileMediaOptions, profileMedia } from './profile-media.ts'
