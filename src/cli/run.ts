import { CommanderError } from 'commander'
import { CliFailure, type ExitCode, exitCodes } from './failure.ts'
import type { Io } from './io.ts'
import { printable } from './printable.ts'
import { createProgram } from './program.ts'

/** Runs a command line to its end and answers the exit code. Never throws. */
export async function run(args: readonly string[], io: Io, version: string): Promise<ExitCode> {
  let exitCode: ExitCode = exitCodes.ok
  const program = createProgram(io, version, (code) => {
    exitCode = code
  })
  try {
    if (args.length === 0) {
      program.outputHelp({ error: true })
      return exitCodes.usage
    }
    await program.parseAsync([...args], { from: 'user' })
    return exitCode
  } catch (error) {
    // Commander has said what is wrong by then; help and version come this way too.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    const { failureOf } = await import('./failure-of.ts')
    const failure = io.signal.aborted ? CliFailure.interrupted() : failureOf(error)
    report(failure, args.includes('--json'), io)
    return failure.exitCode
  }
}

function report({ problem, exitCode }: CliFailure, json: boolean, io: Io): void {
  if (json) io.stderr.write(`${JSON.stringify(problem)}\n`)
  else if (exitCode === exitCodes.interrupted) io.stderr.write('\n')
  else {
    const request = problem.requestId === undefined ? '' : ` (request ${problem.requestId})`
    const detail = problem.detail.split('\n').map(printable).join('\n  ')
    io.stderr.write(`keepsake: ${detail} [${problem.code}]${request}\n`)
  }
}
