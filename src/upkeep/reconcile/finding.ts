import { z } from 'zod'
import type { ScanFinding } from '../../catalogue/index.ts'

const timestamp = z.iso.datetime().transform((text) => new Date(text))
const bytes = z.int().min(0)
const seenObject = { key: z.string(), size: bytes, etag: z.string(), lastModified: timestamp }

/** What a scan finds; one line of a manifest each. */
const findingSchema = z.discriminatedUnion('kind', [
  /** An object of ours that no row names, in any state, and whose key no row let go of lately. */
  z.strictObject({
    kind: z.literal('orphan'),
    ...seenObject,
    asset: z.string(),
    owner: z.string(),
    collection: z.string(),
    firstSeenAt: timestamp,
    lastSeenAt: timestamp,
  }),
  /** A stored asset without its object. */
  z.strictObject({ kind: z.literal('missing'), key: z.string(), size: bytes, asset: z.string() }),
  /** A stored asset whose object has another size, or states another hash or asset. */
  z.strictObject({
    kind: z.literal('mismatch'),
    key: z.string(),
    size: bytes,
    asset: z.string(),
    field: z.enum(['size', 'sha256', 'asset']),
    expected: z.string(),
    found: z.string(),
  }),
  /** A stored asset that was marked missing, and whose object is there. */
  z.strictObject({ kind: z.literal('returned'), key: z.string(), size: bytes, asset: z.string() }),
  /** A multipart upload of ours that nobody goes on with. */
  z.strictObject({ kind: z.literal('multipart'), key: z.string(), uploadId: z.string(), initiated: timestamp }),
  /** Not Keepsake's, as far as can be told: never touched. */
  z.strictObject({ kind: z.literal('unknown'), ...seenObject }),
  z.strictObject({ kind: z.literal('unknown-upload'), key: z.string(), uploadId: z.string(), initiated: timestamp }),
])

export type Finding = z.output<typeof findingSchema>
export type FindingKind = Finding['kind']
export type FindingOf<Kind extends FindingKind> = Extract<Finding, { readonly kind: Kind }>

export const findingKinds = [
  'orphan',
  'missing',
  'mismatch',
  'returned',
  'multipart',
  'unknown',
  'unknown-upload',
] as const satisfies readonly FindingKind[]

/** A line of a manifest as a finding; undefined where it is none. */
export function parseFinding(line: string): Finding | undefined {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined
  }
  const parsed = findingSchema.safeParse(value)
  return parsed.success ? parsed.data : undefined
}

/** @param ripe Whether an orphan was seen twice, long enough apart to be moved. */
export function toScanFinding(finding: Finding, ripe = false): ScanFinding {
  return {
    // It only orders the lines; the line has the key itself. A control picture stands for what a text cannot hold.
    key: finding.key.replaceAll('\0', '\u2400'),
    kind: finding.kind,
    upload: 'uploadId' in finding ? finding.uploadId : '',
    size: 'size' in finding ? finding.size : 0,
    ripe,
    line: JSON.stringify(finding),
  }
}
