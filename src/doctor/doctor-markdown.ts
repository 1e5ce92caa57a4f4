import { type Check, checks } from './checks.ts'

const groups: readonly (readonly [prefix: string, title: string, text: string])[] = [
  [
    'S3.',
    'The bucket’s settings: controls of AWS Security Hub',
    'By the ids and definitions of Security Hub. The severity is theirs too, but for S3.7, S3.11, S3.15 and S3.17, which Keepsake does without: those are `info`.',
  ],
  ['bucket.', 'The bucket’s settings: what Keepsake counts on', 'Judged by the same reads.'],
  [
    'probe.',
    'The bucket tried out',
    'Each is tried for real, as the app, as a browser and as a stranger, on objects under `temp/.doctor/`, which are gone afterwards, also when the doctor is interrupted; what a killed one left is cleared away by the next, or by the rule for `temp/`. In a versioned bucket delete markers stay until the rules end them.',
  ],
  [
    'catalogue.',
    'The catalogue',
    'Row-level security is tried with rows of an owner that does not exist, in a transaction that is rolled back.',
  ],
  ['folder.', 'The data folder', 'On the machine that serves.'],
  ['settings.', 'The settings', 'As they are in force.'],
]

const start = `# Doctor

\`\`\`console
$ keepsake doctor                       # what is wrong, why it matters, and the fix
$ keepsake doctor --all                 # and what is well
$ keepsake doctor --only S3,probe.clock # ids, or groups: S3, bucket, probe, catalogue, folder, settings
$ keepsake doctor --json
\`\`\`

The same is \`GET /v1/doctor?only=…\` for an API key, and \`keepsake.doctor({ only })\` in the library. It takes a
minute at most, and can be run at any time: it reads the bucket’s settings, writes under \`temp/.doctor/\` alone, and
changes nothing else. \`keepsake bucket export iam --role doctor\` prints the permissions that it needs.

| status | meaning |
|---|---|
| \`pass\` | it was looked at, and it is so |
| \`fail\` | it was looked at, and it is not so |
| \`not_offered\` | the store has no such thing, or this installation does without, so there is nothing to judge |
| \`unknown\` | it could not be looked at: denied, failing, out of time. Never taken for a pass |

The command ends with 1 where something of severity critical or high fails, 5 where something of medium or low does, 6
where nothing fails and something is unknown, and 0 otherwise: failures of severity info are only worth knowing.
`

/** The text of docs/doctor.md. `npx vitest run src/doctor/doctor-markdown.test.ts -u` writes it. */
export function doctorMarkdown(): string {
  const all: [string, Check][] = Object.entries(checks)
  const sections = groups.map(([prefix, title, text]) => {
    const own = all.filter(([id]) => id.startsWith(prefix))
    return `## ${title}\n\n${text}\n\n${own.map(([id, check]) => section(id, check)).join('\n')}`
  })
  return `${start}\n<!-- From here on made from src/doctor/checks.ts; a test compares the two. -->\n\n${sections.join('\n')}`
}

function section(id: string, { title, severity, why, fix }: Check): string {
  return `### ${id}\n\n**${title}** · ${severity}\n\n${why}\n\n*Fix:* ${codeIn(fix)}\n`
}

/** Braces and stars of commands are not Markdown’s. */
function codeIn(fix: string): string {
  return fix.replace(
    /(aws s3\S* .*|timedatectl set-ntp true|chmod .*|alter table .*|KEEPSAKE_API_KEY=.*|\{"Effect".*)$/s,
    '`$1`',
  )
}
