import { KeepsakeError } from '../../media/index.ts'
import type { MoveRun } from './run.ts'

/** Files in a row that met a failing store before a run gives up: it is an outage by then. */
const mostTroubles = 20
/** Codes that say nothing about the file. */
const storeTroubles: readonly string[] = ['store_unavailable', 'timeout', 'catalogue_unavailable']

/** Counts what the store, not a file, is to blame for. */
export class Troubles {
  #inARow = 0
  #last: KeepsakeError | undefined

  met(problem: KeepsakeError): void {
    this.#inARow += 1
    this.#last = problem
  }

  passed(): void {
    this.#inARow = 0
  }

  /** @throws the last trouble, once there were too many in a row. */
  check(): void {
    if (this.#inARow >= mostTroubles && this.#last) throw this.#last
  }
}

/**
 * What became of a batch of files. A file that failed is told once; one that met a failing store stays as it is, for the
 * next run.
 */
export class Outcomes {
  readonly #run: MoveRun
  readonly #failed = new Map<string, { readonly path: string; readonly code: string; readonly message: string }>()

  constructor(run: MoveRun) {
    this.#run = run
  }

  has(path: string): boolean {
    return this.#failed.has(path)
  }

  fail(path: string, error: unknown): void {
    // Work that was stopped is nobody's failure.
    if (this.#run.signal.aborted) return
    const problem = KeepsakeError.from(error)
    if (problem.code === 'internal') throw problem
    if (storeTroubles.includes(problem.code)) {
      this.#run.troubles.met(problem)
    } else {
      this.#failed.set(path, { path, code: problem.code, message: problem.message })
    }
  }

  async write(): Promise<void> {
    await this.#run.parts.catalogue.failMoveFiles(this.#run.move.id, [...this.#failed.values()])
    this.#run.progress.failed(this.#failed.size)
    this.#run.signal.throwIfAborted()
    this.#run.troubles.check()
  }
}
