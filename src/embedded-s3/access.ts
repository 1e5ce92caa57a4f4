import { type BucketPolicy, evaluate, isPublic, parsePolicy } from './bucket-policy.ts'
import { S3Error } from './errors.ts'
import { RESPONSE_OVERRIDES } from './object-headers.ts'
import type { AccessTarget } from './operation.ts'
import { parsePublicAccessBlock } from './public-access-block.ts'
import { headerValue, queryValue, type S3Request } from './request.ts'
import type { FolderStore } from './store/folder-store.ts'
import { tagsHeader } from './tags.ts'

/** "The root user … can always" do these: else nobody could take back a policy that denies everything. */
const ALWAYS_OWNERS = new Set(['s3:GetBucketPolicy', 's3:PutBucketPolicy', 's3:DeleteBucketPolicy'])

/** Objects that anybody may read, by how their keys begin. */
export type OpenPrefixes = { readonly buckets: readonly string[]; readonly prefixes: readonly string[] }

/** Decides who may do what: the owner whatever no policy denies, others what a policy allows. */
export class Access {
  readonly #store: FolderStore
  readonly #behindTls: boolean
  readonly #now: () => number
  readonly #open: OpenPrefixes
  /** Policies by their document, parsed. */
  readonly #parsed = new Map<string, BucketPolicy>()

  constructor(store: FolderStore, behindTls: boolean, now: () => number, open: OpenPrefixes) {
    this.#store = store
    this.#behindTls = behindTls
    this.#now = now
    this.#open = open
  }

  /** Throws AccessDenied. */
  require(action: string, { identity, bucket, key }: AccessTarget, request: S3Request): void {
    const settings = this.#store.bucket(bucket)?.settings
    const owns = identity === 'owner'
    const isOpen = action === 's3:GetObject' && this.#isOpen(bucket, key)
    if (settings?.policy === undefined) {
      if (owns) return
      if (!isOpen) throw new S3Error('AccessDenied')
      refuseOverrides(request)
      return
    }
    if (owns && ALWAYS_OWNERS.has(action)) return
    const resource = `arn:aws:s3:::${bucket}${key === '' ? '' : `/${key}`}`
    const condition = (name: string) => this.#condition(name, { identity, bucket, key }, request)
    const policy = this.#policy(settings.policy, bucket)
    const verdict = evaluate(policy, { identity, action, resource, condition })
    if (verdict === 'deny') {
      throw new S3Error('AccessDenied', 'Access Denied: an explicit deny in the bucket policy applies to this request.')
    }
    if (owns) return
    if (!isOpen) {
      const block = settings.publicAccessBlock
      // "Restricts access to … a bucket with a public policy": one for a few addresses goes on holding.
      const restricted = block !== undefined && parsePublicAccessBlock(block).RestrictPublicBuckets && isPublic(policy)
      if (verdict === 'silent' || restricted) throw new S3Error('AccessDenied')
    }
    if (action === 's3:GetObject') refuseOverrides(request)
  }

  #isOpen(bucket: string, key: string): boolean {
    return this.#open.buckets.includes(bucket) && this.#open.prefixes.some((prefix) => key.startsWith(prefix))
  }

  #policy(document: string, bucket: string): BucketPolicy {
    const name = `${bucket}\n${document}`
    let policy = this.#parsed.get(name)
    if (policy === undefined) {
      if (this.#parsed.size >= 64) this.#parsed.clear()
      policy = parsePolicy(document, bucket)
      this.#parsed.set(name, policy)
    }
    return policy
  }

  /** https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html */
  #condition(name: string, { identity, bucket, key }: AccessTarget, request: S3Request): string | undefined {
    const socket = request.incoming.socket
    if (name === 'aws:securetransport') return String(this.#behindTls)
    if (name === 'aws:sourceip') return socket.remoteAddress?.replace(/^::ffff:/, '')
    if (name === 'aws:referer') return request.headers.get('referer')
    if (name === 'aws:useragent') return request.headers.get('user-agent')
    if (name === 'aws:currenttime') return new Date(this.#now()).toISOString()
    if (name === 'aws:principaltype') return identity === 'owner' ? 'Account' : 'Anonymous'
    if (name === 's3:authtype') {
      if (identity === 'anonymous') return undefined
      if (request.headers.has('authorization')) return 'REST-HEADER'
      return request.hoisted.has('x-amz-signature') ? 'REST-QUERY-STRING' : 'POST'
    }
    if (name === 's3:signatureversion') return identity === 'anonymous' ? undefined : 'AWS4-HMAC-SHA256'
    if (name.startsWith('s3:x-amz-')) return headerValue(request, name.slice('s3:'.length))
    if (name.startsWith('s3:existingobjecttag/')) {
      const record = key === '' ? undefined : this.#store.record(bucket, key)
      return record && find(this.#store.tags(bucket, record), name.slice('s3:existingobjecttag/'.length))
    }
    if (name.startsWith('s3:requestobjecttag/')) {
      return find(tagsHeader(request) ?? {}, name.slice('s3:requestobjecttag/'.length))
    }
    // s3:prefix, s3:delimiter, s3:max-keys
    return queryValue(request, name.slice('s3:'.length))
  }
}

/** AWS, GetObject: they "must be signed": else a link made by anybody would have an image read as a page. */
function refuseOverrides(request: S3Request): void {
  if (!RESPONSE_OVERRIDES.some((name) => queryValue(request, name) !== undefined)) return
  throw new S3Error('InvalidRequest', 'Request specific response headers cannot be used for anonymous GET requests.')
}

/** Condition keys know no case. */
function find(tags: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.entries(tags).find(([key]) => key.toLowerCase() === name)?.[1]
}
