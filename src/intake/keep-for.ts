import type { Actor } from '../catalogue/index.ts'
import { type Collection, KeepsakeError, parseDuration } from '../media/index.ts'

/** Seconds or a text such as `'30d'`; null for ever. */
export type KeepFor = number | string | null

/** Far enough for anybody, and a date that every part behind can hold. */
const longest = 1000 * 365 * 86_400

/**
 * How long an asset is to be kept, as seconds; 0 stands for ever.
 *
 * @throws {KeepsakeError} `invalid_request`
 */
export function parseKeepFor(keep: KeepFor): number {
  if (keep === null) return 0
  let seconds = Number.NaN
  try {
    seconds = parseDuration(keep)
  } catch {
    // Said below, with the field's name.
  }
  if (seconds >= 1 && seconds <= longest) return seconds
  throw new KeepsakeError(
    'invalid_request',
    `keep is '${String(keep).slice(0, 50)}'. Allowed is a number of seconds from 1, a text such as '30d' or '1y', or null for ever.`,
  )
}

/**
 * The retention that a new asset asks for. A user may ask for less than the collection gives, never for more: it may
 * delete what is its own, but how long things are stored at most is the service's to say.
 *
 * @throws {KeepsakeError} `invalid_request`, `forbidden`
 */
export function requestedKeep(keep: KeepFor | undefined, collection: Collection, actor: Actor): number | undefined {
  if (keep === undefined) return undefined
  const seconds = parseKeepFor(keep)
  const longer = collection.keep !== null && (seconds === 0 || seconds > collection.keep)
  if (actor.role === 'user' && longer) {
    throw new KeepsakeError(
      'forbidden',
      `A user may keep an asset of '${collection.name}' for at most ${collection.keep} seconds. Ask for less, or use an API key.`,
    )
  }
  return seconds
}
