import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { isRefusal } from '../../bucket/index.ts'
import type { Clock } from '../../clock.ts'
import { KeepsakeError } from '../../media/index.ts'
import type { MultipartUpload, ObjectStore } from '../../stores/index.ts'
import { type CheckId, fail, unknown, type Verdict } from '../finding.ts'
import { codeOf, RawClient } from './hostile.ts'
import { makeBucket, noBucket } from './no-bucket.ts'
import { probeSteps } from './steps.ts'

export type ProbeParts = {
  readonly store: ObjectStore
  readonly clock: Clock
  /** Whose pages upload: `https://app.example`. */
  readonly origins: readonly string[]
  /** Days after which the bucket's rules end what is under temp/; null: none does; undefined: they could not be read. */
  readonly temporaryDays: number | null | undefined
  /** Ids of the bucket's rules that end no current object, such as one for old versions. */
  readonly rulesOfVersions?: readonly string[]
  /** The default of the bucket; null: none is set; undefined: it could not be read, or is not offered. */
  readonly declaredEncryption: string | null | undefined
  /** Milliseconds a step may take. Default: 10,000. */
  readonly stepMillis?: number
}

/** What the steps share. */
export type Bench = ProbeParts & {
  readonly raw: RawClient
  readonly folder: string
  readonly key: string
  readonly bytes: Buffer
  readonly sha256: string
  /** Another key of this run, to be cleared away whether it comes to be or not. */
  newKey(name: string): string
  /** To be aborted whatever happens. */
  began(upload: MultipartUpload): void
}

export type Step = {
  readonly id: ProbeId
  /** Without which it says nothing. */
  readonly after?: ProbeId
  /** What an error means: that what must work does not, or that nothing is known. */
  readonly onError: 'fail' | 'unknown'
  readonly run: (bench: Bench, signal: AbortSignal) => Promise<Verdict>
}

export type ProbeId = Extract<CheckId, `probe.${string}`>

export const probeFolder = 'temp/.doctor/'
/** What an earlier probe left behind that was killed is cleared away once it is this old; a newer one may be at work. */
const leftoverMillis = 3_600_000
const mostLeftovers = 1_000
/** Clearing away goes on when the probe itself is interrupted. */
const cleanupMillis = 10_000

/**
 * Tries a bucket out, as the app, as a browser and as a stranger, under a folder of its own that is gone afterwards.
 *
 * @param wanted Which steps to tell of; those that they stand on are run too.
 */
