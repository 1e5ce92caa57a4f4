export type {
  Actor,
  AssetFilter,
  AuditAction,
  AuditEntry,
  AuditFilter,
  Catalogue,
  IssuedUrl,
  KeyedContent,
  Reservation,
  RetiredKey,
  StoredContent,
} from './catalogue.ts'
export { createCatalogue } from './create-catalogue.ts'
export { openPglite, type PgliteDatabase, type PgliteOptions } from './pglite.ts'
export { openPostgres, type PostgresDatabase, type PostgresOptions } from './postgres.ts'
export type {
  KeyedRow,
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
export type { Database, Sql, SqlResult } from './sql.ts'
