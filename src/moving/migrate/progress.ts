import type { MoveCounts, MoveStage } from '../../catalogue/index.ts'

/** How far a move is, for whoever watches. */
export type MoveProgress = {
  readonly stage: MoveStage
  /** Files of this stage: those behind us, and all there are, failed ones left out. */
  readonly files: number
  readonly ofFiles: number
  readonly bytes: number
  readonly ofBytes: number
  readonly failed: number
  /** Bytes a second, over the last seconds. */
  readonly rate: number
  /** Seconds at that rate; null where there is no telling. */
  readonly left: number | null
}

/** Seconds over which the rate is taken. */
const window = 10

/** Counts a run's progress and tells of it a few times a second. */
export class ProgressMeter {
  readonly #tell: (progress: MoveProgress) => void
  #stage: MoveStage = 'inventory'
  #files = 0
  #ofFiles = 0
  #bytes = 0
  #ofBytes = 0
  #failed = 0
  #toldAt = 0
  /** What was behind us at which time; the oldest within the window comes first. */
  #marks: { at: number; bytes: number; files: number }[] = []

  constructor(tell: (progress: MoveProgress) => void) {
    this.#tell = tell
  }

  /** One more file is behind us. */
  passed(bytes: number): void {
    this.#files += 1
    this.#bytes += bytes
    this.#told()
  }

  begin(stage: MoveStage, counts: MoveCounts): void {
    const { found, placed, copied, verified, done } = counts
    const sum = (...parts: { files: number; bytes: number }[]) => ({
      files: parts.reduce((total, part) => total + part.files, 0),
      bytes: parts.reduce((total, part) => total + part.bytes, 0),
    })
    const all = sum(found, placed, copied, verified, done)
    const behind = stage === 'copy' ? sum(copied, verified, done) : stage === 'verify' ? sum(verified, done) : done
    this.#stage = stage
    this.#ofFiles = all.files
    this.#ofBytes = all.bytes
    this.#files = behind.files
    this.#bytes = behind.bytes
    this.#failed = counts.failed.files
    this.#marks = []
    this.#told(true)
  }

  failed(files: number): void {
    this.#failed += files
    this.#ofFiles -= files
  }

  #told(now = false): void {
    const at = performance.now()
    if (!now && at - this.#toldAt < 250) return
    this.#toldAt = at
    this.#marks.push({ at, bytes: this.#bytes, files: this.#files })
    while (this.#marks.length > 2 && at - (this.#marks[0]?.at ?? at) > window * 1000) this.#marks.shift()
    const first = this.#marks[0] ?? { at, bytes: this.#bytes, files: this.#files }
    const seconds = (at - first.at) / 1000
    const rate = seconds > 0 ? (this.#bytes - first.bytes) / seconds : 0
    // Many small files take their time for being many: by number, not by weight.
    const pace = seconds > 0 ? (this.#files - first.files) / seconds : 0
    const left = this.#stage === 'inventory' || pace === 0 ? null : (this.#ofFiles - this.#files) / pace
    this.#tell({
      stage: this.#stage,
      files: this.#files,
      ofFiles: this.#ofFiles,
      bytes: this.#bytes,
      ofBytes: this.#ofBytes,
      failed: this.#failed,
      rate: Math.round(rate),
      left: left === null ? null : Math.round(left),
    })
  }
}
