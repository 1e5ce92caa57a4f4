import { setTimeout as sleep } from 'node:timers/promises'
import { explainS3Error } from '../stores/index.ts'
import { type ControlClient, placeOf } from './control-client.ts'
import type { BucketSpec } from './desired/bucket-spec.ts'
import { partReaders } from './live/part-readers.ts'
import { readExistence } from './live/read-bucket.ts'
import { isNotOffered, s3Failure } from './live/reading.ts'
import { missingFeatures } from './offers.ts'
import { type Decision, type DecisionContext, type PartName, writeActions } from './parts/decision.ts'
import { decide } from './parts/index.ts'
import type { BucketPlan, ClientOfRegion, Plan } from './plan.ts'

export type StepName = 'create' | PartName

/** What became of one step. `done` means that it was read back and is as it was to be. */
export type StepResult = {
  readonly bucket: string
  readonly step: StepName
  readonly outcome: 'done' | 'not offered' | 'failed' | 'not done'
  readonly why?: string
  /** As the store names it, where it refused. */
  readonly code?: string
  readonly status?: number
}

export type ApplyOptions = {
  /** Told of each step as it ends. */
  readonly onStep?: (result: StepResult) => void
  readonly signal?: AbortSignal
  /** Milliseconds to wait before each look at what was written. Default: eight looks in about twenty seconds. */
  readonly looks?: readonly number[]
}

/**
 * "Amazon S3 bucket configurations have an eventual consistency model": what was written may not show at once.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel
 */
const defaultLooks = [0, 200, 500, 1000, 2000, 4000, 6000, 8000]
/** Codes of what passes by itself while another change, or a new bucket, is still on its way. */
const passing = ['OperationAborted', 'NoSuchBucket', 'InvalidBucketState', 'ConditionalRequestConflict']

/**
 * Does what a plan says, one step after the other, and reads each one back. Ends at the first step that fails; what is
 * left is told as `not done`, and applying again goes on from there. Nothing is ever deleted.
 */
export async function applyPlan(
  plan: Plan,
  clientOf: ClientOfRegion,
  options: ApplyOptions = {},
): Promise<StepResult[]> {
  const results: StepResult[] = []
  let failed = false
  const take = (result: StepResult) => {
    results.push(result)
    options.onStep?.(result)
    failed ||= result.outcome === 'failed'
  }
  for (const bucket of plan.buckets) {
    const client = await clientOf(bucket.spec.region)
    for (const step of stepsOf(bucket)) {
      const at = { bucket: bucket.spec.name, step }
      if (failed || options.signal?.aborted) take({ ...at, outcome: 'not done' })
      else take({ ...at, ...(await doStep(step, bucket, { plan, client, options })) })
    }
  }
  return results
}

function stepsOf({ create, parts }: BucketPlan): StepName[] {
  const changes = parts.filter(({ decision }) => decision.status === 'change').map(({ part }) => part)
  return create ? ['create', ...changes] : changes
}

type Outcome = Pick<StepResult, 'outcome' | 'why' | 'code' | 'status'>
type StepContext = { readonly plan: Plan; readonly client: ControlClient; readonly options: ApplyOptions }

async function doStep(step: StepName, { spec }: BucketPlan, { plan, client, options }: StepContext): Promise<Outcome> {
  const looks = options.looks ?? defaultLooks
  try {
    if (step === 'create') {
      await createBucket(client, spec)
      return await until(looks, async () => (await readExistence(client, spec.name)).status === 'exists')
    }
    const context: DecisionContext = {
      spec,
      adopt: plan.adopt,
      missing: missingFeatures({ make: client.make(), plainHttp: client.endpoint?.startsWith('http:') ?? false }),
    }
    // Decided anew, because an earlier step may have changed what stands there: creating a bucket sets defaults.
    const decision = await look(step, client, context)
    if (decision.status === 'not offered') return { outcome: 'not offered', why: decision.why }
    if (decision.status === 'change') await patiently(looks, () => decision.write(client))
    return await until(looks, async () => {
      const now = await look(step, client, context)
      return now.status === 'not offered'
        ? { outcome: 'not offered', why: now.why }
        : now.status === 'same' || now.status === 'not asked'
    })
  } catch (error) {
    const failure = s3Failure(error)
    if (isNotOffered(failure)) return { outcome: 'not offered', why: failure.message, code: failure.code }
    return {
      outcome: 'failed',
      why: explainS3Error(error, placeOf(client, step === 'create' ? 's3:CreateBucket' : writeActions[step], spec.name))
        .message,
      code: failure.code,
      status: failure.status,
    }
  }
}

async function look<Name extends PartName>(
  part: Name,
  client: ControlClient,
  context: DecisionContext,
): Promise<Decision> {
  return decide(part, await partReaders[part](client, context.spec.name), context)
}

/** The SDK names the region as LocationConstraint, and leaves it out for us-east-1, as S3 wants it. */
async function createBucket({ s3, sdk }: ControlClient, { name }: BucketSpec): Promise<void> {
  try {
    await s3.send(new sdk.CreateBucketCommand({ Bucket: name }))
  } catch (error) {
    if (s3Failure(error).code !== 'BucketAlreadyOwnedByYou') throw error
  }
}

/** @param isSo An outcome of its own, or whether it is as it was to be. */
async function until(looks: readonly number[], isSo: () => Promise<boolean | Outcome>): Promise<Outcome> {
  for (const wait of looks) {
    await pause(wait)
    const seen = await isSo()
    if (seen !== false) return seen === true ? { outcome: 'done' } : seen
  }
  return {
    outcome: 'failed',
    why: 'The store took it, and does not show it when it is read back.',
    code: 'NotShown',
    status: 0,
  }
}

async function patiently(looks: readonly number[], work: () => Promise<unknown>): Promise<void> {
  for (const [index, wait] of looks.entries()) {
    await pause(wait)
    try {
      await work()
      return
    } catch (error) {
      if (index === looks.length - 1 || !passing.includes(s3Failure(error).code)) throw error
    }
  }
}

async function pause(milliseconds: number): Promise<void> {
  if (milliseconds > 0) await sleep(milliseconds * (0.75 + Math.random() / 2))
}
