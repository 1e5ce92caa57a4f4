export { finishDelete, settle, type UpkeepParts } from './settle.ts'
export { sweep } from './sweep.ts'
export { UploadSweep } from './sweep-uploads.ts'
