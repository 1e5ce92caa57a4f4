import { BlockList, isIP } from 'node:net'
import { z } from 'zod'
import type { Identity } from './authentication.ts'
import { S3Error } from './errors.ts'
import { kindsOf, type ResourceKind } from './policy-actions.ts'

/**
 * Bucket policies. What is not evaluated here is refused when the policy is put: a deny that does nothing would be worse
 * than none. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
 */
export type AccessRequest = {
  readonly identity: Identity
  /** `s3:GetObject` and so on. */
  readonly action: string
  /** `arn:aws:s3:::bucket/key` */
  readonly resource: string
  /** The value of a condition key, by its name in lower case; undefined where the request has none. */
  readonly condition: (key: string) => string | undefined
}

export type Verdict = 'allow' | 'deny' | 'silent'

export type BucketPolicy = { readonly statements: readonly Statement[] }

type Statement = {
  readonly effect: 'Allow' | 'Deny'
  readonly action: (action: string) => boolean
  readonly resource: (resource: string) => boolean
  readonly conditions: readonly Condition[]
}

type Condition = {
  readonly key: string
  readonly holds: (value: string | undefined) => boolean
  /** Lets in no more than a few fixed addresses. */
  readonly narrows: boolean
}

const Texts = z.union([z.string().transform((one) => [one]), z.array(z.string()).min(1)])
const Values = z.union([
  z.union([z.string(), z.boolean(), z.number()]).transform((one) => [String(one)]),
  z.array(z.union([z.string(), z.boolean(), z.number()]).transform(String)).min(1),
])
const StatementForm = z.strictObject({
  Sid: z.string().optional(),
  Effect: z.enum(['Allow', 'Deny']),
  Principal: z.union([z.literal('*'), z.strictObject({ AWS: Texts })]),
  Action: Texts.optional(),
  NotAction: Texts.optional(),
  Resource: Texts.optional(),
  NotResource: Texts.optional(),
  Condition: z.record(z.string(), z.record(z.string(), Values)).optional(),
})
const PolicyForm = z.strictObject({
  Version: z.enum(['2012-10-17', '2008-10-17']).optional(),
  Id: z.string().optional(),
  Statement: z.union([StatementForm.transform((one) => [one]), z.array(StatementForm).min(1)]),
})

/** Throws MalformedPolicy for what is no policy, NotImplemented for what is not evaluated here. */
export function parsePolicy(document: string, bucket: string): BucketPolicy {
  let json: unknown
  try {
    json = JSON.parse(document)
  } catch {
    throw new S3Error('MalformedPolicy')
  }
  const parsed = PolicyForm.safeParse(json)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new S3Error('MalformedPolicy', `Invalid policy syntax at ${issue?.path.join('.') ?? ''}: ${issue?.message}`)
  }
  const { Version, Statement: forms } = parsed.data
  // `${aws:username}` and its like, which a policy of the earlier version takes for plain text.
  if (Version === '2012-10-17' && forms.some(hasVariables)) {
    throw new S3Error('NotImplemented', 'Variables in policies are not evaluated here.')
  }
  return { statements: forms.map((form) => statement(form, bucket)) }
}

function hasVariables({ Resource = [], NotResource = [], Condition = {} }: z.infer<typeof StatementForm>): boolean {
  const values = Object.values(Condition).flatMap((keys) => Object.values(keys).flat())
  return [...Resource, ...NotResource, ...values].some((text) => text.includes('${'))
}

/** "An explicit deny in any policy overrides any allows." */
export function evaluate(policy: BucketPolicy, request: AccessRequest): Verdict {
  let verdict: Verdict = 'silent'
  for (const { effect, action, resource, conditions } of policy.statements) {
    if (!action(request.action) || !resource(request.resource)) continue
    if (!conditions.every(({ key, holds }) => holds(request.condition(key)))) continue
    if (effect === 'Deny') return 'deny'
    verdict = 'allow'
  }
  return verdict
}

/**
 * Whether a policy lets anybody in. Of what can be asked for here only the sender's address makes a statement not public;
 * anybody can write a Referer. https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
 */
export function isPublic(policy: BucketPolicy): boolean {
  return policy.statements.some(
    ({ effect, conditions }) => effect === 'Allow' && !conditions.some(({ narrows }) => narrows),
  )
}

function statement(form: z.infer<typeof StatementForm>, bucket: string): Statement {
  if (form.Principal !== '*' && form.Principal.AWS.some((principal) => principal !== '*')) {
    throw new S3Error(
      'MalformedPolicy',
      'Invalid principal in policy: this server knows of no accounts; only "*" is one.',
    )
  }
  const arn = `arn:aws:s3:::${bucket}`
  for (const resource of [...(form.Resource ?? []), ...(form.NotResource ?? [])]) {
    if (!pattern(resource.split('/', 1)[0] ?? '', false).test(arn)) {
      throw new S3Error('MalformedPolicy', 'Policy has invalid resource')
    }
  }
  for (const action of [...(form.Action ?? []), ...(form.NotAction ?? [])]) {
    const one = pattern(action, true)
    const kinds = kindsOf((known) => one.test(known))
    if (kinds.size === 0) throw new S3Error('MalformedPolicy', `Policy has invalid action: ${action}`)
    // What is not named has no kind to be held against.
    const isApplied = form.NotResource !== undefined || form.Resource?.some((resource) => isOfKind(resource, kinds))
    if (form.Action !== undefined && !isApplied) {
      throw new S3Error('MalformedPolicy', `Action does not apply to any resource(s) in statement: ${action}`)
    }
  }
  return {
    effect: form.Effect,
    action: either(form.Action, form.NotAction, true),
    resource: either(form.Resource, form.NotResource, false),
    conditions: Object.entries(form.Condition ?? {}).flatMap(([operator, keys]) =>
      Object.entries(keys).map(([key, values]) => condition(operator, key, values)),
    ),
  }
}

