import { type ApplyOptions, type ApplyResult, apply } from './apply.ts'
import { manifestLines } from './manifest.ts'
import { requireMark } from './marker.ts'
import { callOptions, type ReconcileParts, system } from './parts.ts'
import { type Outcome, restore } from './quarantine.ts'
import { type ScanOptions, type ScanResult, scan } from './scan.ts'

export type RestoreOptions = Pick<ApplyOptions, 'actor' | 'signal'> & {
  readonly onOutcome?: (done: Outcome & { readonly key: string }) => void | Promise<void>
}

/** Comparing bucket and catalogue both ways, and putting right what is wrong. Work of the service. */
export interface Reconcile {
  /** Compares, keeps what it finds, and changes nothing. See {@link scan}. */
  scan(options?: ScanOptions): Promise<ScanResult>
  /** The lines of a finished scan's manifest, each without its line feed. */
  manifest(scan: string): AsyncIterable<string>
  /** Acts upon a manifest. See {@link apply}. */
  apply(manifest: AsyncIterable<Uint8Array | string>, options?: ApplyOptions): Promise<ApplyResult>
  /** Puts objects back from quarantine: these keys, or all. */
  restore(
    what: readonly string[] | 'all',
    options?: RestoreOptions,
  ): Promise<{ readonly restored: number; readonly failed: number }>
}

export function createReconcile(parts: ReconcileParts): Reconcile {
  return {
    scan: (options) => scan(parts, options),
    manifest: (id) => manifestLines(parts.catalogue, id),
    apply: (manifest, options) => apply(parts, manifest, options),
    restore: (what, options) => restoreMany(parts, what, options),
  }
}

async function restoreMany(
  parts: ReconcileParts,
  what: readonly string[] | 'all',
  { actor = system, signal, onOutcome }: RestoreOptions = {},
) {
  await requireMark(parts, signal)
  const result = { restored: 0, failed: 0 }
  for await (const key of what === 'all' ? quarantinedKeys(parts) : what) {
    signal?.throwIfAborted()
    const outcome = await restore(parts, key, { actor, ...callOptions(signal) })
    result[outcome.outcome === 'restored' ? 'restored' : 'failed'] += 1
    await onOutcome?.({ key, ...outcome })
  }
  return result
}

async function* quarantinedKeys({ catalogue }: ReconcileParts): AsyncGenerator<string> {
  let after = ''
  for (;;) {
    const page = await catalogue.quarantined(after, 500)
    for (const { key, state } of page) if (state !== 'copying') yield key
    const last = page.at(-1)
    if (last === undefined) return
    after = last.key
  }
}
