import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Actor, Catalogue } from '../../catalogue/index.ts'
import { recorded } from '../recorded.ts'
import { type ApplyResult, apply } from './apply.ts'
import { manifestLines } from './manifest.ts'
import { callOptions, day, type ReconcileParts } from './parts.ts'
import { type ScanResult, scan } from './scan.ts'

export type NightlyRequest = {
  /** Only keys under this prefix, which ends with a slash. Default: the whole bucket. */
  readonly prefix?: string | undefined
  /** Ask every object for the hash that it states: a request each. Default: false. */
  readonly hashes?: boolean | undefined
  /** Act upon what was found, under the same brakes as by hand. Default: false. */
  readonly apply?: boolean | undefined
  /** Orphans beyond which nothing is acted upon. Default: 1000. */
  readonly maxObjects?: number | undefined
}

export type NightlyResult = {
  readonly scan: string
  /** The manifest's file. */
  readonly manifest: string
  readonly objects: number
  readonly rows: number
  /** How many there are of each kind, and how many orphans were seen twice, long enough apart. */
  readonly findings: Readonly<Record<string, number>>
  readonly ripe: number
  /** Where it was told to act. */
  readonly outcomes?: ApplyResult['outcomes']
}

/** Manifests that are kept in the folder. */
const keptManifests = 14

/**
 * A scan that nobody watches. It goes on with one that a stop cut off, leaves its manifest in a file, and acts upon it
 * only where it was told to. How it ended is written down, for metrics and for people: what was found, too, where the
 * brakes then hold.
 *
 * @throws as a scan and an apply by hand do: `upkeep_refused` where a brake holds.
 */
export async function reconcileNightly(
  parts: ReconcileParts & { readonly manifestDir: string },
  request: NightlyRequest,
  actor: Actor,
  signal: AbortSignal,
): Promise<NightlyResult> {
  const { prefix = '', hashes = false, maxObjects } = request
  let found: Omit<NightlyResult, 'outcomes'> | undefined
  const run = async (): Promise<NightlyResult> => {
    const resume = await canResume(parts, prefix, hashes)
    const result = await scan(parts, { prefix, hashes, resume, signal })
    const manifest = await keepManifest(parts, result)
    found = { ...summary(result), manifest }
    if (!request.apply) return found
    const limits = maxObjects === undefined ? {} : { maxObjects }
    const { outcomes } = await apply(parts, createReadStream(manifest), { actor, ...limits, ...callOptions(signal) })
    return { ...found, outcomes }
  }
  return recorded(parts.catalogue, 'reconcile', run, () => found ?? {})
}

/** Of the last day: the positions of an older one say little of what is there by now. */
async function canResume(
  { catalogue, store }: { readonly catalogue: Catalogue; readonly store: ReconcileParts['store'] },
  prefix: string,
  hashes: boolean,
): Promise<boolean> {
  const left = await catalogue.unfinishedScan(store.name, prefix)
  return left !== undefined && left.hashes === hashes && !(await catalogue.isOlderThan(left.id, day))
}

function summary({ scan: { id }, objects, rows, findings }: ScanResult) {
  const counts = Object.fromEntries(Object.entries(findings).map(([kind, { count }]) => [kind, count]))
  return { scan: id, objects, rows, findings: counts, ripe: findings.orphan?.ripe ?? 0 }
}

/** Named by its time, so that the latest is the last in the folder. */
async function keepManifest(
  { catalogue, manifestDir }: { readonly catalogue: Catalogue; readonly manifestDir: string },
  { scan: record }: ScanResult,
): Promise<string> {
  await mkdir(manifestDir, { recursive: true, mode: 0o700 })
  const time = (record.finishedAt ?? record.startedAt).toISOString().replace(/\.\d+/, '').replaceAll(':', '-')
  const file = join(manifestDir, `${time}-${record.id}.ndjson`)
  const lines = async function* () {
    for await (const line of manifestLines(catalogue, record.id)) yield `${line}\n`
  }
  const unfinished = `${file}.part`
  await pipeline(Readable.from(lines()), createWriteStream(unfinished, { mode: 0o600 }))
  await rename(unfinished, file)
  const kept = (await readdir(manifestDir)).filter((name) => name.endsWith('.ndjson')).sort()
  for (const name of kept.slice(0, -keptManifests)) await rm(join(manifestDir, name), { force: true })
  return file
}
