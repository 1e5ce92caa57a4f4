import type { Command } from 'commander'
import type { ExitCode } from '../failure.ts'
import type { Io } from '../io.ts'

/** What a group of commands is added with. A verb's code is loaded when it runs, so that help comes at once. */
export type Commands = {
  readonly program: Command
  readonly io: Io
  /** Told the exit code of the verb that ran. */
  readonly done: (exitCode: ExitCode) => void
  /**
   * A command that speaks with a Keepsake, wherever it runs.
   *
   * @param examples One a line, without the prompt.
   * @param parent For a command of two words. Default: the program.
   */
  verb(signature: string, summary: string, examples: string, parent?: Command): Command
}

export function createCommands(program: Command, io: Io, done: (exitCode: ExitCode) => void): Commands {
  return {
    program,
    io,
    done,
    verb: (signature, summary, examples, parent = program) =>
      common(parent.command(signature).summary(summary).description(summary).exitOverride()).addHelpText(
        'after',
        `\nExamples:\n${examples
          .split('\n')
          .map((line) => `  $ ${line}`)
          .join('\n')}`,
      ),
  }
}

/** Collects a repeated option. */
export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}

function common(command: Command): Command {
  return command
    .option('--json', 'one JSON document on standard output; errors as JSON on standard error')
    .option('--url <address>', 'the server to ask (KEEPSAKE_URL)')
    .option('--api-key <key>', 'its API key; others can see it here, prefer KEEPSAKE_API_KEY')
    .option('--data-dir <folder>', 'the data folder (KEEPSAKE_DATA_DIR; default ./.keepsake)')
}
