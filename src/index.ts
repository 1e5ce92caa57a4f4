/**
 * Keepsake: media storage for apps whose users and models make images, audio and video. This is the package's main
 * door; the others are `keepsake/s3`, `keepsake/embedded-s3`, `keepsake/http` and `keepsake/testing`.
 */
export type {
  Actor,
  AuditAction,
  AuditEntry,
  AuditFilter,
  Delivery,
  DeliveryFilter,
  HealthFacts,
  UpkeepRun,
  WebhookEvent,
} from './catalogue/index.ts'
export { defineConfig, type ExtensionSettings, type KeepsakeConfig, type SchemaSetting } from './config/index.ts'
export type {
  DoctorOptions,
  Finding,
  Report as DoctorReport,
  Severity as FindingSeverity,
  Status as FindingStatus,
} from './doctor/index.ts'
export type { Extension } from './extension.ts'
export type { ImportSource, KeepFor } from './intake/index.ts'
export { type CreateOptions, createKeepsake, type Keepsake } from './keepsake.ts'
export type { Logger } from './logger.ts'
export {
  type Asset,
  type AssetHealth,
  type AssetProblem,
  type AssetState,
  type AttributeDefinition,
  type Collection,
  type CollectionDefinition,
  type ErrorCode,
  type ErrorDetails,
  errorTable,
  KeepsakeError,
  type KeepsakeErrorOptions,
  type MediaKind,
  type Provenance,
  type UrlSource,
} from './media/index.ts'
export type {
  AssetChanges,
  CleanupProgress,
  CleanupRequest,
  CleanupResult,
  MonthlyCost,
  PromotionOptions,
  PromotionProgress,
  PromotionResult,
  RebuildProgress,
  RebuildRequest,
  RebuildResult,
  Replica,
  ReplicaRestoreOptions,
  ReplicaRestoreProgress,
  ReplicaRestoreRequest,
  ReplicaRestoreResult,
  ReplicaStatus,
  Report,
  ReportFigures,
  ReportRequest,
  ReportRow,
  VerifyLevel,
  VerifyProgress,
  VerifyRequest,
  VerifyResult,
  WebhookEndpointStatus,
  Webhooks,
  WebhookTest,
} from './upkeep/index.ts'
export type {
  AssetUrl,
  Completion,
  FallbackState,
  ImportRequest,
  ListRequest,
  NamedPart,
  PartHealth,
  PrimaryPlace,
  RunAs,
  UploadedPart,
  UploadPart,
  UploadProgress,
  UploadRequest,
  UploadTicket,
  UrlOptions,
  Verbs,
} from './verbs.ts'
