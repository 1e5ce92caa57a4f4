import { emptyRule, type LifecycleRule } from '../live/lifecycle.ts'
import type { DesiredBucket } from './desired-bucket.ts'

/** Where what nobody vouches for waits; see the reserved beginnings of keys. */
const tempPrefix = 'temp/'
const quarantinePrefix = 'quarantine/'

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html */
export function lifecycleRules(desired: DesiredBucket): LifecycleRule[] {
  return [
    expiryRule('temp', tempPrefix, desired.tempDays),
    expiryRule('quarantine', quarantinePrefix, desired.quarantineDays),
    staleUploadsRule(desired.staleUploadDays),
    ...desired.retention.map(({ prefix, days }) => expiryRule(`expire-${prefix}`, prefix, days)),
    ...transitionRules(desired.transitions),
    ...(desired.versioning ? [noncurrentRule(desired.noncurrentDays)] : []),
  ]
}

export function logsLifecycleRules(
  { staleUploadDays, logging, inventory }: DesiredBucket,
  days: number,
): LifecycleRule[] {
  return [
    ...(logging ? [expiryRule('access', 'access/', days)] : []),
    ...(inventory ? [expiryRule('inventory', inventory.prefix, days)] : []),
    staleUploadsRule(staleUploadDays),
  ]
}

/** Of the whole bucket: nothing that was finished is touched. */
export function staleUploadsRule(days: number): LifecycleRule {
  return { ...emptyRule, id: 'keepsake-stale-uploads', abortUploadDays: days }
}

/** Without it, what was deleted is paid for for ever; of current objects nothing expires by it. */
export function noncurrentRule(days: number): LifecycleRule {
  return { ...emptyRule, id: 'keepsake-noncurrent', noncurrentDays: days, expireDeleteMarkers: true }
}

function expiryRule(name: string, prefix: string, days: number): LifecycleRule {
  return { ...emptyRule, id: `keepsake-${name}`, prefix, expirationDays: days }
}

/** One rule a prefix: S3 refuses two that move the same objects. */
function transitionRules(transitions: DesiredBucket['transitions']): LifecycleRule[] {
  const prefixes = [...new Set(transitions.map(({ prefix }) => prefix))]
  return prefixes.map((prefix) => ({
    ...emptyRule,
    id: `keepsake-transition-${prefix || 'all'}`,
    prefix,
    transitions: transitions
      .filter((transition) => transition.prefix === prefix)
      .map(({ storageClass, days }) => ({ storageClass, days, date: null }))
      .sort((a, b) => a.days - b.days),
  }))
}
