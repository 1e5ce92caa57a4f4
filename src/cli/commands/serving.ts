import { Option } from 'commander'
import { type Commands, collect } from './commands.ts'

/** Running things: the server, the embedded S3, the demo. */
export function addServingCommands({ program, verb, io, done }: Commands): void {
  verb('serve', 'run the server', 'keepsake serve\nPORT=9000 keepsake serve --data-dir /var/lib/keepsake')
    .option('--host <address>', 'where to listen (HOST; default 127.0.0.1)')
    .option('--port <number>', 'where to listen (PORT; default 8000)')
    .addOption(
      new Option('--log-level <level>', 'how much to log (KEEPSAKE_LOG_LEVEL; default info)').choices([
        'trace',
        'debug',
        'info',
        'warn',
        'error',
        'silent',
      ]),
    )
    .action(async (options) => done(await (await import('../verbs/serve.ts')).serveVerb(options, io)))

  program
    .command('s3')
    .summary('run the embedded S3 by itself')
    .description('Serves a folder as S3, for development, tests and small installations; without Keepsake.')
    .exitOverride()
    .requiredOption('--dir <folder>', 'where buckets and objects lie; made if missing')
    .option('--host <address>', 'where to listen', '127.0.0.1')
    .option('--port <number>', 'where to listen; 0 for any that is free', '9000')
    .option('-b, --bucket <name>', 'a bucket to make if it is missing, repeatable', collect, [])
    .option('--json', 'JSON on standard output, and errors as JSON')
    .addHelpText(
      'after',
      `
Credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or else a pair made at the first start and kept in the folder.

Examples:
  $ keepsake s3 --dir ./s3 --bucket media
  $ aws --endpoint-url http://127.0.0.1:9000 s3 ls s3://media`,
    )
    .action(async (options) => done(await (await import('../verbs/s3.ts')).s3Verb(options, io)))

  program
    .command('demo')
    .summary('rescue a picture from a dying URL, and show it')
    .description('Imports a picture behind a URL that expires, lets the URL die, and opens the picture all the same.')
    .exitOverride()
    .option('--json', 'JSON on standard output, and errors as JSON')
    .action(async (options) => done(await (await import('../demo.ts')).demo(options, io)))
}
