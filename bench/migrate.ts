/**
 * Taking a folder in: Keepsake beside Debian's rclone and awscli, onto the same embedded S3 in a process of its own, in
 * interleaved rounds. Keepsake also reads what each file is, writes a catalogue in PostgreSQL, and verifies.
 */
import { spawn } from 'node:child_process'
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { pictureBytes } from '../test/support/picture.ts'
import { startPostgres } from '../test/support/postgres.ts'
import { bucket, credentials, region } from './bucket.ts'
import { Child } from './child.ts'
import { type Figure, figure, short, show } from './figure.ts'
import type { Part, Row } from './report.ts'

const mebibyte = 1024 * 1024
const warmUpRounds = 1

type Sample = {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly peakBytes: number
  /** Resident before it began; of a process that begins with it, nothing. */
  readonly idleBytes?: number | undefined
}
type Subject = {
  readonly title: string
  run(folder: string, round: number): Promise<Sample>
  /** Lets go of its process, so that the next task is not measured with what this one left behind. */
  end?(): Promise<void>
}
type Task = {
  readonly name: string
  readonly folder: string
  readonly rounds: number
  readonly subjects: readonly string[]
}

const sampleSchema = z.object({
  seconds: z.number(),
  cpuSeconds: z.number(),
  peakBytes: z.number(),
  idleBytes: z.number().optional(),
})

