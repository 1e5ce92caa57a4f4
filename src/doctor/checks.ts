import type { Severity } from './finding.ts'

export type Check = {
  readonly title: string
  readonly severity: Severity
  readonly why: string
  /** With `{bucket}`, `{account}` and `{region}` to be filled in. */
  readonly fix: string
}

/**
 * Every check there is, in the order that reports have; docs/doctor.md is made from it. The ids are promises. `S3.n` are
 * the controls of AWS Security Hub that concern one bucket of media
 * (https://docs.aws.amazon.com/securityhub/latest/userguide/s3-controls.html), judged by the same definitions.
 */
export const checks = {
  'S3.1': {
    title: 'The account blocks public access to all of its buckets',
    severity: 'medium',
    why: 'A new bucket, or one whose own block is taken away, would be public by one wrong policy.',
    fix: 'aws s3control put-public-access-block --account-id {account} --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true',
  },
  'S3.2': {
    title: 'Nobody can read the bucket without credentials',
    severity: 'critical',
    why: 'Whoever guesses or learns a key reads the media, for ever: no link expires, and no owner is asked.',
    fix: 'keepsake bucket apply --adopt, which blocks public access and takes the Allow for everybody out of the policy. Public collections are read through S3_BASE_URL, a CDN with its own access.',
  },
  'S3.3': {
    title: 'Nobody can write to the bucket without credentials',
    severity: 'critical',
    why: 'Anybody can replace or delete media, or store their own at your expense.',
    fix: 'keepsake bucket apply --adopt, which blocks public access and takes the Allow for everybody out of the policy.',
  },
  'S3.5': {
    title: 'The bucket refuses requests without TLS',
    severity: 'medium',
    why: 'A link or a key that once goes over plain HTTP can be read, and used, by everybody on the way.',
    fix: 'keepsake bucket apply, or add to the policy: {"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::{bucket}","arn:aws:s3:::{bucket}/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}}',
  },
  'S3.6': {
    title: 'No other account may change the bucket’s policy, ACLs or encryption',
    severity: 'high',
    why: 'Who may change the policy may let in anybody, or keep you out.',
    fix: 'Take DeleteBucketPolicy, PutBucketAcl, PutBucketPolicy, PutEncryptionConfiguration and PutObjectAcl for other accounts out of the policy: aws s3api get-bucket-policy --bucket {bucket}, edit, put-bucket-policy.',
  },
  'S3.7': {
    title: 'The bucket is replicated to a second one',
    severity: 'info',
    why: 'A copy in another region survives the loss of one. Security Hub calls this low; Keepsake works without.',
    fix: 'keepsake bucket apply --replica-region REGION --replica-role ROLE-ARN, or: aws s3api put-bucket-replication --bucket {bucket} --replication-configuration file://replication.json',
  },
  'S3.8': {
    title: 'The bucket blocks public access',
    severity: 'high',
    why: 'One wrong policy or ACL would make all media public; the block holds in any case.',
    fix: 'keepsake bucket apply, or: aws s3api put-public-access-block --bucket {bucket} --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true',
  },
  'S3.9': {
    title: 'Access to the bucket is logged',
    severity: 'medium',
    why: 'Keepsake’s audit tells which links it gave; who used them, and who came past Keepsake, only the bucket’s log tells.',
    fix: 'keepsake bucket apply --logging, or: aws s3api put-bucket-logging --bucket {bucket} --bucket-logging-status \'{"LoggingEnabled":{"TargetBucket":"LOG-BUCKET","TargetPrefix":"{bucket}/"}}\'',
  },
  'S3.10': {
    title: 'A versioned bucket has a lifecycle',
    severity: 'medium',
    why: 'Versions that were replaced or deleted are kept, and paid for, until a rule ends them.',
    fix: 'keepsake bucket apply --versioning, which ends versions that are not current.',
  },
  'S3.11': {
    title: 'The bucket tells of events',
    severity: 'info',
    why: 'Other services can act on what happens in the bucket. Security Hub calls this medium; Keepsake sends its own webhooks.',
    fix: 'aws s3api put-bucket-notification-configuration --bucket {bucket} --notification-configuration \'{"EventBridgeConfiguration":{}}\'',
  },
  'S3.12': {
    title: 'Access is not given by ACLs',
    severity: 'medium',
    why: 'ACLs hide who has access, object by object; policies say it in one place.',
    fix: 'keepsake bucket apply, or: aws s3api put-bucket-ownership-controls --bucket {bucket} --ownership-controls \'{"Rules":[{"ObjectOwnership":"BucketOwnerEnforced"}]}\'',
  },
  'S3.13': {
    title: 'The bucket has a lifecycle',
    severity: 'low',
    why: 'What nobody finished or cleared away is kept, and paid for, until a rule ends it.',
    fix: 'keepsake bucket apply, which writes the rules for temp/, quarantine/ and unfinished uploads.',
  },
  'S3.14': {
    title: 'The bucket keeps versions',
    severity: 'low',
    why: 'What was overwritten or deleted by mistake can be brought back. Keepsake itself never overwrites.',
    fix: 'keepsake bucket apply --versioning, or: aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled',
  },
  'S3.15': {
    title: 'Objects can be locked',
    severity: 'info',
    why: 'A lock keeps even an administrator from deleting. Security Hub calls this medium; where owners may have their media deleted, it must stay off.',
    fix: 'aws s3api put-object-lock-configuration --bucket {bucket} --object-lock-configuration ObjectLockEnabled=Enabled',
  },
  'S3.17': {
    title: 'Objects are encrypted with a KMS key',
    severity: 'info',
    why: 'A key of your own can be watched and taken away. Security Hub calls this medium; S3 encrypts everything with keys of its own in any case.',
    fix: 'keepsake bucket apply --kms-key KEY-ARN, or: aws s3api put-bucket-encryption --bucket {bucket} --server-side-encryption-configuration \'{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"aws:kms"},"BucketKeyEnabled":true}]}\'',
  },
  'bucket.tls-version': {
    title: 'The bucket refuses TLS older than 1.2',
    severity: 'low',
    why: 'Older versions can be broken into; AWS’s own endpoints refuse them, others may not.',
    fix: 'keepsake bucket apply, or deny s3:* to everybody where NumericLessThan s3:TlsVersion is 1.2.',
  },
  'bucket.temporary': {
    title: 'What is temporary ends by itself',
    severity: 'medium',
    why: 'Objects under temp/ and uploads that nobody finished are paid for until a rule ends them.',
    fix: 'keepsake bucket apply: a rule that expires temp/ after 7 days, and one for the whole bucket with AbortIncompleteMultipartUpload.',
  },
  'bucket.media-stays': {
    title: 'No lifecycle rule takes media away',
    severity: 'high',
    why: 'What a rule deletes or archives is missing to the catalogue, which still gives links to it. Retention is a collection’s own setting.',
    fix: 'Take the rule out, or narrow it to temp/ or quarantine/: aws s3api get-bucket-lifecycle-configuration --bucket {bucket}, edit, put-bucket-lifecycle-configuration.',
  },
  'bucket.deleted-versions': {
    title: 'Deleted media goes away for good',
    severity: 'medium',
    why: 'In a versioned bucket a delete only hides: without NoncurrentVersionExpiration every deleted asset stays readable by its version.',
    fix: 'keepsake bucket apply --versioning, or a lifecycle rule for the whole bucket with NoncurrentVersionExpiration.',
  },
  'bucket.cors': {
    title: 'Only named origins may use the bucket from a page',
    severity: 'medium',
    why: 'With an origin of * any page can use a link that leaked, and read what it gives.',
    fix: 'keepsake bucket apply --adopt --origin https://YOUR.APP, which takes the place of *.',
  },
  'probe.identity': {
    title: 'The credentials are somebody’s',
    severity: 'high',
    why: 'Credentials that expired or belong to another account make everything else fail.',
    fix: 'aws sts get-caller-identity with the same AWS_ACCESS_KEY_ID or AWS_PROFILE; then set those that are right.',
  },
  'probe.clock': {
    title: 'This machine’s clock and the store’s agree',
    severity: 'medium',
    why: 'S3 refuses requests that are 15 minutes off, and links then live shorter or longer than they should.',
    fix: 'Set the clock: timedatectl set-ntp true (a container has its host’s clock).',
  },
  'probe.put': {
    title: 'An object can be written',
    severity: 'critical',
    why: 'No import and no upload can be kept.',
    fix: 'Do what the message says; keepsake bucket export iam --role app prints a policy.',
  },
  'probe.head': {
    title: 'What was written is there as it was sent',
    severity: 'critical',
    why: 'Keepsake asks for an object’s head whenever the outcome of a write is not known.',
    fix: 'Allow s3:GetObject and s3:ListBucket to the app; keepsake bucket export iam --role app prints the policy.',
  },
  'probe.encryption': {
    title: 'The store says that it encrypts',
    severity: 'medium',
    why: 'A disk that is lost or sold holds the media in the clear.',
    fix: 'keepsake bucket apply, or: aws s3api put-bucket-encryption --bucket {bucket} --server-side-encryption-configuration \'{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}\'',
  },
  'probe.expiry': {
    title: 'The store says when an object under temp/ ends',
    severity: 'low',
    why: 'It is the store’s own word that the lifecycle rule for temp/ applies to what is written there.',
    fix: 'keepsake bucket apply, which writes the rule for temp/.',
  },
  'probe.get': {
    title: 'An object can be read',
    severity: 'critical',
    why: 'Media can be kept and not given back.',
    fix: 'Allow s3:GetObject to the app; keepsake bucket export iam --role app prints the policy.',
  },
  'probe.range': {
    title: 'A part of an object can be read',
    severity: 'medium',
    why: 'Video players and downloads that go on ask for ranges.',
    fix: 'Look at proxies and CDNs between here and the store: they must pass Range and 206 on.',
  },
  'probe.presigned-get': {
    title: 'A signed link opens',
    severity: 'critical',
    why: 'Every link that Keepsake gives is one of these.',
    fix: 'Look at S3_PUBLIC_ENDPOINT, at the clock, and at proxies that change requests.',
  },
  'probe.tampered': {
    title: 'A link that was changed does not open',
    severity: 'critical',
    why: 'Who has one link could make others.',
    fix: 'The store, or what stands in front of it, does not check signatures: use one that does.',
  },
  'probe.expired': {
    title: 'A link that expired does not open',
    severity: 'high',
    why: 'A link that leaked would work for ever.',
    fix: 'The store, or a cache in front of it, does not check X-Amz-Expires: use one that does, and let no cache keep signed links.',
  },
  'probe.anonymous': {
    title: 'Without a signature nothing can be read, listed or written',
    severity: 'critical',
    why: 'It was tried, and so can everybody.',
    fix: 'keepsake bucket apply --adopt, which blocks public access and takes the Allow for everybody out of the policy.',
  },
  'probe.plain-http': {
    title: 'The store does not serve media over plain HTTP',
    severity: 'high',
    why: 'A link or a key that goes over plain HTTP can be read, and used, by everybody on the way.',
    fix: 'Use https:// in S3_ENDPOINT and S3_PUBLIC_ENDPOINT; on AWS let keepsake bucket apply deny plain HTTP.',
  },
  'probe.presigned-put': {
    title: 'A browser can upload by a signed request',
    severity: 'high',
    why: 'Direct uploads go this way.',
    fix: 'Allow s3:PutObject to the app, and look at S3_PUBLIC_ENDPOINT and at proxies that change requests.',
  },
  'probe.put-type': {
    title: 'An upload of another type than was signed is refused',
    severity: 'high',
    why: 'A page could be stored where an image was allowed, and be opened from your domain.',
    fix: 'The store does not check signed headers: use one that does.',
  },
  'probe.put-length': {
    title: 'An upload of another length than was signed is refused',
    severity: 'high',
    why: 'Size limits and quotas would hold for nobody who uploads directly.',
    fix: 'The store does not check signed headers: use one that does.',
  },
  'probe.put-once': {
    title: 'A signed upload cannot replace what it wrote',
    severity: 'medium',
    why: 'Who has the request could exchange the media after it was checked.',
    fix: 'The store does not obey If-None-Match on writes: use a recent one. Keepsake checks sizes and hashes again, after the fact.',
  },
  'probe.cors': {
    title: 'Pages of the declared origins may upload',
    severity: 'medium',
    why: 'A browser asks the bucket before it uploads, and hides the ETag of a part unless the bucket exposes it.',
    fix: 'keepsake bucket apply --origin https://YOUR.APP, repeated for each; or bucket.origins in the configuration.',
  },
  'probe.cors-evil': {
    title: 'Pages of other origins may not',
    severity: 'medium',
    why: 'Any page could use a link that leaked, and read what it gives.',
    fix: 'keepsake bucket apply --adopt --origin https://YOUR.APP, which takes the place of *.',
  },
  'probe.multipart': {
    title: 'An upload in parts can be begun and given up',
    severity: 'high',
    why: 'Large media goes in parts; what cannot be given up is paid for.',
    fix: 'Allow s3:AbortMultipartUpload, s3:ListMultipartUploadParts and s3:ListBucketMultipartUploads to the app; keepsake bucket export iam --role app prints the policy.',
  },
  'probe.list': {
    title: 'The bucket can be listed',
    severity: 'high',
    why: 'Reconciling needs it, and without it S3 says 403 in place of 404.',
    fix: 'Allow s3:ListBucket on the bucket to the app; keepsake bucket export iam --role app prints the policy.',
  },
  'probe.delete': {
    title: 'Objects can be deleted, and the probe left nothing behind',
    severity: 'high',
    why: 'What an owner deletes must be gone.',
    fix: 'Allow s3:DeleteObject to the app, then: aws s3 rm --recursive s3://{bucket}/temp/.doctor/',
  },
  'catalogue.reachable': {
    title: 'The catalogue’s database answers',
    severity: 'critical',
    why: 'Nothing can be kept or found without it.',
    fix: 'Look at DATABASE_URL, the network in between and the database’s own log.',
  },
  'catalogue.migrated': {
    title: 'The catalogue has this version’s schema',
    severity: 'critical',
    why: 'Statements would meet tables of another shape.',
    fix: 'Start this version of Keepsake once: it migrates by itself. After a downgrade run the newer version again.',
  },
  'catalogue.row-security': {
    title: 'The database keeps owners apart',
    severity: 'critical',
    why: 'Row-level security is what holds where a query of ours forgets the owner. It was tried, and rolled back.',
    fix: 'Restore the policies of the schema keepsake from a fresh catalogue (pg_dump --schema-only --schema keepsake), and find out who changed them.',
  },
  'catalogue.forced': {
    title: 'No table is left out of row-level security',
    severity: 'high',
    why: 'Neither the tables’ owner nor a role with BYPASSRLS is held to the policies.',
    fix: 'alter table keepsake.TABLE enable row level security, force row level security; alter role keepsake_user nosuperuser nobypassrls',
  },
  'catalogue.clock': {
    title: 'This machine’s clock and the database’s agree',
    severity: 'medium',
    why: 'Leases and expiry go by the database’s clock, links by this machine’s.',
    fix: 'Set both clocks: timedatectl set-ntp true.',
  },
  'catalogue.queue': {
    title: 'The job queue works',
    severity: 'high',
    why: 'Without it imports that were put off wait for the sweep, at most half a minute longer each.',
    fix: 'Look for errors of the job queue in the log; it lives in the schema keepsake_jobs of the catalogue’s database.',
  },
  'folder.permissions': {
    title: 'The data folder’s secrets are for this user alone',
    severity: 'high',
    why: 'They hold the API key and the embedded S3’s credentials.',
    fix: 'chmod -R go= {secrets}',
  },
  'folder.space': {
    title: 'The disk of the data folder has room',
    severity: 'high',
    why: 'Imports are spooled there, and without a bucket and a database elsewhere everything lies there.',
    fix: 'Make room, or move KEEPSAKE_DATA_DIR to a larger disk.',
  },
  'settings.api-key': {
    title: 'The API key cannot be guessed',
    severity: 'high',
    why: 'It opens every owner’s media.',
    fix: 'KEEPSAKE_API_KEY="ks_$(openssl rand -base64 32 | tr +/ -_ | tr -d =)"',
  },
  'settings.jwt': {
    title: 'The keys of tokens can be trusted',
    severity: 'high',
    why: 'Who can exchange the keys on the way, or guess the secret, can be any owner.',
    fix: 'Use https:// in KEEPSAKE_JWKS_URL; a KEEPSAKE_JWT_SECRET has at least 32 random bytes: openssl rand -base64 48',
  },
  'settings.exposure': {
    title: 'The API is not open to the network in the clear',
    severity: 'medium',
    why: 'API keys, tokens and links in answers would go over plain HTTP.',
    fix: 'HOST=127.0.0.1 with a proxy that speaks TLS in front, on the same machine or network namespace.',
  },
  'settings.public-collections': {
    title: 'Public collections are told from private ones, and read over TLS',
    severity: 'medium',
    why: 'A CDN tells them by how their keys begin, and would open private media too. Pages that are served over https do not load media over http.',
    fix: 'Begin a public collection’s key template with a word of its own. Use https:// in S3_BASE_URL.',
  },
} as const satisfies Record<string, Check>
