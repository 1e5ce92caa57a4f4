import { type Commands, collect } from './commands.ts'

/** Existing media on its way in. */
export function addMovingCommands({ program, verb, io, done }: Commands): void {
  verb(
    'migrate <source>',
    'take a folder, or s3://bucket/prefix, into a collection',
    "keepsake migrate static/pictures -c generations --match '{owner}/{name}.{ext}' --dry-run\nkeepsake migrate static/pictures -c generations --match '{owner}/{name}.{ext}'\nkeepsake migrate s3://old-bucket/media/ -c generations --keep-keys --bandwidth 20MB",
  )
    .requiredOption('-c, --collection <name>', 'where to')
    .option('--match <pattern>', 'what a path says: {owner}, an attribute; {name}, {ext}, {path} are passed over')
    .option('--map <template>', 'the key template of the new objects (default: the collection’s)')
    .option('--keep-keys', 'the path is the key, as it is')
    .option('--owner <owner>', 'whose files they are where the path does not say')
    .option('-a, --attr <key=value>', 'an attribute of all of them, repeatable', collect, [])
    .option('-n, --dry-run', 'only say what would be done')
    .option('--full', 'verify by reading every byte back (default: size and the hash that the store checked)')
    .option('--retry', 'try those again that failed')
    .option('--skip-failed', 'store the others although some failed')
    .option('--concurrency <number>', 'files at a time at most; fewer where the store is overloaded (default 32)')
    .option('--bandwidth <size>', 'bytes a second at most, such as 20MB')
    .action(async (source, options) =>
      done(await (await import('../verbs/migrate.ts')).migrateVerb(source, options, io)),
    )

  const moves = program.command('moves').summary('look after what migrate began').exitOverride()
  verb('ls', 'list moves, newest first', 'keepsake moves ls', moves).action(async (options) =>
    done(await (await import('../verbs/moves.ts')).listMovesVerb(options, io)),
  )
  verb(
    'failures <id>',
    'list files that failed, with why',
    'keepsake moves failures 0198c0de-7a11-7b52-8c3d-0123456789ab --json',
    moves,
  ).action(async (id, options) => done(await (await import('../verbs/moves.ts')).failuresVerb(id, options, io)))
  verb(
    'retire <id>',
    'remove from the source what a finished move took over',
    'keepsake moves retire 0198c0de-7a11-7b52-8c3d-0123456789ab --yes',
    moves,
  )
    .option('-y, --yes', 'do not ask')
    .action(async (id, options) => done(await (await import('../verbs/moves.ts')).retireVerb(id, options, io)))
}
