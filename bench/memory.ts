import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { freePort } from '../test/support/listen.ts'
import { Serving } from '../test/support/serving.ts'
import { bucket, credentials, region } from './bucket.ts'
import { Child } from './child.ts'
import { type Figure, figure, short, show } from './figure.ts'
import type { Part, Row } from './report.ts'

const files = 8
const size = 200_000_000
const rounds = 3
const mebibyte = 1024 * 1024
const assetSchema = z.object({ id: z.string(), state: z.enum(['pending', 'stored']) })
/** Milliseconds. */
const longestImport = 180_000

type Round = { readonly idle: number; readonly peak: number; readonly seconds: number }
type Side = { readonly title: string; readonly idle: Figure; readonly above: Figure; readonly seconds: Figure }

/** How much memory large imports take: eight files of 200 MB at once, above what the idle process has. */
export async function benchMemory(): Promise<Part> {
  await using source = new Child('source-process.ts')
  const { port } = await source.ask(z.object({ port: z.number() }), {})
  const sourceUrl = `http://127.0.0.1:${port}/${size}`
  await fetch(sourceUrl, { method: 'HEAD' })
  const sides: Side[] = []
  for (const [title, run] of [
    ['Keepsake, S3 in another process', () => withS3((endpoint) => keepsakeRound(sourceUrl, endpoint))],
    ['Keepsake, embedded S3 in the same process', () => keepsakeRound(sourceUrl)],
    ['fetch, arrayBuffer, AWS SDK PutObject', () => withS3((endpoint) => scriptRound(sourceUrl, endpoint))],
  ] as const) {
    const measured: Round[] = []
    for (let round = 0; round < rounds; round += 1) measured.push(await run())
    sides.push({
      title,
      idle: figure(measured.map(({ idle }) => idle / mebibyte)),
      above: figure(measured.map(({ idle, peak }) => (peak - idle) / mebibyte)),
      seconds: figure(measured.map(({ seconds }) => seconds)),
    })
  }
  const script = sides.at(-1)
  return {
    name: 'memory',
    title: `Memory while ${files} files of 200 MB are imported at once`,
    rows: sides.map((side) => row(side, script ?? side)),
    notes: [
      'Resident memory of the process (VmHWM of /proc/<pid>/status, reset before the imports) less what it had when idle, after one small import.',
      `A fresh process, on a data folder that is there already, for each of ${rounds} rounds; medians, least to most in brackets.`,
    ],
    figures: sides,
  }
}

function row({ title, idle, above, seconds }: Side, script: Side): Row {
  return {
    side: title,
    'idle, MiB': show(idle),
    'peak above idle, MiB': show(above),
    ratio: short(above.median / script.above.median),
    'seconds for all': show(seconds),
  }
}

async function withS3<T>(work: (endpoint: string) => Promise<T>): Promise<T> {
  await using s3 = new Child('s3-process.ts')
  const { url } = await s3.ask(z.object({ url: z.string() }), {})
  return await work(url)
}

/** `keepsake serve`, with the bucket elsewhere or on the embedded default. */
async function keepsakeRound(sourceUrl: string, endpoint?: string): Promise<Round> {
  const folder = await mkdtemp(join(tmpdir(), 'keepsake-bench-memory-'))
  const apiKey = randomBytes(24).toString('base64url')
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  await writeFile(
    join(folder, 'keepsake.config.ts'),
    `export default { collections: { videos: { key: '{owner}/{id}.{ext}', accept: ['image', 'video'], maxSize: '300 MB' } } }\n`,
  )
  const start = () =>
    Serving.start({
      url,
      cwd: folder,
      log: join(folder, 'serve.log'),
      environment: {
        HOST: '127.0.0.1',
        PORT: `${port}`,
        KEEPSAKE_DATA_DIR: join(folder, 'data'),
        KEEPSAKE_API_KEY: apiKey,
        KEEPSAKE_IMPORT_ALLOW_HOSTS: new URL(sourceUrl).host,
        ...(endpoint === undefined ? {} : storeSettings(endpoint)),
      },
    })
  let server = start()
  try {
    // The first start makes the database, and takes memory for that which no later one does.
    await server.ready()
    await server.stop()
    server = start()
    await server.ready()
    const call = async (path: string, body?: unknown) => {
      const response = await fetch(`${url}/v1/${path}`, {
        headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
      })
      return assetSchema.parse(await response.json())
    }
    const import_ = async (from: string) => {
      const until = performance.now() + longestImport
      let asset = await call('collections/videos/imports', { source: { url: from } })
      // On a slow machine the answer may come before the bytes are in.
      while (asset.state === 'pending') {
        if (performance.now() > until) throw new Error(`The import of ${from} took too long.`)
        await delay(200)
        asset = await call(`assets/${asset.id}`)
      }
    }
    await import_(`${new URL(sourceUrl).origin}/20000/warm`)
    return await measure(server.pid, async () => {
      await Promise.all(Array.from({ length: files }, (_, index) => import_(`${sourceUrl}/${index}`)))
    })
  } catch (error) {
    console.error(await readFile(join(folder, 'serve.log'), 'utf8').catch(() => ''))
    throw error
  } finally {
    await server.kill()
    await rm(folder, { recursive: true, force: true })
  }
}

async function scriptRound(sourceUrl: string, endpoint: string): Promise<Round> {
  const env = { PATH: process.env.PATH, BENCH_SUBJECT: 'script', BENCH_S3_ENDPOINT: endpoint }
  await using script = new Child('import-subject.ts', { env })
  const run = (source: string, count: number) =>
    script.ask(z.object({ seconds: z.number() }), { source, count, concurrency: count })
  await run(`${new URL(sourceUrl).origin}/20000`, 1)
  return await measure(script.pid, async () => {
    await run(sourceUrl, files)
  })
}

export function storeSettings(endpoint: string): Record<string, string> {
  return {
    S3_ENDPOINT: endpoint,
    S3_BUCKET_NAME: bucket,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  }
}

async function measure(pid: number, work: () => Promise<void>): Promise<Round> {
  await delay(2_000)
  const idle = await memory(pid, 'VmRSS')
  // proc(5), clear_refs: 5 makes the current size the peak.
  await writeFile(`/proc/${pid}/clear_refs`, '5')
  const start = performance.now()
  await work()
  const seconds = (performance.now() - start) / 1000
  return { idle, peak: await memory(pid, 'VmHWM'), seconds }
}

async function memory(pid: number, field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]
  if (kibibytes === undefined) throw new Error(`/proc/${pid}/status has no ${field}.`)
  return Number(kibibytes) * 1024
}
