export { dropParts, type NamedPart, type UploadedPart } from './parts.ts'
export type { UploadRequest } from './request.ts'
export type { UploadPart, UploadTicket } from './ticket.ts'
export { type Completion, type UploadSettings, type UploadState, Uploads } from './uploads.ts'
