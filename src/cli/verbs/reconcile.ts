import { createReadStream, createWriteStream, type WriteStream } from 'node:fs'
import { rename, rm, stat } from 'node:fs/promises'
import { createInterface } from 'node:readline/promises'
import { z } from 'zod'
import { formatSize, parseDuration } from '../../media/index.ts'
import { type FindingKind, linesOf, openInventory } from '../../upkeep/index.ts'
import { withClient } from '../client.ts'
import { CliFailure, type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { printable } from '../printable.ts'
import { Progress } from '../progress.ts'
import { type CommonOptions, jsonDocument, queryOf } from './options.ts'

const linesType = 'application/x-ndjson'
const countSchema = z.looseObject({ count: z.number(), bytes: z.number(), ripe: z.number() })
const scanSchema = z.looseObject({
  scan: z.string(),
  bucket: z.string(),
  prefix: z.string(),
  objects: z.number(),
  bytes: z.number(),
  rows: z.number(),
  findings: z.record(z.string(), countSchema),
})
const applySchema = z.looseObject({ outcomes: z.record(z.string(), z.number()), untouched: z.number() })
const restoreSchema = z.looseObject({ restored: z.number(), failed: z.number() })
const outcomeSchema = z.looseObject({
  kind: z.string().optional(),
  key: z.string(),
  outcome: z.string(),
  reason: z.string().optional(),
})
const lineSchema = z.looseObject({ line: z.string() })
const headerSchema = z.looseObject({
  keepsake: z.literal('reconcile'),
  bucket: z.string(),
  findings: z.record(z.string(), countSchema),
})

export type ScanOptions = CommonOptions & {
  readonly prefix?: string
  readonly shards?: string
  readonly resume?: boolean
  readonly hashes?: boolean
  readonly inventory?: string
  readonly out?: string
}

/** What each kind of finding is, in the words of the summary. */
const meanings: readonly (readonly [FindingKind, string])[] = [
  ['orphan', 'objects that no asset names'],
  ['missing', 'stored assets whose object is not there'],
  ['mismatch', 'stored assets whose object is another one'],
  ['returned', 'assets that were marked missing, and are there again'],
  ['multipart', 'uploads that nobody goes on with'],
  ['unknown', 'objects that are not Keepsake’s: never touched'],
  ['unknown-upload', 'uploads that are not Keepsake’s: never touched'],
]

export async function scanVerb(options: ScanOptions, io: Io): Promise<ExitCode> {
  const out = options.out ?? `keepsake-reconcile-${new Date().toISOString().replace(/[:.]/g, '-')}.ndjson`
  const inventory = options.inventory === undefined ? undefined : await openInventory(options.inventory)
  const query = queryOf({
    prefix: options.prefix,
    shards: options.shards,
    resume: options.resume ? 'true' : undefined,
    hashes: options.hashes ? 'true' : undefined,
    inventoryAt: inventory?.madeAt.toISOString(),
    inventoryBucket: inventory?.bucket,
  })
  const progress = new Progress(io, 'comparing', { quiet: options.json ?? false })
  const started = performance.now()
  const manifest = new ManifestFile(out)
  try {
    const result = await withClient(options, io, (client) =>
      client.lines(
        scanSchema,
        `/v1/reconcile${query}`,
        {
          method: 'POST',
          ...(inventory ? { headers: { 'content-type': linesType }, body: entryLines(inventory.objects) } : {}),
        },
        (line) => {
          const parsed = lineSchema.safeParse(line)
          if (parsed.success) manifest.add(parsed.data.line)
        },
      ),
    )
    await manifest.keep()
    progress.stop()
    if (options.json) io.stdout.write(jsonDocument({ ...result, manifest: out }))
    else io.stdout.write(summary(result, out, (performance.now() - started) / 1000))
    return exitCodes.ok
  } finally {
    progress.stop()
    await manifest.drop()
  }
}

/** A manifest on its way to its file: it has its name only when it is whole. */
class ManifestFile {
  readonly #path: string
  readonly #stream: WriteStream
  readonly #ended: Promise<void>

  constructor(path: string) {
    this.#path = path
    this.#stream = createWriteStream(`${path}.part`)
    this.#ended = new Promise((resolve, reject) => {
      this.#stream.once('finish', resolve)
      this.#stream.once('error', (error) =>
        reject(CliFailure.usage(`The manifest cannot be written to ${path}: ${error.message}`)),
      )
    })
    this.#ended.catch(() => {})
  }

  add(line: string): void {
    this.#stream.write(`${line}\n`)
  }

  async keep(): Promise<void> {
    this.#stream.end()
    await this.#ended
    await rename(`${this.#path}.part`, this.#path)
  }

  async drop(): Promise<void> {
    this.#stream.destroy()
    await rm(`${this.#path}.part`, { force: true })
  }
}

