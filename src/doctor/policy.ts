import { BlockList, isIP } from 'node:net'
import type { Policy, Principal, Statement } from '../bucket/index.ts'

/**
 * What a bucket policy means, as far as the doctor asks: judged by what its statements cover, not by words that stand
 * in them. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
 */

/** `*` for any text, `?` for any one character. */
function glob(pattern: string, ignoreCase: boolean): RegExp {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll(/\*+/g, '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`, ignoreCase ? 'isu' : 'su')
}

/** Whether a pattern matches everything that begins with `start`: it ends in `*`, and what goes before matches a beginning of it. */
function coversAll(pattern: string, start: string, ignoreCase: boolean): boolean {
  if (!pattern.endsWith('*')) return false
  const before = glob(pattern.replace(/\*+$/, ''), ignoreCase)
  for (let end = 0; end <= start.length; end += 1) if (before.test(start.slice(0, end))) return true
  return false
}

const partitions = ['aws', 'aws-cn', 'aws-us-gov']

/** The bucket itself and all of its objects. */
export type Covered = { readonly bucket: boolean; readonly objects: boolean }

function coverageOf(statements: readonly Statement[], bucket: string): Covered {
  const resources = statements.flatMap(({ Resource }) => Resource ?? [])
  const arns = partitions.map((partition) => `arn:${partition}:s3:::${bucket}`)
  return {
    bucket: resources.some((pattern) => arns.some((arn) => glob(pattern, false).test(arn))),
    objects: resources.some((pattern) => arns.some((arn) => coversAll(pattern, `${arn}/`, false))),
  }
}

function isForEverybody(statement: Statement): boolean {
  const { Principal } = statement
  return Principal === '*' || (Principal !== undefined && (Principal.AWS ?? []).includes('*'))
}

function coversEveryAction({ Action }: Statement): boolean {
  return (Action ?? []).some((pattern) => coversAll(pattern, 's3:', true))
}

/** One condition and no other: each further one would narrow the statement. */
function hasOnly(
  statement: Statement,
  operators: readonly string[],
  key: string,
  holds: (value: string) => boolean,
): boolean {
  const entries = Object.entries(statement.Condition ?? {}).flatMap(([operator, keys]) =>
    Object.entries(keys).map(([name, values]) => ({
      operator: operator.toLowerCase(),
      name: name.toLowerCase(),
      values,
    })),
  )
  const [only] = entries
  return (
    entries.length === 1 &&
    only !== undefined &&
    operators.includes(only.operator) &&
    only.name === key &&
    only.values.length > 0 &&
    only.values.every(holds)
  )
}

const statementsOf = (policy: Policy) => policy.statements.map(({ statement }) => statement)

/** Denials of every action to everybody, under one condition. */
function broadDenials(policy: Policy, condition: (statement: Statement) => boolean): Statement[] {
  return statementsOf(policy).filter(
    (statement) =>
      statement.Effect === 'Deny' && isForEverybody(statement) && coversEveryAction(statement) && condition(statement),
  )
}

/** What of a bucket is denied to everybody who comes without TLS. */
export function deniedWithoutTls(policy: Policy, bucket: string): Covered {
  const isFalse = (value: string) => value.toLowerCase() === 'false'
  const denials = broadDenials(policy, (statement) =>
    hasOnly(statement, ['bool', 'boolifexists'], 'aws:securetransport', isFalse),
  )
  return coverageOf(denials, bucket)
}

/** What of a bucket is denied to everybody whose TLS is older than 1.2. */
export function deniedBelowTls12(policy: Policy, bucket: string): Covered {
  const from12 = (value: string) => Number(value) >= 1.2
  const denials = broadDenials(policy, (statement) =>
    hasOnly(statement, ['numericlessthan', 'numericlessthanifexists'], 's3:tlsversion', from12),
  )
  return coverageOf(denials, bucket)
}

function allows(statement: Statement, action: string): boolean {
  if (statement.Effect !== 'Allow') return false
  const { Action, NotAction } = statement
  if (Action) return Action.some((pattern) => glob(pattern, true).test(action))
  return NotAction !== undefined && !NotAction.some((pattern) => glob(pattern, true).test(action))
}

const reads = [
  's3:GetObject',
  's3:GetObjectVersion',
  's3:ListBucket',
  's3:ListBucketVersions',
  's3:GetObjectAcl',
  's3:GetBucketAcl',
]
const writes = [
  's3:PutObject',
  's3:DeleteObject',
  's3:DeleteObjectVersion',
  's3:PutObjectAcl',
  's3:PutBucketAcl',
  's3:PutBucketPolicy',
  's3:DeleteBucketPolicy',
  's3:DeleteBucket',
]

/** The Sids, or the places, of statements that let anybody in. */
export function publicStatements(policy: Policy, kind: 'read' | 'write'): string[] {
  const actions = kind === 'read' ? reads : writes
  return policy.statements.flatMap(({ statement }, index) => {
    // Allow with NotPrincipal is everybody but a few.
    const isOpen = isForEverybody(statement) || statement.NotPrincipal !== undefined
    const isPublic = isOpen && actions.some((action) => allows(statement, action)) && !isNarrowed(statement)
    return isPublic ? [nameOf(statement, index)] : []
  })
}

/**
 * AWS, "The meaning of 'public'": a statement for everybody is not public where a condition holds one of these to
 * fixed values. aws:Referer is not among them: anybody can send it.
 */
const narrowingKeys = new Set([
  'aws:sourcearn',
  'aws:sourcevpc',
  'aws:sourcevpce',
  'aws:sourceowner',
  'aws:sourceaccount',
  'aws:sourceorgid',
  'aws:principalorgid',
  'aws:principalaccount',
  'aws:principalarn',
  'aws:userid',
  's3:dataaccesspointarn',
  's3:dataaccesspointaccount',
])
const narrowingOperators = new Set(['stringequals', 'stringequalsignorecase', 'stringlike', 'arnequals', 'arnlike'])

function isNarrowed({ Condition }: Statement): boolean {
  return Object.entries(Condition ?? {}).some(([operator, keys]) =>
    Object.entries(keys).some(([name, values]) => {
      if (values.length === 0) return false
      const key = name.toLowerCase()
      if (operator.toLowerCase() === 'ipaddress') return key === 'aws:sourceip' && values.every(isNarrowNetwork)
      // A wildcard or a policy variable is no fixed value.
      const fixed = values.every((value) => !/[*?]|\$\{/.test(value))
      return narrowingOperators.has(operator.toLowerCase()) && narrowingKeys.has(key) && fixed
    }),
  )
}

/** AWS, ibid.: networks broader than /8 of IPv4 and /32 of IPv6 count as public, RFC 1918's do not. */
function isNarrowNetwork(network: string): boolean {
  const [address = '', bits] = network.split('/')
  const family = isIP(address)
  if (family === 0) return false
  const length = bits === undefined ? (family === 4 ? 32 : 128) : Number(bits)
  return length >= (family === 4 ? 8 : 32) || privateNetworks.check(address, family === 4 ? 'ipv4' : 'ipv6')
}

const privateNetworks = new BlockList()
privateNetworks.addSubnet('10.0.0.0', 8)
privateNetworks.addSubnet('172.16.0.0', 12)
privateNetworks.addSubnet('192.168.0.0', 16)

/** Security Hub, S3.6, `blacklistedactionpatterns`. */
const risky = [
  's3:DeleteBucketPolicy',
  's3:PutBucketAcl',
  's3:PutBucketPolicy',
  's3:PutEncryptionConfiguration',
  's3:PutObjectAcl',
]

export type Grants = {
  /** What is granted to other accounts: `PutBucketPolicy to 111122223333 (Sid)`. */
  readonly foreign: readonly string[]
  /** The same for accounts that may be this one: it is not known which that is. */
  readonly unsure: readonly string[]
}

/** The risky actions that other accounts are allowed. Conditions do not count, as they do not for Security Hub. */
export function riskyGrants(policy: Policy, account: string | undefined): Grants {
  const foreign: string[] = []
  const unsure: string[] = []
  policy.statements.forEach(({ statement }, index) => {
    const actions = risky.filter((action) => allows(statement, action)).map((action) => action.slice('s3:'.length))
    if (actions.length === 0) return
    const said = (who: string) => `${actions.join(', ')} to ${who} (${nameOf(statement, index)})`
    if (statement.NotPrincipal !== undefined) foreign.push(said('everybody but a few'))
    for (const who of accountsOf(statement.Principal)) {
      if (who === account) continue
      if (account === undefined && /^\d{12}$/.test(who)) unsure.push(said(who))
      else foreign.push(said(who === '*' ? 'everybody' : who))
    }
  })
  return { foreign, unsure }
}

/** AWS accounts of a principal; what names no account by number is given as it is. */
function accountsOf(principal: Principal | undefined): string[] {
  if (principal === undefined) return []
  if (principal === '*') return ['*']
  const named = (principal.AWS ?? []).map((who) => /^arn:[^:]*:(?:iam|sts)::(\d{12}):/.exec(who)?.[1] ?? who)
  return [...new Set([...named, ...(principal.CanonicalUser ?? [])])]
}

function nameOf({ Sid }: Statement, index: number): string {
  return Sid ?? `statement ${index + 1}`
}
