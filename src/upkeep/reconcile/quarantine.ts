import type { Actor, QuarantineEntry } from '../../catalogue/index.ts'
import { KeepsakeError } from '../../media/index.ts'
import type { ObjectHead, ObjectStore } from '../../stores/index.ts'
import type { FindingOf } from './finding.ts'
import { ownerOf } from './judge.ts'
import { callOptions, type ReconcileParts } from './parts.ts'

/*
 * An orphan's way: copying -> removing -> quarantined, a claim on its key that stands in the catalogue. Until `removing`
 * a row may come and take the key, and wins: the object was never touched. From then on no row can get the key (see
 * migration 3), so what is removed is nobody's, and stays nobody's until it is back or the claim is gone.
 *
 * Whoever is cut off anywhere leaves the object, or its verified copy, or both; the next apply or restore goes on.
 */

export const quarantinePrefix = 'quarantine/'
const maxKeyBytes = 1024

/** Seconds that a move or a restore is given before another process may take it over. */
const lease = 900
/** Milliseconds after its claim in which a mover is certainly still the only one. */
const soleMillis = 300_000
/** Milliseconds that a delete may take before its outcome counts as unknown. */
const deleteMillis = 60_000

export type Outcome = {
  readonly outcome: 'quarantined' | 'restored' | 'recovered' | 'marked' | 'aborted' | 'skipped' | 'failed'
  /** Why, in words, for what was skipped or failed. */
  readonly reason?: string
}

export type MoveOptions = {
  /** Seconds between the two sightings. */
  readonly apart: number
  /** Seconds since the object was written, by the store's clock. */
  readonly minAge: number
  readonly storeTime: Date
  readonly actor: Actor
  readonly signal?: AbortSignal
}

type MoveParts = Pick<ReconcileParts, 'catalogue' | 'store'>

const skipped = (reason: string): Outcome => ({ outcome: 'skipped', reason })
const failed = (reason: string): Outcome => ({ outcome: 'failed', reason })

export function quarantineKey(key: string): string {
  return quarantinePrefix + key
}

/** Moves an orphan to quarantine, if it still is one. */
export async function quarantine(
  { catalogue, store }: MoveParts,
  orphan: FindingOf<'orphan'>,
  { apart, minAge, storeTime, actor, signal }: MoveOptions,
): Promise<Outcome> {
  const { key } = orphan
  const call = callOptions(signal)
  if (Buffer.byteLength(quarantineKey(key)) > maxKeyBytes)
    return skipped('its key is too long to be put under quarantine/')
  const head = await store.head(key, call)
  if (head === undefined) return skipped('the object is gone')
  if (!isSame(head, orphan)) return skipped('the object has changed since the scan')
  const own = ownerOf(head)
  if (own === undefined || own.asset !== orphan.asset) return skipped('the object no longer says that it is an asset’s')
  if (storeTime.getTime() - head.lastModified.getTime() < minAge * 1000) return skipped('the object is too young')
  const { etag, lastModified, size } = head
  const claimedAt = performance.now()
  const entry = await catalogue.claimMove({ key, etag, lastModified, size, ...own }, apart, lease)
  if (entry === undefined) return skipped(await whyNot(catalogue, key))
  let hasCopy = false
  const dropped = async (reason: string) => {
    await dropMove({ catalogue, store }, entry, hasCopy ? claimedAt : undefined, signal)
    return skipped(reason)
  }
  try {
    if (!(await copied(store, key, quarantineKey(key), head, signal))) return dropped('its copy could not be verified')
    hasCopy = true
    const again = await store.head(key, call)
    if (again === undefined || !isSame(again, head)) return dropped('the object changed while it was copied')
    if (!(await catalogue.beginRemoval(key, entry.attempt, lease))) return dropped('an asset took its key meanwhile')
  } catch (error) {
    // Whoever comes next need not wait for this claim to run out. That the step did not tell does no harm.
    await catalogue.stepBack(key, entry.attempt, { unsure: false }).catch(() => {})
    throw error
  }
  return remove({ catalogue, store }, entry, actor)
}

/** Goes on with removals whose process was lost. */
export async function resumeRemovals(
  parts: MoveParts,
  actor: Actor,
  onOutcome: (key: string, outcome: Outcome) => Promise<void>,
): Promise<void> {
  let after = ''
  for (
    let page = await parts.catalogue.quarantined(after, 500);
    page.length > 0;
    page = await parts.catalogue.quarantined(after, 500)
  ) {
    for (const { key, state } of page) {
      after = key
      if (state !== 'removing') continue
      const entry = await parts.catalogue.resumeRemoval(key, lease)
      if (entry === undefined) continue
      const copy = await parts.store.head(quarantineKey(key))
      if (copy === undefined || copy.size !== entry.size) {
        await parts.catalogue.stepBack(key, entry.attempt, { unsure: true })
        await onOutcome(key, failed('its copy in quarantine/ is gone: restore it to let go of the claim'))
      } else await onOutcome(key, await remove(parts, entry, actor))
    }
  }
}

