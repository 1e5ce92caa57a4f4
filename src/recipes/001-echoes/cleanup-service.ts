import { type Keepsake, KeepsakeError } from '../../index.ts'
import { collectionName } from './audio.ts'

/** Seconds. */
const day = 86_400
const pageSize = 1000

export type CleanupService = {
  /** Deletes a user's echoes that are older than so many days: the files and what is known of them. */
  cleanupOldFiles(
    userId: string,
    olderThanDays?: number,
  ): Promise<{
    user_id: string
    files_deleted: number
    bytes_deleted: number
    older_than_days: number
    cleanup_timestamp: string
  }>

  /** What a user has stored, and what a clean-up of a year would free. */
  getStorageReport(userId: string): Promise<{
    user_id: string
    s3_storage: { total_files: number; total_size_bytes: number; total_size_mb: number }
    db_echo_count: number
    old_echoes_count: number
    potential_cleanup_savings: { files: number; size_bytes: number }
    report_timestamp: string
  }>

  /** Looks whether every file of a user is there, with the size that it was stored with. */
  verifyFileIntegrity(userId: string): Promise<{
    user_id: string
    total_echoes: number
    verified_files: number
    missing_files: number
    corrupt_files: number
    errors: number
    missing_files_details: { echo_id: string; s3_key: string; created_at: string }[]
    verification_timestamp: string
  }>

  /**
   * Files in the bucket that no echo knows, of one user or of all. Counts them; with `expect`, that count, those that
   * were seen twice, a day apart, are moved to `quarantine/`. Nothing is deleted.
   */
  cleanupOrphanedFiles(
    userId?: string,
    options?: { readonly expect?: number },
  ): Promise<{
    user_id: string | null
    s3_files_found: number
    db_files_found: number
    orphaned_files_found: number
    files_quarantined: number
    cleanup_timestamp: string
  }>
}

/**
 * The document's clean-up service, as functions over Keepsake's own upkeep. The same on the command line: `keepsake
 * cleanup`, `report`, `verify` and `reconcile`.
 */
export function createCleanupService(
  keepsake: Pick<Keepsake, 'cleanup' | 'report' | 'verify' | 'reconcile' | 'list'>,
): CleanupService {
  const old = (owner: string, days: number) =>
    keepsake.cleanup({ owner, collection: collectionName, olderThan: days * day, dryRun: true })

  return {
    async cleanupOldFiles(userId, olderThanDays = 365) {
      const { assets: expect } = await old(userId, olderThanDays)
      const scope = { owner: userId, collection: collectionName, olderThan: olderThanDays * day, expect }
      const { deleted, deletedBytes } = expect === 0 ? { deleted: 0, deletedBytes: 0 } : await keepsake.cleanup(scope)
      return {
        user_id: userId,
        files_deleted: deleted,
        bytes_deleted: deletedBytes,
        older_than_days: olderThanDays,
        cleanup_timestamp: now(),
      }
    },

    async getStorageReport(userId) {
      const { total } = await keepsake.report({ owner: userId, collection: collectionName })
      const { assets, bytes } = await old(userId, 365)
      return {
        user_id: userId,
        s3_storage: {
          total_files: total.objects,
          total_size_bytes: total.bytes,
          total_size_mb: Math.round((total.bytes / 1024 ** 2) * 100) / 100,
        },
        db_echo_count: total.objects,
        old_echoes_count: assets,
        potential_cleanup_savings: { files: assets, size_bytes: bytes },
        report_timestamp: now(),
      }
    },

    async verifyFileIntegrity(userId) {
      const result = await keepsake.verify({ owner: userId, collection: collectionName })
      const details: { echo_id: string; s3_key: string; created_at: string }[] = []
      for (let cursor: string | null | undefined; result.missing > 0 && cursor !== null; ) {
        const page = await keepsake.list(collectionName, {
          owner: userId,
          state: 'stored',
          limit: pageSize,
          ...(cursor === undefined ? {} : { cursor }),
        })
        for (const { id, key, health, createdAt } of page.assets) {
          if (health === 'missing')
            details.push({ echo_id: id, s3_key: key ?? '', created_at: createdAt.toISOString() })
        }
        cursor = page.nextCursor
      }
      return {
        user_id: userId,
        total_echoes: result.checked + result.unknown,
        verified_files: result.ok,
        missing_files: result.missing,
        corrupt_files: result.corrupt,
        errors: result.unknown,
        missing_files_details: details,
        verification_timestamp: now(),
      }
    },

    async cleanupOrphanedFiles(userId, { expect } = {}) {
      const prefix = userId === undefined ? {} : { prefix: await prefixOf(keepsake, userId) }
      const found = await keepsake.reconcile.scan(prefix)
      const manifest = withLineFeeds(keepsake.reconcile.manifest(found.scan.id))
      const applied = expect === undefined ? undefined : await keepsake.reconcile.apply(manifest, { expect })
      return {
        user_id: userId ?? null,
        s3_files_found: found.objects,
        db_files_found: found.rows,
        orphaned_files_found: found.findings.orphan?.count ?? 0,
        files_quarantined: applied?.outcomes.quarantined ?? 0,
        cleanup_timestamp: now(),
      }
    },
  }
}

function now(): string {
  return new Date().toISOString()
}

/** A user's name as it stands in keys, which have room for fewer characters than a name. */
async function prefixOf(keepsake: Pick<Keepsake, 'list'>, userId: string): Promise<string> {
  if (/^[A-Za-z0-9_][A-Za-z0-9._-]{0,100}$/.test(userId)) return `${userId}/`
  const { assets } = await keepsake.list(collectionName, { owner: userId, state: 'stored', limit: 1 })
  const first = assets[0]?.key?.split('/')[0]
  if (first !== undefined) return `${first}/`
  throw new KeepsakeError(
    'invalid_request',
    'The user has no echo that tells how its name stands in keys. Look at all.',
  )
}

async function* withLineFeeds(lines: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const line of lines) yield `${line}\n`
}
