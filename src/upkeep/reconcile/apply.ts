import type { Actor, ScanTotals } from '../../catalogue/index.ts'
import { KeepsakeError } from '../../media/index.ts'
import type { Finding, FindingKind } from './finding.ts'
import { isOfItsScan, type ManifestHeader, spoolManifest } from './manifest.ts'
import { requireMark, storeTime } from './marker.ts'
import { callOptions, day, type ReconcileParts, system } from './parts.ts'
import { type MoveOptions, type Outcome, quarantine, resumeRemovals } from './quarantine.ts'
import { recover } from './recover.ts'

export type ApplyOptions = {
  /** The number of orphans, said by whoever wants them moved although a brake would stop it. */
  readonly expect?: number
  /** The number of missing objects, said by whoever wants them marked although most of what is stored is missing. */
  readonly expectMissing?: number
  /** Seconds that an orphan must be old, by the store's clock. Default: a day. */
  readonly minAge?: number
  /** Seconds that must lie between its two sightings. Default: a day. */
  readonly apart?: number
  /** Orphans beyond which it stops. Default: 1000. */
  readonly maxObjects?: number
  /** Share of the objects that were looked at beyond which it stops. Default: 0.05. */
  readonly maxShare?: number
  readonly actor?: Actor
  readonly signal?: AbortSignal
  /** Told what became of each finding that is acted upon. */
  readonly onOutcome?: (done: AppliedFinding) => void | Promise<void>
}

export type AppliedFinding = Outcome & { readonly kind: FindingKind; readonly key: string }

export type ApplyResult = {
  readonly scan: string
  readonly outcomes: Readonly<Record<Outcome['outcome'], number>>
  /** Findings that are only reported, and never acted upon. */
  readonly untouched: number
}

/** Days after which a manifest says nothing any more. */
const maxManifestAge = 7
const movesAtOnce = 8
/** From so many missing on it counts what share of the rows they are: so does verify. */
const fewMissing = 20

/**
 * Acts upon a manifest: orphans go to quarantine, what is wrong with stored assets is marked and looked for, stale
 * uploads are aborted. Each row and each object is looked at again first; what is no longer as the scan found it is left
 * alone. May be repeated, and broken off anywhere.
 *
 * @throws {KeepsakeError} `invalid_request` where the manifest is not whole; `upkeep_refused` where a brake holds.
 */
export async function apply(
  parts: ReconcileParts,
  source: AsyncIterable<Uint8Array | string>,
  options: ApplyOptions = {},
): Promise<ApplyResult> {
  const { minAge = day, apart = day, actor = system, onOutcome } = options
  const stop = new AbortController()
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal
  await using manifest = await spoolManifest(source, parts.spoolDir)
  const { header } = manifest
  const catalogue = await requireMark(parts, signal)
  await checkBrakes(parts, header, catalogue, options)
  const move = { apart, minAge, actor, storeTime: await storeTime(parts.store, signal), ...callOptions(signal) }
  const outcomes = { quarantined: 0, restored: 0, recovered: 0, marked: 0, aborted: 0, skipped: 0, failed: 0 }
  let untouched = 0
  const done = async (kind: FindingKind, key: string, outcome: Outcome) => {
    outcomes[outcome.outcome] += 1
    await onOutcome?.({ kind, key, ...outcome })
  }
  await resumeRemovals(parts, actor, (key, outcome) => done('orphan', key, outcome))
  const findings = manifest.findings()[Symbol.asyncIterator]()
  const worker = async () => {
    for (;;) {
      // One reader, asked by all: a generator answers one after the other.
      const next = await findings.next()
      if (next.done) return
      signal.throwIfAborted()
      const outcome = await act(parts, next.value, move)
      if (outcome === undefined) untouched += 1
      else await done(next.value.kind, next.value.key, outcome)
    }
  }
  const workers = Array.from({ length: movesAtOnce }, () =>
    worker().catch((error: unknown) => {
      stop.abort(error)
      throw error
    }),
  )
  const ends = await Promise.allSettled(workers)
  const failed = ends.find((end) => end.status === 'rejected')
  if (failed) throw failed.reason
  return { scan: header.scan, outcomes, untouched }
}