export async function benchMigrate(): Promise<Part> {
  const postgres = await startPostgres()
  const folder = await mkdtemp(join(tmpdir(), 'keepsake-bench-migrate-'))
  try {
    await using server = new Child('s3-process.ts')
    const { url: endpoint } = await server.ask(z.object({ url: z.string() }), {})
    const subjects = new Map<string, Subject>([
      ['keepsake', keepsake('Keepsake, PostgreSQL', { BENCH_S3_ENDPOINT: endpoint, BENCH_POSTGRES: postgres.url })],
      [
        'keepsake-pglite',
        keepsake('Keepsake, PGlite', { BENCH_S3_ENDPOINT: endpoint, BENCH_PGLITE: join(folder, 'pglite') }),
      ],
    ])
    // A bundle for the outside world, which rclone's AWS library cannot load.
    const { AWS_CA_BUNDLE: _, ...outside } = process.env
    const env = {
      ...outside,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_DEFAULT_REGION: region,
      AWS_EC2_METADATA_DISABLED: 'true',
      RCLONE_CONFIG: '/dev/null',
    }
    if (await isThere('/usr/bin/rclone')) {
      const remote = `:s3,provider=Other,env_auth=true,region=${region},endpoint="${endpoint}",force_path_style=true,no_check_bucket=true:${bucket}`
      subjects.set('rclone', {
        title: 'rclone copy',
        run: (from, round) => timed(['/usr/bin/rclone', 'copy', from, `${remote}/rclone-${round}`], env),
      })
    }
    if (await isThere('/usr/bin/aws')) {
      subjects.set('awscli', {
        title: 'aws s3 sync',
        run: (from, round) =>
          timed(
            ['/usr/bin/aws', '--endpoint-url', endpoint, 's3', 'sync', '--quiet', from, `s3://${bucket}/aws-${round}`],
            env,
          ),
      })
    }
    const rows: Row[] = []
    const figures: unknown[] = []
    for (const task of await tasks(folder)) {
      const measured = await compare(task, subjects)
      const ours = measured.get('keepsake')
      for (const [name, side] of measured) {
        rows.push(row(task.name, subjects.get(name)?.title ?? name, side, ours))
        figures.push({ task: task.name, subject: name, ...side })
      }
      for (const subject of subjects.values()) await subject.end?.()
    }
    const absent = ['rclone', 'awscli'].filter((name) => !subjects.has(name))
    return {
      name: 'migrate',
      title: 'Taking a folder into a bucket',
      rows,
      notes: [
        'The same embedded S3, with fsync, in its own process; each round into keys of its own, the sides in turn.',
        'Keepsake sniffs, measures and hashes each file, keeps a row of it, puts with SHA-256, finds each object in the bucket’s list by size and ETag, and cuts over. Its CPU with PostgreSQL leaves out that of the server. Its time is of the verb in an open process; that of the others has their start in it (rclone 0.1 s, awscli 0.7 s or so).',
        'Peak: the most resident memory of the whole process (VmHWM, ru_maxrss) during a round. Keepsake’s process serves all rounds of a task; idle is what it has before each, of which PGlite alone is several hundred MiB.',
        'rclone copy and aws s3 sync with their defaults, from Debian’s packages.',
        ...(absent.length > 0 ? [`Not installed, not measured: ${absent.join(', ')}.`] : []),
      ],
      figures,
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
    await postgres.stop()
  }
}

async function tasks(folder: string): Promise<readonly Task[]> {
  const small = join(folder, 'small')
  await mkdir(small)
  for (let n = 0; n < 5000; n += 1) {
    await writeFile(join(small, `picture-${n}.png`), pictureBytes({ id: `${n}`, size: 10_000 }))
  }
  const large = join(folder, 'large')
  await mkdir(large)
  for (let n = 0; n < 8; n += 1) {
    await writeFile(join(large, `film-${n}.png`), pictureBytes({ id: `film ${n}`, size: 256 * mebibyte }))
  }
  return [
    {
      name: '5,000 files of 10 KB',
      folder: small,
      rounds: 3,
      subjects: ['keepsake', 'keepsake-pglite', 'rclone', 'awscli'],
    },
    { name: '8 files of 256 MiB', folder: large, rounds: 3, subjects: ['keepsake', 'rclone'] },
  ]
}

type Side = {
  readonly seconds: Figure
  readonly cpuSeconds: Figure
  readonly peakMebibytes: Figure
  readonly idleMebibytes: Figure | null
}

let rounds = 0

async function compare(task: Task, subjects: ReadonlyMap<string, Subject>): Promise<ReadonlyMap<string, Side>> {
  const samples = new Map<string, Sample[]>()
  for (let round = 0; round < warmUpRounds + task.rounds; round += 1) {
    rounds += 1
    for (const name of task.subjects) {
      const sample = await subjects.get(name)?.run(task.folder, rounds)
      // The first start makes the database, and takes memory for that which no later one does.
      if (round < warmUpRounds && name === 'keepsake-pglite') await subjects.get(name)?.end?.()
      if (sample && round >= warmUpRounds) samples.set(name, [...(samples.get(name) ?? []), sample])
    }
  }
  return new Map(
    [...samples].map(([name, taken]) => [
      name,
      {
        seconds: figure(taken.map(({ seconds }) => seconds)),
        cpuSeconds: figure(taken.map(({ cpuSeconds }) => cpuSeconds)),
        peakMebibytes: figure(taken.map(({ peakBytes }) => peakBytes / mebibyte)),
        idleMebibytes: idleOf(taken),
      },
    ]),
  )
}

function idleOf(taken: readonly Sample[]): Figure | null {
  const idle = taken.flatMap(({ idleBytes }) => (idleBytes === undefined ? [] : [idleBytes / mebibyte]))
  return idle.length > 0 ? figure(idle) : null
}

/** A process of Keepsake's, started when it is first asked. */
function keepsake(title: string, settings: Readonly<Record<string, string>>): Subject {
  let child: Child | undefined
  return {
    title,
    run(from, round) {
      child ??= new Child('migrate-process.ts', { env: { ...process.env, ...settings } })
      return child.ask(sampleSchema, { folder: from, round, maxSize: '2 GB' })
    },
    async end() {
      await child?.[Symbol.asyncDispose]()
      child = undefined
    },
  }
}

function row(task: string, title: string, side: Side, ours: Side | undefined): Row {
  const ratio = ours === undefined ? Number.NaN : side.seconds.median / ours.seconds.median
  return {
    task,
    side: title,
    seconds: show(side.seconds),
    'Keepsake is': `${short(ratio)}x as fast`,
    'CPU seconds': show(side.cpuSeconds),
    'peak MiB': show(side.peakMebibytes),
    'idle MiB': side.idleMebibytes ? show(side.idleMebibytes) : '',
  }
}

/** A command with its time, its CPU and its peak memory, as the system counts them. */
async function timed(command: readonly string[], env: NodeJS.ProcessEnv): Promise<Sample> {
  const script =
    'import json,resource,subprocess,sys,time\n' +
    's=time.monotonic()\nr=subprocess.run(sys.argv[1:])\nt=time.monotonic()-s\n' +
    'u=resource.getrusage(resource.RUSAGE_CHILDREN)\n' +
    'print(json.dumps({"code":r.returncode,"seconds":t,"cpuSeconds":u.ru_utime+u.ru_stime,"peakBytes":u.ru_maxrss*1024}))'
  const child = spawn('/usr/bin/python3', ['-c', script, ...command], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  for await (const chunk of child.stdout) output += chunk
  const { code, ...sample } = sampleSchema
    .extend({ code: z.int() })
    .parse(JSON.parse(output.trim().split('\n').at(-1) ?? ''))
  if (code !== 0) throw new Error(`${command[0]} ended with ${code}.`)
  return sample
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
