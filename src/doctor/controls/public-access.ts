import { missingFeatures, type PublicAccessBlock } from '../../bucket/index.ts'
import { fail, notOffered, pass, type Verdict } from '../finding.ts'
import { publicStatements } from '../policy.ts'
import { allNotOffered, type Facts, firstUnread, judge, known } from './control.ts'

const parts = ['blockPublicAcls', 'ignorePublicAcls', 'blockPublicPolicy', 'restrictPublicBuckets'] as const

function missingParts(block: PublicAccessBlock): string {
  return parts.filter((part) => !block[part]).join(', ')
}

const blocked = {
  set: (block: PublicAccessBlock) => {
    const missing = missingParts(block)
    return missing === '' ? pass('All settings are on.') : fail(`Off: ${missing}.`)
  },
  absent: () => fail('Nothing is set: all settings are off.'),
}

/** S3.1 */
export function accountBlocksPublicAccess({ accountBlock }: Facts): Verdict {
  return judge(accountBlock, blocked)
}

/** S3.8 */
export function bucketBlocksPublicAccess({ live }: Facts): Verdict {
  const { blockPublicAcls } = missingFeatures(live.store)
  return judge(live.publicAccessBlock, {
    ...blocked,
    set: (block) => blocked.set(blockPublicAcls === undefined ? block : { ...block, blockPublicAcls: true }),
  })
}

const everybody = [
  'http://acs.amazonaws.com/groups/global/AllUsers',
  'http://acs.amazonaws.com/groups/global/AuthenticatedUsers',
]
const aclRights = { read: ['READ', 'READ_ACP', 'FULL_CONTROL'], write: ['WRITE', 'WRITE_ACP', 'FULL_CONTROL'] } as const

/**
 * S3.2 and S3.3: "evaluates the Block Public Access settings, the bucket policy, and the bucket access control list".
 * What blocks counts before what opens: RestrictPublicBuckets and IgnorePublicAcls hold whatever was written before.
 */
export function isNotPublic({ live, accountBlock }: Facts, kind: 'read' | 'write'): Verdict {
  const { publicAccessBlock, policy, policyStatus, acl, ownership } = live
  if (allNotOffered([publicAccessBlock, policy, acl])) {
    return notOffered('The store offers neither policies nor ACLs that could be read.')
  }
  const blocks = [known(publicAccessBlock), known(accountBlock)]
  const restricts = blocks.some((block) => block?.restrictPublicBuckets)
  const ignoresAcls = blocks.some((block) => block?.ignorePublicAcls) || known(ownership) === 'BucketOwnerEnforced'
  const opened = restricts ? [] : publicStatements(known(policy) ?? noPolicy, kind)
  const granted = ignoresAcls ? [] : publicGrants(acl, kind)
  if (opened.length > 0) return fail(`The policy lets everybody ${kind}: ${opened.join(', ')}.`)
  if (granted.length > 0) return fail(`The ACL lets everybody ${kind}: ${granted.join(', ')}.`)
  // S3 does not say for what; where it is plain to see that the other kind is open, that is what S3 means.
  const explained = publicStatements(known(policy) ?? noPolicy, kind === 'read' ? 'write' : 'read').length > 0
  if (!restricts && !explained && known(policyStatus)?.isPublic) return fail('S3 itself takes the policy for public.')
  const needed = [...(restricts ? [] : [policy]), ...(ignoresAcls ? [] : [acl])]
  return firstUnread(needed) ?? pass(reasons(restricts, ignoresAcls))
}

const noPolicy = { version: null, id: null, statements: [] }

function publicGrants(acl: Facts['live']['acl'], kind: 'read' | 'write'): string[] {
  const rights: readonly string[] = aclRights[kind]
  return (known(acl)?.grants ?? []).flatMap(({ Grantee, Permission }) =>
    everybody.includes(Grantee?.URI ?? '') && rights.includes(Permission ?? '') ? [Permission ?? ''] : [],
  )
}

function reasons(restricts: boolean, ignoresAcls: boolean): string {
  const policy = restricts ? 'public policies are not obeyed' : 'the policy opens it to nobody'
  const acl = ignoresAcls ? 'public ACLs are not obeyed' : 'the ACL opens it to nobody'
  return `${policy[0]?.toUpperCase()}${policy.slice(1)}, and ${acl}.`
}
