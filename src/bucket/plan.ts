import { KeepsakeError } from '../media/index.ts'
import { fingerprint } from './canonical.ts'
import type { ControlClient } from './control-client.ts'
import { type BucketSpec, bucketSpecs } from './desired/bucket-spec.ts'
import type { DesiredBucket } from './desired/desired-bucket.ts'
import type { LiveBucket } from './live/live-bucket.ts'
import { readBucket } from './live/read-bucket.ts'
import { isRefusal } from './live/reading.ts'
import { missingFeatures } from './offers.ts'
import { type Decision, type PartName, partNames } from './parts/decision.ts'
import { decide } from './parts/index.ts'

/** A control client for a region: a replica lies in another one than its original. */
export type ClientOfRegion = (region: string) => Promise<ControlClient>

export type BucketPlan = {
  readonly spec: BucketSpec
  /** It is not there and would be made. */
  readonly create: boolean
  readonly live: LiveBucket
  readonly parts: readonly { readonly part: PartName; readonly decision: Decision }[]
}

export type Plan = {
  readonly desired: DesiredBucket
  readonly adopt: boolean
  /** In the order in which they are applied. */
  readonly buckets: readonly BucketPlan[]
  /** Of everything that was read: another one means that somebody changed something since. */
  readonly fingerprint: string
}

export type PlanOptions = {
  /** Take over what others set in place of ours. Default: false. */
  readonly adopt?: boolean
}

/**
 * Compares a desired state with what is there. Only reads.
 *
 * @throws {KeepsakeError} `store_denied` where the bucket is somebody else's or may not be looked at;
 * `store_unavailable`; `invalid_setting` where the bucket lies in another region than the settings say.
 */
export async function planBucket(
  desired: DesiredBucket,
  clientOf: ClientOfRegion,
  options: PlanOptions = {},
): Promise<Plan> {
  const adopt = options.adopt ?? false
  const specs = bucketSpecs(desired)
  const main = specs.find(({ role }) => role === 'media')
  if (main === undefined) throw new TypeError('A desired state has a bucket for media.')
  const media = await planOne(main, clientOf, adopt)
  const buckets: BucketPlan[] = []
  for (const spec of specs) {
    if (spec !== main && isUsed(spec, media)) buckets.push(await planOne(spec, clientOf, adopt))
  }
  buckets.push(media)
  return { desired, adopt, buckets, fingerprint: fingerprint(buckets.map(({ live }) => essence(live))) }
}

async function planOne(spec: BucketSpec, clientOf: ClientOfRegion, adopt: boolean): Promise<BucketPlan> {
  const live = await readBucket(await clientOf(spec.region), spec.name)
  requireWithinReach(live, spec)
  const context = { spec, adopt, missing: missingFeatures(live.store) }
  return {
    spec,
    create: live.existence.status === 'missing',
    live,
    parts: partNames.map((part) => ({ part, decision: decide(part, live[part], context) })),
  }
}

/** A bucket for logs is of no use where there are none. */
function isUsed(spec: BucketSpec, media: BucketPlan): boolean {
  const offered = (name: PartName) =>
    media.parts.some(({ part, decision }) => part === name && decision.status !== 'not offered')
  if (spec.role === 'replica') return offered('replication')
  return (media.spec.logging !== null && offered('logging')) || (media.spec.inventory !== null && offered('inventory'))
}

function requireWithinReach({ existence, bucket, store }: LiveBucket, spec: BucketSpec): void {
  if (existence.status === 'denied' || existence.status === 'error') {
    const { code, kind, message } = existence
    const details = { bucket, s3Code: code }
    if (!isRefusal(code)) throw new KeepsakeError(kind, message, { details })
    throw new KeepsakeError(
      'store_denied',
      `The bucket '${bucket}' is somebody else's, or these credentials may not look at it (s3:ListBucket: ${code}). ` +
        'Use other credentials, or another name.',
      { details },
    )
  }
  if (existence.status === 'exists' && store.make === 'aws' && existence.region && existence.region !== spec.region) {
    throw new KeepsakeError(
      'invalid_setting',
      `The bucket '${bucket}' lies in ${existence.region}, and the settings say ${spec.region}. Set AWS_REGION=${existence.region}.`,
      { details: { bucket, region: existence.region } },
    )
  }
}

/** What a fingerprint is taken of: the parts that a plan is about, without how the store spelled them. */
function essence(live: LiveBucket): unknown {
  const parts = partNames.map((part) => {
    const reading = live[part]
    return [part, reading.status, reading.status === 'set' ? withoutRaw(reading.value) : null]
  })
  return [live.bucket, live.existence.status, ...parts]
}

function withoutRaw(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutRaw)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => name !== 'raw')
      .map(([name, entry]) => [name, withoutRaw(entry)]),
  )
}

/** Whether anything is to be changed. */
export function hasChanges({ buckets }: Plan): boolean {
  return buckets.some(({ create, parts }) => create || parts.some(({ decision }) => decision.status === 'change'))
}

/**
 * The parts that are not as they are asked to be, and that an apply does not change: others' settings stand in the way,
 * or something is missing that only a person can give.
 */
export function unmetParts({
  buckets,
}: Plan): { readonly bucket: string; readonly part: PartName; readonly why: string }[] {
  return buckets.flatMap(({ spec, parts }) =>
    parts.flatMap(({ part, decision }) => {
      const at = { bucket: spec.name, part }
      if (decision.status === 'blocked') return [{ ...at, why: decision.why }]
      if (decision.status !== 'kept' || decision.because !== 'in the way') return []
      return [{ ...at, why: decision.notes.at(-1) ?? '' }]
    }),
  )
}

/** The parts that could not be read, and those for which something is missing. */
export function openQuestions({
  buckets,
}: Plan): { readonly bucket: string; readonly part: PartName; readonly why: string; readonly code: string | null }[] {
  return buckets.flatMap(({ spec, parts }) =>
    parts.flatMap(({ part, decision }) =>
      decision.status === 'unknown' || decision.status === 'blocked'
        ? [{ bucket: spec.name, part, why: decision.why, code: decision.status === 'unknown' ? decision.code : null }]
        : [],
    ),
  )
}

/** A plan as plain data: for `--json`. */
export function planJson(plan: Plan): unknown {
  return {
    bucket: plan.desired.name,
    changes: hasChanges(plan),
    unmet: unmetParts(plan),
    fingerprint: plan.fingerprint,
    buckets: plan.buckets.map(({ spec, create, live, parts }) => ({
      bucket: spec.name,
      role: spec.role,
      region: spec.region,
      store: live.store.make,
      create,
      parts: parts.map(({ part, decision: { ...decision } }) => {
        if ('write' in decision) {
          const { write: _, ...plain } = decision
          return { part, ...plain }
        }
        return { part, ...decision }
      }),
    })),
  }
}
