export type ProviderName = 'aws' | 'minio' | 'r2' | 'b2' | 'ceph' | 'other'

/**
 * What becomes of `If-None-Match: *` on a write. `exact`: obeyed, also between writers at the same moment. `ignored`:
 * the object is replaced, or it is not known; so it is sent, but one looks first. `refused`: the request fails, so one
 * looks first and leaves it out.
 */
export type Condition = 'exact' | 'ignored' | 'refused'

export type Capabilities = {
  readonly createOnly: { readonly put: Condition; readonly complete: Condition; readonly copy: Condition }
  /** `x-amz-checksum-*` and `x-amz-checksum-algorithm`; without, the hash in the signature guards the bytes alone. */
  readonly checksums: boolean
  /** `x-amz-mp-object-size` on CompleteMultipartUpload. */
  readonly completeSize: boolean
  /** Browser uploads by form. Keepsake uploads by presigned PUT, which all have. */
  readonly postPolicy: boolean
  /** Object tags. No feature of Keepsake depends on them. */
  readonly tagging: boolean
  /** All parts but the last must have one size; plans of parts always keep to it. */
  readonly equalParts: boolean
  /** Multipart uploads that nobody went on with go away by themselves after this many days; null: never. */
  readonly staleMultipartDays: number | null
  readonly bucketPolicy: boolean
  /** ListMultipartUploads encodes keys as it is asked to, and its markers too. */
  readonly encodesUploads: boolean
}

const aws: Capabilities = {
  createOnly: { put: 'exact', complete: 'exact', copy: 'exact' },
  checksums: true,
  completeSize: true,
  postPolicy: true,
  tagging: true,
  equalParts: false,
  staleMultipartDays: null,
  bucketPolicy: true,
  encodesUploads: true,
}

/**
 * Where stores that speak S3 differ, as far as Keepsake meets it. Where a document is silent, the careful value
 * stands. A store of no known make is taken at its word: it is asked as AWS is.
 *
 * - AWS: "Conditional requests" (copies since October 2025), "Checking object integrity".
 * - MinIO: conditional writes on PUT and on CompleteMultipartUpload; none documented on the target of a copy.
 * - R2: developers.cloudflare.com/r2/api/s3/api (SHA-256 is composite; no tags, no POST policy, no bucket policy),
 *   /r2/objects/multipart-objects (equal parts, gone after 7 days).
 * - B2: backblaze.com/docs/cloud-storage-s3-compatible-api, "Unsupported features": a checksum header is a 400, a
 *   condition on a write is a 501.
 * - Ceph: seen on radosgw 16.2, where a completion or a copy replaces what is there, checksums are ignored, and lists
 *   of uploads encode some keys without saying so.
 */
export const providers: Readonly<Record<ProviderName, Capabilities>> = {
  aws,
  other: aws,
  minio: {
    ...aws,
    createOnly: { put: 'exact', complete: 'exact', copy: 'ignored' },
    completeSize: false,
    staleMultipartDays: 1,
  },
  r2: {
    ...aws,
    createOnly: { put: 'exact', complete: 'ignored', copy: 'ignored' },
    completeSize: false,
    postPolicy: false,
    tagging: false,
    equalParts: true,
    staleMultipartDays: 7,
    bucketPolicy: false,
  },
  b2: {
    ...aws,
    createOnly: { put: 'refused', complete: 'refused', copy: 'refused' },
    checksums: false,
    completeSize: false,
    postPolicy: false,
    tagging: false,
    bucketPolicy: false,
  },
  ceph: {
    ...aws,
    createOnly: { put: 'exact', complete: 'ignored', copy: 'ignored' },
    checksums: false,
    completeSize: false,
    encodesUploads: false,
  },
}

const hosts: readonly (readonly [RegExp, ProviderName])[] = [
  [/\.amazonaws\.com(\.cn)?$/, 'aws'],
  [/\.r2\.cloudflarestorage\.com$/, 'r2'],
  [/\.backblazeb2\.com$/, 'b2'],
]

/** The make of a store by its host name, which needs no request. */
export function providerOfHost(host: string): ProviderName | undefined {
  const name = host.replace(/:\d+$/, '')
  return hosts.find(([pattern]) => pattern.test(name))?.[1]
}

/** The make of a store by an answer of it: MinIO names itself, and Ceph's request ids have a form of their own. */
export function providerOfAnswer(headers: Readonly<Record<string, string>>): ProviderName {
  if (/^minio\b/i.test(headers.server ?? '')) return 'minio'
  if (/^tx[0-9a-f]{21}-/.test(headers['x-amz-request-id'] ?? '')) return 'ceph'
  return 'other'
}
