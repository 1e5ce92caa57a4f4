import type { Commands } from './commands.ts'

/** Whether all is well. */
export function addDoctorCommand({ verb, io, done }: Commands): void {
  verb(
    'doctor',
    'look at the bucket, the catalogue and the settings, and say what is wrong',
    'keepsake doctor\nkeepsake doctor --only S3,probe.clock\nkeepsake doctor --json | jq ".findings[] | select(.status == \\"fail\\")"',
  )
    .description(
      'Reads the bucket’s settings, tries the bucket out under temp/.doctor/ (and removes that again), tries row-level\nsecurity, and looks at the data folder and the settings. What fails comes first, with why it matters and the fix.',
    )
    .option(
      '--only <ids>',
      'only these checks or groups, separated by commas: S3, bucket, probe, catalogue, folder, settings',
    )
    .option('--all', 'also show what is well')
    .addHelpText(
      'after',
      `
Exit codes:
  0  all is well: everything passes, is not offered, or fails with severity info alone
  1  something of severity critical or high fails
  5  something of severity medium or low fails
  6  nothing fails, and something could not be looked at
     Others as in keepsake --help, where the doctor could not begin.`,
    )
    .action(async (options) => done(await (await import('../verbs/doctor.ts')).doctorVerb(options, io)))
}
