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
export {
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
  type PlacedFile,
} from './moves.ts'
export { openPglite, type PgliteDatabase, type PgliteOptions } from './pglite.ts'
export { openPostgres, type PostgresDatabase, type PostgresOptions } from './postgres.ts'
export type { Database, Sql, SqlResult } from './sql.ts'
