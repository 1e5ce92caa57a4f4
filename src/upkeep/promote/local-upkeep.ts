import { KeepsakeError } from '../../media/index.ts'
import type { UpkeepParts } from '../settle.ts'
import { sweep } from '../sweep.ts'
import { UploadSweep } from '../sweep-uploads.ts'
import type { Promoter } from './promoter.ts'

/** Seconds between looks. */
const every = 5
/** Looks at what fell back, for one at what else is due in the local store. */
const looksPerSweep = 6

/**
 * The upkeep of this process's own local store, which nobody else can do: the regular sweep is run by one process of all,
 * and need not be the one with the disk. Promotes as soon as the bucket is back.
 */
export class LocalUpkeep {
  readonly #parts: UpkeepParts & { readonly promoter: Promoter; readonly promoteEvery?: number }
  readonly #stopped = new AbortController()
  readonly #uploads: UploadSweep | undefined
  #wake: AbortController | undefined
  #loop: Promise<void> | undefined
  #looks = 0

  constructor(parts: UpkeepParts & { readonly promoter: Promoter; readonly promoteEvery?: number }) {
    this.#parts = parts
    const { local } = parts.stores
    this.#uploads = local ? new UploadSweep({ ...parts, ...local }) : undefined
    parts.stores.onChange((state) => {
      if (state === 'closed') this.#wake?.abort()
    })
  }

  /** Goes on until {@link stop}. Does nothing where there is no local store, or where it is not to look by itself. */
  start(): void {
    if (this.#parts.stores.local !== null && this.#parts.promoteEvery !== 0) this.#loop ??= this.#run()
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#loop
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted) {
      this.#wake = new AbortController()
      await this.#parts.clock.sleep(this.#parts.promoteEvery ?? every, AbortSignal.any([signal, this.#wake.signal]))
      if (!signal.aborted) await this.look(signal)
    }
  }

  /** Promotes what there is, and now and then sweeps. Never throws: what fails is logged, and comes again. */
  async look(signal: AbortSignal): Promise<void> {
    const { stores, logger, promoter } = this.#parts
    if (stores.local === null) return
    try {
      if (stores.health('primary') === 'up') await promoter.run({ signal })
      if (this.#looks % looksPerSweep === 0) {
        await this.#uploads?.run(signal)
        await sweep(this.#parts, signal, [stores.local.place])
      }
      this.#looks += 1
    } catch (error) {
      const problem = KeepsakeError.from(error)
      if (!signal.aborted) logger.warn({ code: problem.code, err: problem }, 'what fell back could not be moved yet')
    }
  }
}
