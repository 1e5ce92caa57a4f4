import { readFile, writeFile } from 'node:fs/promises'
import {
  applyPlan,
  type DesiredContext,
  desireBucket,
  desiredOf,
  hasChanges,
  openQuestions,
  type Plan,
  parseSavedPlan,
  planBucket,
  planJson,
  requireUnchanged,
  type SavedPlan,
  type StepResult,
  savedPlanText,
  unmetParts,
} from '../../bucket/index.ts'
import type { ParsedBucketSettings } from '../../config/index.ts'
import { KeepsakeError } from '../../media/index.ts'
import { type BucketAccess, openBucket } from '../../open-bucket.ts'
import { type BucketConfig, type BucketOptions, bucketConfig, readableBy } from '../bucket-options.ts'
import { painter, planText, stepText } from '../bucket-text.ts'
import { confirm } from '../confirm.ts'
import { CliFailure, type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { jsonDocument } from './options.ts'

export type PlanVerbOptions = BucketOptions & { readonly adopt?: boolean; readonly out?: string }
export type ApplyVerbOptions = BucketOptions & { readonly adopt?: boolean; readonly yes?: boolean }

/** What a plan found changed ends with; the same number as wrong usage, as `terraform plan -detailed-exitcode` has it. */
const changes = 2

/** Compares the bucket with what the settings ask for. Only reads. */
export async function planVerb(options: PlanVerbOptions, io: Io): Promise<ExitCode> {
  return withBucket(options, io, async ({ access, settings, contextOf }) => {
    const context = await contextOf()
    const adopt = options.adopt ?? false
    const plan = await planBucket(desireBucket(settings, context), access.clientOf, { adopt })
    if (options.out !== undefined) {
      const { fingerprint } = plan
      const createdAt = new Date().toISOString()
      const text = savedPlanText({ createdAt, endpoint: access.endpoint, adopt, fingerprint, settings, context })
      await writeFile(options.out, text)
    }
    if (options.json) io.stdout.write(jsonDocument(planJson(plan)))
    else io.stdout.write(`${planText(plan, painter(io))}\n${summary(plan, nextStep(options))}\n`)
    return unanswered(plan) ?? (hasChanges(plan) || unmetParts(plan).length > 0 ? changes : exitCodes.ok)
  })
}

/** Does what a plan says, after asking. */
export async function applyVerb(file: string | undefined, options: ApplyVerbOptions, io: Io): Promise<ExitCode> {
  const saved = file === undefined ? undefined : parseSavedPlan(await readPlan(file), file)
  if (saved) refuseSettings(options)
  return withBucket(saved ? placed(options, saved) : options, io, async ({ access, settings, contextOf }) => {
    if (saved) requireSamePlace(saved, access)
    const desired = saved ? desiredOf(saved) : desireBucket(settings, await contextOf())
    const plan = await planBucket(desired, access.clientOf, { adopt: saved?.adopt ?? options.adopt ?? false })
    if (saved) requireUnchanged(saved, plan)
    const paint = painter(io)
    if (!options.json) io.stdout.write(`${planText(plan, paint)}\n`)
    if (hasChanges(plan) && !options.yes) {
      await confirm(
        `Apply this to ${desired.name}?`,
        'There is no terminal to ask on. Look at the plan, and add --yes.',
        'Nothing was changed.',
        io,
      )
    }
    const onStep = (result: StepResult) => {
      if (!options.json) io.stdout.write(stepText(result, paint))
    }
    const steps = await applyPlan(plan, access.clientOf, { onStep, signal: io.signal })
    const [open, unmet] = [openQuestions(plan), unmetParts(plan)]
    if (options.json) io.stdout.write(jsonDocument({ bucket: desired.name, steps, open, unmet }))
    else io.stdout.write(`${outcome(steps)}${notAsAsked(plan)}\n`)
    if (io.signal.aborted) throw CliFailure.interrupted()
    return exitCodeOf(steps) ?? unanswered(plan) ?? (unmet.length > 0 ? exitCodes.refused : exitCodes.ok)
  })
}

/** What a saved plan does not hold: how to get there, and how to answer. */
const besidePlan = ['profile', 'endpoint', 'dataDir', 'json', 'yes']

function refuseSettings(options: ApplyVerbOptions): void {
  const given = Object.entries(options).filter(([name, value]) => value !== undefined && !besidePlan.includes(name))
  if (given.length === 0) return
  const names = given.map(([name]) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`)
  throw CliFailure.usage(`The saved plan says what is to be done; ${names.join(', ')} cannot change it. Plan again.`)
}

/** The bucket of the plan, whatever the settings here name. */
function placed(options: ApplyVerbOptions, saved: SavedPlan): ApplyVerbOptions {
  if (saved.context.embedded) return options
  return { ...options, bucket: desiredOf(saved).name, region: saved.context.region }
}

/** The embedded S3 may have another port than when the plan was made. */
function requireSamePlace({ context, endpoint }: SavedPlan, access: BucketAccess): void {
  const place = (embedded: boolean, address: string | null) => (embedded ? 'the embedded S3' : (address ?? 'AWS'))
  const [then, now] = [place(context.embedded, endpoint), place(access.embedded, access.endpoint)]
  if (then !== now) throw CliFailure.usage(`The plan was made for ${then}, and the settings here say ${now}.`)
}

type Work = {
  readonly access: BucketAccess
  readonly settings: ParsedBucketSettings
  /** Asks AWS for the account, where no setting says it. */
  readonly contextOf: () => Promise<DesiredContext>
}

async function withBucket<T>(options: BucketOptions, io: Io, work: (parts: Work) => Promise<T>): Promise<T> {
  const { config, bucket } = await bucketConfig(options, io)
  const access = await openBucket(config)
  try {
    const contextOf = () => desiredContext({ config, bucket }, access)
    return await work({ access, settings: config.bucket, contextOf })
  } catch (error) {
    if (!KeepsakeError.is(error, 'store_denied')) throw error
    // To a server that is a part which fails; here it is the one who asks.
    const { code, status, title, message } = error
    throw new CliFailure({ code, status, title, detail: message }, exitCodes.denied)
  } finally {
    await access.close()
  }
}

async function desiredContext({ config, bucket }: BucketConfig, access: BucketAccess): Promise<DesiredContext> {
  const { embedded, region } = access
  const account = config.bucket.account ?? (await accountOf(access, bucket !== null))
  return { embedded, bucket, region, account, readable: readableBy(config) }
}

/** With a name of its own the bucket can do without; then policies name no account. */
async function accountOf({ clientOf, region }: BucketAccess, named: boolean): Promise<string | undefined> {
  const client = await clientOf(region)
  try {
    return await client.account()
  } catch (error) {
    if (named) return undefined
    throw error
  }
}

async function readPlan(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw CliFailure.usage(`${file} cannot be read (${error.code}). Make a plan: keepsake bucket plan --out ${file}`)
  })
}

/** @param next How the same options are applied. */
function summary(plan: Plan, next: string): string {
  const open = openQuestions(plan).filter(({ code }) => code !== null).length
  const rest = open === 0 ? '' : ` ${open} ${open === 1 ? 'setting' : 'settings'} could not be judged.`
  const unmet = notAsAsked(plan)
  return hasChanges(plan)
    ? `There is something to change.${rest}${unmet} Next: ${next}`
    : `Nothing ${unmet === '' ? 'to change' : 'that an apply would change'}.${rest}${unmet}`
}

function nextStep({ out, adopt, ...options }: PlanVerbOptions): string {
  if (out !== undefined) return `keepsake bucket apply ${out}`
  const given = Object.values(adopt ? { ...options, adopt } : options).some((value) => value !== undefined)
  return given ? 'keepsake bucket apply, with the same options' : 'keepsake bucket apply'
}

function notAsAsked(plan: Plan): string {
  const unmet = unmetParts(plan)
  if (unmet.length === 0) return ''
  return ` Not as asked, as told above: ${[...new Set(unmet.map(({ part }) => part))].join(', ')}.`
}

function outcome(steps: readonly StepResult[]): string {
  const count = (wanted: StepResult['outcome']) => steps.filter((step) => step.outcome === wanted).length
  if (steps.length === 0) return 'Nothing to change.'
  const [failed, left] = [count('failed'), count('not done')]
  if (failed === 0 && left === 0) return `Done: ${count('done')} of ${steps.length} steps, each read back.`
  return `${count('done')} done, ${failed} failed, ${left} not done. Applying again goes on from here.`
}

function exitCodeOf(steps: readonly StepResult[]): ExitCode | undefined {
  const failed = steps.find((step) => step.outcome === 'failed')
  if (failed === undefined) return undefined
  if (failed.status === 401 || failed.status === 403) return exitCodes.denied
  return failed.status === 0 || (failed.status ?? 0) >= 500 ? exitCodes.unavailable : exitCodes.refused
}

/** What could not be read is never taken for "no change". */
function unanswered(plan: Plan): ExitCode | undefined {
  const open = openQuestions(plan).filter(({ code }) => code !== null)
  if (open.length === 0) return undefined
  const { parts } = plan.buckets.at(-1) ?? { parts: [] }
  const denied = parts.some(
    ({ decision }) => decision.status === 'unknown' && /denied|Signature|AccessKey/i.test(decision.code),
  )
  return denied ? exitCodes.denied : exitCodes.unavailable
}
