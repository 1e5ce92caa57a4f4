import { z } from 'zod'
import type { ScanFinding, SuspectRow } from '../../catalogue/index.ts'
import { isAssetId } from '../../media/index.ts'
import type { ObjectHead } from '../../stores/index.ts'
import { canBeRowKey } from '../row-key.ts'
import { type Finding, toScanFinding } from './finding.ts'
import { inParallel } from './in-parallel.ts'
import { callOptions, day, headsAtOnce, type ReconcileParts } from './parts.ts'

/** What a comparison of one stretch of keys leaves to be looked at. */
export type Candidates = {
  /** Keys of objects without a row. */
  readonly unclaimed: string[]
  /** Keys of stored rows whose object is lacking, or seems to be another one, or is back. */
  readonly suspects: string[]
}

type JudgeParts = Pick<ReconcileParts, 'catalogue' | 'store'>

/** What an object of ours says of itself (see intake's object-metadata): enough to tell that it is one. */
const ownSchema = z.object({
  asset: z.string().refine(isAssetId),
  owner: z.string().min(1),
  collection: z.string().min(1),
})
const statedSchema = z.object({ asset: z.string().optional(), sha256: z.string().optional() })

/** Whose an object is by its own word; undefined where it is none of Keepsake's. */
export function ownerOf({ metadata }: ObjectHead): { asset: string; owner: string; collection: string } | undefined {
  const parsed = ownSchema.safeParse(metadata)
  return parsed.success ? parsed.data : undefined
}

/** A second look at everything that seems wrong, at the object itself; what is still wrong then is a finding. */
export async function judge(
  parts: JudgeParts,
  candidates: Candidates,
  signal: AbortSignal | undefined,
): Promise<readonly ScanFinding[]> {
  const rows = await parts.catalogue.storedWithKeys(candidates.suspects)
  const heads = await inParallel(rows, headsAtOnce, (row) => parts.store.head(row.key, callOptions(signal)))
  const findings: Finding[] = []
  for (const [index, row] of rows.entries()) {
    const finding = judgeRow(row, heads[index])
    if (finding) findings.push(finding)
  }
  return [...(await judgeUnclaimed(parts, candidates.unclaimed, signal)), ...findings.map((it) => toScanFinding(it))]
}

/** What is to be said of a stored row and the object under its key. */
export function judgeRow(row: SuspectRow, head: ObjectHead | undefined): Finding | undefined {
  const { id: asset, key } = row
  const size = row.size ?? 0
  if (head === undefined) return { kind: 'missing', key, size, asset }
  const unlike = (field: 'size' | 'sha256' | 'asset', expected: string, found: string): Finding => {
    return { kind: 'mismatch', key, size: head.size, asset, field, expected, found }
  }
  if (head.size !== size) return unlike('size', `${size}`, `${head.size}`)
  const stated = statedSchema.parse(head.metadata)
  if (stated.asset !== undefined && stated.asset !== asset) return unlike('asset', asset, stated.asset)
  if (stated.sha256 !== undefined && row.sha256 !== null && stated.sha256 !== row.sha256) {
    return unlike('sha256', row.sha256, stated.sha256)
  }
  return row.health === 'missing' ? { kind: 'returned', key, size, asset } : undefined
}

async function judgeUnclaimed(
  { catalogue, store }: JudgeParts,
  keys: readonly string[],
  signal: AbortSignal | undefined,
): Promise<readonly ScanFinding[]> {
  if (keys.length === 0) return []
  // The sweep removes what lies under a retired key. Asked after the rows were read: a row that was there when the
  // bucket was listed, and is gone by now, has left its key here in the same statement.
  const retired = await catalogue.retiredAmong(keys.filter(canBeRowKey))
  const left = keys.filter((key) => !retired.has(key))
  const heads = await inParallel(left, headsAtOnce, (key) => store.head(key, callOptions(signal)))
  const there = heads.flatMap((head) =>
    head === undefined ? [] : [{ head, own: canBeRowKey(head.key) ? ownerOf(head) : undefined }],
  )
  const orphans = there.filter(({ own }) => own !== undefined)
  const sightings = await catalogue.recordSightings(orphans.map(({ head }) => head))
  const byKey = new Map(sightings.map((sighting) => [sighting.key, sighting]))
  return there.flatMap(({ head, own }) => {
    const { key, size, etag, lastModified } = head
    if (own === undefined) return toScanFinding({ kind: 'unknown', key, size, etag, lastModified })
    const sighting = byKey.get(key)
    if (sighting === undefined) return []
    const { firstSeenAt, lastSeenAt } = sighting
    const { asset, owner, collection } = own
    const ripe = lastSeenAt.getTime() - firstSeenAt.getTime() >= day * 1000
    return toScanFinding(
      { kind: 'orphan', key, size, etag, lastModified, asset, owner, collection, firstSeenAt, lastSeenAt },
      ripe,
    )
  })
}
