import { ownSid } from '../desired/bucket-spec.ts'
import type { Missing } from '../offers.ts'
import type { FoundStatement, Statement } from '../policy/policy.ts'
import { statementKey } from '../policy/policy.ts'
import { type Decide, whenRead } from './decision.ts'

/** S3's limit: "bucket policies are limited to 20 KB in size". */
const maxPolicyBytes = 20 * 1024

/** Our statements beside those of others, which go back word for word. */
export const decidePolicy: Decide<'policy'> = (reading, context) => {
  const { spec, missing } = context
  if (missing.policy !== undefined) return { status: 'not offered', why: missing.policy }
  const { wanted, notes } = offeredStatements(spec.statements, missing)
  return whenRead(reading, (live) => {
    const found = live?.statements ?? []
    const foreign = found.filter(({ statement }) => !isOwn(statement))
    const kept = foreign.filter((one) => !context.adopt || !isTakenOver(one, wanted))
    const open = kept.filter(({ statement }) => isOpen(statement)).map(nameOf)
    if (open.length > 0) {
      return {
        status: 'kept',
        because: 'in the way',
        before: found.map(({ statement }) => statement),
        notes: [
          ...notes,
          `${open.join(', ')} lets everybody in. With public access blocked, S3 takes no policy that has it. ` +
            'Remove it, or --adopt to do without it.',
        ],
      }
    }
    const own = found.filter(({ statement }) => isOwn(statement)).map(({ statement }) => statement)
    if (kept.length === foreign.length && sameStatements(own, wanted)) return { status: 'same', notes }
    const statements = [...kept.map(({ raw }) => raw), ...wanted]
    if (statements.length === 0) {
      return { status: 'kept', because: 'left over', before: own, notes: [...notes, leftOver(spec.name)] }
    }
    const document = JSON.stringify({
      Version: live?.version ?? '2012-10-17',
      ...(live?.id ? { Id: live.id } : {}),
      Statement: statements,
    })
    if (Buffer.byteLength(document) > maxPolicyBytes) {
      return {
        status: 'blocked',
        why: `With ours the policy has ${Buffer.byteLength(document)} bytes; S3 takes ${maxPolicyBytes}.`,
      }
    }
    return {
      status: 'change',
      before: live ? found.map(({ statement }) => statement) : null,
      after: [...kept.map(({ statement }) => statement), ...wanted],
      notes: kept.length > 0 ? [...notes, `Kept: ${kept.map(nameOf).join(', ')}.`] : notes,
      write: ({ s3, sdk }) => s3.send(new sdk.PutBucketPolicyCommand({ Bucket: spec.name, Policy: document })),
    }
  })
}

/** The statements that a store can judge, and a word on each of the others, which would at best do nothing. */
export function offeredStatements(
  statements: readonly Statement[],
  missing: Missing,
): { readonly wanted: readonly Statement[]; readonly notes: readonly string[] } {
  const needs: Readonly<Record<string, string | undefined>> = {
    KeepsakeDenyPlainHttp: missing.tls,
    KeepsakeDenyOldTls: missing.tlsVersion,
    KeepsakeDenyWritersKeys: missing.writersKeys,
  }
  const why = ({ Sid }: Statement) => (Sid === undefined ? undefined : needs[Sid])
  return {
    wanted: statements.filter((statement) => why(statement) === undefined),
    notes: statements
      .filter((statement) => why(statement) !== undefined)
      .map((statement) => `${statement.Sid} is not offered: ${why(statement)}.`),
  }
}

export function isOwn({ Sid }: Statement): boolean {
  return Sid?.startsWith(ownSid) ?? false
}

function nameOf({ statement }: FoundStatement): string {
  return statement.Sid === undefined ? 'a statement without a Sid' : `'${statement.Sid}'`
}

/** Taken over is what says the same as one of ours, and what ours stand against: access for everybody. */
function isTakenOver({ statement }: FoundStatement, wanted: readonly Statement[]): boolean {
  return isOpen(statement) || wanted.some((own) => statementKey(own) === statementKey(statement))
}

/** "Public" as S3 means it: https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status */
function isOpen({ Effect, Principal, NotPrincipal, Condition = {} }: Statement): boolean {
  if (Effect !== 'Allow') return false
  const everybody = Principal === '*' || NotPrincipal !== undefined || Principal?.AWS?.includes('*') === true
  const keys = Object.values(Condition).flatMap((names) => Object.entries(names))
  return (
    everybody && !keys.some(([key, values]) => narrowing.test(key) && values.every((value) => !/^\*?$/.test(value)))
  )
}

const narrowing =
  /^(aws:(sourceip|sourcearn|sourcevpc|sourcevpce|sourceaccount|sourceowner|principalorgid|principalorgpaths|userid|principalarn|principalaccount)|s3:(x-amz-server-side-encryption-aws-kms-key-id|dataaccesspointarn|dataaccesspointaccount))$/i

function sameStatements(a: readonly Statement[], b: readonly Statement[]): boolean {
  const keys = (statements: readonly Statement[]) =>
    statements.map((statement) => `${statement.Sid}\n${statementKey(statement)}`).sort()
  return keys(a).join('\n\n') === keys(b).join('\n\n')
}

function leftOver(bucket: string): string {
  return `Ours are asked for no more, and nothing is deleted. By hand: aws s3api delete-bucket-policy --bucket ${bucket}`
}
