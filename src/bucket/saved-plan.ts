import { z } from 'zod'
import { bucketSettingsSchema, type ParsedBucketSettings } from '../config/index.ts'
import { KeepsakeError } from '../media/index.ts'
import { type DesiredContext, desireBucket } from './desired/desired-bucket.ts'
import type { Plan } from './plan.ts'

const format = 'keepsake-bucket-plan/1'

const schema = z.object({
  format: z.literal(format),
  createdAt: z.iso.datetime(),
  endpoint: z.string().nullable(),
  adopt: z.boolean(),
  fingerprint: z.string().regex(/^[0-9a-f]{64}$/),
  settings: bucketSettingsSchema,
  context: z.object({
    embedded: z.boolean(),
    bucket: z.string().nullable(),
    region: z.string(),
    account: z.string().optional(),
    readable: z.array(z.string()).nullable().optional(),
  }),
})

/** A plan that was looked at and is to be applied as it is, or not at all. Holds no secret. */
export type SavedPlan = {
  readonly createdAt: string
  /** Of the store; null: AWS's own. */
  readonly endpoint: string | null
  readonly adopt: boolean
  readonly fingerprint: string
  readonly settings: ParsedBucketSettings
  readonly context: DesiredContext
}

export function savedPlanText(saved: SavedPlan): string {
  return `${JSON.stringify({ format, ...saved }, null, 2)}\n`
}

/** @throws {KeepsakeError} `invalid_request` for what is no saved plan. */
export function parseSavedPlan(text: string, where: string): SavedPlan {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    json = undefined
  }
  const parsed = schema.safeParse(json)
  if (parsed.success) {
    const { context, ...rest } = parsed.data
    return { ...rest, context: { ...context, account: context.account } }
  }
  throw new KeepsakeError(
    'invalid_request',
    `${where} is no plan of this Keepsake (${parsed.error.issues[0]?.path.join('.') || 'not JSON'}). Make one: keepsake bucket plan --out ${where}`,
  )
}

export function desiredOf({ settings, context }: SavedPlan) {
  return desireBucket(settings, context)
}

/** @throws {KeepsakeError} `invalid_request` where the bucket changed since the plan was saved. */
export function requireUnchanged(saved: SavedPlan, plan: Plan): void {
  if (saved.fingerprint === plan.fingerprint) return
  throw new KeepsakeError(
    'invalid_request',
    `The bucket '${plan.desired.name}' is not as it was when the plan was saved (${saved.createdAt}). Nothing was changed. ` +
      'Plan again, look at it, and apply that.',
  )
}