async function act(parts: ReconcileParts, finding: Finding, move: MoveOptions): Promise<Outcome | undefined> {
  switch (finding.kind) {
    case 'orphan':
      return quarantine(parts, finding, move)
    case 'missing':
    case 'mismatch':
    case 'returned':
      return recover(parts, finding, move)
    case 'multipart': {
      const { key, uploadId } = finding
      if ((await parts.catalogue.statesOfKeys([key])).get(key) === 'pending') {
        return { outcome: 'skipped', reason: 'an asset that is being uploaded has its key' }
      }
      await parts.store.abortMultipart({ key, uploadId }, callOptions(move.signal))
      return { outcome: 'aborted' }
    }
    case 'unknown':
    case 'unknown-upload':
      return undefined
  }
}

/** What would make of one mistake a thousand lost objects is stopped here, before anything is done. */
async function checkBrakes(
  { catalogue, store }: ReconcileParts,
  header: ManifestHeader,
  catalogueId: string,
  { expect, expectMissing, maxObjects = 1000, maxShare = 0.05 }: ApplyOptions,
): Promise<void> {
  const refuse = (brake: string, message: string): never => {
    throw new KeepsakeError('upkeep_refused', `${message} Nothing was done.`, { details: { brake } })
  }
  if (header.catalogue !== catalogueId || header.bucket !== store.name) {
    refuse(
      'foreign',
      `The manifest is of ${header.bucket} and the catalogue ${header.catalogue}; this is ${store.name} with ${catalogueId}.`,
    )
  }
  const scan = await catalogue.getScan(header.scan)
  if (scan === undefined || scan.finishedAt === null)
    return refuse('unknown', 'The catalogue does not know the scan of this manifest (any more). Scan again.')
  if (await catalogue.isOlderThan(scan.id, maxManifestAge * day)) {
    refuse('age', `The manifest is more than ${maxManifestAge} days old, and says nothing of today. Scan again.`)
  }
  if (!(await isOfItsScan(catalogue, header))) {
    refuse(
      'changed',
      'The manifest is not what its scan found, so the counts that the brakes go by are not its own. Give the file as it was written, or scan again.',
    )
  }
  // What the catalogue counted, not what the file says.
  const totals: ScanTotals = await catalogue.scanTotals(scan.id)
  const missing = totals.findings.missing?.count ?? 0
  if (expectMissing !== undefined && expectMissing !== missing) {
    refuse('expect', `${expectMissing} missing objects were expected, and the manifest has ${missing}.`)
  }
  if (expectMissing === undefined && missing >= fewMissing && missing * 2 > totals.rows) {
    refuse(
      'missing',
      `${missing} of ${totals.rows} assets have no object in ${store.name}. That looks like another bucket, or like one that was ` +
        'emptied; each would be marked and told by webhook. Look at S3_BUCKET_NAME and S3_ENDPOINT; where it is true, repeat with ' +
        `the number: --expect-missing ${missing}.`,
    )
  }
  const orphans = totals.findings.orphan?.count ?? 0
  if (orphans === 0) return
  if (!(await catalogue.hasStored())) {
    refuse(
      'empty',
      `The catalogue has no stored asset, so all ${orphans} objects look like orphans. Where it was lost, 'keepsake rebuild' makes it anew.`,
    )
  }
  if (expect !== undefined) {
    if (expect === orphans) return
    refuse('expect', `${expect} orphans were expected, and the manifest has ${orphans}.`)
  }
  const share = orphans / Math.max(1, totals.objects)
  if (orphans > maxObjects || share > maxShare) {
    const percent = `${(share * 100).toFixed(1)} %`
    refuse(
      'count',
      `The manifest has ${orphans} orphans, ${percent} of ${totals.objects} objects; without being told more than ${maxObjects}, or ` +
        `${maxShare * 100} %, are not moved: a catalogue that lost rows looks just like that. Look at the manifest; if they truly are ` +
        `nobody's, repeat with the number: --expect ${orphans}.`,
    )
  }
}
