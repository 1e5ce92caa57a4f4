import type { Commands } from './commands.ts'

/** Events on their way to other servers. */
export function addWebhookCommands({ program, verb, io, done }: Commands): void {
  const webhooks = program
    .command('webhooks')
    .summary('see, test and replay what is sent to other servers')
    .description('Events such as asset.stored, signed and sent to the endpoints in the configuration.')
    .exitOverride()

  verb('ls', 'list the endpoints, with what waits for them', 'keepsake webhooks ls', webhooks).action(async (options) =>
    done(await (await import('../verbs/webhooks.ts')).listEndpointsVerb(options, io)),
  )

  verb(
    'dead',
    'list what was given up (or pending, or delivered)',
    'keepsake webhooks dead\nkeepsake webhooks dead --state pending --endpoint app --json',
    webhooks,
  )
    .option('--state <state>', 'dead, pending or delivered', 'dead')
    .option('--endpoint <id>', 'only to this endpoint')
    .option('--limit <number>', 'entries, 1 to 1000 (default 50)')
    .option('--cursor <cursor>', 'go on after a page')
    .action(async (options) => done(await (await import('../verbs/webhooks.ts')).deliveriesVerb(options, io)))

  verb(
    'replay [id...]',
    'send deliveries again, under their old webhook-id',
    'keepsake webhooks replay 42\nkeepsake webhooks replay --all-dead --endpoint app',
    webhooks,
  )
    .option('--all-dead', 'everything that was given up')
    .option('--endpoint <id>', 'with --all-dead: only to this endpoint')
    .action(async (ids, options) => done(await (await import('../verbs/webhooks.ts')).replayVerb(ids, options, io)))

  verb('test [endpoint]', 'send keepsake.test now, once', 'keepsake webhooks test', webhooks).action(
    async (endpoint, options) => done(await (await import('../verbs/webhooks.ts')).testVerb(endpoint, options, io)),
  )
}
