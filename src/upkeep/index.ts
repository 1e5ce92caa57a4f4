export {
  type CleanupProgress,
  type CleanupRequest,
  type CleanupResult,
  cleanUp,
  type UpkeepRunOptions,
} from './cleanup.ts'
export {
  LocalUpkeep,
  Promoter,
  type PromotionOptions,
  type PromotionProgress,
  type PromotionResult,
} from './promote/index.ts'
export {
  type RebuildProgress,
  type RebuildRequest,
  type RebuildResult,
  rebuild,
} from './rebuild/rebuild.ts'
export type { AppliedFinding, ApplyOptions, ApplyResult } from './reconcile/apply.ts'
export { type Finding, type FindingKind, findingKinds, parseFinding } from './reconcile/finding.ts'
export { type Inventory, openInventory } from './reconcile/inventory.ts'
export { parseEntries } from './reconcile/inventory-entry.ts'
export { linesOf } from './reconcile/lines.ts'
export type { ManifestHeader } from './reconcile/manifest.ts'
export { claimBucket, foreignBucket, markBucket, markerKey, readMark } from './reconcile/marker.ts'
export { type NightlyRequest, type NightlyResult, reconcileNightly } from './reconcile/nightly.ts'
export type { RecoverySource } from './reconcile/parts.ts'
export type { Outcome } from './reconcile/quarantine.ts'
export { createReconcile, type Reconcile, type RestoreOptions } from './reconcile/reconcile.ts'
export type { ScanOptions, ScanProgress, ScanResult } from './reconcile/scan.ts'
export { localSource, originSource } from './reconcile/sources.ts'
export {
  createReplica,
  type Replica,
  type ReplicaRestoreOptions,
  type ReplicaRestoreProgress,
  type ReplicaRestoreRequest,
  type ReplicaRestoreResult,
  type ReplicaSettings,
  type ReplicaStatus,
  Replicator,
  replicaSource,
} from './replica/index.ts'
export { type MonthlyCost, type MonthlyUsage, monthlyCost } from './report/cost.ts'
export { reportCsv } from './report/csv.ts'
export { choosePrices, priceTables } from './report/prices/index.ts'
export {
  type Report,
  type ReportFigures,
  type ReportRequest,
  type ReportRow,
  report,
} from './report/report.ts'
export { type AssetChanges, changeRetention } from './retention.ts'
export { scheduledWork, type UpkeepSchedules } from './schedules.ts'
export { finishDelete, settle, type UpkeepParts } from './settle.ts'
export { sweep } from './sweep.ts'
export { UploadSweep } from './sweep-uploads.ts'
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
