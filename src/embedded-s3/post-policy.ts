import { z } from 'zod'
import { S3Error } from './errors.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html */
const Text = z.union([z.string(), z.number(), z.boolean()]).transform(String)
const Bytes = z.union([
  z.number().int().nonnegative(),
  z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number),
])
const Condition = z.union([
  z.tuple([z.string().regex(/^content-length-range$/i), Bytes, Bytes]),
  z.tuple([z.string().regex(/^(eq|starts-with)$/i), z.string().startsWith('$'), Text]),
  z.record(z.string(), Text).refine((condition) => Object.keys(condition).length === 1),
])
const Policy = z.object({ expiration: z.string(), conditions: z.array(Condition) })

export type PostPolicy = {
  /** Milliseconds since 1970. */
  readonly expires: number
  readonly conditions: readonly z.infer<typeof Condition>[]
}

/** The fields that need no condition. */
const FREE = new Set(['x-amz-signature', 'awsaccesskeyid', 'signature', 'policy', 'file'])

/** Takes a policy apart, out of the Base64 in which it was signed. Throws InvalidPolicyDocument. */
export function parsePostPolicy(encoded: string): PostPolicy {
  const invalid = (what: string) => new S3Error('InvalidPolicyDocument', `Invalid Policy: ${what}`)
  let json: unknown
  try {
    json = JSON.parse(Buffer.from(encoded, 'base64').toString())
  } catch {
    throw invalid('Invalid JSON.')
  }
  const parsed = Policy.safeParse(json)
  if (!parsed.success) throw invalid(`${parsed.error.issues[0]?.path.join('.')} is missing or not well-formed.`)
  const { expiration, conditions } = parsed.data
  const expires = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(expiration) ? Date.parse(expiration) : Number.NaN
  if (Number.isNaN(expires)) throw invalid("Invalid 'expiration' value.")
  return { expires, conditions }
}

export type SizeRange = { readonly min: number; readonly max: number }

/**
 * Holds a form against its policy and gives back how large the file may be. Throws AccessDenied when the policy is no
 * longer in force, when a condition does not hold, and when a field is in none.
 */
export function checkPostPolicy(policy: PostPolicy, fields: ReadonlyMap<string, string>, now: number): SizeRange {
  const refused = (why: string) => new S3Error('AccessDenied', `Invalid according to Policy: ${why}`)
  if (now > policy.expires) throw refused('Policy expired.')
  const seen = new Set<string>()
  let range: SizeRange = { min: 0, max: Number.POSITIVE_INFINITY }
  const hold = (name: string, wanted: string, prefix: boolean) => {
    const field = name.toLowerCase()
    const value = fields.get(field) ?? ''
    seen.add(field)
    // "Content-Types values for a starts-with condition that include commas are interpreted as lists. Each value in the
    // list must meet the condition": an image that says it is a page, too, is none.
    const values = prefix && field === 'content-type' ? value.split(',').map((one) => one.trim()) : [value]
    if (values.every((one) => (prefix ? one.startsWith(wanted) : one === wanted))) return
    throw refused(`Policy Condition failed: ["${prefix ? 'starts-with' : 'eq'}", "$${name}", "${wanted}"]`)
  }
  for (const condition of policy.conditions) {
    if (!Array.isArray(condition)) {
      for (const [name, value] of Object.entries(condition)) hold(name, value, false)
    } else if (typeof condition[1] === 'string') {
      hold(condition[1].slice(1), String(condition[2]), condition[0].toLowerCase() === 'starts-with')
    } else {
      const [min, max] = [condition[1], Number(condition[2])]
      range = { min: Math.max(range.min, min), max: Math.min(range.max, max) }
    }
  }
  for (const name of fields.keys()) {
    if (!seen.has(name) && !FREE.has(name) && !name.startsWith('x-ignore-')) {
      throw refused(`Extra input fields: ${name}`)
    }
  }
  return range
}