/** The copy is verified and no row can get the key. */
async function remove({ catalogue, store }: MoveParts, entry: QuarantineEntry, actor: Actor): Promise<Outcome> {
  const { key, attempt } = entry
  try {
    // By its own deadline alone: a delete that was sent is seen to its end.
    const { failed: refused } = await store.delete([key], { signal: AbortSignal.timeout(deleteMillis) })
    const [first] = refused
    if (first) throw new KeepsakeError('store_unavailable', `The store did not remove it: ${first.code}`)
  } catch (error) {
    await catalogue.stepBack(key, attempt, { unsure: true })
    return failed(`${KeepsakeError.from(error).message} The next apply goes on with it.`)
  }
  if (await catalogue.finishMove(key, attempt, actor)) return { outcome: 'quarantined' }
  return skipped('another process goes on with it')
}

/** Puts an object back where it was, and lets go of the claim on its key. */
export async function restore(
  { catalogue, store }: MoveParts,
  key: string,
  { actor, signal }: { readonly actor: Actor; readonly signal?: AbortSignal },
): Promise<Outcome> {
  const call = callOptions(signal)
  const source = quarantineKey(key)
  const entry = await catalogue.beginRestore(key, lease)
  if (entry === undefined) return whyNotRestored(catalogue, key)
  const stepBack = async (reason: string) => {
    await catalogue.stepBack(key, entry.attempt, { unsure: false })
    return failed(reason)
  }
  try {
    const copy = await store.head(source, call)
    const there = await store.head(key, call)
    if (copy === undefined && there === undefined) {
      await catalogue.finishRestore(key, entry.attempt, actor)
      return failed('its copy in quarantine/ is gone, and there is nothing left to put back')
    }
    const isCopy = copy !== undefined && copy.size === entry.size
    if (!isCopy) {
      if (there?.size !== entry.size) return stepBack('its copy in quarantine/ is not what was put there')
    } else if (!(await copied(store, source, key, copy, signal))) {
      return stepBack('another object lies under its key: remove that one first')
    }
    if (!(await catalogue.finishRestore(key, entry.attempt, actor))) return skipped('another process goes on with it')
    // Nobody claims the key anew before two more sightings, so this removes nothing that a claim relies on.
    if (isCopy) await store.delete([source], call)
    return { outcome: 'restored' }
  } catch (error) {
    const problem = KeepsakeError.from(error)
    if (problem.code === 'internal') throw problem
    await catalogue.stepBack(key, entry.attempt, { unsure: false })
    return failed(problem.message)
  }
}

/**
 * Lets go of a move before its removal; the copy goes while the claim still holds everybody else off. What lies there and
 * was not verified as a copy may be the last of something else, and stays.
 */
async function dropMove(
  { catalogue, store }: MoveParts,
  { key, attempt }: QuarantineEntry,
  copyClaimedAt: number | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const entry = await catalogue.getQuarantined(key)
  if (entry?.attempt !== attempt || entry.state !== 'copying') return
  // After that somebody may have taken over and rely on the copy: better one too many than none.
  if (copyClaimedAt !== undefined && performance.now() - copyClaimedAt < soleMillis) {
    await store.delete([quarantineKey(key)], callOptions(signal))
  }
  await catalogue.dropMove(key, attempt)
}

/** Copies, and makes sure that what lies there has the content of the source. False where something else does. */
async function copied(
  store: ObjectStore,
  source: string,
  key: string,
  head: ObjectHead,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    await store.copy({ source, key, sourceEtag: head.etag, size: head.size, ...callOptions(signal) })
  } catch (error) {
    // One that was copied before the process ended, or before its answer got lost.
    if (KeepsakeError.is(error, 'object_missing')) return false
    if (!KeepsakeError.is(error, 'object_exists', 'store_unavailable', 'timeout')) throw error
  }
  const copy = await store.head(key, callOptions(signal))
  // ETags may differ by encryption and by parts. A copy is made by the store, whole or not at all.
  return (
    copy !== undefined &&
    copy.size === head.size &&
    copy.metadata.asset === head.metadata.asset &&
    copy.metadata.sha256 === head.metadata.sha256
  )
}

function isSame(
  one: { etag: string; lastModified: Date; size: number },
  other: { etag: string; lastModified: Date; size: number },
): boolean {
  // A list may tell milliseconds and a head only seconds; both of these are heads.
  return (
    one.etag === other.etag && one.lastModified.getTime() === other.lastModified.getTime() && one.size === other.size
  )
}

async function whyNot(catalogue: MoveParts['catalogue'], key: string): Promise<string> {
  const state = (await catalogue.statesOfKeys([key])).get(key)
  if (state !== undefined) return `an asset has its key (${state})`
  if ((await catalogue.retiredAmong([key])).has(key)) return 'its key was let go of lately, and the sweep sees to it'
  const entry = await catalogue.getQuarantined(key)
  if (entry !== undefined)
    return entry.state === 'quarantined' ? 'a copy of it is in quarantine' : 'another process is at it'
  return 'it was not seen twice, long enough apart, as this very object: scan again later'
}

async function whyNotRestored(catalogue: MoveParts['catalogue'], key: string): Promise<Outcome> {
  const entry = await catalogue.getQuarantined(key)
  if (entry === undefined) return failed('it is not in quarantine')
  if (entry.unsureUntil !== null) {
    return failed(`its removal may still be under way: try again after ${entry.unsureUntil.toISOString()}`)
  }
  return failed('another process is at it: try again in an hour')
}
