import { isRefusal, type LiveBucket } from '../bucket/index.ts'
import type { Logger } from '../logger.ts'
import { KeepsakeError } from '../media/index.ts'
import type { ObjectStore } from '../stores/index.ts'
import { type BucketFacts, type BucketPlace, readBucketFacts } from './bucket-facts.ts'
import { type CatalogueParts, catalogueChecks, runCatalogueCheck } from './catalogue-checks.ts'
import { checks } from './checks.ts'
import { type ControlId, controls, type Facts, judgeControl, rulesOfVersions, temporaryDays } from './controls/index.ts'
import {
  type CheckId,
  type Finding,
  finding,
  notOffered,
  type Report,
  report,
  unknown,
  type Verdict,
} from './finding.ts'
import { type InstallationParts, installationChecks, runInstallationCheck } from './installation-checks.ts'
import { type ProbeParts, probe, probeSteps } from './probe/index.ts'

/** What a doctor looks at. What is null is not there to be looked at. */
export type DoctorParts = Omit<CatalogueParts, 'catalogue'> & {
  readonly store: ObjectStore
  readonly logger: Pick<Logger, 'warn'>
  readonly catalogue: CatalogueParts['catalogue'] | null
  readonly place: BucketPlace | null
  readonly installation: InstallationParts | null
  /** Whose pages upload, besides those that the bucket's own CORS rules name. */
  readonly origins?: readonly string[]
  /** Milliseconds for everything. Default: 55,000, so that an answer comes within a minute. */
  readonly deadlineMillis?: number
}

export type DoctorOptions = {
  /** Ids (`S3.5`, `probe.clock`) or their groups (`S3`, `bucket`, `probe`, `catalogue`, `folder`, `settings`). Default: all. */
  readonly only?: readonly string[]
  readonly signal?: AbortSignal
}

type Verdicts = ReadonlyMap<CheckId, Verdict>

/** Looks at an installation from all sides, and says what is wrong with it, why that matters and what to do. */
export class Doctor {
  readonly #parts: DoctorParts
  readonly #stop = new AbortController()
  readonly #running = new Set<Promise<unknown>>()

  constructor(parts: DoctorParts) {
    this.#parts = parts
  }

