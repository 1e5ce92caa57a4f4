import { fail, notOffered, pass, unknown, type Verdict } from '../finding.ts'
import { type Covered, deniedBelowTls12, deniedWithoutTls, riskyGrants } from '../policy.ts'
import { type Facts, judge, known } from './control.ts'

/** S3.5, AWS Config `s3-bucket-ssl-requests-only`. */
export function refusesPlainHttp({ live, transport }: Facts): Verdict {
  if (transport === 'loopback') return notOffered('The store is on this machine and speaks plain HTTP only.')
  return judge(live.policy, {
    set: (policy) => covered(deniedWithoutTls(policy, live.bucket), 'aws:SecureTransport is false'),
    absent: () => fail('The bucket has no policy.'),
  })
}

export function refusesOldTls({ live, transport }: Facts): Verdict {
  if (transport === 'loopback') return notOffered('The store is on this machine and speaks plain HTTP only.')
  return judge(live.policy, {
    set: (policy) => covered(deniedBelowTls12(policy, live.bucket), 's3:TlsVersion is below 1.2'),
    absent: () => fail('The bucket has no policy.'),
  })
}

function covered({ bucket, objects }: Covered, when: string): Verdict {
  if (bucket && objects) return pass(`Everything is denied to everybody where ${when}.`)
  if (objects) return fail(`Only its objects are denied where ${when}; the bucket itself (lists, settings) is not.`)
  if (bucket) return fail(`Only the bucket itself is denied where ${when}; its objects are not.`)
  return fail(`No statement denies s3:* to everybody, on the bucket and its objects, where ${when} and nothing else.`)
}

/** S3.6 */
export function restrictsOtherAccounts({ live, account }: Facts): Verdict {
  return judge(live.policy, {
    set: (policy) => {
      const { foreign, unsure } = riskyGrants(policy, account)
      if (foreign.length > 0) return fail(`The policy allows ${foreign.join('; ')}.`)
      if (unsure.length > 0)
        return unknown(`The policy allows ${unsure.join('; ')}; which account this is, is not known.`)
      return pass('The policy allows none of it to another account.')
    },
    absent: () => pass('The bucket has no policy.'),
  })
}

/** S3.12 */
export function usesNoAcls({ live }: Facts): Verdict {
  if (known(live.ownership) === 'BucketOwnerEnforced') return pass('ACLs are switched off (BucketOwnerEnforced).')
  return judge(live.acl, {
    set: ({ owner, grants }) => {
      const others = grants.filter(({ Grantee }) => Grantee?.ID === undefined || Grantee.ID !== owner)
      if (others.length === 0) return pass('The ACL names nobody but the owner.')
      const named = others.map(
        ({ Grantee, Permission }) => `${Permission} to ${Grantee?.URI ?? Grantee?.ID ?? 'somebody'}`,
      )
      return fail(`The ACL gives ${named.join(', ')}.`)
    },
    absent: () => pass('The bucket has no ACL.'),
  })
}

/** Ours: an origin of `*`, or one that any site can have. */
export function namesOrigins({ live }: Facts): Verdict {
  return judge(live.cors, {
    set: (rules) => {
      const origins = [...new Set(rules.flatMap(({ rule }) => rule.origins))]
      const open = origins.filter((origin) => /^(https?:\/\/)?\*(\.[a-z]+)?$/i.test(origin))
      if (open.length > 0) return fail(`Allowed are ${open.join(', ')}.`)
      return pass(`Allowed are ${origins.join(', ')}.`)
    },
    absent: () => pass('No page may: there are no CORS rules.'),
  })
}
