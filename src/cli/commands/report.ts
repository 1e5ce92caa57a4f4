import type { Commands } from './commands.ts'

/** What there is, what it costs, and how it is found again. */
export function addReportCommands({ verb, io, done }: Commands): void {
  verb(
    'report',
    'show what is stored, for whom, and what it costs',
    'keepsake report --by owner --prices aws:us-east-1\nkeepsake report --by month --from 2026-01-01\nkeepsake report --by model --format csv --all > models.csv',
  )
    .option('--by <what>', 'a row for each owner, collection, kind, month, day, or value of an attribute')
    .option('--owner <owner>', 'only this owner’s')
    .option('-c, --collection <name>', 'only of this collection')
    .option('--kind <kind>', 'only image, video, audio or other')
    .option('--from <time>', 'only made since: 2026-01-31, 2026-01-31T12:00:00Z, or an age (24h, 7d)')
    .option('--to <time>', 'only made before')
    .option(
      '--prices <id>',
      'add a month’s cost: aws:<region>, r2, b2 or self-hosted; a class as aws:us-east-1:standard-ia',
    )
    .option('--puts <number>', 'requests that write, a month (default: assets stored in the last 30 days)')
    .option('--gets <number>', 'requests that read, a month (default: links issued in the last 30 days)')
    .option('--egress <size>', 'sent to the internet, a month: 20 GB, 20 GiB (default: what lies behind those links)')
    .option('--format <format>', 'text, json or csv (default: text)')
    .option('-n, --limit <number>', 'rows a page, 1 to 1000 (default 100)')
    .option('--cursor <cursor>', 'go on after a page')
    .option('--all', 'every page')
    .action(async (options) => done(await (await import('../verbs/report.ts')).reportVerb(options, io)))

  verb(
    'rebuild',
    'make a lost catalogue anew out of the bucket; shows what it would do unless --yes',
    'keepsake rebuild\nkeepsake rebuild --yes',
  )
    .option('-y, --yes', 'do it')
    .option('--into-existing', 'add what is absent to a catalogue that is in use')
    .option('--no-hash', 'leave out objects that nobody hashed, instead of reading them')
    .action(async (options) => done(await (await import('../verbs/rebuild.ts')).rebuildVerb(options, io)))
}
