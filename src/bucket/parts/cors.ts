import type { CORSRule as S3CorsRule } from '@aws-sdk/client-s3'
import { canonicalJson } from '../canonical.ts'
import { ownRule } from '../desired/bucket-spec.ts'
import type { CorsRule } from '../live/cors.ts'
import { asIs, type Decide, notAsked, whenRead } from './decision.ts'

/** Our rule before those of others: S3 goes by the first that matches. */
export const decideCors: Decide<'cors'> = (reading, { spec, adopt }) => {
  return whenRead(reading, (live) => {
    const found = live ?? []
    const own = found.filter(({ rule }) => rule.id.startsWith(ownRule))
    const foreign = found.filter(({ rule }) => !rule.id.startsWith(ownRule))
    const kept = foreign.filter(({ rule }) => !adopt || !isTakenOver(rule, spec.cors))
    const rules = [...spec.cors, ...kept.map(({ rule }) => rule)]
    if (spec.cors.length === 0 && own.length === 0) return notAsked
    if (rules.length === 0) {
      const before = own.map(({ rule }) => rule)
      return { status: 'kept', because: 'left over', before, notes: [leftOver(spec.name)] }
    }
    if (canonicalJson(rules) === canonicalJson(found.map(({ rule }) => rule))) return asIs
    const wide = kept.filter(({ rule }) => rule.origins.includes('*'))
    return {
      status: 'change',
      before: live ? found.map(({ rule }) => rule) : null,
      after: rules,
      notes: [
        ...(kept.length > 0 ? [`Kept: ${kept.map(({ rule }) => nameOf(rule)).join(', ')}.`] : []),
        ...(wide.length > 0 ? ['A kept rule is for every origin (*). --adopt does without it.'] : []),
      ],
      write: ({ s3, sdk }) =>
        s3.send(
          new sdk.PutBucketCorsCommand({
            Bucket: spec.name,
            CORSConfiguration: { CORSRules: [...spec.cors.map(s3CorsRule), ...kept.map(({ raw }) => raw)] },
          }),
        ),
    }
  })
}

export function s3CorsRule(rule: CorsRule): S3CorsRule {
  return {
    ID: rule.id,
    AllowedOrigins: [...rule.origins],
    AllowedMethods: [...rule.methods],
    AllowedHeaders: [...rule.headers],
    ExposeHeaders: [...rule.exposed],
    ...(rule.maxAgeSeconds === null ? {} : { MaxAgeSeconds: rule.maxAgeSeconds }),
  }
}

/** For the same pages, or for all: with it, the exact rule would be worth nothing. */
function isTakenOver(rule: CorsRule, own: readonly CorsRule[]): boolean {
  if (own.length === 0) return false
  return (
    rule.origins.includes('*') || rule.origins.every((origin) => own.some(({ origins }) => origins.includes(origin)))
  )
}

function nameOf({ id, origins }: CorsRule): string {
  return id === '' ? `the rule for ${origins.join(', ')}` : `'${id}'`
}

function leftOver(bucket: string): string {
  return `Ours is asked for no more, and nothing is deleted. By hand: aws s3api delete-bucket-cors --bucket ${bucket}`
}
