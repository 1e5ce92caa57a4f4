import type { ControlClient } from '../control-client.ts'
import type { BucketSpec } from '../desired/bucket-spec.ts'
import type { LiveParts } from '../live/live-bucket.ts'
import type { Reading } from '../live/reading.ts'
import type { Missing } from '../offers.ts'

/** The settings that a plan is about, in the order in which they are applied: what protects comes first. */
export const partNames = [
  'publicAccessBlock',
  'ownership',
  'encryption',
  'versioning',
  'policy',
  'lifecycle',
  'cors',
  'logging',
  'inventory',
  'replication',
] as const

export type PartName = (typeof partNames)[number]

/** The permission that writing each of them takes. */
export const writeActions: Readonly<Record<PartName, string>> = {
  publicAccessBlock: 's3:PutBucketPublicAccessBlock',
  ownership: 's3:PutBucketOwnershipControls',
  encryption: 's3:PutEncryptionConfiguration',
  versioning: 's3:PutBucketVersioning',
  policy: 's3:PutBucketPolicy',
  lifecycle: 's3:PutLifecycleConfiguration',
  cors: 's3:PutBucketCORS',
  logging: 's3:PutBucketLogging',
  inventory: 's3:PutInventoryConfiguration',
  replication: 's3:PutReplicationConfiguration',
}

export type Decision =
  /** As it is to be; or nothing is asked for, and it stays as it is. */
  | { readonly status: 'same' | 'not asked'; readonly notes: readonly string[] }
  | {
      readonly status: 'change'
      /** What stands there and what will, for people to compare. */
      readonly before: unknown
      readonly after: unknown
      readonly notes: readonly string[]
      readonly write: (client: ControlClient) => Promise<unknown>
    }
  | {
      readonly status: 'kept'
      /**
       * What stays as it is: somebody else's choice with which what is asked for cannot be, until it is taken over;
       * somebody else's that gives more than is asked; or what is left of ours and asked for no more.
       */
      readonly because: 'in the way' | 'more than asked' | 'left over'
      readonly before: unknown
      readonly notes: readonly string[]
    }
  | { readonly status: 'not offered'; readonly why: string }
  /** It cannot be seen, so it cannot be judged. */
  | { readonly status: 'unknown'; readonly why: string; readonly code: string }
  /** Something is missing that only a person can give. */
  | { readonly status: 'blocked'; readonly why: string }

export type DecisionContext = {
  readonly spec: BucketSpec
  readonly missing: Missing
  /** Take over what others set in place of ours. */
  readonly adopt: boolean
}

export type Decide<Name extends PartName> = (reading: LiveParts[Name], context: DecisionContext) => Decision

export const asIs: Decision = { status: 'same', notes: [] }
export const notAsked: Decision = { status: 'not asked', notes: [] }

/** Judges what can be read; what cannot is told. */
export function whenRead<T>(reading: Reading<T>, judge: (value: T | undefined) => Decision): Decision {
  switch (reading.status) {
    case 'set':
      return judge(reading.value)
    case 'absent':
      return judge(undefined)
    case 'not offered':
      return { status: 'not offered', why: reading.message }
    default:
      return { status: 'unknown', why: `${reading.action}: ${reading.code}: ${reading.message}`, code: reading.code }
  }
}
