import type { LifecycleRule as S3LifecycleRule } from '@aws-sdk/client-s3'
import { canonicalJson } from '../canonical.ts'
import { minimumTransitionSize, ownRule } from '../desired/bucket-spec.ts'
import type { LifecycleRule } from '../live/lifecycle.ts'
import type { Missing } from '../offers.ts'
import { type Decide, whenRead } from './decision.ts'

/** Our rules beside those of others. */
export const decideLifecycle: Decide<'lifecycle'> = (reading, context) => {
  const { spec } = context
  const { wanted, notes } = offeredRules(spec.lifecycle, context.missing)
  return whenRead(reading, (live) => {
    const found = live?.rules ?? []
    const foreign = found.filter(({ rule }) => !rule.id.startsWith(ownRule))
    const kept = foreign.filter(({ rule }) => !context.adopt || !wanted.some((own) => saysTheSame(own, rule)))
    const own = found.filter(({ rule }) => rule.id.startsWith(ownRule)).map(({ rule }) => rule)
    // Whoever moves objects by rules of their own keeps the minimum size that those were written under.
    const moves = kept.some(({ rule }) => rule.transitions.length + rule.noncurrentTransitions.length > 0)
    const current = live?.transitionDefaultMinimumObjectSize ?? null
    const size = moves && current !== null ? current : minimumTransitionSize
    const sameSize = current === null || current === size
    if (kept.length === foreign.length && sameSize && sameRules(own, wanted)) return { status: 'same', notes }
    const rules = [...kept.map(({ raw }) => raw), ...wanted.map(s3LifecycleRule)]
    return {
      status: 'change',
      before: live
        ? shown(
            found.map(({ rule }) => rule),
            current,
          )
        : null,
      after: shown([...kept.map(({ rule }) => rule), ...wanted], size),
      notes: kept.length > 0 ? [...notes, `Kept: ${kept.map(({ rule }) => `'${rule.id}'`).join(', ')}.`] : notes,
      write: ({ s3, sdk }) =>
        s3.send(
          new sdk.PutBucketLifecycleConfigurationCommand({
            Bucket: spec.name,
            LifecycleConfiguration: { Rules: rules },
            TransitionDefaultMinimumObjectSize: size === 'varies_by_storage_class' ? size : minimumTransitionSize,
          }),
        ),
    }
  })
}

/** The rules that a store can keep, and a word on each of the others. */
export function offeredRules(
  rules: readonly LifecycleRule[],
  missing: Missing,
): { readonly wanted: readonly LifecycleRule[]; readonly notes: readonly string[] } {
  const why = (rule: LifecycleRule) =>
    rule.transitions.length > 0
      ? missing.transitions
      : rule.noncurrentDays !== null || rule.expireDeleteMarkers
        ? missing.versioning
        : undefined
  return {
    wanted: rules.filter((rule) => why(rule) === undefined),
    notes: rules.filter((rule) => why(rule) !== undefined).map((rule) => `${rule.id} is not offered: ${why(rule)}.`),
  }
}

/** In the form of S3, with a filter in its present form. */
export function s3LifecycleRule(rule: LifecycleRule): S3LifecycleRule {
  const expiration = {
    ...(rule.expirationDays === null ? {} : { Days: rule.expirationDays }),
    ...(rule.expireDeleteMarkers ? { ExpiredObjectDeleteMarker: true } : {}),
  }
  return {
    ID: rule.id,
    Status: rule.enabled ? 'Enabled' : 'Disabled',
    Filter: { Prefix: rule.prefix },
    ...(Object.keys(expiration).length > 0 ? { Expiration: expiration } : {}),
    ...(rule.abortUploadDays === null
      ? {}
      : { AbortIncompleteMultipartUpload: { DaysAfterInitiation: rule.abortUploadDays } }),
    ...(rule.noncurrentDays === null ? {} : { NoncurrentVersionExpiration: { NoncurrentDays: rule.noncurrentDays } }),
    ...(rule.transitions.length === 0
      ? {}
      : {
          Transitions: rule.transitions.map(({ days, storageClass }) => ({
            Days: days ?? 0,
            StorageClass: transitionClass(storageClass),
          })),
        }),
  }
}

const transitionClasses = [
  'DEEP_ARCHIVE',
  'GLACIER',
  'GLACIER_IR',
  'INTELLIGENT_TIERING',
  'ONEZONE_IA',
  'STANDARD_IA',
] as const

function transitionClass(name: string): (typeof transitionClasses)[number] {
  const known = transitionClasses.find((one) => one === name)
  if (known === undefined) throw new TypeError(`${name} is no storage class that objects move to.`)
  return known
}

function sameRules(a: readonly LifecycleRule[], b: readonly LifecycleRule[]): boolean {
  const texts = (rules: readonly LifecycleRule[]) => rules.map((rule) => canonicalJson(rule)).sort()
  return canonicalJson(texts(a)) === canonicalJson(texts(b))
}

/** About the same objects, and doing to them what ours does, be it after other days. */
function saysTheSame(own: LifecycleRule, other: LifecycleRule): boolean {
  const scope = ({ prefix, tags, sizeGreaterThan, sizeLessThan }: LifecycleRule) =>
    canonicalJson({ prefix, tags, sizeGreaterThan, sizeLessThan })
  const actions = (rule: LifecycleRule) =>
    canonicalJson([
      rule.expirationDays !== null || rule.expirationDate !== null,
      rule.abortUploadDays !== null,
      rule.noncurrentDays !== null || rule.expireDeleteMarkers,
      rule.transitions.length > 0,
      rule.noncurrentTransitions.length > 0,
    ])
  return scope(own) === scope(other) && actions(own) === actions(other)
}

/** Only what a rule says, for people. */
function shown(rules: readonly LifecycleRule[], size: string | null) {
  return {
    rules: rules.map((rule) =>
      Object.fromEntries(Object.entries(rule).filter(([name, value]) => name === 'prefix' || !isUnset(value))),
    ),
    ...(size === null ? {} : { transitionDefaultMinimumObjectSize: size }),
  }
}

function isUnset(value: unknown): boolean {
  return value === null || value === false || (typeof value === 'object' && Object.keys(value ?? {}).length === 0)
}
