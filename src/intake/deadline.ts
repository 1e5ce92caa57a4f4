import { z } from 'zod'

/**
 * When a source dies: what its URL says, or what the caller said, whichever is earlier. A signature bounds a link from
 * above (it opens nothing afterwards); a caller may know of an earlier end (a provider that deletes its files after an
 * hour), but cannot lengthen a signature. Null where neither knows.
 *
 * Read are AWS SigV4 and SigV2, Google Cloud Storage V4 and V2, Azure SAS, CloudFront and its canned or custom policy,
 * Alibaba OSS, and Discord's CDN. What is not well-formed counts as not said.
 */
export function sourceExpiry(url: string, given?: Date): Date | null {
  const parsed = URL.parse(url)
  const query = new Map<string, string>()
  for (const [name, value] of parsed?.searchParams ?? []) {
    const key = name.toLowerCase()
    if (!query.has(key)) query.set(key, value)
  }
  const said = [
    signedFor(query.get('x-amz-date'), query.get('x-amz-expires')),
    signedFor(query.get('x-goog-date'), query.get('x-goog-expires')),
    isSignedV2(query) ? unixSeconds(query.get('expires')) : null,
    query.has('sig') ? isoTime(query.get('se')) : null,
    // A user delegation SAS dies with the key that signed it (Azure, "Create a user delegation SAS").
    query.has('sig') ? isoTime(query.get('ske')) : null,
    isCloudFront(query) ? policyEnd(query.get('policy')) : null,
    isDiscord(query) ? unixSeconds(query.get('ex'), 16) : null,
    given?.getTime() ?? null,
  ]
  const times = said.filter((time): time is number => time !== null && Number.isFinite(time))
  return times.length === 0 ? null : new Date(Math.min(...times))
}

/** Milliseconds at the year 10000, which RFC 3339 cannot write: no time is that late. */
const tooLate = 253_402_300_800_000

/** `20130524T000000Z` and a number of seconds (AWS, "Authenticating Requests: Using Query Parameters"). */
function signedFor(date: string | undefined, seconds: string | undefined): number | null {
  const match = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/.exec(date ?? '')
  if (!match || seconds === undefined || !/^\d{1,9}$/.test(seconds)) return null
  const [, year, month, day, hour, minute, second] = match
  return bounded(Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`) + Number(seconds) * 1000)
}

function isSignedV2(query: ReadonlyMap<string, string>): boolean {
  const keys = ['awsaccesskeyid', 'googleaccessid', 'ossaccesskeyid', 'key-pair-id']
  return query.has('signature') && keys.some((key) => query.has(key))
}

function isCloudFront(query: ReadonlyMap<string, string>): boolean {
  return query.has('signature') && query.has('key-pair-id')
}

function isDiscord(query: ReadonlyMap<string, string>): boolean {
  return query.has('is') && query.has('hm')
}

function unixSeconds(value: string | undefined, radix: 10 | 16 = 10): number | null {
  const digits = radix === 10 ? /^\d{1,12}$/ : /^[0-9a-f]{1,10}$/i
  return value === undefined || !digits.test(value) ? null : bounded(Number.parseInt(value, radix) * 1000)
}

/** The three forms that a SAS takes: a day, minutes, seconds with a fraction or without; always UTC. */
function isoTime(value: string | undefined): number | null {
  const match = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,7})?)?(Z|[+-]\d{2}:\d{2}))?$/.exec(value ?? '')
  return match ? bounded(Date.parse(match[0].replace(/(\.\d{3})\d+/, '$1'))) : null
}

const policy = z.object({
  Statement: z
    .array(z.object({ Condition: z.object({ DateLessThan: z.object({ 'AWS:EpochTime': z.number() }) }) }))
    .min(1),
})

/** A custom policy: base64 with `+=/` written as `-_~` (CloudFront, "Create a signed URL using a custom policy"). */
function policyEnd(value: string | undefined): number | null {
  if (value === undefined || value.length > 10_000) return null
  const base64 = value.replaceAll('-', '+').replaceAll('_', '=').replaceAll('~', '/')
  try {
    const parsed = policy.safeParse(JSON.parse(Buffer.from(base64, 'base64').toString('utf8')))
    if (!parsed.success) return null
    const ends = parsed.data.Statement.map((one) => one.Condition.DateLessThan['AWS:EpochTime'] * 1000)
    return bounded(Math.min(...ends))
  } catch {
    return null
  }
}

function bounded(time: number): number | null {
  return Number.isFinite(time) && time >= 0 && time < tooLate ? time : null
}
