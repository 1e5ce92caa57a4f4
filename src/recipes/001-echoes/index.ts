export { audioFormats, defaultMaxFileSize, validateAudioFile } from './audio.ts'
export { type CleanupService, createCleanupService } from './cleanup-service.ts'
export { type EchoesOptions, echoes } from './echoes.ts'
