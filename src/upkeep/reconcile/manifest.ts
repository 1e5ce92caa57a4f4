import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import type { Catalogue, ScanFinding, ScanTotals } from '../../catalogue/index.ts'
import { KeepsakeError, newAssetId } from '../../media/index.ts'
import { type Finding, parseFinding } from './finding.ts'
import { linesOf } from './lines.ts'

const findingsAtOnce = 1000
const countSchema = z.strictObject({ count: z.int(), bytes: z.int(), ripe: z.int() })

/** The first line of a manifest. What follows is a finding a line, in the byte order of their keys. */
const headerSchema = z.strictObject({
  keepsake: z.literal('reconcile'),
  version: z.literal(1),
  scan: z.uuid(),
  catalogue: z.uuid(),
  bucket: z.string(),
  prefix: z.string(),
  source: z.enum(['list', 'inventory']),
  /** Whether hashes were compared too, as far as objects state them. */
  hashes: z.boolean(),
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  objects: z.int(),
  bytes: z.int(),
  rows: z.int(),
  findings: z.record(z.string(), countSchema),
  lines: z.int(),
  /** SHA-256 over the lines that follow, each with its line feed. */
  checksum: z.string().regex(/^[0-9a-f]{64}$/),
})

export type ManifestHeader = z.output<typeof headerSchema>

/**
 * The manifest of a finished scan, line by line, each without its line feed. The same every time, as long as the
 * catalogue keeps the scan.
 */
export async function* manifestLines(catalogue: Catalogue, scanId: string): AsyncGenerator<string> {
  const scan = await catalogue.getScan(scanId)
  if (scan === undefined || scan.finishedAt === null) {
    throw new KeepsakeError('invalid_request', `There is no finished scan ${scanId}. Scan again.`)
  }
  const totals: ScanTotals = await catalogue.scanTotals(scanId)
  const { lines, checksum } = await sumOf(catalogue, scanId)
  const header: ManifestHeader = {
    keepsake: 'reconcile',
    version: 1,
    scan: scan.id,
    catalogue: await catalogue.installationId(),
    bucket: scan.bucket,
    prefix: scan.prefix,
    source: scan.source,
    hashes: scan.hashes,
    startedAt: scan.startedAt.toISOString(),
    finishedAt: scan.finishedAt.toISOString(),
    objects: totals.objects,
    bytes: totals.bytes,
    rows: totals.rows,
    findings: totals.findings,
    lines,
    checksum,
  }
  yield JSON.stringify(header)
  for await (const { line } of findingsOf(catalogue, scanId)) yield line
}

/** How many findings the catalogue keeps of a scan, and the SHA-256 over their lines. */
async function sumOf(
  catalogue: Catalogue,
  scan: string,
): Promise<{ readonly lines: number; readonly checksum: string }> {
  const checksum = createHash('sha256')
  let lines = 0
  for await (const { line } of findingsOf(catalogue, scan)) {
    checksum.update(`${line}\n`)
    lines += 1
  }
  return { lines, checksum: checksum.digest('hex') }
}

/**
 * Whether a manifest has the very findings that the catalogue keeps of its scan. A checksum in a file tells what was
 * damaged; whoever writes lines of their own can write that as well.
 */
export async function isOfItsScan(catalogue: Catalogue, { scan, checksum }: ManifestHeader): Promise<boolean> {
  return (await sumOf(catalogue, scan)).checksum === checksum
}

async function* findingsOf(catalogue: Catalogue, scan: string): AsyncGenerator<ScanFinding> {
  let last: ScanFinding | undefined
  for (;;) {
    const page = await catalogue.findings(scan, last, findingsAtOnce)
    yield* page
    if (page.length < findingsAtOnce) return
    last = page.at(-1)
  }
}

/** A manifest that was read to its end and is whole, kept in a file until it is disposed of. */
export type SpooledManifest = AsyncDisposable & {
  readonly header: ManifestHeader
  findings(): AsyncIterable<Finding>
}

/**
 * Takes a manifest in and checks that it is whole and unchanged before anybody acts upon it.
 *
 * @throws {KeepsakeError} `invalid_request`
 */
export async function spoolManifest(source: AsyncIterable<Uint8Array | string>, dir: string): Promise<SpooledManifest> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const file = join(dir, `manifest-${newAssetId()}`)
  const remove = () => rm(file, { force: true })
  try {
    await pipeline(Readable.from(source, { objectMode: false }), createWriteStream(file, { mode: 0o600 }))
    const header = await check(file)
    return {
      header,
      async *findings() {
        for await (const { line, number } of numbered(file)) if (number > 1) yield requireFinding(line, number)
      },
      [Symbol.asyncDispose]: remove,
    }
  } catch (error) {
    await remove()
    throw error
  }
}

async function check(file: string): Promise<ManifestHeader> {
  let header: ManifestHeader | undefined
  const checksum = createHash('sha256')
  let lines = 0
  for await (const { line, number } of numbered(file)) {
    if (number === 1) {
      header = parseHeader(line)
      continue
    }
    requireFinding(line, number)
    checksum.update(`${line}\n`)
    lines += 1
  }
  if (header === undefined) throw broken('it is empty')
  if (lines !== header.lines) throw broken(`it has ${lines} findings and its header says ${header.lines}`)
  if (checksum.digest('hex') !== header.checksum) throw broken('its checksum does not fit: it was changed')
  return header
}

async function* numbered(file: string): AsyncGenerator<{ readonly line: string; readonly number: number }> {
  let number = 0
  for await (const line of linesOf(createReadStream(file))) {
    number += 1
    yield { line, number }
  }
}

function parseHeader(line: string): ManifestHeader {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    throw broken('its first line is no header')
  }
  const parsed = headerSchema.safeParse(value)
  if (!parsed.success) throw broken('its first line is no header of a manifest')
  return parsed.data
}

function requireFinding(line: string, number: number): Finding {
  const finding = parseFinding(line)
  if (finding === undefined) throw broken(`line ${number} is no finding`)
  return finding
}

function broken(why: string): KeepsakeError {
  return new KeepsakeError(
    'invalid_request',
    `The manifest cannot be used: ${why}. Nothing was done. Give the file as 'keepsake reconcile' wrote it, or scan again.`,
  )
}
