import type { Commands } from './commands.ts'

/** The copy of the bucket elsewhere. */
export function addReplicaCommands({ program, verb, io, done }: Commands): void {
  const summary = 'show the copy of the bucket elsewhere, and bring lost objects back from it'
  const replica = program.command('replica').summary(summary).description(summary).exitOverride()

  verb('status', 'show what is copied, what waits, for how long and why', 'keepsake replica status', replica).action(
    async (options) => done(await (await import('../verbs/replica.ts')).replicaStatusVerb(options, io)),
  )

  verb(
    'restore',
    'bring back what is missing from the bucket or corrupt in it, each checked by its SHA-256',
    'keepsake replica restore --dry-run\nkeepsake replica restore\nkeepsake replica restore --all',
    replica,
  )
    .option('--all', 'look at every object, not only at those known to be missing or corrupt')
    .option('--dry-run', 'only say what would be done')
    .action(async (options) => done(await (await import('../verbs/replica.ts')).replicaRestoreVerb(options, io)))
}
