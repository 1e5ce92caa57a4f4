import type { IamPolicy } from '../export/iam.ts'
import type { Statement } from '../policy/policy.ts'

/** What somebody asks to do: an action on a resource, and what the request says about itself. */
export type Ask = {
  readonly action: string
  readonly resource: string
  readonly context?: Readonly<Record<string, string>>
}

/**
 * Answers for an identity's policy as IAM would: nothing is allowed by itself, an explicit Deny wins.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
 */
export function isAllowed({ Statement }: IamPolicy, ask: Ask): boolean {
  const fitting = Statement.filter((statement) => applies(statement, ask))
  return fitting.some(({ Effect }) => Effect === 'Allow') && fitting.every(({ Effect }) => Effect === 'Allow')
}

/** Whether a bucket's policy denies it to whoever asks; of who that is, it judges `*` alone. */
export function isDenied(statements: readonly Statement[], ask: Ask): boolean {
  return statements.some(({ Principal, ...statement }) => {
    if (Principal !== '*' || statement.Effect !== 'Deny') throw new Error('The simulator judges a Deny for all alone.')
    return applies(statement, ask)
  })
}

/** Throws for an element that this simulator does not judge: silence would be an answer. */
function applies(statement: Statement, { action, resource, context = {} }: Ask): boolean {
  const { Sid: _, Effect: __, Action = [], Resource = [], Condition = {}, ...others } = statement
  if (Object.keys(others).length > 0) throw new Error(`The simulator does not judge ${Object.keys(others)}.`)
  return (
    Action.some((pattern) => matches(pattern.toLowerCase(), action.toLowerCase())) &&
    Resource.some((pattern) => matches(pattern, resource)) &&
    Object.entries(Condition).every(([operator, keys]) =>
      Object.entries(keys).every(([key, wanted]) => holds(operator, context[key.toLowerCase()], wanted)),
    )
  )
}

/** A key that a request does not have does not match. */
function holds(operator: string, value: string | undefined, wanted: readonly string[]): boolean {
  switch (operator) {
    case 'StringEquals':
      return value !== undefined && wanted.includes(value)
    // Of a key that is not there it is true that it has another value.
    case 'StringNotEquals':
      return value === undefined || !wanted.includes(value)
    case 'StringLike':
    case 'ArnLike':
      return value !== undefined && wanted.some((pattern) => matches(pattern, value))
    case 'Bool':
      return value !== undefined && wanted.some((one) => one.toLowerCase() === value.toLowerCase())
    default:
      throw new Error(`The simulator does not judge ${operator}.`)
  }
}

function matches(pattern: string, text: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`, 's').test(text)
}
