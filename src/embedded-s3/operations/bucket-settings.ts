import { isPublic, parsePolicy } from '../bucket-policy.ts'
import { corsXml, parseCors } from '../cors.ts'
import { S3Error, type S3ErrorCode } from '../errors.ts'
import { lifecycleXml, parseLifecycle } from '../lifecycle.ts'
import type { Context, Operation } from '../operation.ts'
import { PAYLOAD_HEADERS } from '../payload.ts'
import { parsePublicAccessBlock, publicAccessBlockXml } from '../public-access-block.ts'
import { MAX_BUCKET_TAGS, parseTags, tagsXml } from '../tags.ts'
import { element, parseXml, S3_NAMESPACE, XML_DECLARATION } from '../xml.ts'

/** A document that a bucket has or has not: three operations that differ in little. */
type Setting = {
  /** As AWS names the operations, after Get, Put and Delete. */
  readonly name: string
  readonly subresource: string
  readonly actions: { readonly get: string; readonly put: string; readonly delete: string }
  readonly missing: S3ErrorCode
  readonly contentType?: string
  /** Status of a Put. */
  readonly status?: number
  readonly headers?: readonly string[]
  /** Headers of the answers to Get and Put. */
  readonly replyHeaders?: Readonly<Record<string, string>>
  /** Checks a document and gives back the form in which it is kept and answered. */
  readonly check: (document: string, context: Context) => string
}

/** The largest: a lifecycle of a thousand rules. */
const MAX_DOCUMENT = 2 * 1024 ** 2
const MAX_POLICY = 20 * 1024

