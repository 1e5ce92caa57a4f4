import type { LifecycleRule } from '../../bucket/index.ts'
import { fail, pass, type Verdict } from '../finding.ts'
import { type Facts, judge, known } from './control.ts'

const rulesOf = ({ live }: Facts): readonly LifecycleRule[] =>
  (known(live.lifecycle)?.rules ?? []).map(({ rule }) => rule).filter(({ enabled }) => enabled)

function isNarrowed({ tags, sizeGreaterThan, sizeLessThan }: LifecycleRule): boolean {
  return Object.keys(tags).length > 0 || sizeGreaterThan !== null || sizeLessThan !== null
}

/** S3.13 */
export function hasLifecycle(facts: Facts): Verdict {
  return judge(facts.live.lifecycle, {
    set: ({ rules }) => {
      const count = rulesOf(facts).length
      return count > 0
        ? pass(`${count} of ${rules.length} rules are on.`)
        : fail(`None of ${rules.length} rules is on.`)
    },
    absent: () => fail('There are no lifecycle rules.'),
  })
}

/** S3.10 */
export function versionsHaveLifecycle(facts: Facts): Verdict {
  return ofVersioned(facts, () => hasLifecycle(facts))
}

/** Ours: a delete in a versioned bucket only hides. */
export function deletedVersionsEnd(facts: Facts): Verdict {
  return ofVersioned(facts, () =>
    judge(facts.live.lifecycle, {
      set: () => {
        const rule = rulesOf(facts).find((one) => one.noncurrentDays !== null && one.prefix === '' && !isNarrowed(one))
        if (!rule) return fail('No rule for the whole bucket ends versions that are not current.')
        const kept = rule.noncurrentKept ? `, but for the newest ${rule.noncurrentKept} of each key` : ''
        if (rule.noncurrentKept) return fail(`Rule '${rule.id}' ends them after ${rule.noncurrentDays} days${kept}.`)
        return pass(`Rule '${rule.id}' ends them after ${rule.noncurrentDays} days.`)
      },
      absent: () => fail('The bucket keeps versions, and there are no lifecycle rules.'),
    }),
  )
}

function ofVersioned({ live }: Facts, judgeVersioned: () => Verdict): Verdict {
  return judge(live.versioning, {
    // Suspended: versions from before are still there.
    set: judgeVersioned,
    absent: () => pass('The bucket keeps no versions.'),
  })
}

/** Ours: the rules that Keepsake counts on. */
export function temporaryEnds(facts: Facts): Verdict {
  return judge(facts.live.lifecycle, {
    set: () => {
      const rules = rulesOf(facts).filter((rule) => !isNarrowed(rule))
      const expires = typeof temporaryDays(facts) === 'number'
      const aborts = rules.some(({ prefix, abortUploadDays }) => prefix === '' && abortUploadDays !== null)
      if (expires && aborts) return pass('temp/ expires, and uploads that nobody finished are given up.')
      const missing = [
        ...(expires ? [] : ['no rule expires temp/']),
        ...(aborts ? [] : ['no rule for the whole bucket gives up unfinished uploads']),
      ]
      return fail(`Of the rules that are on, ${missing.join(', and ')}.`)
    },
    absent: () => fail('There are no lifecycle rules.'),
  })
}

/** Where objects are not media. */
const ownPrefixes = ['temp/', 'quarantine/']
/** AWS, GetObject: an archived object is answered with 403 InvalidObjectState until it is restored. */
const archives = ['GLACIER', 'DEEP_ARCHIVE']

