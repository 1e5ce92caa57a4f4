import { Command } from 'commander'
import { addAssetCommands } from './commands/assets.ts'
import { addBucketCommands } from './commands/bucket.ts'
import { createCommands } from './commands/commands.ts'
import { addDoctorCommand } from './commands/doctor.ts'
import { addMovingCommands } from './commands/moving.ts'
import { addReconcileCommands } from './commands/reconcile.ts'
import { addReplicaCommands } from './commands/replica.ts'
import { addReportCommands } from './commands/report.ts'
import { addServingCommands } from './commands/serving.ts'
import { addVerifyCommands } from './commands/verify.ts'
import { addWebhookCommands } from './commands/webhooks.ts'
import type { ExitCode } from './failure.ts'
import type { Io } from './io.ts'

const exitCodeHelp = `
Exit codes:
  0  done                          4  refused: credentials (401, 403)
  1  failed unexpectedly           5  refused: the request or its content (other 4xx)
  2  wrong usage                   6  not now: failing or pending (502, 503, 504)
  3  not found                   130  interrupted

Where it works:
  With --url or KEEPSAKE_URL (and KEEPSAKE_API_KEY) a verb asks that server. Otherwise it works on the data folder
  here (--data-dir, KEEPSAKE_DATA_DIR, else ./.keepsake): through the process that holds it, or by itself.

Examples:
  $ keepsake serve
  $ keepsake import https://provider.example/output.png --attr model=flux --prompt "a lighthouse at dusk"
  $ keepsake import photo.jpg --owner ada
  $ keepsake ls --owner ada --from 7d
  $ curl -o photo.jpg "$(keepsake url 0198c0de-7a11-7b52-8c3d-0123456789ab)"
`

/**
 * The commands and their help, a file for each group of them.
 *
 * @param done Told the exit code of the verb that ran.
 */
export function createProgram(io: Io, version: string, done: (exitCode: ExitCode) => void): Command {
  const program = new Command('keepsake')
    .description('Keeps media safe in S3, catalogued in Postgres, and gives it back by signed links.')
    .version(version, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show help')
    .configureOutput({ writeOut: (text) => void io.stdout.write(text), writeErr: (text) => void io.stderr.write(text) })
    .exitOverride()
    // An option after a verb is that verb's, and not one of the words before it.
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .addHelpText('after', exitCodeHelp)
  const commands = createCommands(program, io, done)
  addAssetCommands(commands)
  addReportCommands(commands)
  addVerifyCommands(commands)
  addWebhookCommands(commands)
  addReconcileCommands(commands)
  addReplicaCommands(commands)
  addDoctorCommand(commands)
  addMovingCommands(commands)
  addServingCommands(commands)
  addBucketCommands(commands)
  return program
}