/** A name without a slash is a bucket's, unless a star in it may stand for one. */
function isOfKind(resource: string, kinds: ReadonlySet<ResourceKind>): boolean {
  if (resource.includes('/')) return kinds.has('object')
  return kinds.has('bucket') || resource.includes('*')
}

function either(
  positive: readonly string[] | undefined,
  negative: readonly string[] | undefined,
  ignoreCase: boolean,
): (text: string) => boolean {
  if ((positive === undefined) === (negative === undefined)) {
    throw new S3Error('MalformedPolicy', 'A statement needs Action or NotAction, and Resource or NotResource.')
  }
  const patterns = (positive ?? negative ?? []).map((text) => pattern(text, ignoreCase))
  return (text) => patterns.some((one) => one.test(text)) === (positive !== undefined)
}

/** `*` for any text, `?` for any one character. */
function pattern(text: string, ignoreCase: boolean): RegExp {
  const source = text
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll(/\*+/g, '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`, ignoreCase ? 'isu' : 'su')
}

const KEYS =
  /^(?:aws:(?:securetransport|sourceip|referer|useragent|currenttime|principaltype)|s3:(?:x-amz-(?:server-side-encryption|acl|storage-class|copy-source|metadata-directive|content-sha256|grant-[a-z-]+|server-side-encryption-aws-kms-key-id|server-side-encryption-customer-algorithm)|prefix|delimiter|max-keys|authtype|signatureversion|(?:existing|request)objecttag\/.+))$/

type Test = (value: string, wanted: readonly string[]) => boolean
const some =
  (compare: (value: string, wanted: string) => boolean): Test =>
  (value, wanted) =>
    wanted.some((one) => compare(value, one))
const lower = (text: string) => text.toLowerCase()
const time = (text: string) => (/^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text))

/** The operators that ask for something; most have a negation. */
const OPERATORS: Readonly<Record<string, Test>> = {
  StringEquals: some((value, wanted) => value === wanted),
  StringEqualsIgnoreCase: some((value, wanted) => lower(value) === lower(wanted)),
  StringLike: some((value, wanted) => pattern(wanted, false).test(value)),
  NumericEquals: some((value, wanted) => Number(value) === Number(wanted)),
  NumericLessThan: some((value, wanted) => Number(value) < Number(wanted)),
  NumericLessThanEquals: some((value, wanted) => Number(value) <= Number(wanted)),
  NumericGreaterThan: some((value, wanted) => Number(value) > Number(wanted)),
  NumericGreaterThanEquals: some((value, wanted) => Number(value) >= Number(wanted)),
  DateLessThan: some((value, wanted) => time(value) < time(wanted)),
  DateGreaterThan: some((value, wanted) => time(value) > time(wanted)),
  Bool: some((value, wanted) => lower(value) === lower(wanted)),
  IpAddress: some(isInNetwork),
}
const NEGATIONS: Readonly<Record<string, string>> = {
  StringNotEquals: 'StringEquals',
  StringNotEqualsIgnoreCase: 'StringEqualsIgnoreCase',
  StringNotLike: 'StringLike',
  NumericNotEquals: 'NumericEquals',
  NotIpAddress: 'IpAddress',
}

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html */
function condition(operator: string, name: string, wanted: readonly string[]): Condition {
  const key = name.toLowerCase()
  if (!KEYS.test(key)) throw new S3Error('NotImplemented', `The condition key ${name} is not evaluated here.`)
  if (operator === 'Null') {
    const absent = wanted.some((value) => lower(value) === 'true')
    return { key, holds: (value) => (value === undefined) === absent, narrows: false }
  }
  const ifExists = operator.endsWith('IfExists')
  const plain = ifExists ? operator.slice(0, -'IfExists'.length) : operator
  const negated = Object.hasOwn(NEGATIONS, plain)
  const base = NEGATIONS[plain] ?? plain
  const test = Object.hasOwn(OPERATORS, base) ? OPERATORS[base] : undefined
  if (test === undefined)
    throw new S3Error('NotImplemented', `The condition operator ${operator} is not evaluated here.`)
  if (base === 'IpAddress') for (const network of wanted) requireNetwork(network)
  return {
    key,
    // "If the key … is not present, the values don't match"; for a negated operator that means that it holds.
    holds: (value) => (value === undefined ? negated || ifExists : test(value, wanted) !== negated),
    narrows: key === 'aws:sourceip' && operator === 'IpAddress' && wanted.every(isNarrow),
  }
}

/** "Values broader than /8 for IPv4 and /32 for IPv6" are public. */
function isNarrow(network: string): boolean {
  const [address = '', bits] = network.split('/')
  return bits === undefined || Number(bits) >= (isIP(address) === 4 ? 8 : 32)
}

function requireNetwork(network: string): void {
  const [address = '', bits = '0', ...rest] = network.split('/')
  if (
    isIP(address) === 0 ||
    !/^\d{1,3}$/.test(bits) ||
    Number(bits) > (isIP(address) === 4 ? 32 : 128) ||
    rest.length
  ) {
    throw new S3Error('MalformedPolicy', `${network} is no address or network.`)
  }
}

function isInNetwork(value: string, network: string): boolean {
  const [address = '', bits] = network.split('/')
  const family = (text: string) => (isIP(text) === 6 ? 'ipv6' : 'ipv4')
  const list = new BlockList()
  if (bits === undefined) list.addAddress(address, family(address))
  else list.addSubnet(address, Number(bits), family(address))
  return isIP(value) !== 0 && list.check(value, family(value))
}
