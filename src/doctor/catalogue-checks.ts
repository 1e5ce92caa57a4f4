import type { CatalogueInspection } from '../catalogue/index.ts'
import type { Clock } from '../clock.ts'
import type { Jobs } from '../jobs/index.ts'
import { KeepsakeError } from '../media/index.ts'
import { type CheckId, fail, pass, unknown, type Verdict } from './finding.ts'

export type CatalogueParts = { readonly catalogue: CatalogueInspection; readonly clock: Clock; readonly jobs: Jobs }

type CatalogueId = Extract<CheckId, `catalogue.${string}`>
type CatalogueCheck = {
  /** What an error means: that the part does not work, or that nothing is known. */
  readonly onError: 'fail' | 'unknown'
  readonly run: (parts: CatalogueParts, signal: AbortSignal) => Promise<Verdict>
}

const worthSaying = 30
const dangerous = 300

export const catalogueChecks = {
  'catalogue.reachable': {
    onError: 'fail',
    async run({ catalogue }) {
      const { milliseconds, version } = await catalogue.ping()
      return pass(`${version}, in ${milliseconds} ms.`)
    },
  },
  'catalogue.migrated': {
    onError: 'unknown',
    async run({ catalogue }) {
      const { applied, known } = await catalogue.migrations()
      const missing = known.filter((name) => !applied.includes(name))
      const strange = applied.filter((name) => !known.includes(name))
      if (missing.length > 0) return fail(`Not applied: ${missing.join(', ')}.`)
      if (strange.length > 0) return fail(`Of another version: ${strange.join(', ')}.`)
      return pass(`Up to ${applied.at(-1) ?? 'nothing'}.`)
    },
  },
  'catalogue.row-security': {
    onError: 'unknown',
    async run({ catalogue }) {
      const leaks = await catalogue.tryRowSecurity()
      return leaks.length === 0
        ? pass('Another owner sees nothing, and can change nothing.')
        : fail(`It was tried: ${leaks.join('; ')}.`)
    },
  },
  'catalogue.forced': {
    onError: 'unknown',
    async run({ catalogue }) {
      const found = await catalogue.unforced()
      return found.length === 0
        ? pass('Every table of owners forces it, and no role passes by it.')
        : fail(`Found: ${found.join('; ')}.`)
    },
  },
  'catalogue.clock': {
    onError: 'unknown',
    async run({ catalogue, clock }) {
      const before = clock.now().getTime()
      const database = await catalogue.now()
      const skew = Math.round(((before + clock.now().getTime()) / 2 - database.getTime()) / 1000)
      const seen =
        skew === 0
          ? 'Less than a second apart.'
          : `This machine is ${Math.abs(skew)} seconds ${skew < 0 ? 'behind' : 'ahead'}.`
      if (Math.abs(skew) < worthSaying) return pass(seen)
      return fail(seen, Math.abs(skew) >= dangerous ? { severity: 'high' } : {})
    },
  },
  'catalogue.queue': {
    onError: 'fail',
    async run({ jobs }, signal) {
      return pass(`A job was worked in ${await jobs.check(signal)} ms.`)
    },
  },
} as const satisfies Record<CatalogueId, CatalogueCheck>

export async function runCatalogueCheck(id: CatalogueId, parts: CatalogueParts, signal: AbortSignal): Promise<Verdict> {
  const check: CatalogueCheck = catalogueChecks[id]
  const deadline = AbortSignal.timeout(checkMillis)
  try {
    return await within(check.run(parts, AbortSignal.any([signal, deadline])), signal, deadline)
  } catch (error) {
    if (signal.aborted) return unknown('Interrupted, or out of time.')
    const said = KeepsakeError.from(error).message
    return check.onError === 'fail' ? fail(said) : unknown(said)
  }
}

/** Longer than a statement may take. */
const checkMillis = 20_000

/** The database's own deadlines end the work; this ends the wait. */
async function within<T>(work: Promise<T>, ...signals: AbortSignal[]): Promise<T> {
  const signal = AbortSignal.any(signals)
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = () => reject(new KeepsakeError('timeout', 'No answer in time.'))
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