const sameAction = (what: string) => ({ get: `s3:Get${what}`, put: `s3:Put${what}`, delete: `s3:Put${what}` })

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html */
const policy: Setting = {
  name: 'BucketPolicy',
  subresource: 'policy',
  actions: { get: 's3:GetBucketPolicy', put: 's3:PutBucketPolicy', delete: 's3:DeleteBucketPolicy' },
  missing: 'NoSuchBucketPolicy',
  contentType: 'application/json',
  status: 204,
  headers: ['x-amz-confirm-remove-self-bucket-access'],
  check(document, { request, store }) {
    // "Bucket policies are limited to 20 KB in size."
    if (Buffer.byteLength(document) > MAX_POLICY) {
      throw new S3Error('MalformedPolicy', `Bucket policy exceeds the maximum allowed document size of ${MAX_POLICY}`)
    }
    const parsed = parsePolicy(document, request.bucket)
    const block = store.bucket(request.bucket)?.settings.publicAccessBlock
    if (block !== undefined && parsePublicAccessBlock(block).BlockPublicPolicy && isPublic(parsed)) {
      throw new S3Error(
        'AccessDenied',
        'Public policies are blocked by the BlockPublicPolicy block public access setting of this bucket.',
      )
    }
    return document
  },
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketCors.html */
const cors: Setting = {
  name: 'BucketCors',
  subresource: 'cors',
  actions: sameAction('BucketCORS'),
  missing: 'NoSuchCORSConfiguration',
  check: (document) => corsXml(parseCors(document)),
}

/** Which objects are too small to be moved. Nothing is moved here, so the default is as true as any. */
const MINIMUM_SIZE = 'x-amz-transition-default-minimum-object-size'
const SMALL_STAY = 'all_storage_classes_128K'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html */
const lifecycle: Setting = {
  name: 'BucketLifecycleConfiguration',
  subresource: 'lifecycle',
  actions: sameAction('LifecycleConfiguration'),
  missing: 'NoSuchLifecycleConfiguration',
  headers: [MINIMUM_SIZE],
  replyHeaders: { [MINIMUM_SIZE]: SMALL_STAY },
  check(document, { request }) {
    const minimum = request.headers.get(MINIMUM_SIZE) ?? SMALL_STAY
    if (minimum !== SMALL_STAY) throw new S3Error('NotImplemented', undefined, { Header: MINIMUM_SIZE })
    return lifecycleXml(parseLifecycle(document))
  },
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutPublicAccessBlock.html */
const publicAccessBlock: Setting = {
  name: 'PublicAccessBlock',
  subresource: 'publicAccessBlock',
  actions: sameAction('BucketPublicAccessBlock'),
  missing: 'NoSuchPublicAccessBlockConfiguration',
  check: (document) => publicAccessBlockXml(parsePublicAccessBlock(document)),
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketOwnershipControls.html */
const ownershipControls: Setting = {
  name: 'BucketOwnershipControls',
  subresource: 'ownershipControls',
  actions: sameAction('BucketOwnershipControls'),
  missing: 'OwnershipControlsNotFoundError',
  check(document) {
    const root = parseXml(document)
    const [rule, ...others] = root.children
    const ownership = rule?.children.find(({ name }) => name === 'ObjectOwnership')?.text.trim() ?? ''
    if (root.name !== 'OwnershipControls' || rule?.name !== 'Rule' || others.length > 0)
      throw new S3Error('MalformedXML')
    if (ownership === 'BucketOwnerEnforced') return OWNERSHIP
    if (ownership !== 'BucketOwnerPreferred' && ownership !== 'ObjectWriter') throw new S3Error('MalformedXML')
    throw new S3Error('NotImplemented', 'There are no ACLs here: only BucketOwnerEnforced says what holds.')
  },
}

const OWNERSHIP = `${XML_DECLARATION}<OwnershipControls xmlns="${S3_NAMESPACE}"><Rule>${element('ObjectOwnership', 'BucketOwnerEnforced')}</Rule></OwnershipControls>`

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketEncryption.html */
const encryption: Setting = {
  name: 'BucketEncryption',
  subresource: 'encryption',
  actions: sameAction('EncryptionConfiguration'),
  missing: 'ServerSideEncryptionConfigurationNotFoundError',
  check(document) {
    const root = parseXml(document)
    const [rule, ...others] = root.children
    const byDefault = rule?.children.find(({ name }) => name === 'ApplyServerSideEncryptionByDefault')
    const field = (name: string) => byDefault?.children.find((child) => child.name === name)?.text.trim()
    if (root.name !== 'ServerSideEncryptionConfiguration' || rule?.name !== 'Rule' || others.length > 0) {
      throw new S3Error('MalformedXML')
    }
    if (field('SSEAlgorithm') !== 'AES256' || field('KMSMasterKeyID') !== undefined) {
      throw new S3Error('NotImplemented', 'Only AES256 can be declared as the default encryption here.')
    }
    return (
      `${XML_DECLARATION}<ServerSideEncryptionConfiguration xmlns="${S3_NAMESPACE}"><Rule><ApplyServerSideEncryptionByDefault>` +
      `${element('SSEAlgorithm', 'AES256')}</ApplyServerSideEncryptionByDefault>${element('BucketKeyEnabled', 'false')}` +
      '</Rule></ServerSideEncryptionConfiguration>'
    )
  },
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketTagging.html */
const tagging: Setting = {
  name: 'BucketTagging',
  subresource: 'tagging',
  actions: sameAction('BucketTagging'),
  missing: 'NoSuchTagSet',
  status: 204,
  check: (document) => tagsXml(parseTags(parseXml(document), MAX_BUCKET_TAGS)),
}

function operations(setting: Setting): Operation[] {
  const { name, subresource, actions } = setting
  const common = { target: 'bucket', subresource } as const
  return [
    {
      ...{ ...common, name: `Get${name}`, method: 'GET', action: actions.get },
      handle({ request, store }) {
        const document = store.bucket(request.bucket)?.settings[subresource]
        if (document === undefined) throw new S3Error(setting.missing, undefined, { BucketName: request.bucket })
        const headers = { 'content-type': setting.contentType ?? 'application/xml', ...setting.replyHeaders }
        return { status: 200, headers, body: document }
      },
    },
    {
      ...{ ...common, name: `Put${name}`, method: 'PUT', action: actions.put },
      headers: [...PAYLOAD_HEADERS, ...(setting.headers ?? [])],
      takesBody: true,
      async handle(context) {
        const document = setting.check((await context.payload(MAX_DOCUMENT).readAll()).toString(), context)
        await context.store.configure(context.request.bucket, subresource, document)
        return { status: setting.status ?? 200, ...(setting.replyHeaders ? { headers: setting.replyHeaders } : {}) }
      },
    },
    {
      ...{ ...common, name: `Delete${name}`, method: 'DELETE', action: actions.delete },
      async handle({ request, store }) {
        await store.configure(request.bucket, subresource, undefined)
        return { status: 204 }
      },
    },
  ]
}

export const bucketSettings: readonly Operation[] = [
  policy,
  cors,
  lifecycle,
  publicAccessBlock,
  ownershipControls,
  encryption,
  tagging,
].flatMap(operations)

/** What AWS configures new buckets with, besides blocking public access. */
export const DEFAULT_SETTINGS = { ownershipControls: OWNERSHIP } as const
