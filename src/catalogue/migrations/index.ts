import { sql as catalogue } from './0001-catalogue.ts'
import { sql as uploads } from './0002-uploads.ts'
import { sql as reconcile } from './0003-reconcile.ts'
import { sql as upkeep } from './0004-upkeep.ts'
import { sql as reportAndRebuild } from './0005-report-and-rebuild.ts'
import { sql as reopenedImports } from './0006-reopened-imports.ts'
import { sql as moves } from './0007-moves.ts'
import { sql as fallback } from './0008-fallback.ts'
import { sql as replicas } from './0009-replicas.ts'
import { sql as extensions } from './0010-extensions.ts'
import { sql as manyAtOnce } from './0011-many-at-once.ts'
import { sql as origins } from './0012-origins.ts'

export type Migration = { readonly id: number; readonly name: string; readonly sql: string }

/** In order, without gaps. One that was released is never edited: its checksum is in people's databases. */
export const migrations: readonly Migration[] = [
  { id: 1, name: 'catalogue', sql: catalogue },
  { id: 2, name: 'uploads', sql: uploads },
  { id: 3, name: 'reconcile', sql: reconcile },
  { id: 4, name: 'upkeep', sql: upkeep },
  { id: 5, name: 'report and rebuild', sql: reportAndRebuild },
  { id: 6, name: 'reopened imports', sql: reopenedImports },
  { id: 7, name: 'moves', sql: moves },
  { id: 8, name: 'fallback', sql: fallback },
  { id: 9, name: 'replicas', sql: replicas },
  { id: 10, name: 'extensions', sql: extensions },
  { id: 11, name: 'many at once', sql: manyAtOnce },
  { id: 12, name: 'origins', sql: origins },
]
