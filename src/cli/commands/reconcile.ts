import type { Commands } from './commands.ts'

/** Bucket and catalogue: compared, put right, and back. */
export function addReconcileCommands({ verb, io, done }: Commands): void {
  const reconcile = verb(
    'reconcile',
    'compare the bucket with the catalogue, and write what is wrong into a manifest',
    'keepsake reconcile\nkeepsake reconcile --prefix ai-generated/ --out found.ndjson\nkeepsake reconcile apply found.ndjson\nkeepsake reconcile restore found.ndjson',
  )
    // An option after a second word is that word's own.
    .enablePositionalOptions()
    .option('--prefix <prefix>', 'only keys under it; it ends with a slash')
    .option('--shards <number>', 'ranges of keys compared at the same time, 1 to 32 (default 4)')
    .option('--resume', 'go on with the latest scan that was cut off')
    .option('--hashes', 'ask every object for the hash that it states (a request each); default: sizes only')
    .option('--inventory <file>', 'read an S3 Inventory (manifest.json, .csv or .csv.gz) in place of the listing')
    .option('--out <file>', 'where to write the manifest (default: keepsake-reconcile-<time>.ndjson)')
    .action(async (options) => done(await (await import('../verbs/reconcile.ts')).scanVerb(options, io)))

  verb(
    'apply <manifest>',
    'move orphans to quarantine/, mark and look for what is missing, abort stale uploads',
    'keepsake reconcile apply found.ndjson\nkeepsake reconcile apply found.ndjson --expect 1234 --yes',
    reconcile,
  )
    .option('--expect <number>', 'the number of orphans, where a brake would stop it otherwise')
    .option('--expect-missing <number>', 'the number of missing objects, where most of what is stored is missing')
    .option('-y, --yes', 'do not ask')
    .option('--min-age <duration>', 'how old an orphan must be, by the store’s clock (default 24h)')
    .option('--apart <duration>', 'how long must lie between two sightings of an orphan (default 24h)')
    .action(async (manifest, options) =>
      done(await (await import('../verbs/reconcile.ts')).applyVerb(manifest, options, io)),
    )

  verb(
    'restore [key-or-manifest]',
    'bring objects back from quarantine/',
    'keepsake reconcile restore ai-generated/…/143052_a1b2c3d4.png\nkeepsake reconcile restore found.ndjson\nkeepsake reconcile restore --all',
    reconcile,
  )
    .option('--all', 'everything in quarantine/')
    .option('-y, --yes', 'do not ask')
    .action(async (what, options) => done(await (await import('../verbs/reconcile.ts')).restoreVerb(what, options, io)))
}
