import { z } from 'zod'
import * as value from './values.ts'

const days = value.described(z.int().min(1).max(36_500), 'a whole number of days, 1 to 36500')
const texts = z.array(value.anyText)

/** How the bucket is to be set up; `src/bucket` decides what follows from it, and checks what goes together. */
export const bucketSettingsSchema = z.strictObject({
  app: value.anyText.optional(),
  env: value.bucketEnv.optional(),
  account: value.account.optional(),
  origins: value.textList.optional(),
  prefixes: texts.optional(),
  kmsKey: value.anyText.optional(),
  denyOtherEncryption: value.flag.optional(),
  fileExtensions: texts.optional(),
  versioning: value.flag.optional(),
  tempDays: days.optional(),
  quarantineDays: days.optional(),
  staleUploadDays: days.optional(),
  retention: z.record(z.string(), days).optional(),
  transitions: z
    .array(z.strictObject({ prefix: z.string(), days: z.int().min(0), storageClass: value.anyText }))
    .optional(),
  noncurrentDays: days.optional(),
  logging: z.union([value.flag, z.strictObject({ bucket: value.bucket, prefix: value.anyText.optional() })]).optional(),
  inventory: z.union([z.enum(['Daily', 'Weekly']), value.flag]).optional(),
  logDays: days.optional(),
  replication: z
    .strictObject({
      region: value.region,
      role: value.anyText.optional(),
      bucket: value.bucket.optional(),
      kmsKey: value.anyText.optional(),
    })
    .optional(),
  distribution: value.anyText.optional(),
})

export type ParsedBucketSettings = z.output<typeof bucketSettingsSchema>

/** How the bucket is to be set up, by `keepsake bucket`. Everything has a default. */
export type BucketSettings = {
  /** The app's name. With it, and without `s3.bucket`, the bucket is `<app>-<env>-<account>`. */
  readonly app?: string
  /** Default: `prod`, and `dev` for the embedded S3. */
  readonly env?: 'dev' | 'prod'
  /** The twelve digits of the AWS account. Default: that of the credentials. */
  readonly account?: string
  /**
   * Whose pages may upload and read: `https://app.example`, `https://*.app.example`. In prod https only, and never `*`.
   * Default: those of `http.corsOrigins`, in prod as far as they are https.
   */
  readonly origins?: readonly string[]
  /** What the app's own IAM policy is held to, such as `ai-generated/`. Default: the whole bucket. */
  readonly prefixes?: readonly string[]
  /** ARN of a KMS key: SSE-KMS with a bucket key. Default: SSE-S3. */
  readonly kmsKey?: string
  /** Refuse writes that ask for another encryption than the bucket's. Default: false. */
  readonly denyOtherEncryption?: boolean
  /** Refuse writes of keys with another ending: `['jpg', 'png', 'mp4']`. Default: any. */
  readonly fileExtensions?: readonly string[]
  /** Default: true in prod. Once on it is never turned off. */
  readonly versioning?: boolean
  /** Days that objects under `temp/` live. Default: 7. */
  readonly tempDays?: number
  /** Days that objects under `quarantine/` live. Default: 30. */
  readonly quarantineDays?: number
  /** Days after which a multipart upload that nobody finished is swept. Default: 1 in dev, 7 in prod. */
  readonly staleUploadDays?: number
  /** Days that objects under a prefix live: `{ 'exports/': 90 }`. Not for what the catalogue keeps. */
  readonly retention?: Readonly<Record<string, number>>
  /** When objects under a prefix move to a cheaper storage class; the prefix may be empty. */
  readonly transitions?: readonly { readonly prefix: string; readonly days: number; readonly storageClass: string }[]
  /** Days that replaced and deleted versions are kept. Default: 30, where there are versions. */
  readonly noncurrentDays?: number
  /** Access logs: true for a bucket of their own, `<bucket>-logs`, or another one. Default: false. */
  readonly logging?: boolean | { readonly bucket: string; readonly prefix?: string }
  /** A list of all objects in the bucket for logs. Default: none. */
  readonly inventory?: 'Daily' | 'Weekly' | boolean
  /** Days that logs and inventories live. Default: 365. */
  readonly logDays?: number
  /** A copy of everything in another region. `role` is the ARN of the IAM role that copies; exports make one. */
  readonly replication?: {
    readonly region: string
    readonly role?: string
    /** Default: `<bucket>-replica`. */
    readonly bucket?: string
    /** ARN of a KMS key in that region. */
    readonly kmsKey?: string
  }
  /** ARN of the CloudFront distribution that may read the bucket. */
  readonly distribution?: string
}