export async function probe(
  parts: ProbeParts,
  wanted: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<ReadonlyMap<ProbeId, Verdict>> {
  const run = new ProbeRun(parts)
  const verdicts = new Map<ProbeId, Verdict>()
  try {
    for (const step of probeSteps) {
      if (isNeeded(step.id, wanted)) verdicts.set(step.id, await run.step(step, verdicts, signal))
    }
  } finally {
    const left = await run.clearAway()
    // Where nothing could be written, nothing can be left.
    const wrote = writing.some((id) => verdicts.get(id)?.status === 'pass')
    if (left !== undefined) verdicts.set('probe.delete', wrote ? fail(left) : unknown(left))
  }
  return verdicts
}

const writing: readonly ProbeId[] = ['probe.put', 'probe.presigned-put', 'probe.multipart']

function isNeeded(id: ProbeId, wanted: ReadonlySet<string>): boolean {
  return wanted.has(id) || probeSteps.some((step) => step.after === id && isNeeded(step.id, wanted))
}

class ProbeRun {
  readonly #bench: Bench
  readonly #keys: string[] = []
  readonly #uploads: MultipartUpload[] = []

  constructor(parts: ProbeParts) {
    const folder = `${probeFolder}${randomUUID()}/`
    const bytes = randomBytes(64)
    const newKey = (name: string) => {
      this.#keys.push(folder + name)
      return folder + name
    }
    this.#bench = {
      ...parts,
      raw: new RawClient(),
      folder,
      key: newKey('object'),
      bytes,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      newKey,
      began: (upload) => this.#uploads.push(upload),
    }
  }

  async step(step: Step, before: ReadonlyMap<ProbeId, Verdict>, signal: AbortSignal): Promise<Verdict> {
    if (signal.aborted) return unknown('Interrupted, or out of time, before this was tried.')
    if (step.after && before.get(step.after)?.status !== 'pass') {
      return unknown(`Not tried: it needs ${step.after}, which did not pass.`)
    }
    const deadline = AbortSignal.timeout(this.#bench.stepMillis ?? 10_000)
    try {
      return await step.run(this.#bench, AbortSignal.any([signal, deadline]))
    } catch (error) {
      if (signal.aborted) return unknown('Interrupted, or out of time, while this was tried.')
      const said = deadline.aborted ? 'No answer in time.' : messageOf(error)
      return step.onError === 'fail' ? fail(said, fixOf(error)) : unknown(said)
    }
  }

  /** Removes all that this run may have made, and what earlier ones left. Gives what could not be removed. */
  async clearAway(): Promise<string | undefined> {
    const { store, raw, folder } = this.#bench
    const signal = AbortSignal.timeout(cleanupMillis)
    const problems: string[] = []
    const attempt = async (work: () => Promise<unknown>) => {
      await work().catch((error: unknown) => problems.push(messageOf(error)))
    }
    await attempt(() => this.#abortUploads(signal))
    await attempt(async () => {
      const { failed } = await store.delete(await this.#written(signal), { signal })
      problems.push(...failed.map(({ message }) => message))
    })
    // What a killed probe left is not this one's failure.
    await this.#clearLeftovers(signal).catch(() => {})
    await raw.close()
    return problems.length === 0 ? undefined : `Under ${folder} something may be left: ${problems[0]}`
  }

  /** A delete of what is not there leaves a marker in a versioned bucket, so it is looked first, where that is allowed. */
  async #written(signal: AbortSignal): Promise<string[]> {
    const found: string[] = []
    try {
      for await (const { key } of this.#bench.store.list({ prefix: this.#bench.folder, signal })) found.push(key)
      return found
    } catch {
      return this.#keys
    }
  }

  /** Also those whose begin was cut off before their id came. */
  async #abortUploads(signal: AbortSignal): Promise<void> {
    const { store, folder } = this.#bench
    for (const upload of this.#uploads) await store.abortMultipart(upload, { signal })
    if (this.#uploads.length > 0 || !this.#keys.includes(partsKey(folder))) return
    for await (const upload of store.listMultipart({ prefix: folder, signal })) {
      await store.abortMultipart(upload, { signal })
    }
  }

  async #clearLeftovers(signal: AbortSignal): Promise<void> {
    const { store, clock } = this.#bench
    const before = clock.now().getTime() - leftoverMillis
    const old: string[] = []
    for await (const { key, lastModified } of store.list({ prefix: probeFolder, signal })) {
      if (lastModified.getTime() < before) old.push(key)
      if (old.length >= mostLeftovers) break
    }
    if (old.length > 0) await store.delete(old, { signal })
    let seen = 0
    for await (const upload of store.listMultipart({ prefix: probeFolder, signal })) {
      if (upload.initiated.getTime() < before) await store.abortMultipart(upload, { signal })
      seen += 1
      if (seen >= mostLeftovers) break
    }
  }
}

/** Where the one upload in parts goes. */
function partsKey(folder: string): string {
  return `${folder}parts`
}

/** A check's own fix is about permissions, which is what is missing where S3 only says no. */
function fixOf(error: unknown): { readonly fix?: string } {
  if (!KeepsakeError.is(error, 'store_denied', 'store_unavailable')) return {}
  const { s3Code } = error.details
  if (s3Code === noBucket) return makeBucket
  return typeof s3Code === 'string' && isRefusal(s3Code)
    ? {}
    : { fix: 'Do what the message says; no permission mends it.' }
}

function messageOf(error: unknown): string {
  return KeepsakeError.is(error) ? error.message : `No answer (${codeOf(error)}).`
}
