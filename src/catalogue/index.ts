export type {
  Actor,
  AssetFilter,
  AuditAction,
  AuditEntry,
  AuditFilter,
  Catalogue,
  ClaimOptions,
  FailOptions,
  IssuedUrl,
  KeyedContent,
  Reopening,
  Reservation,
  RetiredKey,
  StoredContent,
} from './catalogue.ts'
export { createCatalogue } from './create-catalogue.ts'
export type { ExtensionSchema, SchemaOptions } from './extension-schemas.ts'
export type { CheckDepth, CheckScope, DueCheck, HealthFacts, UpkeepRun } from './health.ts'
export { type CatalogueInspection, inspectCatalogue } from './inspect.ts'
export {
  type CopiedFile,
  type FoundFile,
  type Move,
  type MoveCounts,
  type MoveFile,
  type MoveFileState,
  type MoveOptions,
  type MoveQueries,
  type MoveStage,
  moveFileStates,
  moveStages,
  type PlacedAsset,
  type PlacedFile,
} from './moves.ts'
export { openPglite, type PgliteDatabase, type PgliteOptions } from './pglite.ts'
export { openPostgres, type PostgresDatabase, type PostgresOptions } from './postgres.ts'
export type { LocalAsset, LocalFacts } from './promotions.ts'
export type {
  FoundObject,
  JudgedObject,
  ListedForRebuild,
  ObjectClaim,
  ObjectToLook,
  RebuildQueries,
  RebuildVerdict,
} from './rebuild.ts'
export type {
  KeyedRows,
  QuarantineEntry,
  QuarantineRequest,
  ReconcileQueries,
  ScanFinding,
  ScanRange,
  ScanRecord,
  ScanTotals,
  SeenObject,
  Sighting,
  SuspectRow,
} from './reconcile.ts'
export { rowFlags } from './reconcile.ts'
export type { ReplicaCursor, ReplicaFacts, ReplicaQueries } from './replicas.ts'
export type { ReportCounts, ReportGroup, ReportGroupCounts, ReportPage, ReportQueries, ReportQuery } from './report.ts'
export type { CleanupScope, OldAsset, OldAssets, RetentionChange } from './retention.ts'
export type { Database, Sql, SqlResult } from './sql.ts'
export {
  type Delivery,
  type DeliveryFilter,
  type DeliveryOutcome,
  type DeliveryState,
  deliveryStates,
  type RegisteredEndpoint,
  type TakenDelivery,
  type WebhookEvent,
  webhookEvents,
} from './webhooks.ts'
