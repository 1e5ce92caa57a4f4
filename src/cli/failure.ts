/** What a process ends with; in `keepsake --help` and docs/cli.md. */
export const exitCodes = {
  ok: 0,
  failure: 1,
  usage: 2,
  notFound: 3,
  denied: 4,
  refused: 5,
  unavailable: 6,
  interrupted: 130,
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

/** A problem as the HTTP contract gives it, or made here in the same shape where no server answered. */
export type Problem = {
  readonly code: string
  readonly status: number
  readonly title: string
  readonly detail: string
  readonly requestId?: string
}

/** What a verb throws to end the process with a message and an exit code. */
export class CliFailure extends Error {
  override readonly name = 'CliFailure'
  readonly problem: Problem
  readonly exitCode: ExitCode

  constructor(problem: Problem, exitCode: ExitCode = exitCodeOf(problem.status)) {
    super(problem.detail)
    this.problem = problem
    this.exitCode = exitCode
  }

  /** The command line itself is wrong. */
  static usage(detail: string): CliFailure {
    return new CliFailure({ code: 'usage', status: 400, title: 'Wrong usage', detail }, exitCodes.usage)
  }

  static interrupted(): CliFailure {
    return new CliFailure({ code: 'interrupted', status: 499, title: 'Interrupted', detail: 'Interrupted.' }, 130)
  }
}

function exitCodeOf(status: number): ExitCode {
  if (status === 404) return exitCodes.notFound
  if (status === 401 || status === 403) return exitCodes.denied
  if (status === 502 || status === 503 || status === 504) return exitCodes.unavailable
  if (status >= 400 && status < 500) return exitCodes.refused
  return exitCodes.failure
}
