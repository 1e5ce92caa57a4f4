import type { Commands } from './commands.ts'

/** Keeping it true: what is kept how long, and whether it is there. */
export function addVerifyCommands({ verb, io, done }: Commands): void {
  verb(
    'keep <id> [time]',
    'keep an asset for so long, or pin it',
    'keepsake keep 0198c0de-7a11-7b52-8c3d-0123456789ab 30d\nkeepsake keep 0198c0de-7a11-7b52-8c3d-0123456789ab forever\nkeepsake keep 0198c0de-7a11-7b52-8c3d-0123456789ab --pin',
  )
    .option('--pin', 'retention and clean-ups leave it alone')
    .option('--unpin', 'they do not any more')
    .action(async (id, time, options) => done(await (await import('../verbs/keep.ts')).keepVerb(id, time, options, io)))

  verb(
    'cleanup',
    'delete what is older than so many days',
    'keepsake cleanup --older-than 90d --owner ada --dry-run\nkeepsake cleanup --older-than 1y --collection previews --expect 1234',
  )
    .requiredOption('--older-than <age>', 'how old, counted from when it was made; at least a day (90d, 1y)')
    .option('--owner <owner>', 'only this owner’s')
    .option('-c, --collection <name>', 'only of this collection')
    .option('-n, --dry-run', 'only count')
    .option('--expect <number>', 'the count of a dry run: delete that many at most')
    .action(async (options) => done(await (await import('../verbs/cleanup.ts')).cleanupVerb(options, io)))

  verb(
    'promote',
    'move to the bucket what fell back to this machine’s disk',
    'keepsake promote\nkeepsake promote --json',
  ).action(async (options) => done(await (await import('../verbs/promote.ts')).promoteVerb(options, io)))

  verb(
    'verify',
    'look whether stored objects are there and right',
    'keepsake verify\nkeepsake verify --level full --budget 10m --bandwidth "20 MB"\nkeepsake verify --owner ada --json',
  )
    .option('--level <level>', 'exists (and size), checksum (what the store keeps), or full (read and hash)', 'exists')
    .option('--budget <time>', 'how long new looks are begun (10m); what was looked at longest ago comes first')
    .option('--bandwidth <size>', 'bytes a second at most (20 MB)')
    .option('--owner <owner>', 'only this owner’s')
    .option('-c, --collection <name>', 'only of this collection')
    .option('--force', 'believe the bucket although most objects are missing')
    .action(async (options) => done(await (await import('../verbs/verify.ts')).verifyVerb(options, io)))
}
