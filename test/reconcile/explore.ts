import fc from 'fast-check'
import { interleaving } from './acts.ts'
import { interleave, type Tally } from './interleave.ts'
import { newDatabase } from './on-postgres.ts'
import { loadSubject } from './subject.ts'

export type Exploration = {
  readonly interleavings: number
  readonly tally: Tally
  /** Null when nothing was broken. */
  readonly violation: {
    readonly message: string
    readonly counterexample: string
    readonly seed: number
    readonly path: string
  } | null
}

/**
 * Runs so many interleavings against the code in a folder, on a PGlite of its own or on a PostgreSQL, which takes a third
 * of the time, up to the first violation.
 */
export async function explore(options: {
  readonly src: string
  readonly interleavings: number
  readonly seed: number
  readonly path?: string | undefined
  readonly shrink?: boolean | undefined
  /** A PostgreSQL server. Default: PGlite. */
  readonly server?: string | undefined
}): Promise<Exploration> {
  const tally: Tally = { quarantined: 0, restored: 0, takenInTime: 0, refused: 0 }
  const subject = await loadSubject(options.src)
  const { server } = options
  // One connection: the clock of the database is moved in its session.
  const database =
    server === undefined
      ? await subject.openPglite({ dir: 'memory' })
      : await subject.openPostgres({ connectionString: await newDatabase(server), max: 1 })
  try {
    const outcome = await fc.check(
      fc.asyncProperty(interleaving, async (what) => {
        const { quarantined, restored, takenInTime, refused } = await interleave(subject, database, what)
        tally.quarantined += quarantined
        tally.restored += restored
        tally.takenInTime += takenInTime
        tally.refused += refused
      }),
      {
        numRuns: options.interleavings,
        seed: options.seed,
        endOnFailure: options.shrink === false,
        ...(options.path === undefined ? {} : { path: options.path }),
      },
    )
    if (!outcome.failed) return { interleavings: outcome.numRuns, tally, violation: null }
    const { errorInstance, counterexample, counterexamplePath } = outcome
    const message =
      errorInstance instanceof Error ? (errorInstance.stack ?? errorInstance.message) : String(errorInstance)
    return {
      interleavings: outcome.numRuns,
      tally,
      violation: {
        message,
        counterexample: JSON.stringify(counterexample),
        seed: options.seed,
        path: counterexamplePath ?? '',
      },
    }
  } finally {
    await database.close()
  }
}
