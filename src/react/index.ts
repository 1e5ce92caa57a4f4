'use client'

export {
  MediaAudio,
  type MediaAudioProps,
  MediaImage,
  type MediaImageProps,
  MediaVideo,
  type MediaVideoProps,
} from './media.ts'
export { KeepsakeProvider, type KeepsakeProviderProps, useKeepsake } from './provider.ts'
export { type QueueOptions, type UploadItem, UploadQueue, type UploadStatus } from './upload-queue.ts'
export { type UseAssets, useAssets } from './use-assets.ts'
export { type MediaAsset, type UseLink, type UseLinkOptions, useLink } from './use-link.ts'
export { type UseUpload, useUpload } from './use-upload.ts'
