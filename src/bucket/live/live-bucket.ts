import type {
  Grant,
  InventoryConfiguration,
  NotificationConfiguration,
  ReplicationConfiguration,
} from '@aws-sdk/client-s3'
import type { ErrorCode } from '../../media/index.ts'
import type { Make } from '../offers.ts'
import type { Policy } from '../policy/policy.ts'
import type { Cors } from './cors.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { Reading } from './reading.ts'

export type PublicAccessBlock = {
  readonly blockPublicAcls: boolean
  readonly ignorePublicAcls: boolean
  readonly blockPublicPolicy: boolean
  readonly restrictPublicBuckets: boolean
}

export type Encryption = {
  /** `AES256`, `aws:kms` or `aws:kms:dsse`. */
  readonly algorithm: string
  /** Null: none is named; with KMS that is the account's own `aws/s3`. */
  readonly kmsKey: string | null
  readonly bucketKey: boolean
  /** Kinds of encryption that writes are refused with, such as `SSE-C`. */
  readonly blocked: readonly string[]
}

export type Versioning = { readonly status: 'Enabled' | 'Suspended'; readonly mfaDelete: boolean }

export type Logging = {
  readonly bucket: string
  readonly prefix: string
  /** How the keys of logs are dated: null for the plain form, else `EventTime` or `DeliveryTime`. */
  readonly partitionedBy: string | null
}

export type ObjectLock = { readonly mode: string | null; readonly days: number | null; readonly years: number | null }

/** Whether there is a bucket of that name, and whether it can be looked at. */
export type Existence =
  | { readonly status: 'exists'; readonly region: string | null }
  | { readonly status: 'missing' }
  /** Somebody's, perhaps ours: these credentials may not look. */
  | {
      readonly status: 'denied' | 'error'
      /** As the store names it. */
      readonly code: string
      /** As Keepsake does. */
      readonly kind: ErrorCode
      /** What it means and what to do (docs/s3-errors.md). */
      readonly message: string
      readonly region: string | null
    }

/**
 * Everything that a bucket is configured with, read at one time and brought into one spelling. A part's status says
 * what is known; where the bucket is missing or cannot be looked at, every part has that for its status.
 */
export type LiveBucket = {
  readonly bucket: string
  readonly existence: Existence
  /** The make of the store, and whether it is spoken with without TLS. */
  readonly store: { readonly make: Make; readonly plainHttp: boolean }
  readonly publicAccessBlock: Reading<PublicAccessBlock>
  /** `BucketOwnerEnforced`, `BucketOwnerPreferred` or `ObjectWriter`. */
  readonly ownership: Reading<string>
  readonly encryption: Reading<Encryption>
  readonly versioning: Reading<Versioning>
  readonly policy: Reading<Policy>
  /** Whether S3 itself takes the policy for public. */
  readonly policyStatus: Reading<{ readonly isPublic: boolean }>
  readonly cors: Reading<Cors>
  readonly lifecycle: Reading<Lifecycle>
  readonly logging: Reading<Logging>
  readonly inventory: Reading<readonly InventoryConfiguration[]>
  readonly replication: Reading<ReplicationConfiguration>
  readonly acl: Reading<{ readonly owner: string; readonly grants: readonly Grant[] }>
  readonly notifications: Reading<NotificationConfiguration>
  readonly objectLock: Reading<ObjectLock>
  readonly tags: Reading<Readonly<Record<string, string>>>
}

/** The settings of a bucket that are read one by one. */
export type LiveParts = Omit<LiveBucket, 'bucket' | 'existence' | 'store'>
