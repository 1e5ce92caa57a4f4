import { type Feature, missingFeatures } from '../../bucket/index.ts'
import { type CheckId, notOffered, type Verdict } from '../finding.ts'
import { namesOrigins, refusesOldTls, refusesPlainHttp, restrictsOtherAccounts, usesNoAcls } from './access.ts'
import type { Facts } from './control.ts'
import {
  deletedVersionsEnd,
  encryptsWithKms,
  hasLifecycle,
  isLogged,
  isReplicated,
  keepsVersions,
  locksObjects,
  mediaStays,
  tellsOfEvents,
  temporaryEnds,
  versionsHaveLifecycle,
} from './keeping.ts'
import { accountBlocksPublicAccess, bucketBlocksPublicAccess, isNotPublic } from './public-access.ts'

export type { Facts } from './control.ts'
export { rulesOfVersions, temporaryDays } from './keeping.ts'

/** What is judged by a bucket's settings alone. */
export const controls = {
  'S3.1': accountBlocksPublicAccess,
  'S3.2': (facts) => isNotPublic(facts, 'read'),
  'S3.3': (facts) => isNotPublic(facts, 'write'),
  'S3.5': refusesPlainHttp,
  'S3.6': restrictsOtherAccounts,
  'S3.7': isReplicated,
  'S3.8': bucketBlocksPublicAccess,
  'S3.9': isLogged,
  'S3.10': versionsHaveLifecycle,
  'S3.11': tellsOfEvents,
  'S3.12': usesNoAcls,
  'S3.13': hasLifecycle,
  'S3.14': keepsVersions,
  'S3.15': locksObjects,
  'S3.17': encryptsWithKms,
  'bucket.tls-version': refusesOldTls,
  'bucket.temporary': temporaryEnds,
  'bucket.media-stays': mediaStays,
  'bucket.deleted-versions': deletedVersionsEnd,
  'bucket.cors': namesOrigins,
} as const satisfies Partial<Record<CheckId, (facts: Facts) => Verdict>>

export type ControlId = keyof typeof controls

/** What a store must have for a control to mean something. */
const needs: Readonly<Partial<Record<ControlId, Feature>>> = {
  'S3.7': 'replication',
  'S3.8': 'publicAccessBlock',
  'S3.9': 'logging',
  'S3.14': 'versioning',
  'S3.17': 'kms',
  'bucket.tls-version': 'tlsVersion',
}

/** A control's verdict; one that fails for want of what the store has not is not offered. */
export function judgeControl(id: ControlId, facts: Facts): Verdict {
  const verdict = controls[id](facts)
  const feature = needs[id]
  const why = feature && missingFeatures(facts.live.store)[feature]
  return verdict.status === 'fail' && why !== undefined
    ? notOffered(`${why.charAt(0).toUpperCase()}${why.slice(1)}.`)
    : verdict
}
