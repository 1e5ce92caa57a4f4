import { describeError } from '../logging/index.ts'
import { KeepsakeError } from '../media/index.ts'
import { CliFailure } from './failure.ts'

/** Anything thrown as a failure of the command line. */
export function failureOf(error: unknown): CliFailure {
  if (error instanceof CliFailure) return error
  const { code, status, title, message } = KeepsakeError.from(error)
  const detail = KeepsakeError.is(error) ? message : `Something unexpected went wrong: ${describeError(error)}`
  return new CliFailure({ code, status, title, detail })
}
