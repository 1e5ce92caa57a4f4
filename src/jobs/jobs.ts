/**
 * Work to be done later. A job is a nudge: the truth is the asset row, so a lost or doubled job does no harm, and the
 * regular sweep finds what a lost nudge would have told.
 */
export interface Jobs {
  /** Asks for an asset to be looked at, now or after some seconds. Never throws for a failing queue: the sweep is the safety net. */
  nudge(asset: string, afterSeconds?: number): Promise<void>

  /**
   * Runs work at the times of a cron expression (five fields, or six with seconds in front; UTC). Of all processes on
   * this database that schedule the name, one runs it, and never beside a run that has not ended. A time that passed
   * while no process ran is skipped; a run that a stop cut off is begun again by the next process. The last expression
   * that was given counts. Call it after {@link start}.
   *
   * @throws {KeepsakeError} `invalid_setting` where the expression is none.
   */
  schedule(name: string, cron: string, work: ScheduledWork): Promise<void>

  /** Starts work: `settle` for each nudge, `sweep` once at the start and then regularly, by one process at a time. */
  start(handlers: JobHandlers): Promise<void>

  /**
   * Sends a nudge for an asset that does not exist through the queue, and waits until somebody has worked it: this
   * process or another one on the same queue. Gives the milliseconds that it took.
   *
   * @throws `catalogue_unavailable` where the queue fails, `timeout` where nobody works it until the signal is aborted.
   */
  check(signal: AbortSignal): Promise<number>

  /** Takes no more work and waits for what runs, at most so many seconds. */
  stop(timeoutSeconds?: number): Promise<void>
}

export type JobHandlers = {
  /** Brings one asset forward. Throwing is allowed: it is logged, and the sweep comes back to it. */
  readonly settle: (asset: string, signal: AbortSignal) => Promise<void>
  /** Looks for everything that is due. */
  readonly sweep: (signal: AbortSignal) => Promise<void>
}

/** Throwing is allowed: it is logged, and the next time comes. */
export type ScheduledWork = (signal: AbortSignal) => Promise<void>