/** Ours: rules that work behind the catalogue's back. */
export function mediaStays(facts: Facts): Verdict {
  return judge(facts.live.lifecycle, {
    set: () => {
      const found = rulesOf(facts).flatMap((rule) => {
        // Rules of ours come from settings: somebody wants them (bucket.retention, bucket.transitions).
        if (rule.id.startsWith('keepsake-') || ownPrefixes.some((own) => rule.prefix.startsWith(own))) return []
        const where = rule.prefix === '' ? 'everything' : `'${rule.prefix}'`
        const expires = rule.expirationDays !== null || rule.expirationDate !== null
        const archived = rule.transitions.filter(({ storageClass }) => archives.includes(storageClass))
        return [
          ...(expires ? [`rule '${rule.id}' deletes ${where}`] : []),
          ...archived.map(({ storageClass }) => `rule '${rule.id}' moves ${where} to ${storageClass}`),
        ]
      })
      return found.length === 0
        ? pass('Rules that are on end only what is not media.')
        : fail(`${capital(found.join('; '))}.`)
    },
    absent: () => pass('There are no lifecycle rules.'),
  })
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/** Days after which objects under temp/ end; null: no rule says so; undefined: the rules could not be read. */
export function temporaryDays(facts: Facts): number | null | undefined {
  const { status } = facts.live.lifecycle
  if (status === 'absent') return null
  if (status !== 'set') return undefined
  const days = rulesOf(facts).flatMap((rule) =>
    rule.prefix === 'temp/' && !isNarrowed(rule) && rule.expirationDays !== null ? [rule.expirationDays] : [],
  )
  return days.length === 0 ? null : Math.min(...days)
}

/** Ids of rules that end no object that is current, whatever they do to others. */
export function rulesOfVersions(facts: Facts): string[] {
  return rulesOf(facts).flatMap(({ id, expirationDays, expirationDate }) =>
    expirationDays === null && expirationDate === null ? [id] : [],
  )
}

/** S3.14 */
export function keepsVersions({ live }: Facts): Verdict {
  return judge(live.versioning, {
    set: ({ status }) =>
      status === 'Enabled' ? pass('Versioning is on.') : fail(`Versioning is ${status.toLowerCase()}.`),
    absent: () => fail('Versioning was never switched on.'),
  })
}

/** S3.15 */
export function locksObjects({ live }: Facts): Verdict {
  return judge(live.objectLock, {
    set: ({ mode, days, years }) => {
      const period = days === null ? (years === null ? '' : `, ${years} years`) : `, ${days} days`
      return pass(`Object Lock is on${mode === null ? ', without a default retention' : ` (${mode}${period})`}.`)
    },
    absent: () => fail('Object Lock is off.'),
  })
}

/** S3.17 */
export function encryptsWithKms({ live }: Facts): Verdict {
  return judge(live.encryption, {
    set: ({ algorithm, kmsKey }) =>
      /^aws:kms(:dsse)?$/.test(algorithm)
        ? pass(
            `The default is ${algorithm}, with ${kmsKey === null ? "the account's own key" : 'a key that is named'}.`,
          )
        : fail(`The default is ${algorithm}.`),
    absent: () => fail('No default encryption is set.'),
  })
}

/** S3.7 */
export function isReplicated({ live }: Facts): Verdict {
  return judge(live.replication, {
    set: ({ Rules = [] }) => {
      const targets = Rules.flatMap(({ Status, Destination }) =>
        Status === 'Enabled' && Destination?.Bucket && !Destination.Bucket.endsWith(`:::${live.bucket}`)
          ? [Destination.Bucket]
          : [],
      )
      return targets.length > 0
        ? pass(`To ${targets.join(', ')}.`)
        : fail('No replication rule to another bucket is on.')
    },
    absent: () => fail('There is no replication.'),
  })
}

/** S3.9 */
export function isLogged({ live }: Facts): Verdict {
  return judge(live.logging, {
    set: ({ bucket, prefix }) =>
      // AWS, "Enabling Amazon S3 server access logging": a bucket that logs to itself logs its logs.
      bucket === live.bucket
        ? fail('It logs to itself, so every log makes another.')
        : pass(`To ${bucket}, under '${prefix}'.`),
    absent: () => fail('Logging is off.'),
  })
}

/** S3.11 */
export function tellsOfEvents({ live }: Facts): Verdict {
  return judge(live.notifications, {
    set: (found) =>
      pass(`To ${Object.keys(found).join(', ').replaceAll('Configurations', 's').replaceAll('Configuration', '')}.`),
    absent: () => fail('Nothing is told of events.'),
  })
}
