import { type Commands, collect } from './commands.ts'

/** Media in, out and away. */
export function addAssetCommands({ verb, io, done }: Commands): void {
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
    .action(async (source, options) => done(await (await import('../verbs/import.ts')).importVerb(source, options, io)))

  verb(
    'ls [collection]',
    'list assets, newest first',
    'keepsake ls\nkeepsake ls generations --attr model=flux --from 24h --all --json',
  )
    .option('--owner <owner>', 'only this owner’s')
    .option('--kind <kind>', 'only image, video, audio or other')
    .option('--parent <id>', 'only what was made from this asset')
    .option('--state <state>', 'only pending, stored, failed or deleting')
    .option('-a, --attr <key=value>', 'only with this attribute, repeatable', collect, [])
    .option('--from <time>', 'only created since: 2026-01-31, 2026-01-31T12:00:00Z, or an age (24h, 7d)')
    .option('--to <time>', 'only created before')
    .option('-n, --limit <number>', 'entries a page, 1 to 1000 (default 50)')
    .option('--cursor <cursor>', 'go on after a page')
    .option('--all', 'every page')
    .action(async (collection, options) =>
      done(await (await import('../verbs/ls.ts')).listVerb(collection ?? 'generations', options, io)),
    )

  verb('show <id>', 'show one asset', 'keepsake show 0198c0de-7a11-7b52-8c3d-0123456789ab').action(
    async (id, options) => done(await (await import('../verbs/show.ts')).showVerb(id, options, io)),
  )

  verb('url <id...>', 'print signed links', 'open "$(keepsake url 0198c0de-7a11-7b52-8c3d-0123456789ab --expires 300)"')
    .option('--expires <seconds>', 'how long a link works, 1 to 3600')
    .option('--download', 'open as a download')
    .action(async (ids, options) => done(await (await import('../verbs/url.ts')).urlVerb(ids, options, io)))

  verb('rm <id...>', 'delete assets for good', 'keepsake rm 0198c0de-7a11-7b52-8c3d-0123456789ab --yes')
    .option('-y, --yes', 'do not ask')
    .action(async (ids, options) => done(await (await import('../verbs/rm.ts')).removeVerb(ids, options, io)))

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
    .action(async (id, options) => done(await (await import('../verbs/audit.ts')).auditVerb(id, options, io)))
}
