export { type VerifyLevel, verifyLevels } from './look.ts'
export type { VerifyRequest } from './request.ts'
export { type VerifyParts, type VerifyProgress, type VerifyResult, verify } from './verify.ts'