  /**
   * Never throws for what it finds: what cannot be looked at is a finding too. Writes to the bucket under
   * `temp/.doctor/` alone, and removes that again, also when it is aborted.
   *
   * @throws {KeepsakeError} `invalid_request` where `only` names what there is not; `stopping`.
   */
  async run(options: DoctorOptions = {}): Promise<Report> {
    const wanted = select(options.only)
    if (this.#stop.signal.aborted) throw new KeepsakeError('stopping', 'This process is stopping.')
    const running = this.#run(wanted, options.signal)
    this.#running.add(running)
    try {
      return await running
    } finally {
      this.#running.delete(running)
    }
  }

  /** Interrupts what runs and waits until the bucket is as it was. */
  async close(): Promise<void> {
    this.#stop.abort()
    await Promise.allSettled(this.#running)
  }

  async #run(wanted: ReadonlySet<CheckId>, signal: AbortSignal | undefined): Promise<Report> {
    const deadline = AbortSignal.timeout(this.#parts.deadlineMillis ?? 55_000)
    const until = AbortSignal.any([this.#stop.signal, deadline, ...(signal ? [signal] : [])])
    const found = await Promise.all([
      this.#bucket(wanted, until),
      this.#catalogue(wanted, until),
      this.#installation(wanted),
    ])
    const verdicts = new Map(found.flatMap((group) => [...group]))
    // What a probe left behind is told of, asked for or not.
    const told = [...verdicts].filter(
      ([id, { status }]) => wanted.has(id) || (id === 'probe.delete' && status === 'fail'),
    )
    const findings = told.map(([id, verdict]) => this.#finding(id, verdict))
    return report(findings, this.#parts.clock.now())
  }

  #finding(id: CheckId, verdict: Verdict): Finding {
    const { place, installation } = this.#parts
    return finding(id, verdict, {
      ...(place ? { bucket: place.bucket, region: place.region } : {}),
      ...(installation ? { secrets: `${installation.dataDir}/secrets` } : {}),
    })
  }

  /** The settings first: the probe asks them for origins, and whether temp/ ends by itself. */
  async #bucket(wanted: ReadonlySet<CheckId>, signal: AbortSignal): Promise<Verdicts> {
    const verdicts = new Map<CheckId, Verdict>()
    const probed = probeSteps.filter(({ id }) => wanted.has(id)).map(({ id }) => id)
    const asksSettings = keysOf(controls).some((id) => wanted.has(id)) || wanted.has('probe.identity')
    const helpsProbe =
      wanted.has('probe.cors') ||
      wanted.has('probe.cors-evil') ||
      wanted.has('probe.expiry') ||
      wanted.has('probe.encryption')
    const read = asksSettings || helpsProbe ? await this.#readFacts(signal) : undefined
    if (asksSettings) for (const [id, verdict] of judgeFacts(read)) verdicts.set(id, verdict)
    if (probed.length > 0) {
      for (const [id, verdict] of await probe(this.#probeParts(read), new Set(probed), signal))
        verdicts.set(id, verdict)
    }
    return verdicts
  }

  async #readFacts(signal: AbortSignal): Promise<BucketFacts | string> {
    const { place, logger } = this.#parts
    if (!place) return 'Where the bucket is was not told.'
    const late = new Promise<string>((resolve) => {
      const stop = () => resolve('Interrupted, or out of time, before the settings were read.')
      if (signal.aborted) stop()
      signal.addEventListener('abort', stop, { once: true })
    })
    try {
      return await Promise.race([readBucketFacts(place, signal), late])
    } catch (error) {
      logger.warn({ err: error }, 'the doctor could not read the settings of the bucket')
      return `The settings could not be read: ${KeepsakeError.from(error).message}`
    }
  }

  #probeParts(read: BucketFacts | string | undefined): ProbeParts {
    const { store, clock, origins = [] } = this.#parts
    const live = typeof read === 'object' ? read.facts.live : undefined
    const cors = live?.cors.status === 'set' ? live.cors.value : []
    const uploading = cors.filter(({ rule }) => rule.methods.includes('PUT')).flatMap(({ rule }) => rule.origins)
    const named = [...new Set([...origins, ...uploading])].filter((origin) => origin !== '*')
    return {
      store,
      clock,
      // One of those that a wildcard stands for.
      origins: named.map((origin) => origin.replace('*', 'doctor')),
      declaredEncryption: live && live.store.make !== 'embedded' ? declaredEncryption(live.encryption) : undefined,
      ...(typeof read === 'object'
        ? { temporaryDays: temporaryDays(read.facts), rulesOfVersions: rulesOfVersions(read.facts) }
        : { temporaryDays: undefined }),
    }
  }

  async #catalogue(wanted: ReadonlySet<CheckId>, signal: AbortSignal): Promise<Verdicts> {
    const { catalogue } = this.#parts
    const ids = keysOf(catalogueChecks).filter((id) => wanted.has(id))
    const verdicts = new Map<CheckId, Verdict>()
    // One after the other: on PGlite they share a connection with everybody else.
    for (const id of ids) {
      const verdict = catalogue
        ? await runCatalogueCheck(id, { ...this.#parts, catalogue }, signal)
        : unknown('The database is not at hand here.')
      verdicts.set(id, verdict)
    }
    return verdicts
  }

  async #installation(wanted: ReadonlySet<CheckId>): Promise<Verdicts> {
    const { installation } = this.#parts
    const verdicts = new Map<CheckId, Verdict>()
    for (const id of keysOf(installationChecks)) {
      if (!wanted.has(id)) continue
      const verdict = installation
        ? await runInstallationCheck(id, installation)
        : notOffered('Opened by a program of its own, without settings to look at.')
      verdicts.set(id, verdict)
    }
    return verdicts
  }
}

function declaredEncryption(reading: LiveBucket['encryption']): string | null | undefined {
  if (reading.status === 'set') return reading.value.algorithm
  return reading.status === 'absent' ? null : undefined
}

function judgeFacts(read: BucketFacts | string | undefined): Verdicts {
  const verdicts = new Map<CheckId, Verdict>()
  const ids = keysOf(controls)
  if (typeof read !== 'object') {
    const verdict = unknown(read ?? 'The settings were not read.')
    for (const id of [...ids, 'probe.identity' as const]) verdicts.set(id, verdict)
    return verdicts
  }
  const { facts, identity } = read
  verdicts.set('probe.identity', identity)
  const { existence, bucket } = facts.live
  for (const id of ids) {
    const isAbsent = existence.status === 'missing' && id !== 'S3.1'
    const verdict = isAbsent ? unknown(`There is no bucket '${bucket}'.`) : judgeRead(id, facts)
    verdicts.set(id, id === 'S3.1' && facts.account ? withAccount(verdict, facts.account) : verdict)
  }
  return verdicts
}

/** Wrong keys, a clock that is off, a store that is away: not each setting is denied, but nothing is told at all. */
function judgeRead(id: ControlId, facts: Facts): Verdict {
  const verdict = judgeControl(id, facts)
  const { existence } = facts.live
  const isAway = existence.status === 'denied' || existence.status === 'error'
  return isAway && verdict.status === 'unknown' && !isRefusal(existence.code) ? unknown(existence.message) : verdict
}

/** The command names the account, which is known only once the credentials were asked. */
function withAccount(verdict: Verdict, account: string): Verdict {
  return { ...verdict, fix: checks['S3.1'].fix.replace('{account}', account) }
}

const allIds = keysOf(checks)
const groups = [...new Set(allIds.map(groupOf))]

/** `S3.5` is of the group `S3`, `probe.clock` of `probe`. */
export function groupOf(id: string): string {
  return id.split('.')[0] ?? id
}

function select(only: readonly string[] | undefined): ReadonlySet<CheckId> {
  if (only === undefined) return new Set(allIds)
  const strange = only.filter((name) => !groups.includes(name) && !allIds.some((id) => id === name))
  if (strange.length > 0 || only.length === 0) {
    throw new KeepsakeError(
      'invalid_request',
      `There is no check ${strange.map((name) => `'${name.slice(0, 64)}'`).join(', ') || 'without a name'}. ` +
        `Allowed are the ids of docs/doctor.md and their groups: ${groups.join(', ')}.`,
    )
  }
  return new Set(allIds.filter((id) => only.includes(id) || only.includes(groupOf(id))))
}

function keysOf<Table extends object>(table: Table): readonly Extract<keyof Table, string>[] {
  const isKey = (key: string): key is Extract<keyof Table, string> => Object.hasOwn(table, key)
  return Object.keys(table).filter(isKey)
}
