import type { Command } from 'commander'
import { type Commands, collect } from './commands.ts'

const precedence = `
Settings come from these options, then keepsake.config.ts (bucket: { … }, s3: { … }), then the environment (S3_BUCKET_NAME,
AWS_REGION, AWS_PROFILE, KEEPSAKE_BUCKET_APP, KEEPSAKE_BUCKET_ENV, KEEPSAKE_BUCKET_ORIGINS, KEEPSAKE_BUCKET_KMS_KEY …).
With --app and no bucket it is AWS, and the bucket is <app>-<env>-<account>. Without both it is the embedded S3.`

/** Setting the bucket up: compare, change, export. */
export function addBucketCommands({ program, io, done }: Commands): void {
  const bucket = program
    .command('bucket')
    .summary('plan, apply and export the bucket’s settings')
    .description(
      'Sets the bucket up: private, encrypted, TLS only, with exact CORS and lifecycle rules. Deletes nothing.',
    )
    .exitOverride()

  settings(
    bucket
      .command('plan')
      .summary('show what would change')
      .description('Compares the bucket with the settings. Only reads.'),
  )
    .option('--adopt', 'take over what others set in place of ours')
    .option('-o, --out <file>', 'save the plan; `bucket apply <file>` does that or nothing')
    .addHelpText(
      'after',
      `${precedence}

Exit codes: 0 it is as asked, 2 it is not: there is something to change, or others' settings stand in the way,
4 a setting may not be read, 6 one could not be.

Examples:
  $ keepsake bucket plan --app echoes-audio --env dev --profile my-profile --origin http://localhost:3000
  $ keepsake bucket plan --out plan.json && keepsake bucket apply plan.json`,
    )
    .action(async (options) => done(await (await import('../verbs/bucket.ts')).planVerb(options, io)))

  settings(
    bucket
      .command('apply [plan]')
      .summary('make the bucket so')
      .description('Makes the bucket if it is missing, sets what differs, one after the other, and reads each back.'),
  )
    .option('--adopt', 'take over what others set in place of ours')
    .option('-y, --yes', 'do not ask')
    .addHelpText(
      'after',
      `${precedence}

It can be repeated: what is done is not done again, and after a failure it goes on from there.

Exit codes: 0 it is as asked, 4 and 6 as in keepsake --help, 5 a step was refused, or something is not as asked because
others' settings stand in the way (--adopt) or something is missing.

Examples:
  $ keepsake bucket apply --app echoes-audio --env prod --origin https://echoes.app --logging
  $ keepsake bucket apply plan.json --yes`,
    )
    .action(async (plan, options) => done(await (await import('../verbs/bucket.ts')).applyVerb(plan, options, io)))

  settings(
    bucket
      .command('export <form>')
      .summary('write the same as IAM, CloudFormation, Terraform or commands')
      .description('Writes the desired state as iam, cloudformation, terraform, aws-cli, or cloudfront.'),
  )
    .option('--role <role>', 'for iam: app, janitor, doctor or provisioner (default: all of them)')
    .option('--public-key <file>', 'for cloudfront: take links signed by this key for what is not public')
    .option('-o, --out <file>', 'write to a file')
    .addHelpText(
      'after',
      `${precedence}

Examples:
  $ keepsake bucket export iam --role app > app-policy.json
  $ keepsake bucket export cloudformation --app echoes-audio --account 123456789012 --out bucket.json
  $ keepsake bucket export terraform > bucket.tf
  $ keepsake bucket export cloudfront --public-key public.pem --out cdn.json
  $ keepsake bucket export aws-cli | sh`,
    )
    .action(async (form, options) =>
      done(await (await import('../verbs/bucket-export.ts')).exportVerb(form, options, io)),
    )
}

/** The options that say what is wanted, and where. */
export function settings(command: Command): Command {
  return command
    .exitOverride()
    .option('--app <name>', 'the app; the bucket is <app>-<env>-<account>')
    .option('--env <env>', 'dev or prod (default: prod; dev for the embedded S3)')
    .option('--account <digits>', 'the AWS account (default: that of the credentials)')
    .option('--bucket <name>', 'the bucket, instead of a name made of the app (S3_BUCKET_NAME)')
    .option('--region <region>', 'where it lies (AWS_REGION)')
    .option('--profile <name>', 'a profile of ~/.aws (AWS_PROFILE)')
    .option('--endpoint <address>', 'a store other than AWS (S3_ENDPOINT)')
    .option('--origin <origin>', 'whose pages may upload and read, repeatable', collect)
    .option('--prefix <prefix>', 'what the app’s IAM policy is held to, repeatable', collect)
    .option('--kms-key <arn>', 'encrypt with this KMS key, by a bucket key (default: SSE-S3)')
    .option('--deny-other-encryption', 'refuse writes that ask for another encryption')
    .option('--file-extension <ending>', 'refuse keys with another ending, repeatable', collect)
    .option('--versioning', 'keep replaced and deleted versions (default in prod)')
    .option('--no-versioning', 'do not ask for versions')
    .option('--temp-days <days>', 'days that temp/ is kept (default 7)')
    .option('--quarantine-days <days>', 'days that quarantine/ is kept (default 30)')
    .option('--stale-upload-days <days>', 'days that an unfinished upload is kept (default 1 in dev, 7 in prod)')
    .option('--retention <prefix=days>', 'expire what lies under a prefix, repeatable', collect)
    .option('--transition <prefix=days:class>', 'move to a storage class, repeatable', collect)
    .option('--noncurrent-days <days>', 'days that old versions are kept (default 30)')
    .option('--logging [bucket]', 'access logs, to a bucket of their own or to the one named')
    .option('--inventory <daily|weekly>', 'a list of all objects in the bucket for logs')
    .option('--log-days <days>', 'days that logs are kept (default 365)')
    .option('--replica-region <region>', 'copy everything to a bucket there')
    .option('--replica-role <arn>', 'the IAM role that copies')
    .option('--replica-bucket <name>', 'its name (default: <bucket>-replica)')
    .option('--replica-kms-key <arn>', 'a KMS key in that region')
    .option('--distribution <arn>', 'the CloudFront distribution that may read')
    .option('--data-dir <folder>', 'the data folder (KEEPSAKE_DATA_DIR; default ./.keepsake)')
    .option('--json', 'one JSON document on standard output; errors as JSON on standard error')
}
