export {
  type CleanupProgress,
  type CleanupRequest,
  type CleanupResult,
  cleanUp,
  type UpkeepRunOptions,
} from './cleanup.ts'
export { type AssetChanges, changeRetention } from './retention.ts'
export { scheduledWork, type UpkeepSchedules } from './schedules.ts'
export { finishDelete, settle, type UpkeepParts } from './settle.ts'
export { sweep } from './sweep.ts'
export {
  type VerifyLevel,
  type VerifyProgress,
  type VerifyRequest,
  type VerifyResult,
  verify,
  verifyLevels,
} from './verify/index.ts'
export {
  announcing,
  Courier,
  createWebhooks,
  parseEndpoints,
  type WebhookDefinition,
  type WebhookEndpoint,
  type WebhookEndpointStatus,
  type Webhooks,
  type WebhookTest,
} from './webhooks/index.ts'
