import fc from 'fast-check'
import { runSequence } from './run-sequence.ts'
import { sequence } from './steps.ts'
import { loadSubject } from './subject.ts'

export type Exploration = {
  readonly sequences: number
  /** Null when no invariant was broken. */
  readonly violation: {
    readonly message: string
    readonly counterexample: string
    readonly seed: number
    readonly path: string
  } | null
}

/**
 * Runs so many random sequences against the code in a folder, on a PGlite of its own. Stops at the first violation and
 * makes it as short as it can.
 */
export async function explore(options: {
  readonly src: string
  readonly sequences: number
  readonly seed: number
  readonly path?: string
  readonly shrink?: boolean
}): Promise<Exploration> {
  const subject = await loadSubject(options.src)
  const database = await subject.openPglite({ dir: 'memory' })
  try {
    const outcome = await fc.check(
      fc.asyncProperty(sequence, (steps) => runSequence(subject, database, steps)),
      {
        numRuns: options.sequences,
        seed: options.seed,
        endOnFailure: options.shrink === false,
        ...(options.path === undefined ? {} : { path: options.path }),
      },
    )
    if (!outcome.failed) return { sequences: outcome.numRuns, violation: null }
    const { errorInstance, counterexample, counterexamplePath } = outcome
    return {
      sequences: outcome.numRuns,
      violation: {
        message:
          errorInstance instanceof Error ? (errorInstance.stack ?? errorInstance.message) : String(errorInstance),
        counterexample: JSON.stringify(counterexample, null, 1),
        seed: options.seed,
        path: counterexamplePath ?? '',
      },
    }
  } finally {
    await database.close()
  }
}
