import type { CheckId, Verdict } from '../finding.ts'
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
