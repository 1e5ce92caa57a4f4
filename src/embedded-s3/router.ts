import { S3Error } from './errors.ts'
import type { Operation } from './operation.ts'
import { createBucket } from './operations/create-bucket.ts'
import { deleteObject } from './operations/delete-object.ts'
import { deleteObjects } from './operations/delete-objects.ts'
import { getBucketLocation } from './operations/get-bucket-location.ts'
import { getObject, headObject } from './operations/get-object.ts'
import { headBucket } from './operations/head-bucket.ts'
import { listBuckets } from './operations/list-buckets.ts'
import { listObjectsV2 } from './operations/list-objects-v2.ts'
import { putObject } from './operations/put-object.ts'
import { queryValue, type S3Request } from './request.ts'

const OPERATIONS: readonly Operation[] = [
  listBuckets,
  createBucket,
  headBucket,
  getBucketLocation,
  listObjectsV2,
  deleteObjects,
  putObject,
  getObject,
  headObject,
  deleteObject,
]

/** Query parameters that make a request another operation. One that no operation above obeys is NotImplemented. */
const SUBRESOURCES = new Set(
  `abac accelerate acl analytics append attributes cors delete encryption intelligent-tiering inventory legal-hold
  lifecycle list-type location logging marker metadataConfiguration metadataInventoryTable metadataJournalTable
  metadataTable metrics notification object-lock ownershipControls partNumber policy policyStatus publicAccessBlock
  renameObject replication requestPayment restore retention select select-type session tagging torrent uploadId uploads
  versionId versioning versions website x-amz-copy-source`.split(/\s+/),
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

/** Finds the operation a request asks for. What is not done here is refused, never ignored. */
export function route(request: S3Request): Operation {
  const target = request.bucket === '' && request.key === '' ? 'service' : request.key === '' ? 'bucket' : 'object'
  const candidates = OPERATIONS.filter((o) => o.method === request.method && o.target === target)
  const operation =
    candidates.find(({ subresource }) => subresource !== undefined && queryValue(request, subresource) !== undefined) ??
    candidates.find(({ subresource }) => subresource === undefined)
  refuseUnknown(request, operation)
  if (operation !== undefined) return operation
  if (OPERATIONS.some(({ method }) => method === request.method)) {
    throw new S3Error('NotImplemented', `${request.method} on this resource is not implemented.`)
  }
  throw new S3Error('MethodNotAllowed', undefined, { Method: request.method, ResourceType: target.toUpperCase() })
}

function refuseUnknown(request: S3Request, operation: Operation | undefined): void {
  const known = new Set([...(operation?.query ?? []), ...(operation?.subresource ? [operation.subresource] : [])])
  const headers = operation?.headers ?? []
  const obeys = (name: string) =>
    ALWAYS_KNOWN.has(name) ||
    headers.includes(name) ||
    (name.startsWith('x-amz-meta-') && headers.includes('x-amz-meta-'))
  for (const { name, value } of request.query) {
    if (known.has(name)) continue
    const lower = name.toLowerCase()
    // A bare name is a sub-resource; S3 ignores other parameters that it does not know.
    const refused = lower.startsWith('x-amz-') ? !obeys(lower) : SUBRESOURCES.has(name) || value === undefined
    if (refused && name !== 'x-id') throw new S3Error('NotImplemented', undefined, { Query: name })
  }
  for (const name of request.headers.keys()) {
    if (name.startsWith('x-amz-') && !obeys(name)) throw new S3Error('NotImplemented', undefined, { Header: name })
  }
}
