import { z } from 'zod'
import {
  type AssetRecord,
  type AssetState,
  assetHealths,
  assetStates,
  KeepsakeError,
  mediaKinds,
  type Provenance,
  type StorePlace,
  type UploadTerms,
} from '../media/index.ts'

/** bigint comes as text from `pg` and as a number or a bigint from PGlite; beyond 2^53 it is refused, not rounded. */
export const safeInteger = z
  .union([z.number(), z.bigint(), z.string().regex(/^-?\d+$/)])
  .transform(Number)
  .pipe(z.int())

const provenance: z.ZodType<Provenance> = z.looseObject({
  provider: z.string().optional(),
  model: z.string().optional(),
  prompt: z.string().optional(),
  settings: z.record(z.string(), z.unknown()).optional(),
  seed: z.union([z.string(), z.number()]).optional(),
  requestId: z.string().optional(),
  parents: z.array(z.string()).optional(),
})

const uploadTerms: z.ZodType<UploadTerms> = z.strictObject({
  size: z.int(),
  // Of 0.1, whose rows may be pending still.
  atMost: z.boolean().default(false),
  sameType: z.boolean().default(false),
  inbox: z.string().nullable().default(null),
  sha256: z.string().nullable(),
  partSize: z.int().nullable(),
  uploadId: z.string().nullable(),
})

/** `primary`, or the local store of one data folder. */
export const storePlace: z.ZodType<StorePlace> = z.union([
  z.literal('primary'),
  z.templateLiteral(['local:', z.string().regex(/^[0-9a-f-]{36}$/)]),
])

const assetShape = {
  id: z.string(),
  collection: z.string(),
  owner: z.string(),
  state: z.enum(assetStates),
  health: z.enum(assetHealths),
  kind: z.enum(mediaKinds).nullable(),
  key: z.string().nullable(),
  store: storePlace,
  content_type: z.string().nullable(),
  size: safeInteger.nullable(),
  sha256: z.string().nullable(),
  width: z.int().nullable(),
  height: z.int().nullable(),
  duration: z.number().nullable(),
  attributes: z.record(z.string(), z.string()),
  provenance,
  filename: z.string().nullable(),
  source_url: z.string().nullable(),
  source_expires_at: z.date().nullable(),
  upload: uploadTerms.nullable(),
  attempt: z.int(),
  failures: z.int(),
  until: z.date().nullable(),
  problem_code: z.string().nullable(),
  problem_message: z.string().nullable(),
  created_at: z.date(),
  stored_at: z.date().nullable(),
  expires_at: z.date().nullable(),
  pinned: z.boolean(),
  checked_at: z.date().nullable(),
}

const assetRow = z.strictObject(assetShape).transform(
  (row): AssetRecord => ({
    id: row.id,
    collection: row.collection,
    owner: row.owner,
    state: row.state,
    health: row.health,
    kind: row.kind,
    key: row.key,
    store: row.store,
    contentType: row.content_type,
    size: row.size,
    sha256: row.sha256,
    width: row.width,
    height: row.height,
    duration: row.duration,
    attributes: row.attributes,
    provenance: row.provenance,
    filename: row.filename,
    sourceUrl: row.source_url,
    sourceExpiresAt: row.source_expires_at,
    upload: row.upload,
    attempt: row.attempt,
    failures: row.failures,
    until: row.until,
    problem:
      row.problem_code === null || row.problem_message === null
        ? null
        : { code: row.problem_code, message: row.problem_message },
    createdAt: row.created_at,
    storedAt: row.stored_at,
    expiresAt: row.expires_at,
    pinned: row.pinned,
    checkedAt: row.checked_at,
  }),
)

const names = Object.keys(assetShape)

/** The columns of an asset, by name: `*` in a prepared statement breaks when a newer Keepsake adds a column. */
export const assetColumns = names.join(', ')

/** The same, of a table by its alias. */
export function assetColumnsOf(alias: string): string {
  return names.map((name) => `${alias}.${name}`).join(', ')
}

export function parseAssets(rows: readonly unknown[]): readonly AssetRecord[] {
  return parseRows(assetRow, rows)
}

/** The one asset of a statement that answers with at most one row. */
export function parseAsset(rows: readonly unknown[]): AssetRecord | undefined {
  return parseAssets(rows)[0]
}

const stateCountRow = z.strictObject({ state: z.enum(assetStates), count: safeInteger })

export function parseStateCounts(rows: readonly unknown[]): Readonly<Record<AssetState, number>> {
  const counts: Record<AssetState, number> = { pending: 0, stored: 0, failed: 0, deleting: 0 }
  for (const row of parseRows(stateCountRow, rows)) counts[row.state] = row.count
  return counts
}

/**
 * Rows as the statement promised them.
 *
 * @throws {KeepsakeError} `internal` where they are not: somebody changed the schema.
 */
export function parseRows<T>(schema: z.ZodType<T>, rows: readonly unknown[]): readonly T[] {
  return rows.map((row) => {
    const parsed = schema.safeParse(row)
    if (parsed.success) return parsed.data
    // Paths only: the values may be secrets.
    const where = parsed.error.issues.map((issue) => `${issue.path.join('.')} (${issue.code})`).join(', ')
    throw new KeepsakeError('internal', `A row of the catalogue is not as this version of Keepsake wrote it: ${where}.`)
  })
}
