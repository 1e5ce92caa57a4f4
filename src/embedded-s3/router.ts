import { S3Error } from './errors.ts'
import type { Operation } from './operation.ts'
import { abortMultipartUpload } from './operations/abort-multipart-upload.ts'
import { bucketSettings } from './operations/bucket-settings.ts'
import { completeMultipartUpload } from './operations/complete-multipart-upload.ts'
import { copyObject } from './operations/copy-object.ts'
import { createBucket } from './operations/create-bucket.ts'
import { createMultipartUpload } from './operations/create-multipart-upload.ts'
import { deleteBucket } from './operations/delete-bucket.ts'
import { deleteObject } from './operations/delete-object.ts'
import { deleteObjects } from './operations/delete-objects.ts'
import { getBucketAcl, getObjectAcl } from './operations/get-acl.ts'
import { getBucketLocation } from './operations/get-bucket-location.ts'
import { getBucketPolicyStatus } from './operations/get-bucket-policy-status.ts'
import { getBucketVersioning } from './operations/get-bucket-versioning.ts'
import { getObject, headObject } from './operations/get-object.ts'
import { getObjectAttributes } from './operations/get-object-attributes.ts'
import { headBucket } from './operations/head-bucket.ts'
import { listBuckets } from './operations/list-buckets.ts'
import { listMultipartUploads } from './operations/list-multipart-uploads.ts'
import { listObjectVersions } from './operations/list-object-versions.ts'
import { listObjects } from './operations/list-objects.ts'
import { listObjectsV2 } from './operations/list-objects-v2.ts'
import { listParts } from './operations/list-parts.ts'
import { deleteObjectTagging, getObjectTagging, putObjectTagging } from './operations/object-tagging.ts'
import { postObject } from './operations/post-object.ts'
import { putBucketAcl, putObjectAcl } from './operations/put-acl.ts'
import { putObject } from './operations/put-object.ts'
import { uploadPart } from './operations/upload-part.ts'
import { uploadPartCopy } from './operations/upload-part-copy.ts'
import { queryValue, type S3Request } from './request.ts'

const OPERATIONS: readonly Operation[] = [
  listBuckets,
  createBucket,
  headBucket,
  deleteBucket,
  getBucketLocation,
  getBucketVersioning,
  getBucketPolicyStatus,
  getBucketAcl,
  putBucketAcl,
  listObjects,
  listObjectsV2,
  listObjectVersions,
  listMultipartUploads,
  deleteObjects,
  postObject,
  putObject,
  copyObject,
  getObject,
  headObject,
  deleteObject,
  getObjectAttributes,
  getObjectAcl,
  putObjectAcl,
  getObjectTagging,
  putObjectTagging,
  deleteObjectTagging,
  createMultipartUpload,
  uploadPart,
  uploadPartCopy,
  listParts,
  completeMultipartUpload,
  abortMultipartUpload,
  ...bucketSettings,
]

/** Query parameters that make a request another operation. One that no operation above obeys is NotImplemented. */
const SUBRESOURCES = new Set(
  `abac accelerate acl analytics append attributes cors delete encryption intelligent-tiering inventory legal-hold
  lifecycle list-type location logging marker metadataConfiguration metadataInventoryTable metadataJournalTable
  metadataTable metrics notification object-lock ownershipControls partNumber policy policyStatus publicAccessBlock
  renameObject replication requestPayment restore retention select select-type session tagging torrent uploadId uploads
  versionId versioning versions website x-amz-copy-source`.split(/\s+/),
)

/** Parameters of listings, which some clients send empty, and to listings that have no use for them. */
const LIST_PARAMETERS = new Set(
  'prefix delimiter marker max-keys encoding-type start-after continuation-token fetch-owner key-marker'.split(' '),
)

/** Query parameters of the signature itself, and the SDKs' name of the operation, which means nothing. */
const ALWAYS_KNOWN = new Set([
  'x-amz-algorithm',
  'x-amz-credential',
  'x-amz-date',
  'x-amz-expires',
  'x-amz-signedheaders',
  'x-amz-signature',
  'x-amz-content-sha256',
  'x-amz-security-token',
  'x-amz-user-agent',
  'x-id',
])

const COPY_SOURCE = 'x-amz-copy-source'

/** What an operation obeys. */
type Known = { readonly query: ReadonlySet<string>; readonly headers: ReadonlySet<string> }

const NOTHING: Known = { query: new Set(), headers: new Set() }
const KNOWN: ReadonlyMap<Operation, Known> = new Map(
  OPERATIONS.map((operation) => {
    const { query = [], headers = [], subresource, copies } = operation
    return [
      operation,
      {
        query: new Set(subresource === undefined ? query : [...query, subresource]),
        headers: new Set(copies ? [...headers, COPY_SOURCE] : headers),
      },
    ]
  }),
)

/** Operations by what can be told of them without the query. */
const CANDIDATES: ReadonlyMap<string, readonly Operation[]> = Map.groupBy(OPERATIONS, ({ method, target, copies }) =>
  kind(method, target, copies ?? false),
)

function kind(method: string, target: Operation['target'], copies: boolean): string {
  return `${method} ${target} ${copies}`
}

/** Finds the operation a request asks for. What is not done here is refused, never ignored. */
export function route(request: S3Request): Operation {
  const target = request.bucket === '' && request.key === '' ? 'service' : request.key === '' ? 'bucket' : 'object'
  const candidates = CANDIDATES.get(kind(request.method, target, request.headers.has(COPY_SOURCE))) ?? []
  const operation =
    candidates.find(({ subresource }) => subresource !== undefined && queryValue(request, subresource) !== undefined) ??
    candidates.find(({ subresource }) => subresource === undefined)
  refuseUnknown(request, (operation && KNOWN.get(operation)) ?? NOTHING)
  if (operation !== undefined) return operation
  if (OPERATIONS.some(({ method }) => method === request.method)) {
    throw new S3Error('NotImplemented', `${request.method} on this resource is not implemented.`)
  }
  throw new S3Error('MethodNotAllowed', undefined, { Method: request.method, ResourceType: target.toUpperCase() })
}

function refuseUnknown(request: S3Request, { query, headers }: Known): void {
  const obeys = (name: string) =>
    ALWAYS_KNOWN.has(name) || headers.has(name) || (name.startsWith('x-amz-meta-') && headers.has('x-amz-meta-'))
  for (const { name, value } of request.query) {
    if (query.has(name)) continue
    const lower = name.toLowerCase()
    // A name without a value is a sub-resource, which SDKs write with an equals sign or without: ignoring it would make
    // `DELETE /bucket/key?new-thing=` delete the object. Other parameters that it does not know are ignored by S3.
    const asksForMore = SUBRESOURCES.has(name) || (!value && !LIST_PARAMETERS.has(name))
    const refused = lower.startsWith('x-amz-') ? !obeys(lower) : asksForMore
    if (refused && name !== 'x-id') throw notImplemented('query', name)
  }
  for (const name of request.headers.keys()) {
    if (name.startsWith('x-amz-') && !obeys(name)) throw notImplemented('header', name)
  }
}

/** Says in the message what it is about, too: most clients show nothing else. */
function notImplemented(what: 'query' | 'header', name: string): S3Error {
  const message = `A ${what} you provided implies functionality that is not implemented: ${name}`
  return new S3Error('NotImplemented', message, what === 'query' ? { Query: name } : { Header: name })
}
