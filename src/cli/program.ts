import { Command, Option } from 'commander'
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

/** Collects a repeated option. */
const collect = (value: string, before: readonly string[]) => [...before, value]

/**
 * The commands and their help. A verb's code is loaded when it runs, so that help comes at once.
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
    .showSuggestionAfterError()
    .addHelpText('after', exitCodeHelp)

  const verb = (signature: string, summary: string, example: string) =>
    common(program.command(signature).summary(summary).description(summary).exitOverride()).addHelpText(
      'after',
      `\nExamples:\n${example
        .split('\n')
        .map((line) => `  $ ${line}`)
        .join('\n')}`,
    )

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
    .action(async (options) => done(await (await import('./verbs/serve.ts')).serveVerb(options, io)))

  verb(
    'import <source>',
    'keep a URL, a file, a data URI, or standard input (-)',
    'keepsake import https://provider.example/output.png --attr wallet=0xabc --attr model=flux\nkeepsake import photo.jpg --owner ada --json\nffmpeg … -f mp4 - | keepsake import - --filename clip.mp4',
  )
    .option('-c, --collection <name>', 'where to keep it', 'generations')
    .option('--owner <owner>', 'who it belongs to')
    .option('-a, --attr <key=value>', 'an attribute, repeatable', collect, [])
    .option('--prompt <text>', 'what it was made from')
    .option('--model <name>', 'the model that made it')
    .option('--provider <name>', 'the provider that ran the model')
    .option('--seed <seed>', 'the seed')
    .option('--filename <name>', 'what a download is called (default: the file’s name)')
    .option('--idempotency-key <key>', 'the same key gives the same asset, however often')
    .option('--wait', 'if it is pending, wait until it is stored or lost')
    .action(async (source, options) => done(await (await import('./verbs/import.ts')).importVerb(source, options, io)))

  verb(
    'ls [collection]',
    'list assets, newest first',
    'keepsake ls\nkeepsake ls generations --attr model=flux --from 24h --all --json',
  )
    .option('--owner <owner>', 'only this owner’s')
    .option('--kind <kind>', 'only image, video, audio or other')
    .option('--state <state>', 'only pending, stored, failed or deleting')
    .option('-a, --attr <key=value>', 'only with this attribute, repeatable', collect, [])
    .option('--from <time>', 'only created since: 2026-01-31, 2026-01-31T12:00:00Z, or an age (24h, 7d)')
    .option('--to <time>', 'only created before')
    .option('-n, --limit <number>', 'entries a page, 1 to 1000 (default 50)')
    .option('--cursor <cursor>', 'go on after a page')
    .option('--all', 'every page')
    .action(async (collection, options) =>
      done(await (await import('./verbs/ls.ts')).listVerb(collection ?? 'generations', options, io)),
    )

  verb('show <id>', 'show one asset', 'keepsake show 0198c0de-7a11-7b52-8c3d-0123456789ab').action(
    async (id, options) => done(await (await import('./verbs/show.ts')).showVerb(id, options, io)),
  )

  verb('url <id...>', 'print signed links', 'open "$(keepsake url 0198c0de-7a11-7b52-8c3d-0123456789ab --expires 300)"')
    .option('--expires <seconds>', 'how long a link works, 1 to 3600')
    .option('--download', 'open as a download')
    .action(async (ids, options) => done(await (await import('./verbs/url.ts')).urlVerb(ids, options, io)))

  verb('rm <id...>', 'delete assets for good', 'keepsake rm 0198c0de-7a11-7b52-8c3d-0123456789ab --yes')
    .option('-y, --yes', 'do not ask')
    .action(async (ids, options) => done(await (await import('./verbs/rm.ts')).removeVerb(ids, options, io)))

  verb(
    'audit [id]',
    'show who did what, newest first',
    'keepsake audit 0198c0de-7a11-7b52-8c3d-0123456789ab\nkeepsake audit --owner ada --from 7d --json',
  )
    .option('--owner <owner>', 'only this owner’s')
    .option('--from <time>', 'since: 2026-01-31, 2026-01-31T12:00:00Z, or an age (24h, 7d)')
    .option('--to <time>', 'before')
    .option('-n, --limit <number>', 'entries a page, 1 to 1000')
    .option('--cursor <cursor>', 'go on after a page')
    .option('--all', 'every page')
    .action(async (id, options) => done(await (await import('./verbs/audit.ts')).auditVerb(id, options, io)))

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
  $ AWS_ENDPOINT_URL=http://127.0.0.1:9000 aws s3 ls s3://media`,
    )
    .action(async (options) => done(await (await import('./verbs/s3.ts')).s3Verb(options, io)))

  program
    .command('demo')
    .summary('rescue a picture from a dying URL, and show it')
    .description('Imports a picture behind a URL that expires, lets the URL die, and opens the picture all the same.')
    .exitOverride()
    .option('--json', 'JSON on standard output, and errors as JSON')
    .action(async (options) => done(await (await import('./demo.ts')).demo(options, io)))

  return program
}

function common(command: Command): Command {
  return command
    .option('--json', 'one JSON document on standard output; errors as JSON on standard error')
    .option('--url <address>', 'the server to ask (KEEPSAKE_URL)')
    .option('--api-key <key>', 'its API key; others can see it here, prefer KEEPSAKE_API_KEY')
    .option('--data-dir <folder>', 'the data folder (KEEPSAKE_DATA_DIR; default ./.keepsake)')
}
