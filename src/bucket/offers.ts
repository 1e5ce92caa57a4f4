import type { ProviderName } from '../stores/index.ts'

/** Who made a store; `embedded` is Keepsake's own. */
export type Make = ProviderName | 'embedded'

/**
 * What not every store has and no read tells: they answer as if nothing were set, and refuse the write, or take it and
 * do nothing.
 */
export type Feature =
  | 'tls'
  | 'tlsVersion'
  | 'publicAccessBlock'
  | 'blockPublicAcls'
  | 'ownership'
  | 'encryption'
  | 'kms'
  | 'versioning'
  | 'versionedConditions'
  | 'policy'
  | 'writersKeys'
  | 'transitions'
  | 'logging'
  | 'inventory'
  | 'replication'

export type Missing = Readonly<Partial<Record<Feature, string>>>

const noTlsVersion = { tlsVersion: 'it does not know s3:TlsVersion' }

/** Why, in words that follow "not offered:". What is not named here is taken at the store's own word. */
const missingOf: Readonly<Partial<Record<Make, Missing>>> = {
  embedded: {
    ...noTlsVersion,
    kms: 'objects lie on disk as they are; there is no KMS',
    versioning: 'the embedded S3 has no versions',
    transitions: 'there is one storage class',
    logging: 'the embedded S3 writes no access logs',
    inventory: 'the embedded S3 makes no inventories',
    replication: 'the embedded S3 does not replicate',
  },
  // Seen on radosgw 16.2: ?logging is answered with an empty document and a put of it creates a bucket.
  ceph: {
    ...noTlsVersion,
    versionedConditions: 'with versions this Ceph no longer obeys If-None-Match, so that an upload can replace another',
    writersKeys: 'Ceph does not judge a write by whether it brings a key',
    blockPublicAcls: 'with it this Ceph refuses every write',
    ownership: 'Ceph has no ownership controls',
    logging: 'Ceph takes it and writes no logs',
    inventory: 'Ceph makes no inventories',
    replication: 'Ceph replicates by zones, not by bucket roles',
  },
  // https://min.io/docs/minio/linux/operations/concepts/thresholds.html, "S3 API compatibility".
  minio: { ...noTlsVersion, logging: 'MinIO logs for the whole server', inventory: 'MinIO makes no inventories' },
  // https://developers.cloudflare.com/r2/api/s3/api/
  r2: {
    ...noTlsVersion,
    publicAccessBlock: 'an R2 bucket is private until a domain is given to it',
    ownership: 'R2 has no ACLs',
    policy: 'R2 has no bucket policies',
    kms: 'R2 encrypts with its own keys',
    versioning: 'R2 has no versions',
    logging: 'R2 logs by its own API',
    inventory: 'R2 makes no inventories',
    replication: 'R2 does not replicate',
  },
  b2: {
    ...noTlsVersion,
    policy: 'B2 has no bucket policies',
    kms: 'B2 has no KMS',
    replication: 'B2 replicates by its own API',
  },
}

const plainHttp = 'the endpoint speaks plain http, so a Deny of it would lock out Keepsake too'

/** What a store does not offer, each with why. */
export function missingFeatures({
  make,
  plainHttp: plain,
}: {
  readonly make: Make
  readonly plainHttp: boolean
}): Missing {
  return { ...missingOf[make], ...(plain ? { tls: plainHttp, tlsVersion: plainHttp } : {}) }
}
