import type { Catalogue, Move } from '../../catalogue/index.ts'
import type { Clock } from '../../clock.ts'
import type { Collection } from '../../media/index.ts'
import type { ObjectStore } from '../../stores/index.ts'
import type { Pace } from '../pace.ts'
import type { Troubles } from './outcomes.ts'
import type { FilePlan } from './plan-file.ts'
import type { ProgressMeter } from './progress.ts'
import type { MoveSource } from './source.ts'

export type MoveParts = { readonly catalogue: Catalogue; readonly store: ObjectStore; readonly clock: Clock }

/** One process at work on one move. */
export type MoveRun = {
  readonly parts: MoveParts
  readonly move: Move
  readonly source: MoveSource
  readonly collection: Collection
  readonly plan: FilePlan
  /** Of the source, so that the next batch is read while this one still waits for its turn to be put. */
  readonly reading: Pace
  /** Of our own store. */
  readonly pace: Pace
  readonly progress: ProgressMeter
  readonly troubles: Troubles
  readonly verification: 'head' | 'full'
  /** Aborted when the caller stops, or the move is another runner's. */
  readonly signal: AbortSignal
}
