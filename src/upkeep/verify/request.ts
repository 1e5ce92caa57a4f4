import { KeepsakeError, parseDuration, parseSize } from '../../media/index.ts'
import { type VerifyLevel, verifyLevels } from './look.ts'

export type VerifyRequest = {
  /** Default: `exists`. */
  readonly level?: VerifyLevel | undefined
  /** How long to begin new looks: seconds or a text such as `'10m'`. Default: until every asset was looked at. */
  readonly budget?: number | string | undefined
  /** Bytes a second that are read at most, all together, or a text such as `'10 MB'`. Default: no limit. */
  readonly bandwidth?: number | string | undefined
  readonly owner?: string | undefined
  readonly collection?: string | undefined
  /** Believe the bucket although most objects are missing. Default: false. */
  readonly force?: boolean | undefined
}

export type ParsedVerify = {
  readonly level: VerifyLevel
  /** Milliseconds. */
  readonly budget: number
  /** Bytes a second, or null for no limit. */
  readonly bandwidth: number | null
  readonly owner: string | undefined
  readonly collection: string | undefined
  readonly force: boolean
}

/** @throws {KeepsakeError} `invalid_request` */
export function parseVerify(request: VerifyRequest): ParsedVerify {
  const { level = 'exists', budget, bandwidth, owner, collection, force = false } = request
  if (!verifyLevels.includes(level)) {
    throw new KeepsakeError('invalid_request', `level is '${level}'. Allowed: ${verifyLevels.join(', ')}.`)
  }
  const seconds = quantity('budget', budget, parseDuration, "a time of at least a second, such as '10m'")
  const bytes = quantity('bandwidth', bandwidth, parseSize, "bytes a second, such as '10 MB'")
  return {
    level,
    budget: seconds === undefined ? Number.POSITIVE_INFINITY : seconds * 1000,
    bandwidth: bytes ?? null,
    owner,
    collection,
    force,
  }
}

function quantity(
  name: string,
  given: number | string | undefined,
  parse: (value: number | string) => number,
  allowed: string,
): number | undefined {
  if (given === undefined) return undefined
  let value = Number.NaN
  try {
    value = parse(given)
  } catch {
    // Said below, with the field's name.
  }
  if (value >= 1) return value
  throw new KeepsakeError('invalid_request', `${name} is '${String(given).slice(0, 50)}'. Allowed is ${allowed}.`)
}