function summary(result: z.output<typeof scanSchema>, out: string, seconds: number): string {
  const { bucket, prefix, objects, bytes, rows, findings } = result
  const under = prefix === '' ? '' : `, under ${printable(prefix)}`
  const found = meanings.flatMap(([kind, meaning]) => {
    const counted = findings[kind]
    return counted === undefined ? [] : [{ kind, meaning, ...counted }]
  })
  const lines = [
    `Compared ${number(objects)} objects (${formatSize(bytes)}) in ${printable(bucket)}${under} with ${number(rows)} rows in ${seconds.toFixed(1)} s.`,
    '',
    ...(found.length === 0 ? ['Bucket and catalogue agree.'] : found.map(findingLine)),
    '',
    'Nothing was changed.',
  ]
  if (found.length === 0) return `${lines.join('\n')}\n`
  lines.push(`The manifest: ${out}`, `To act upon it: keepsake reconcile apply ${out}`)
  const { count = 0, ripe = 0 } = findings.orphan ?? {}
  if (count > ripe) {
    lines.push(
      `${number(count - ripe)} of the orphans must be seen again, a day after the first time, before they are moved: scan again then.`,
    )
  }
  return `${lines.join('\n')}\n`
}

function findingLine({
  kind,
  meaning,
  count,
  bytes,
}: {
  kind: string
  meaning: string
  count: number
  bytes: number
}): string {
  const size = bytes > 0 ? `, ${formatSize(bytes)}` : ''
  return `${number(count).padStart(9)}  ${kind.padEnd(15)} ${meaning}${size}`
}

export type ApplyOptions = CommonOptions & {
  readonly expect?: string
  readonly expectMissing?: string
  readonly yes?: boolean
  readonly minAge?: string
  readonly apart?: string
}

export async function applyVerb(file: string, options: ApplyOptions, io: Io): Promise<ExitCode> {
  const header = await readHeader(file)
  const orphans = header.findings.orphan?.count ?? 0
  if (!options.yes) await confirm(`Act upon ${file}: ${orphans} orphans of ${printable(header.bucket)}?`, 'apply', io)
  const query = queryOf({
    expect: options.expect,
    expectMissing: options.expectMissing,
    minAge: durationOf('--min-age', options.minAge),
    apart: durationOf('--apart', options.apart),
  })
  const failures: z.output<typeof outcomeSchema>[] = []
  const result = await withClient(options, io, (client) =>
    client.lines(
      applySchema,
      `/v1/reconcile/apply${query}`,
      { method: 'POST', headers: { 'content-type': linesType }, body: createReadStream(file) },
      (line) => report(line, options, io, failures),
    ),
  )
  if (options.json) io.stdout.write(jsonDocument(result))
  else {
    const parts = Object.entries(result.outcomes).flatMap(([outcome, count]) =>
      count > 0 ? [`${number(count)} ${outcome}`] : [],
    )
    const { quarantined = 0 } = result.outcomes
    io.stdout.write(`${parts.length === 0 ? 'Nothing was to be done' : parts.join(', ')}.\n`)
    if (quarantined > 0) {
      io.stdout.write(
        `What was quarantined lies under quarantine/. To bring it back: keepsake reconcile restore ${file}\n`,
      )
    }
  }
  return failures.length > 0 ? exitCodes.unavailable : exitCodes.ok
}

export type RestoreOptions = CommonOptions & { readonly all?: boolean; readonly yes?: boolean }

