import { z } from 'zod'
import { asSet, canonicalJson } from '../canonical.ts'

/** Who a statement is about: everybody, or names by their kind (`AWS`, `Service`, `Federated`, `CanonicalUser`). */
export type Principal = '*' | Readonly<Record<string, readonly string[]>>

/**
 * A statement in one spelling: lists are sorted arrays even where there is one entry, `{"AWS":"*"}` is `*`, values of
 * conditions are texts. Letter case stays as it was; {@link statementKey} is blind to it where IAM is.
 */
export type Statement = {
  readonly Sid?: string
  readonly Effect: 'Allow' | 'Deny'
  readonly Principal?: Principal
  readonly NotPrincipal?: Principal
  readonly Action?: readonly string[]
  readonly NotAction?: readonly string[]
  readonly Resource?: readonly string[]
  readonly NotResource?: readonly string[]
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>
}

/** A statement as it was found, beside its one spelling: what is not ours goes back as it was. */
export type FoundStatement = { readonly statement: Statement; readonly raw: unknown }

export type Policy = {
  /** `2012-10-17`, or null where the document has none, which means the old language. */
  readonly version: string | null
  readonly id: string | null
  readonly statements: readonly FoundStatement[]
}

const texts = z.union([z.string().transform((one) => [one]), z.array(z.string())]).transform(asSet)
const scalar = z.union([z.string(), z.boolean(), z.number()]).transform(String)
const values = z.union([scalar.transform((one) => [one]), z.array(scalar)]).transform(asSet)
const principal = z
  .union([z.literal('*'), z.record(z.string(), texts)])
  .transform((given): Principal => (isEverybody(given) ? '*' : given))

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html */
const statementSchema = z.object({
  Sid: z.string().optional(),
  Effect: z.enum(['Allow', 'Deny']),
  Principal: principal.optional(),
  NotPrincipal: principal.optional(),
  Action: texts.optional(),
  NotAction: texts.optional(),
  Resource: texts.optional(),
  NotResource: texts.optional(),
  Condition: z.record(z.string(), z.record(z.string(), values)).optional(),
})

const documentSchema = z.object({
  Version: z.string().optional(),
  Id: z.string().optional(),
  Statement: z.union([z.array(z.unknown()), z.unknown().transform((one) => [one])]),
})

/** Reads a policy document. Throws a ZodError or SyntaxError for what is none. */
export function parsePolicy(text: string): Policy {
  const { Version, Id, Statement } = documentSchema.parse(JSON.parse(text))
  return {
    version: Version ?? null,
    id: Id ?? null,
    statements: Statement.map((raw) => ({ statement: parseStatement(raw), raw })),
  }
}

/** A statement in its one spelling. */
export function parseStatement(raw: unknown): Statement {
  const { Sid, Effect, ...rest } = statementSchema.parse(raw)
  return {
    ...(Sid === undefined || Sid === '' ? {} : { Sid }),
    Effect,
    ...(rest.Principal === undefined ? {} : { Principal: rest.Principal }),
    ...(rest.NotPrincipal === undefined ? {} : { NotPrincipal: rest.NotPrincipal }),
    ...(rest.Action === undefined ? {} : { Action: rest.Action }),
    ...(rest.NotAction === undefined ? {} : { NotAction: rest.NotAction }),
    ...(rest.Resource === undefined ? {} : { Resource: rest.Resource }),
    ...(rest.NotResource === undefined ? {} : { NotResource: rest.NotResource }),
    ...(rest.Condition === undefined ? {} : { Condition: rest.Condition }),
  }
}

/** What a statement says, whatever its Sid: actions and names of condition keys know no case. */
export function statementKey({ Sid: _, ...statement }: Statement): string {
  const lower = (list: readonly string[] | undefined) => list && asSet(list.map((text) => text.toLowerCase()))
  const conditions = Object.entries(statement.Condition ?? {}).map(([operator, keys]) => [
    operator.toLowerCase(),
    Object.fromEntries(
      Object.entries(keys).map(([key, wanted]) => [key.toLowerCase(), conditionValues(operator, wanted)]),
    ),
  ])
  return canonicalJson({
    ...statement,
    Action: lower(statement.Action),
    NotAction: lower(statement.NotAction),
    Condition: Object.fromEntries(conditions),
  })
}

/** `true` and `True` are one to Bool and Null; numbers are compared as such. */
function conditionValues(operator: string, wanted: readonly string[]): readonly string[] {
  if (/^(bool|null)/i.test(operator)) return asSet(wanted.map((text) => text.toLowerCase()))
  if (/^numeric/i.test(operator)) return asSet(wanted.map((text) => String(Number(text))))
  return wanted
}

function isEverybody(given: Principal): boolean {
  return given === '*' || (Object.keys(given).length === 1 && given.AWS?.length === 1 && given.AWS[0] === '*')
}
