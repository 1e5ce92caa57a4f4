import type { Actor } from '../../catalogue/index.ts'
import { checkBrakes } from './brakes.ts'
import type { Finding, FindingKind } from './finding.ts'
import { spoolManifest } from './manifest.ts'
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

const movesAtOnce = 8

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
  await checkBrakes(parts, manifest, catalogue, options)
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