export async function restoreVerb(what: string | undefined, options: RestoreOptions, io: Io): Promise<ExitCode> {
  if ((what === undefined) === (options.all !== true)) {
    throw CliFailure.usage('Say what to restore: a key, a manifest, or --all.')
  }
  if (options.all && !options.yes) await confirm('Bring everything in quarantine/ back?', 'restore --all', io)
  const failures: z.output<typeof outcomeSchema>[] = []
  const total = { restored: 0, failed: 0 }
  await withClient(options, io, async (client) => {
    const send = async (body: object) => {
      const result = await client.lines(
        restoreSchema,
        '/v1/reconcile/restore',
        { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) },
        (line) => report(line, options, io, failures),
      )
      total.restored += result.restored
      total.failed += result.failed
    }
    if (what === undefined) return send({ all: true })
    for await (const keys of keysOf(what)) await send({ keys })
  })
  if (options.json) io.stdout.write(jsonDocument(total))
  else
    io.stdout.write(`${number(total.restored)} restored${total.failed > 0 ? `, ${number(total.failed)} not` : ''}.\n`)
  return total.failed > 0 ? exitCodes.refused : exitCodes.ok
}

/** A manifest's orphans in batches, or the one key. */
async function* keysOf(what: string): AsyncGenerator<string[]> {
  const isFile = await stat(what).then(
    (found) => found.isFile(),
    () => false,
  )
  if (!isFile) {
    yield [what]
    return
  }
  await readHeader(what)
  const batch: string[] = []
  for await (const line of linesOf(createReadStream(what))) {
    const orphan = z.looseObject({ kind: z.literal('orphan'), key: z.string() }).safeParse(parseJson(line))
    if (orphan.success) batch.push(orphan.data.key)
    if (batch.length === 1000) yield batch.splice(0)
  }
  if (batch.length > 0) yield batch
}

function report(
  line: Readonly<Record<string, unknown>>,
  { json }: CommonOptions,
  io: Io,
  failures: z.output<typeof outcomeSchema>[],
): void {
  const parsed = outcomeSchema.safeParse(line)
  if (!parsed.success) return
  const { key, outcome, reason } = parsed.data
  if (outcome === 'failed') failures.push(parsed.data)
  if (!json)
    io.stderr.write(`${outcome.padEnd(11)} ${printable(key)}${reason === undefined ? '' : `: ${printable(reason)}`}\n`)
}

async function readHeader(file: string): Promise<z.output<typeof headerSchema>> {
  try {
    for await (const line of linesOf(createReadStream(file))) {
      const parsed = headerSchema.safeParse(parseJson(line))
      if (parsed.success) return parsed.data
      break
    }
  } catch (error) {
    throw CliFailure.usage(`${file} cannot be read: ${error instanceof Error ? error.message : error}`)
  }
  throw CliFailure.usage(`${file} is not a manifest of 'keepsake reconcile'.`)
}

async function* entryLines(objects: AsyncIterable<object>): AsyncGenerator<Uint8Array> {
  let text = ''
  for await (const object of objects) {
    text += `${JSON.stringify(object)}\n`
    if (text.length < 64 * 1024) continue
    yield Buffer.from(text)
    text = ''
  }
  yield Buffer.from(text)
}

async function confirm(question: string, verb: string, io: Io): Promise<void> {
  if (!io.stdin.isTTY || !io.stderr.isTTY) {
    throw CliFailure.usage(`reconcile ${verb} changes the bucket and there is no terminal to ask on. Add --yes.`)
  }
  const prompt = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await prompt.question(`${question} [y/N] `, { signal: io.signal })
    if (!/^y(es)?$/i.test(answer.trim())) throw CliFailure.usage('Nothing was changed.')
  } catch (error) {
    throw error instanceof CliFailure ? error : CliFailure.interrupted()
  } finally {
    prompt.close()
  }
}

function durationOf(name: string, value: string | undefined): string | undefined {
  if (value === undefined) return undefined
  try {
    return `${parseDuration(value)}`
  } catch {
    throw CliFailure.usage(`${name} is '${value}'. Allowed are seconds, or a text such as 90m, 24h, 7d.`)
  }
}

function number(value: number): string {
  return value.toLocaleString('en-US')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
