import type { Actor, Catalogue } from '../catalogue/index.ts'
import { type KeepFor, parseKeepFor } from '../intake/index.ts'
import { type AssetRecord, KeepsakeError } from '../media/index.ts'

/** What may be changed of an asset; what is left out stays as it is. */
export type AssetChanges = {
  /** How long to keep it, counted from when it was stored: seconds or a text such as `'30d'`; null for ever. */
  readonly keep?: KeepFor | undefined
  /** Whether retention and clean-ups leave it alone. */
  readonly pinned?: boolean | undefined
}

const maxRounds = 5

/**
 * Changes how long an asset is kept. The service may do anything; an owner may only bring the end forward, which is no
 * more than it can do by a delete. Pinning costs the installation room for ever, so it is the service's.
 *
 * @param find Reads the asset as the actor. @throws `asset_not_found`
 * @throws `forbidden`, `asset_not_stored`, `invalid_request`
 */
export async function changeRetention(
  catalogue: Pick<Catalogue, 'setRetention'>,
  find: () => Promise<AssetRecord>,
  changes: AssetChanges,
  actor: Actor,
): Promise<AssetRecord> {
  const { pinned } = changes
  const keep = changes.keep === undefined ? undefined : parseKeepFor(changes.keep)
  if (pinned === undefined && keep === undefined) {
    throw new KeepsakeError('invalid_request', 'Nothing is to be changed. Give keep, pinned, or both.')
  }
  if (pinned !== undefined && typeof pinned !== 'boolean') {
    throw new KeepsakeError('invalid_request', 'pinned must be true or false.')
  }
  if (pinned !== undefined && actor.role === 'user') {
    throw new KeepsakeError('forbidden', 'Pinning is for an API key: a pinned asset is kept whatever it costs.')
  }
  let seen = await find()
  for (let round = 0; round < maxRounds; round += 1) {
    if (seen.state !== 'stored' || seen.storedAt === null) {
      throw new KeepsakeError('asset_not_stored', `The asset is ${seen.state}, so there is nothing to keep yet.`)
    }
    if (keep !== undefined && actor.role === 'user') refuseLonger(seen, endOf(seen.storedAt, keep))
    const changed = await catalogue.setRetention(seen, { pinned, keep }, actor)
    if (changed) return changed
    const now = await find()
    const same = now.attempt === seen.attempt && now.expiresAt?.getTime() === seen.expiresAt?.getTime()
    if (same && now.state === 'stored') {
      throw new KeepsakeError(
        'invalid_request',
        `The asset was stored at ${seen.storedAt.toISOString()}, so that it would have ended before now. Delete it instead.`,
      )
    }
    seen = now
  }
  throw new KeepsakeError('catalogue_unavailable', 'The asset changes all the time. Send the request again.')
}

function endOf(storedAt: Date, keep: number): number {
  return keep === 0 ? Number.POSITIVE_INFINITY : storedAt.getTime() + keep * 1000
}

function refuseLonger(seen: AssetRecord, end: number): void {
  if (end <= (seen.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY)) return
  throw new KeepsakeError(
    'forbidden',
    `The asset ends at ${seen.expiresAt?.toISOString()}, and its owner may only bring that forward. Use an API key to keep it longer.`,
  )
}
